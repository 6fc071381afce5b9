"""HTML to text, and previews."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mailhive.mime.text import html_to_text, preview


@pytest.mark.parametrize(
    ("html", "text"),
    [
        ("<p>Hello <b>w</b>orld</p><p>again", "Hello world\nagain"),
        ("a<div>b</div>c<br>d", "a\nb\nc\nd"),
        ("<table><tr><td>a</td><td>b</td></tr><tr><th>c", "a b\nc"),
        ("<title>t</title><style>s{}</style><script>x<y</script>body<!-- c -->", "body"),
        ("a &amp; b&nbsp;&euro;&#x41;&#xD800;", "a & b €A\ufffd"),
        ("  a\n\n  b  ", "a b"),
        ("<ul><li>a<li>b</ul>", "a\nb"),
        ("a<template><p>no</template>z", "az"),
        ("<p title='a > b' class=\"x\">c", "c"),
        ("<p class=don't>a", "a"),
        ("a<style>never closed <p>b", "a"),
        ("a<STYLE >x</style\n>b<br/>c<B>d", "ab\ncd"),
        ("a<!-- <p> -->b<!doctype html><?x?></>c", "abc"),
        ('a<p b="never closed > <p>b', "a"),
        ("1 &lt;b&gt; 2 <3 & &copy &unknown;", "1 <b> 2 <3 & © &unknown;"),
        ("&#" + "9" * 5000 + ";&#x" + "f" * 5000, "\ufffd\ufffd"),
        ("<abbr>a</abbr><pp>b", "ab"),
        ("<html><body><p>a</p></body></html><!-- x -->", "a"),
        ("", ""),
        ("plain < text", "plain < text"),
    ],
)
def test_html_to_text(html: str, text: str) -> None:
    assert html_to_text(html) == text


@pytest.mark.timeout(100)
@pytest.mark.parametrize(
    "html",
    [
        "<div>" * 200_000,
        "<b>" * 200_000 + "x",
        "<" * 500_000,
        "<a " * 200_000,
        "<script>" * 100_000,
        "<!--" * 200_000,
        "<a b=\"'" * 100_000,
        "&#" * 300_000,
        "</" * 300_000,
        "<style></script>" * 50_000,
    ],
)
def test_hostile_html_ends(html: str) -> None:
    html_to_text(html)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("Hello,\r\n\r\n  how are\tyou?", "Hello, how are you?"),
        ("> quoted\r\nmine\r\n > more", "mine"),
        ("> all\n> quoted", "> all > quoted"),
        ("a\u200b\u200c\xad\ufeffb\0", "ab"),
        ("a > b", "a > b"),
        ("", ""),
        ("> quoted\n" * 200 + "own", "own"),
        ("> q\n" * 400, ("> q " * 64).rstrip()),
        ("\u200b" * 1500 + "shown", "shown"),
    ],
)
def test_preview(text: str, line: str) -> None:
    assert preview(text) == line


@given(st.text(max_size=600))
@settings(max_examples=100)
def test_previews_are_short_and_one_line(text: str) -> None:
    line = preview(text)
    assert len(line) <= 256
    assert len(line.splitlines()) <= 1


@given(st.text(alphabet="<>/apbrtdiv \"'=&;!-x", max_size=60))
@settings(max_examples=150, deadline=None)
def test_any_html_has_a_text(html: str) -> None:
    html_to_text(html)
