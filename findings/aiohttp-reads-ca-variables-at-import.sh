#!/usr/bin/env bash
# aiohttp: SSL_CERT_FILE counts only if it is set before `import aiohttp`; later it is ignored without a word.
#
# Guess before the run: the variable is read when the first TLS connection is made, as by `ssl.create_default_context`
#   in a script, urllib and httpx; setting it in `os.environ` at the start of `main` is early enough.
# Behaviour: the context that every session shares is made while the module is imported. A server whose certificate
#   the file in SSL_CERT_FILE vouches for is trusted if the variable was there before the import, and refused with
#   CERTIFICATE_VERIFY_FAILED if it was set one line after it. A program that reads its settings, then sets the variable
#   for a company's own CA, fails or works by the order of its imports.
# Versions: aiohttp 3.14.5, trustme 1.2.1, Python 3.11.
# Output seen:
#   set before the import: 200
#   set after the import: ClientConnectorCertificateError
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check aiohttp==3.14.5 trustme==1.2.1
cat > server.py <<'PY'
import http.server
import ssl

import trustme

authority = trustme.CA()
authority.cert_pem.write_to_path("ca.pem")
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
authority.issue_cert("localhost").configure_cert(context)


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
server.socket = context.wrap_socket(server.socket, server_side=True)
print(server.server_address[1], flush=True)
server.serve_forever()
PY
cat > client.py <<'PY'
import asyncio
import os
import sys

if sys.argv[2] == "before":
    os.environ["SSL_CERT_FILE"] = "ca.pem"
import aiohttp

os.environ["SSL_CERT_FILE"] = "ca.pem"


async def main() -> None:
    try:
        async with aiohttp.ClientSession() as session, session.get(f"https://localhost:{sys.argv[1]}/") as answer:
            print(answer.status)
    except aiohttp.ClientError as error:
        print(type(error).__name__)


asyncio.run(main())
PY
venv/bin/python server.py > port 2>/dev/null &
server=$!
trap 'kill "$server"; rm -rf "$folder"' EXIT
until [ -s port ]; do sleep 0.1; done
before=$(venv/bin/python client.py "$(cat port)" before)
after=$(venv/bin/python client.py "$(cat port)" after)
echo "set before the import: $before"
echo "set after the import: $after"
[ "$before" = 200 ] && [ "$after" = ClientConnectorCertificateError ]
