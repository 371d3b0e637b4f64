"""SES events, from where they arrive to the ledger: flags of recipients, suppressions, proof of what was in doubt."""
