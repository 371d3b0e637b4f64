#!/usr/bin/env bash
# css-inline: a style element for print is inlined like any other.
#
# Guess before the run: <style media="print"> is left alone, as an @media print rule inside a style element is.
# Behaviour: its rules go into the style attributes of the elements, for every screen: what should be hidden on paper
#   is hidden in every mail program. The same rules inside @media print are left where they are.
# Version: css-inline 0.24.0.
# Output seen:
#   media attribute: <p class="k" style="display: none;">y</p>
#   @media rule: <p class="k">y</p>
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check css-inline==0.24.0 2>/dev/null
"$folder/venv/bin/python" - <<'PY'
import re
import sys

import css_inline

BODY = '<p class="k">y</p>'


def inline(style):
    made = css_inline.CSSInliner(keep_style_tags=True).inline(f"<html><head>{style}</head><body>{BODY}</body></html>")
    return re.search("<p.*?</p>", made)[0]


attribute = inline('<style media="print">.k{display:none}</style>')
rule = inline("<style>@media print{.k{display:none}}</style>")
print(f"media attribute: {attribute}")
print(f"@media rule: {rule}")
sys.exit(0 if "display: none" in attribute and rule == BODY else 1)
PY
