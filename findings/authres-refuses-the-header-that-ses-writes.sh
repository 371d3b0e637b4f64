#!/usr/bin/env bash
# authres: the parser of RFC 8601 headers refuses `Authentication-Results` as Amazon SES and Yahoo write it.
#
# Guess before the run: the headers of the large receivers are what such a parser is made for; all three parse, with
#   properties that it does not know left out.
# Behaviour: only Gmail's form parses. SES puts its SPF details (client-ip, envelope-from, helo) between semicolons, where
#   the grammar has a method, and `client-ip` has no type before it. Yahoo ends with a semicolon. Each raises
#   SyntaxError for the whole header, so that the DKIM and DMARC results in it, which are well formed, are lost, too.
#   A program that counts an unreadable header as "not authenticated" rejects all mail that came through SES.
# Versions: authres 1.2.0, Python 3.
# Output seen:
#   Gmail's form: 3 results
#   SES's form: SyntaxError
#   Yahoo's form: SyntaxError
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check authres==1.2.0
cat > parse.py <<'PY'
import authres

FORMS = {
    "Gmail": "mx.google.com; dkim=pass header.i=@acme.example header.s=one header.b=AbCdEf12;"
    " spf=pass (google.com: domain of b@acme.example designates 192.0.2.1 as permitted sender)"
    " smtp.mailfrom=b@acme.example; dmarc=pass (p=REJECT sp=REJECT dis=NONE) header.from=acme.example",
    "SES": "amazonses.com; spf=pass (spfCheck: domain of acme.example designates 192.0.2.1 as permitted sender)"
    " client-ip=192.0.2.1; envelope-from=b@acme.example; helo=mx.acme.example;"
    " dkim=pass header.i=@acme.example; dmarc=pass header.from=acme.example;",
    "Yahoo": "mta.mail.example; dkim=pass header.i=@acme.example header.s=one;"
    " spf=pass smtp.mailfrom=acme.example; dmarc=pass(p=REJECT) header.from=acme.example;",
}
EXPECTED = {"Gmail": "3 results", "SES": "SyntaxError", "Yahoo": "SyntaxError"}


def describe(value: str) -> str:
    try:
        parsed = authres.AuthenticationResultsHeader.parse(f"Authentication-Results: {value}")
    except Exception as error:
        return type(error).__name__
    return f"{len(parsed.results)} results"


seen = {name: describe(value) for name, value in FORMS.items()}
for name, found in seen.items():
    print(f"{name}'s form: {found}")
raise SystemExit(seen != EXPECTED)
PY
venv/bin/python parse.py
