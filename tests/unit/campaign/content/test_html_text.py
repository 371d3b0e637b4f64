"""Text derived from HTML."""

import pytest

from engine.campaign.content.html_text import derive_text


@pytest.mark.parametrize(
    ("html", "text"),
    [
        ("<p>One\n two</p><p>three</p>", "One two\n\nthree\n"),
        ("<h1>Title</h1>\n<div>a</div>\n<div>b</div>", "Title\n\na\nb\n"),
        ("a<br>b<br><br>c", "a\nb\n\nc\n"),
        ("<ul>\n<li>one</li>\n<li>two</li>\n</ul>", "- one\n- two\n"),
        ("<ol><li>one<li>two</ol>after", "1. one\n2. two\n\nafter\n"),
        ("<table><tr><th>When</th><td>now</td></tr>\n<tr><td>a</td><td>b</td></tr></table>", "When now\na b\n"),
        ('<a href="https://acme.example/x">Read on</a>.', "Read on (https://acme.example/x).\n"),
        ('<a href="https://acme.example/x">https://acme.example/x</a>', "https://acme.example/x\n"),
        ('<a href="https://acme.example/">acme.example</a>', "acme.example\n"),
        ('<a href="mailto:a@b.example">Write</a> <a href="#top">up</a>', "Write (a@b.example) up\n"),
        ('<a href="https://acme.example"><img alt="Acme" src="x.png"></a>', "Acme (https://acme.example)\n"),
        ('<a href="https://acme.example"><img src="x.png"></a>', "https://acme.example\n"),
        ("<head><title>T</title><style>p{}</style></head><script>x()</script>body", "body\n"),
        ('<div style="display:none">pre<br>header<div>deep</div></div>shown', "shown\n"),
        ("<p hidden>no</p><p>yes</p>", "yes\n"),
        ("<div hidden><p>no<br><p>no</div>yes", "yes\n"),
        ("Tom &amp; Jerry&nbsp;&lt;3 &eacute;", "Tom & Jerry <3 é\n"),
        ("<!--[if mso]><table><![endif]-->a&zwnj;&#8203;b", "ab\n"),
        ("<p>a</p></div></ul></a></head><p>b", "a\n\nb\n"),
        ("", "\n"),
    ],
)
def test_html_becomes_readable_text(html: str, text: str) -> None:
    assert derive_text(html) == text
