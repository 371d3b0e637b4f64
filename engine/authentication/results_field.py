"""The field Authentication-Results, as receivers write it: what they found out about a message (RFC 8601).

Large receivers leave the grammar: SES puts details of SPF between semicolons, where a method would stand, and Yahoo
ends with a semicolon. What the grammar does not know does not spoil the results beside it. Every function reads its
text a fixed number of times, because anyone can send such a field.
"""

from collections.abc import Iterator

from msgspec import Struct


class MethodResult(Struct, frozen=True):
    """The result of a method.

    Attributes:
        method: such as dkim, in lower case.
        result: such as pass, in lower case.
        properties: such as `header.d`, to their values; one that occurs twice is empty.
    """

    method: str
    result: str
    properties: dict[str, str]


def read_results_field(value: str) -> tuple[str, list[MethodResult]]:
    """Read the value of a field.

    Args:
        value: unfolded; the caller bounds its length.

    Returns:
        The authserv-id, empty where there is none, and the results in their order.

    >>> name, found = read_results_field("mx.example 1; spf=pass client-ip=192.0.2.1; helo=a.example; dkim=pass;")
    >>> name, [one.method for one in found]
    ('mx.example', ['spf', 'helo', 'dkim'])
    """
    statements = list(_divide(value))
    name = statements[0].split()[:1] if statements else []
    results = [_parse_result(words) for text in statements[1:] if (words := _split_words(text))]
    return (name[0] if name else ""), results


def _divide(value: str) -> Iterator[str]:
    """Yield the statements of a field, without comments and quoted text."""
    kept: list[str] = []
    depth, is_quoted, is_escaped = 0, False, False
    for character in value:
        if is_escaped:
            is_escaped = False
        elif character == "\\" and (depth or is_quoted):
            is_escaped = True
        elif is_quoted:
            is_quoted = character != '"'
        elif character in "()":
            depth = max(depth + (1 if character == "(" else -1), 0)
            kept.append(" ")
        elif depth:
            continue
        elif character == '"':
            is_quoted = True
            kept.append('"')  # so that quoted text equals nothing that is looked for
        elif character == ";":
            yield "".join(kept)
            kept = []
        else:
            kept.append(character)
    if not is_quoted and not depth:  # an incomplete statement counts for nothing
        yield "".join(kept)


def _split_words(statement: str) -> list[str]:
    return " ".join(statement.lower().split()).replace(" = ", "=").replace(" =", "=").replace("= ", "=").split()


def _parse_result(words: list[str]) -> MethodResult:
    method, _, result = words[0].partition("=")
    properties: dict[str, str] = {}
    for word in words[1:]:
        name, _, value = word.partition("=")
        properties[name] = "" if name in properties else value  # one that occurs twice counts for nothing
    return MethodResult(method.partition("/")[0], result, properties)
