"""Keep words that readers stumble over out of docs, help, messages, docstrings, comments and test names.

Run from the project's folder:

    python -m tools.language    # exit with 1 and name every finding
"""

import io
import re
import sys
import tokenize
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
TEXTS = (
    "README.md",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "SECURITY.md",
    "docs",
    "engine",
    "tests",
    "bench",
    "tools",
    "requirements",
)
# These files contain the forbidden words.
_EXCEPT = ("tools/language.py", "tests/unit/tools/test_language.py")


@dataclass(frozen=True, slots=True)
class LanguageRule:
    """Words that are not used here.

    Attributes:
        pattern: a regular expression; a space stands for any white space. Case is ignored.
        suggestion: what to write instead.
        example: a text that breaks the rule.
        plain: a text that looks similar and keeps it.
    """

    pattern: str
    suggestion: str
    example: str
    plain: str

    def find(self, text: str) -> Iterator[re.Match[str]]:
        """Yield every place of a text that breaks the rule."""
        return re.finditer(self.pattern.replace(" ", r"\s+"), text, flags=re.IGNORECASE)


RULES: tuple[LanguageRule, ...] = (
    LanguageRule(r"\bwhoever\b", "anyone who", "whoever asks", "anyone who asks"),
    LanguageRule(r"\banew\b", "again", "written anew", "written again, as a new file"),
    LanguageRule(
        r"\bfor good\b(?! reason)",
        "permanently",
        "it ends for good",
        "for good reasons",
    ),
    LanguageRule(r"\bmend(s|ed|ing)?\b", "fix", "the cause is mended", "recommended"),
    LanguageRule(
        r"(?<!there\s)(?<!where\s)\b(is|are|was|were) no "
        r"(?!(longer|more|less|fewer|greater|larger|one|other|way|need|such)\b)[a-z`\"{]\w*",
        "is not a",
        "Y is no port",
        "there is no port",
    ),
    LanguageRule(r"\bbids\b", "asks", "what the campaign bids", "forbids"),
    LanguageRule(r"\b(leave|leaves|left|leaving) word\b", "record, report", "leave word of it", "leave the word out"),
    LanguageRule(r"(?<!-)\btold\b(?!-)", "reported, informed, configured", "each row is told", "each row is reported"),
    LanguageRule(r"\bways? out\b", "unsubscribe link, transport", "the way out", "a way of working"),
    LanguageRule(
        r"\b(take|takes|took|taken|taking) in (?!(the|this|that|an?|its|any|each) (order|turn|way|case|second))",
        "process, read",
        "take in what came back",
        "leases are taken in the order of the plan",
    ),
    LanguageRule(r"\bpass(ed|es|ing)? over\b", "skip", "PASSED OVER", "the passed overhead"),
    LanguageRule(r"\bstrange\b", "invalid, unknown", "a strange entry", "a stranger"),
    LanguageRule(r"\bstands? aside\b", "keeps its share, waits", "nobody stands aside", "set aside"),
    LanguageRule(r"\bwish(es)? to get\b", "unsubscribe requests", "wishes to get no more", "wants"),
    LanguageRule(r"\bto go on\b", "to resume, to continue", "launch again to go on", "to go one step"),
    LanguageRule(r"\bheld against\b", "compared with, checked by", "rows held against the list", "held by a worker"),
    LanguageRule(r"\bbeat(s|ing)? forever\b", "send heartbeats until stopped", "to beat forever", "a heartbeat"),
    LanguageRule(
        r"\btells? whether\b", "return whether, check that", "Tell whether it may be launched", "tell both apart"
    ),
    LanguageRule(r"\bfor ever\b", "forever, until stopped", "waits for ever", "for every row"),
    LanguageRule(r"\bthe house\b", "the project", "the layers of the house", "the houses"),
    LanguageRule(r"\bfault model\b", "name the fault", "fault model I2", "a model of faults"),
    LanguageRule(r"\bheeds?\b", "follows, applies", "campaigns heed entries", "needs"),
    LanguageRule(r"\b(whence|hence|thereof|therein|hereby|lest)\b", "from where, so", "hence", "fence"),
    LanguageRule(r"\bcalls? of (its|their) own accord\b", "by itself", "calls of its own accord", "calls of its own"),
    LanguageRule(
        r'"""Say (whether|which|why)\b',
        "return",
        '"""Say whether it has ended."""',
        '"""Report whether it has ended."""',
    ),
    LanguageRule(
        r"\b(ledger|store|machine|manifest|run|endpoint) (does not know|did not know|cannot know|knows?|knew)\b",
        "is in the ledger, has, supports",
        "a run that the ledger knows",
        "the known runs of the ledger",
    ),
    LanguageRule(
        r"\b(ledger|store|S3|SES) (is|was)( not)? asked\b",
        "is read, is called",
        "S3 was not asked",
        "the person is asked",
    ),
    LanguageRule(
        r"\bwhat (came|comes|has come) back\b", "events, feedback", "process what came back", "what the call returned"
    ),
    LanguageRule(r"\ball the same\b", "anyway", "sending all the same", "all of the same size"),
    LanguageRule(
        r"\bholds? (\w+ ){1,5}against\b", "compare with, check against", "hold names against columns", "hold the lease"
    ),
    LanguageRule(r"\bSES took\b(?! \d)", "SES accepted", "messages that SES took", "the call to SES took 20 ms"),
    LanguageRule(r"\blets? go of\b", "close, release", "let go of the file", "let the call go through"),
    LanguageRule(r"\b(keep|keeps|kept) back\b", "block, suppress", "keeps back the mail", "keeps a backup"),
    LanguageRule(
        r"\b(was|were) meant (to|and)\b", "give what was measured", "it was meant to cost 65", "what is meant"
    ),
)


@dataclass(frozen=True, slots=True)
class Finding:
    """Words that break a rule, and where."""

    path: Path
    line: int
    words: str
    suggestion: str

    def __str__(self) -> str:
        return f'{self.path.relative_to(ROOT)}:{self.line}: "{self.words}"; write: {self.suggestion}'


def check_text(path: Path, text: str) -> Iterator[Finding]:
    """Yield what breaks a rule in the text of a file: all of a page; comments, strings and names of Python."""
    passages = read_python(text) if path.suffix == ".py" else [(1, text)]
    for line, passage in passages:
        for rule in RULES:
            for found in rule.find(passage):
                words = " ".join(found[0].split())
                yield Finding(path, line + passage.count("\n", 0, found.start()), words, rule.suggestion)


def read_python(text: str) -> Iterator[tuple[int, str]]:
    """Yield line and text of every comment, string and name of a function or class.

    Neighbouring comment lines are one text, so that a phrase is found across their ends.
    """
    comments: list[str] = []
    first, named = 0, False
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.COMMENT:
            if comments and token.start[0] != first + len(comments):
                yield first, "\n".join(comments)
                comments = []
            first = first if comments else token.start[0]
            comments.append(token.string.lstrip("#"))
        elif token.type == tokenize.STRING or named:
            yield token.start[0], token.string.replace("_", " ") if named else _read_string(token.string)
        named = token.type == tokenize.NAME and token.string in ("def", "class")
    if comments:
        yield first, "\n".join(comments)


def _read_string(source: str) -> str:
    """Return a string as it is written; of an f-string without the code in it, on the same lines."""
    if not re.match(r"[rR]?[fF]", source):
        return source
    return re.sub(r"\{[^{}]*\}", lambda code: "x" + "\n" * code[0].count("\n"), source)


def list_files() -> Iterator[Path]:
    """Yield the files to check."""
    for place in TEXTS:
        top = ROOT / place
        files = [top] if top.is_file() else sorted([*top.rglob("*.py"), *top.rglob("*.md"), *top.rglob("*.j2")])
        for path in files:
            if path.relative_to(ROOT).as_posix() not in _EXCEPT:
                yield path


def main() -> int:
    """Print every finding; returns the exit code."""
    findings = [finding for path in list_files() for finding in check_text(path, path.read_text(encoding="utf-8"))]
    for finding in findings:
        print(finding)
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
