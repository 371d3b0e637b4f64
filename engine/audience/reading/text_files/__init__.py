"""Reading text files: bytes in any encoding become blocks of UTF-8."""
