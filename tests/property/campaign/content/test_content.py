"""Laws of content for all templates and data: raw MIME, derived text, tokens, prepared templates."""

from email import message_from_bytes
from email.message import EmailMessage
from email.policy import SMTP, default

import pytest
from babel.core import get_global
from babel.localedata import locale_identifiers
from hypothesis import assume, example, given
from hypothesis import strategies as st
from jinja2 import Environment, TemplateSyntaxError
from support.messages import make_message

from engine.campaign.content.template_tokens import Placeholders, TemplateToken, TokenKind, mask, split
from engine.campaign.locales import Tag, choose_language, read_locales
from engine.campaign.message import Attachment, Envelope, Message
from engine.campaign.mime import Composer

SUBJECTS = st.text(st.characters(exclude_categories=["C", "Zl", "Zp"]), min_size=1, max_size=300).filter(
    lambda text: not text.isspace()
)
BODIES = st.text(st.characters(exclude_categories=["Cs"]), max_size=400)
LINES = st.lists(
    st.one_of(
        BODIES, st.sampled_from([".", "From me", "=", "--=_", "\n", "\r\n", " trailing ", "\t", "x" * 1200, "é" * 500])
    )
).map("\n".join)
ATTACHMENTS = st.lists(
    st.builds(
        Attachment,
        name=st.text(st.characters(categories=["L", "N"]), min_size=1, max_size=40).map(lambda name: f"{name}.png"),
        content_type=st.just("image/png"),
        content=st.binary(max_size=300),
        content_id=st.one_of(st.none(), st.from_regex(r"[A-Za-z0-9._-]{1,20}", fullmatch=True)),
    ),
    max_size=3,
)


def parse(raw: bytes) -> EmailMessage:
    mail = message_from_bytes(raw, policy=default)
    assert not any(part.defects for part in mail.walk())
    return mail


def parts_of(mail: EmailMessage) -> list[tuple[object, ...]]:
    """List the leaves: type, disposition, name, id and content, with the line breaks of Unix in text."""
    leaves: list[tuple[object, ...]] = []
    for part in mail.walk():
        assert isinstance(part, EmailMessage)
        if part.is_multipart():
            continue
        content = part.get_content()
        same = content.replace("\r\n", "\n").removesuffix("\n") if isinstance(content, str) else content
        named = (part.get_content_disposition(), part.get_filename(), part["Content-ID"])
        leaves.append((part.get_content_type(), *named, same))
    return leaves


def build_by_library(message: Message, envelope: Envelope) -> bytes:
    """Build the same message by `email`, which normalises line breaks and adds one at the end of text."""
    mail = EmailMessage(policy=SMTP)
    mail["From"], mail["To"], mail["Subject"] = envelope.sender, message.address, message.subject
    if message.text is not None:
        mail.set_content(message.text)
    inline = [one for one in envelope.attachments if one.content_id]
    if message.html is not None and message.text is not None:
        mail.add_alternative(message.html, subtype="html")
    elif message.html is not None:
        mail.set_content(message.html, subtype="html")
    holder = next(part for part in mail.walk() if part.get_content_type() == "text/html") if message.html else mail
    for one in inline:
        assert isinstance(holder, EmailMessage)
        holder.add_related(
            one.content, "image", "png", filename=one.name, cid=f"<{one.content_id}>", disposition="inline"
        )
    for one in envelope.attachments:
        if not one.content_id:
            mail.add_attachment(one.content, "image", "png", filename=one.name)
    return mail.as_bytes()


def normalise(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\r", "\n")


@given(SUBJECTS, LINES, st.one_of(st.none(), LINES), ATTACHMENTS)
def test_raw_mime_parses_to_exactly_the_parts_that_went_in(
    subject: str, html: str, text: str | None, attachments: list[Attachment]
) -> None:
    message = make_message(1, "ann@example.com", subject, html, text, (("List-Id", "<a.b>"),), ())
    envelope = Envelope("Acme <a@b.example>", ("c@d.example",), tuple(attachments), None)
    mail = parse(Composer(envelope).compose(message, [("Date", "Tue, 24 Nov 2026 09:00:00 +0000")]))
    assert (mail["From"], mail["To"], mail["Reply-To"]) == ("Acme <a@b.example>", "ann@example.com", "c@d.example")
    assert mail["Subject"] == subject
    assert (mail["List-Id"], mail["Date"]) == ("<a.b>", "Tue, 24 Nov 2026 09:00:00 +0000")
    found = {
        part.get_content_type(): part.get_content() for part in mail.walk() if part.get_content_maintype() == "text"
    }
    assert normalise(found["text/html"]) == normalise(html)
    assert text is None or normalise(found["text/plain"]) == normalise(text)
    files = [part for part in mail.walk() if part.get_content_maintype() == "image"]
    ordered = [one for one in attachments if one.content_id] + [one for one in attachments if not one.content_id]
    assert [part.get_content() for part in files] == [one.content for one in ordered]
    assert [part.get_filename() for part in files] == [one.name for one in ordered]
    assert [part["Content-ID"] for part in files] == [one.content_id and f"<{one.content_id}>" for one in ordered]


PLAIN = st.text(st.characters(categories=["L", "N", "P", "Zs"], exclude_characters="\x85"), min_size=1, max_size=200)


@given(PLAIN.filter(lambda text: text == text.strip()), PLAIN, st.one_of(st.none(), PLAIN), ATTACHMENTS)
def test_raw_mime_parses_to_the_parts_that_the_email_package_builds(
    subject: str, html: str, text: str | None, attachments: list[Attachment]
) -> None:
    message = make_message(1, "ann@example.com", subject, html, text, (), ())
    envelope = Envelope("Acme <a@b.example>", (), tuple(attachments), None)
    ours, theirs = parse(Composer(envelope).compose(message)), parse(build_by_library(message, envelope))
    assert parts_of(ours) == parts_of(theirs)
    assert ours["Subject"] == theirs["Subject"]


@given(LINES, LINES)
def test_no_line_of_raw_mime_is_longer_than_mail_allows(html: str, text: str) -> None:
    raw = Composer(Envelope("a@b.example", (), (), None)).compose(
        make_message(1, "a@b.example", "S", html, text, (), ())
    )
    assert max(map(len, raw.split(b"\r\n"))) <= 998
    assert b"\n" not in raw.replace(b"\r\n", b"")


TAGS = (
    "{{ x }}",
    "{{ '}}' }}",
    '{{ "%}" ~ y }}',
    "{{ {'a': {'b': 1}}['a'] }}",
    "{% set y = {1: {2: 3}} %}",
    "{% if x %}",
    "{% endif -%}",
    "{# note {{ #}",
    "{% raw %}{{ {% endraw %}",
)
TEXTS = ("<p class='a'>", "</p>", "text ", "\n", "{}}", "}}", "%}", "#}", "é", "<!-- c -->")
UNFINISHED = ("{", "{{", "{%", "{#", "{% raw %}", "'", '"', "[", "-", "\\")
TEMPLATES = st.lists(st.sampled_from((*TAGS, *TEXTS))).map("".join)
PIECES = st.lists(st.sampled_from((*TAGS, *TEXTS, *UNFINISHED))).map("".join)
LEXER = Environment(keep_trailing_newline=True)  # noqa: S701 - it renders nothing
KINDS = {"variable": TokenKind.OUTPUT, "block": TokenKind.STATEMENT, "comment": TokenKind.COMMENT, "raw": TokenKind.RAW}


def lex(source: str) -> list[tuple[TokenKind, str]] | None:
    """The tags as Jinja's own lexer divides them, without white space; None where it cannot, or one is not closed."""
    tags: list[tuple[TokenKind, str]] = []
    is_open = False
    try:
        for _, name, text in LEXER.lex(source):
            word, _, edge = name.partition("_")
            if edge == "begin":
                tags.append((KINDS[word], ""))
                is_open = True
            if is_open:
                tags[-1] = (tags[-1][0], tags[-1][1] + "".join(text.split()))
            is_open &= edge != "end"
    except TemplateSyntaxError:
        return None
    return None if is_open else tags


@given(st.one_of(TEMPLATES, PIECES, st.text()))
@example("{{ {'a': {'b': 1}}['a'] }}")
@example("Hello {#")
def test_a_template_is_divided_where_jinja_divides_it(source: str) -> None:
    expected = lex(source)
    if expected is None:
        with pytest.raises(TemplateSyntaxError):
            split(source, "t")
        return
    tokens = split(source, "t")
    assert [(t.kind, "".join(t.text.split())) for t in tokens if t.kind is not TokenKind.TEXT] == expected


@given(st.one_of(TEMPLATES, PIECES, st.text()))
def test_tokens_together_are_the_template_and_know_their_lines(source: str) -> None:
    assume(lex(source) is not None)
    tokens = split(source, "t")
    assert "".join(token.text for token in tokens) == source
    assert all(token.line == source.count("\n", 0, token.start) + 1 for token in tokens)
    assert all(source.startswith(token.text, token.start) for token in tokens)
    masked = mask(tokens)
    assert len(masked) == len(source)
    assert [i for i, mark in enumerate(masked) if mark == "\n"] == [i for i, mark in enumerate(source) if mark == "\n"]


@given(TEMPLATES)
def test_placeholders_give_every_tag_back_and_lead_to_its_line(source: str) -> None:
    tokens = split(source, "t")
    places = Placeholders(tokens)
    words = "".join(token.text if token.kind is TokenKind.TEXT else places.replace(token) for token in tokens)
    restored = places.restore(words)
    again = [token for token in split(restored.source, "t") if token.kind in (TokenKind.OUTPUT, TokenKind.STATEMENT)]
    tags = [token for token in tokens if token.kind in (TokenKind.OUTPUT, TokenKind.STATEMENT)]
    assert ["".join(token.text.split()) for token in again] == ["".join(token.text.split()) for token in tags]
    assert restored.origin is not None
    assert [restored.origin(token.line + 1) for token in again] == [("t", token.line) for token in tags]


def script_of(tag: Tag) -> str:
    """Look the script up in CLDR's likely subtags, where the tag does not have it."""
    likely = get_global("likely_subtags")
    found = likely.get(f"{tag.language}_{tag.territory}") or likely.get(tag.language) or "__"
    return tag.script or str(found.split("_")[1])


def fits(wanted: Tag, variant: Tag) -> bool:
    """Return whether a variant is in a language and script that the recipient reads, or is the tag's bare language."""
    norwegian = {"nb": "no"}  # two names of one written language
    language = norwegian.get(variant.language, variant.language)
    asked = norwegian.get(wanted.language, wanted.language)
    if language == "no" and asked == "nn":  # CLDR's parent of Nynorsk
        return script_of(variant) == script_of(Tag("no", None, wanted.territory))
    return variant == Tag(wanted.language) or (language == asked and script_of(variant) == script_of(wanted))


RANDOM_TAGS = st.from_regex(r"[a-z]{2}(-[a-z]{2})?", fullmatch=True)
CLDR_TAGS = st.sampled_from(sorted({name.replace("_", "-").lower() for name in locale_identifiers()} - {"en-us-posix"}))
RELATED_TAGS = st.sampled_from(
    [
        "en",
        "en-gb",
        "en-us",
        "en-001",
        "zh",
        "zh-tw",
        "zh-hant",
        "zh-hans-hk",
        "zh-hk",
        "sr",
        "sr-latn",
        "sr-me",
        "no",
        "nb",
        "nn",
        "pt",
        "pt-br",
        "pt-pt",
        "pa-pk",
        "pa",
    ]
)
VARIANTS = st.one_of(RANDOM_TAGS, CLDR_TAGS, RELATED_TAGS)


@given(
    st.one_of(*(st.lists(tags, max_size=3).map(",".join) for tags in (RELATED_TAGS, CLDR_TAGS)), st.text()),
    st.one_of(*(st.lists(tags, unique_by=read_locales, max_size=8) for tags in (RELATED_TAGS, VARIANTS))),
)
def test_any_text_chooses_the_variant_of_the_first_language_that_has_one(text: str, available: list[str]) -> None:
    preferences = read_locales(text)
    tags = {variant: found[0] for variant in available if (found := read_locales(variant))}
    chosen = choose_language(preferences, available)
    wanted = next((one for one in preferences if any(fits(one, tag) for tag in tags.values())), None)
    if wanted is None:
        assert chosen is None
        return
    assert chosen is not None
    assert fits(wanted, tags[chosen])
    if wanted in tags.values():
        assert tags[chosen] == wanted
    same = [tag for tag in tags.values() if tag.language == wanted.language and fits(wanted, tag)]
    if wanted.territory is not None and any(tag.territory == wanted.territory for tag in same):
        assert tags[chosen].territory == wanted.territory


@given(st.sampled_from(sorted(locale_identifiers())), st.sampled_from(["{}", " {} ", "{}.UTF-8", "tlh;q=0.1,{}"]))
def test_every_locale_of_cldr_is_read_in_any_spelling(name: str, form: str) -> None:
    assume("POSIX" not in name)
    tags = {read_locales(form.format(spelling)) for spelling in (name, name.replace("_", "-"), name.lower())}
    assert len(tags) == 1
    (tag,) = tags
    assert tag
    assert choose_language(tag, [str(tag[0]).lower(), "en-gb" if name != "en_GB" else "fr"]) == str(tag[0]).lower()


def test_a_token_knows_what_it_refers_to() -> None:
    (token,) = split('{%- include "a.j2" -%}', "t")
    assert (token.word, token.reference, token.block) == ("include", "a.j2", None)
    assert TemplateToken(TokenKind.STATEMENT, '{% include "a" if x else "b" %}', "t", 1, 0).reference == ""
