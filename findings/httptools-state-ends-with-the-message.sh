#!/usr/bin/env bash
# httptools: what a parser says of a response is right only inside on_message_complete.
#
# Guess before the run: get_status_code() and should_keep_alive() describe the last complete response until the first
#   byte of the next one, as the same calls of other parsers do; an upgrade is one of the parser's errors.
# Behaviour: after feed_data() has returned, should_keep_alive() is False for a complete HTTP/1.1 response with a
#   Content-Length, although it was True inside on_message_complete. Where the same data hold two responses,
#   get_status_code() is the second one's. HttpParserUpgrade is not an HttpParserError, so `except HttpParserError`
#   does not catch a 101. A client that asks after feed_data() closes each connection, or mixes up two replies.
# Version: httptools 0.9.0, Python 3.11 and newer.
# Output seen:
#   one response: inside (200, True), after (200, False)
#   two responses in one read: inside [200, 201], after 201
#   HttpParserUpgrade is an HttpParserError: False
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check httptools==0.9.0 2>/dev/null
"$folder/venv/bin/python" - <<'PY'
import sys

import httptools

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"
CREATED = OK.replace(b"200 OK", b"201 Created")


class Reader:
    def __init__(self):
        self.inside = []
        self.parser = httptools.HttpResponseParser(self)

    def on_message_complete(self):
        self.inside.append((self.parser.get_status_code(), self.parser.should_keep_alive()))

    def read(self, data):
        self.parser.feed_data(data)
        return self.parser.get_status_code(), self.parser.should_keep_alive()


one = Reader()
after = one.read(OK)
print(f"one response: inside {one.inside[0]}, after {after}")
two = Reader()
status = two.read(OK + CREATED)[0]
codes = [code for code, _ in two.inside]
print(f"two responses in one read: inside {codes}, after {status}")
is_error = issubclass(httptools.HttpParserUpgrade, httptools.HttpParserError)
print(f"HttpParserUpgrade is an HttpParserError: {is_error}")
same = one.inside == [(200, True)] and after == (200, False) and codes == [200, 201] and status == 201 and not is_error
sys.exit(0 if same else 1)
PY
