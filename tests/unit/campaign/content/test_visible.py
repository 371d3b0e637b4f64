"""Whether a person sees the unsubscribe link."""

import pytest

from engine.campaign.content.visible import LinkVisibility, is_link_visible

LINK = "https://acme.example/u/TOKEN?a=1&b=2"
A = '<a href="https://acme.example/u/TOKEN?a=1&amp;b=2">Unsubscribe</a>'
HREF = 'href="https://acme.example/u/TOKEN?a=1&amp;b=2"'


@pytest.mark.parametrize(
    "html",
    [
        f"<p>{A}</p>",
        f"<!--[if !mso]><!-->{A}<!--<![endif]-->",
        f"<![if !mso]>{A}<![endif]>",
        f"<!-- {A} --><p>{A}</p>",
        f'<div style="display:none">{A}</div><div>{A}</div>',
        f'<div style="display:none">Three things</div>{A}',
        f'<td style="font-size:0"><p style="font-size:14px">{A}</p></td>',
        f'<td bgcolor="#000000" style="color:#fff">{A}</td>',
        f'<td style="background:#123"><a {HREF} style="color:white">Leave</a></td>',
        f'<div style="color:#fff">{A}</div>',  # links have a colour of their own
        f'<a {HREF}><img src="cid:x.png" alt="Leave" width="80"></a>',
        f"<a {HREF}><span style='color:#666'>Leave</span></a>",
        f"<p>Leave: {LINK.replace('&', '&amp;')}</p>",
        f'<div style="mso-hide:all">{A}</div>',
        f'<div style="background:url(x.png);color:#fff"><a {HREF} style="color:#fff">Leave</a></div>',
        f"<p hidden>x<br></p>{A}",
        f"<style>@media screen and (max-width:400px){{.m{{display:none}}}}</style><p class=m>{A}</p>",
        f"<style>@media print{{.m{{display:none}}}}</style><p class=m>{A}</p>",
        f"<style>@media screen{{.x{{display:none}}}}</style><p class=m>{A}</p>",
        f"<style>@media screen{{p{{color:red}} .m{{display:none}}}}</style><p class=m style='display:block'>{A}</p>",
        f"<style>@media screen{{.m{{display:none}} .m{{display:block}}}}</style><p class=m>{A}</p>",
        f"<style>/* @media screen{{.m{{display:none}}}} */</style><p class=m>{A}</p>",
        f"<style>@media screen{{.m{{display:none}}</style><p>{A}</p>",
        f'<div style="max-height:0">{A}</div>',  # what does not fit is shown below it
        f"<A {HREF.upper().replace('HTTPS://ACME.EXAMPLE/U/TOKEN?A=1&AMP;B=2', LINK)}>Leave</A>",
    ],
)
def test_link_is_seen(html: str) -> None:
    assert is_link_visible(f"<html><body>{html}</body></html>", LINK)


@pytest.mark.parametrize(
    "html",
    [
        f"<!-- footer, old design <p>{A}</p> -->",
        f"<!--[if mso]>{A}<![endif]-->",
        f"<!--[if gte mso 9]><p>{A}</p><![endif]-->",
        f'<div style="display:none">{A}</div>',
        f'<div style="DISPLAY : none !important">{A}</div>',
        f'<div style="display:none"><div style="display:block">{A}</div></div>',
        f"<p hidden>{A}</p>",
        f"<a hidden {HREF}>Unsubscribe</a>",
        f'<p style="visibility:hidden">{A}</p>',
        f'<p style="opacity:0">{A}</p>',
        f'<p style="font-size:0px">{A}</p>',
        f'<p style="font-size:1px">{A}</p>',
        f'<p style="max-height:0;overflow:hidden">{A}</p>',
        f'<p style="height:0px;overflow:hidden">{A}</p>',
        f'<p style="position:absolute;left:-9999px">{A}</p>',
        f'<p style="text-indent:-9999px">{A}</p>',
        f'<a {HREF} style="color:#ffffff">Unsubscribe</a>',
        f'<td bgcolor="#fff"><a {HREF} style="color:white">Unsubscribe</a></td>',
        f'<td style="background-color:rgb(18, 52, 86)"><a {HREF} style="color:#123456">Unsubscribe</a></td>',
        f'<a {HREF} style="color:transparent">Unsubscribe</a>',
        f'<a {HREF} style="color:rgba(0,0,0,0)">Unsubscribe</a>',
        f'<a {HREF}><span style="color:#fff">Unsubscribe</span></a>',
        f"<a {HREF}></a>",
        f"<a {HREF}>&nbsp;&zwnj;</a>",
        f'<a {HREF}><img src="x.gif" width="1" height="1"></a>',
        f"<template>{A}</template>",
        f"<style>{A}</style>",
        f"<link {HREF}>",
        f'<img src="{LINK}">',
        f'<p title="{LINK}">x</p>',
        *(
            f"<style>{sheet}</style><p class=m>{A}</p>"
            for sheet in (
                "@media screen{.m{display:none}}",
                "@media all{.m{display:none}}",
                "@MEDIA ONLY SCREEN { p { color: red } .m { display: none !important } }",
                "@media print, screen{.m{display:none}}",
                "@media screen{@media all{.m{visibility:hidden}}}",
                "@media{.m{display:none}}",
                ".a{color:red}/* } */@media screen{/* { */.m{font-size:0}}",
                "@media screen{.m{display:none}",
            )
        ),
        f"<style>@media screen{{p{{display:none!important}}}}</style><p style='display:block'>{A}</p>",
    ],
)  # fmt: skip
def test_link_is_not_seen(html: str) -> None:
    assert not is_link_visible(f"<html><body>{html}</body></html>", LINK)


def test_messages_of_one_shape_are_judged_alike_whatever_their_data() -> None:
    links = LinkVisibility()
    for number in range(3):
        link = f"https://acme.example/u/{number}"
        shown = f'<p style="color:red">Hello {number}</p><a href="{link}">Leave</a>'
        assert links.is_visible(shown, link)
        assert not links.is_visible(f"<!-- {shown} -->", link)
        assert not links.is_visible(
            shown.replace("<p", "<p hidden").replace("</p>", "").replace("Leave</a>", "x</a></p>"), link
        )


def test_messages_with_different_style_sheets_are_judged_apart() -> None:
    links, body = LinkVisibility(), f"<p class=m>{A}</p>"
    assert links.is_visible(f"<style>@media screen{{.m{{color:red}}}}</style>{body}", LINK)
    assert not links.is_visible(f"<style>@media screen{{.m{{display:none}}}}</style>{body}", LINK)


def test_comments_that_never_end_are_judged_by_the_link_in_them() -> None:
    links, rest = LinkVisibility(), f"<p>Hello</p><p hidden>{A}</p>"
    assert not links.is_visible(f"<!--Ann{rest}", LINK)
    assert links.is_visible(f"<!--{LINK}{rest}", LINK)
    assert is_link_visible(f"<!--{LINK}{rest}", LINK)
