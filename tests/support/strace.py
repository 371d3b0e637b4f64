"""Commands under strace, which kills, delays or fails them at system calls."""


def under_strace(calls: str, action: str, path: str = "") -> list[str]:
    """Return the beginning of a command line that does something at system calls.

    With --seccomp-bpf the kernel stops the command at the named calls alone, which is much faster; but a signal that
    is injected there is lost.

    Args:
        calls: the names of system calls, separated by commas.
        action: what `-e inject` does at them, such as `signal=SIGKILL:when=3`.
        path: only calls that read or write this file.
    """
    fast = [] if action.startswith("signal") else ["--seccomp-bpf"]
    at = ["-P", path] if path else []
    options = ["-e", f"trace={calls}", "-e", f"inject={calls}:{action}"]
    return ["strace", "-f", *fast, "-qqq", "-o", "/dev/null", *at, *options]
