"""The sandbox as a web server: requests, signatures, its record and its pages."""
