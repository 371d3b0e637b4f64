"""The words beside the subject in a list of messages."""

import pytest

from engine.report.snippet import LONGEST, make_snippet


@pytest.mark.parametrize(
    ("html", "text", "shown"),
    [
        ("<head><title>T</title><style>p{}</style></head><body><p>Dear Ann,</p><p>hello</p>", None, "Dear Ann, hello"),
        ('<div style="display:none">Preheader&#847;&zwnj;&nbsp;&shy;</div>Body', "Text", "Preheader Body"),
        ("<!-- hidden --><script>x()</script>Shown &amp; &lt;b&gt;", None, "Shown & <b>"),
        (None, "Dear  Ann,\n\nhow are you?", "Dear Ann, how are you?"),
        (None, None, ""),
        ("<p>" + "word " * 100, None, ("word " * 100)[:LONGEST]),
    ],
)
def test_snippet_is_what_a_list_of_messages_shows(html: str | None, text: str | None, shown: str):
    assert make_snippet(html, text) == shown
