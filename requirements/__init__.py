"""The locks, and what is known of the packages that they name: licences, SBOM, vulnerabilities."""
