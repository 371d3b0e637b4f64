"""mailrun: a bulk campaign engine for Amazon SES."""

__version__ = "0.1.0"
