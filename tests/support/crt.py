"""AWS's own signer, from a folder of its own, so that botocore does not find it.

Where botocore finds it, it imports it into every process, which takes a third of a second, and behaves in another way
than for our users.
"""

import sys

from support.paths import ROOT

_FOLDER = str(ROOT / ".venv" / "crt")

sys.path.append(_FOLDER)
try:
    from awscrt import auth, crypto, http
finally:
    sys.path.remove(_FOLDER)

__all__ = ["auth", "crypto", "http"]
