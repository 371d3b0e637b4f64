"""A part is refused if, and only if, it has more characters than a part may have."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.campaign import part_writers, template_parts
from engine.campaign.content.environment import Prepared, TemplateEnvironment
from engine.campaign.part_writers import (
    PartWriter,
    ValueWriter,
    make_json_writer,
    make_nested_json_writer,
    make_utf8_writer,
)
from engine.campaign.render_error import RenderError
from engine.campaign.template_parts import MessageNames, TemplatePart

STATICS = ["", "Hi ", "a long text of the template ", '"\\']
VALUES = ["", "A", "é<", '"', "\x01", "😀", "Ann ", "a longer value, ", " \n"]
LOOPS = ["{% for one in many %}{{ one }}-{% endfor %}", "{% if first %}yes{% endif %}"]


def make_part(text: str) -> TemplatePart:
    environment = TemplateEnvironment(Path(), autoescape=False)
    environment.put("t.j2", Prepared(text, None))
    return TemplatePart(environment.get_template("t.j2"))


def read(part: TemplatePart, names: MessageNames, writer: PartWriter) -> str:
    try:
        return part.render(names, writer).text
    except RenderError as error:
        return "it is blank" if "blank" in str(error) else "it is longer"


@given(
    template=st.lists(st.sampled_from([*STATICS, *LOOPS, "{{ first }}", "{{ last }}"]), min_size=1, max_size=8),
    many=st.lists(st.sampled_from(VALUES), max_size=8),
    ends=st.tuples(st.sampled_from(VALUES), st.sampled_from(VALUES)),
    largest=st.integers(1, 80),
    kept=st.integers(1, 20),
)
def test_a_part_is_refused_exactly_where_it_is_too_long(
    template: list[str], many: list[str], ends: tuple[str, str], largest: int, kept: int
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(template_parts, "LARGEST_PART", largest)
        patch.setattr(template_parts, "_MOST_UNCOUNTED", largest // kept)
        patch.setattr(part_writers, "LONGEST_KEPT", kept)
        part = make_part("".join(template))
        for first, last in (ends, ends[::-1]):
            names = MessageNames(first=first, last=last, many=many)
            text = part.template.render(names)
            expected = "it is blank" if not text.strip() else "it is longer" if len(text) > largest else text
            for writer in (make_utf8_writer(), make_json_writer(), make_nested_json_writer(), ValueWriter()):
                assert read(part, names, writer) == expected
