"""With any template, a message holds text, numbers and dates, and no Python values."""

import re
from datetime import date
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import example, given
from hypothesis import strategies as st
from jinja2.filters import FILTERS
from support.campaigns import make_renderer, write_campaign

from engine.campaign.render_error import RenderError
from engine.errors import DataError

ROW = {
    "name": "ann",
    "order": {"copy": "c", "items": "i", "deep": {"values": 1}},
    "tags": ["x", "y"],
    "lines": [{"title": "t"}],
    "day": date(2026, 11, 24),
    "points": 1.5,
    "bad": float("nan"),
    "nothing": None,
    "blob": b"b",
}
ATTRIBUTES = (
    "copy items values keys title count index format join get deep year real isoformat name address split encode hex "
    "next current x"
)
CALLS = ["()", "(name)", "(tags)", "(order)", "(nothing)", "(2)"]
OPERATIONS = ["[0]", " ~ order", " ~ name", " % order", " + 1"]
MORE_FILTERS = (
    "map('title')|map(attribute='copy')|join(', ', attribute='title')|replace('n', order)|attr('copy')|default(order)"
    "|format(order)|string|groupby('title')"
)
OBJECTS = ["campaign", "run", "recipient", "range", "namespace", "joiner", "loop", "self", "('m'|safe)"]
SHOWS_PYTHON = re.compile(
    r"<built-in|<bound|<function|<class|<generator|object at|0x|Undefined|None|\bnan\b|\{'|\['|b'|\(\)"
)
NAMES = st.sampled_from([*ROW, *OBJECTS])
STEPS = st.one_of(
    st.sampled_from(ATTRIBUTES.split()).map(lambda name: f".{name}"),
    st.sampled_from(ATTRIBUTES.split()).map(lambda name: f"['{name}']"),
    st.sampled_from([*CALLS, *OPERATIONS]),
    st.sampled_from(sorted(FILTERS.keys() - {"pprint", "tojson", "random"})).map(lambda name: f"|{name}"),
    st.sampled_from(MORE_FILTERS.split("|")).map(lambda name: f"|{name}"),
)


@given(name=NAMES, steps=st.lists(STEPS, max_size=4), part=st.sampled_from(["html", "text"]))
@example(name="order", steps=[".keys", "()"], part="text")
@example(name="('m'|safe)", steps=[".join", "(tags)"], part="html")
def test_message_never_shows_what_a_value_is_in_python(name: str, steps: list[str], part: str) -> None:
    with TemporaryDirectory() as folder:
        written = f"[{{{{ {name}{''.join(steps)} }}}}]"
        try:
            renderer = make_renderer(write_campaign(Path(folder), {"b.j2": written}, f'{part} = "b.j2"'))
            message = renderer.render(ROW, 1, "ann@example.com")
        except (RenderError, DataError):
            return
        assert not SHOWS_PYTHON.search(str(message.html or message.text)), written
