"""One set of credentials for all servers that the clients of a test call with the same environment."""

from engine.sandbox.embedded import EmbeddedSandbox

ACCESS_KEY_ID = "AKIDTESTS00000000000"
SECRET_ACCESS_KEY = "a-secret-that-only-tests-use"
CREDENTIALS = {ACCESS_KEY_ID: SECRET_ACCESS_KEY}


def bearer(sandbox: EmbeddedSandbox) -> dict[str, str]:
    """Return the Authorization header for the control endpoint."""
    return {"Authorization": f"Bearer {sandbox.token}"}
