"""The locks, and the licences, SBOM and vulnerabilities of the packages that they name."""
