#!/usr/bin/env bash
# taplo: one unknown key under `additionalProperties: false` is reported once for every key and value of the file.
#
# Guess before the run: one error, at the line of the unknown key, or at the table that holds it.
# Behaviour: a file of four keys with one unknown key gives 9 errors: one at the whole file, one at each key and one at
#   each value, the right ones included, all with the same text. `taplo lint` with a file of a hundred keys fills a
#   terminal for one typing error, and the wrong line cannot be told by the places that are marked; only the text of
#   the error names the key. A missing required key is repeated in the same way. An error of type is reported once.
# Versions: taplo 0.9.3.
# Output seen:
#   unknown key: 9 errors
#   wrong type: 1 error(s)
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check taplo==0.9.3
cat > letter.schema.json <<'JSON'
{
  "$schema": "https://json-schema.org/draft/2020-12/schema",
  "type": "object",
  "additionalProperties": false,
  "properties": {"from": {"type": "string"}, "subject": {"type": "string"}, "kind": {"type": "string"}, "rate": {"type": "integer"}}
}
JSON
printf '#:schema letter.schema.json\nfrom = "a"\nsubject = "b"\nkind = "c"\nratte = 1\n' > unknown.toml
printf '#:schema letter.schema.json\nfrom = "a"\nsubject = "b"\nkind = "c"\nrate = "1"\n' > type.toml
count() { { venv/bin/taplo lint "$1" 2>&1 || true; } | grep -c '^error: ' || true; }
unknown=$(count unknown.toml)
type=$(count type.toml)
echo "unknown key: $unknown errors"
echo "wrong type: $type error(s)"
[ "$unknown" -eq 9 ] && [ "$type" -eq 1 ]
