"""The flat lists of parts and the text values (RFC 8621 §4.1.4)."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mailhive.mime.body import body_lists, body_value, has_attachment
from mailhive.mime.build import BuildPart, build
from mailhive.mime.part import Part
from mailhive.mime.scan import scan


def multipart(subtype: str, *parts: BuildPart) -> BuildPart:
    return BuildPart(f"multipart/{subtype}", parts=parts)


def part(
    media_type: str, cid: str, disposition: str | None = None, name: str | None = None
) -> BuildPart:
    return BuildPart(media_type, b"x", cid=cid, disposition=disposition, name=name)


def lists(body: BuildPart) -> tuple[str, str, str, bool]:
    found = body_lists(scan(build([], body, host="h", now=0)))

    def ids(parts: list[Part]) -> str:
        return "".join(p.cid or "?" for p in parts)

    return ids(found.text), ids(found.html), ids(found.attachments), has_attachment(found)


def test_the_example_of_the_rfc() -> None:
    body = multipart(
        "mixed",
        part("text/plain", "A", "inline"),
        multipart(
            "mixed",
            multipart(
                "alternative",
                multipart(
                    "mixed",
                    part("text/plain", "B", "inline"),
                    part("image/jpeg", "C", "inline"),
                    part("text/plain", "D", "inline"),
                ),
                multipart("related", part("text/html", "E"), part("image/jpeg", "F")),
            ),
            part("image/jpeg", "G", "attachment"),
            part("application/x-excel", "H"),
            part("message/rfc822", "J"),
        ),
        part("text/plain", "K", "inline"),
    )
    assert lists(body) == ("ABCDK", "AEK", "CFGHJ", True)


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (part("text/plain", "A"), ("A", "A", "", False)),
        (part("text/html", "A"), ("A", "A", "", False)),
        (part("text/plain", "A", "attachment"), ("", "", "A", True)),
        (part("application/pdf", "A"), ("", "", "A", True)),
        (part("application/pdf", "A", "inline"), ("", "", "A", False)),
        (part("image/png", "A"), ("A", "A", "", False)),
        (
            multipart("alternative", part("text/plain", "A"), part("text/html", "B")),
            ("A", "B", "", False),
        ),
        (multipart("alternative", part("text/html", "B")), ("B", "B", "", False)),
        (multipart("alternative", part("text/plain", "A")), ("A", "A", "", False)),
        (
            multipart(
                "alternative",
                part("text/plain", "A"),
                part("text/calendar", "C"),
                part("text/html", "B"),
            ),
            ("A", "B", "C", True),
        ),
        (
            multipart("related", part("text/html", "A"), part("image/png", "B")),
            ("A", "A", "B", False),
        ),
        (
            multipart("related", part("text/html", "A"), part("application/pdf", "B")),
            ("A", "A", "B", True),
        ),
        (
            multipart("mixed", part("text/plain", "A"), part("text/plain", "B", None, "b.txt")),
            ("A", "A", "B", True),
        ),
        (
            multipart("mixed", part("text/plain", "A", None, "a.txt"), part("image/png", "B")),
            ("AB", "AB", "", False),
        ),
        (
            multipart("signed", part("text/plain", "A"), part("application/pgp-signature", "B")),
            ("A", "A", "B", False),
        ),
        (
            multipart(
                "alternative",
                part("text/plain", "A"),
                multipart("alternative", part("text/plain", "B"), part("text/html", "C")),
            ),
            ("AB", "C", "", False),
        ),
        (
            multipart(
                "alternative",
                multipart(
                    "mixed",
                    part("text/plain", "A"),
                    multipart("alternative", part("text/html", "B"), part("text/plain", "C")),
                ),
            ),
            ("AC", "AC", "B", True),
        ),
    ],
)
def test_decomposition(body: BuildPart, expected: tuple[str, str, str, bool]) -> None:
    assert lists(body) == expected


def value(header: bytes, body: bytes, limit: int = 0) -> tuple[str, bool, bool]:
    raw = header + b"\r\n\r\n" + body
    found = body_value(scan(raw), raw, limit)
    return found.value, found.is_encoding_problem, found.is_truncated


PLAIN = b"Content-Type: text/plain; charset="


@pytest.mark.parametrize(
    ("header", "body", "expected"),
    [
        (PLAIN + b"utf-8", b"a\r\nb\nc\rd", "a\nb\nc\rd"),
        (b"X: y", "grün".encode(), "grün"),
        (b"Content-Type: text/plain", "grün".encode(), "grün"),
        (PLAIN + b"utf-8\r\nContent-Transfer-Encoding: base64", b"w6Q=", "ä"),
        (PLAIN + b"iso-8859-1\r\nContent-Transfer-Encoding: quoted-printable", b"=E4", "ä"),
    ],
)
def test_values(header: bytes, body: bytes, expected: str) -> None:
    assert value(header, body) == (expected, False, False)


@pytest.mark.parametrize(
    ("header", "body", "expected"),
    [
        (PLAIN + b"x-none", b"a", "a"),
        (PLAIN + b"utf-8", b"a\xff", "a\ufffd"),
        (PLAIN + b"us-ascii", "ä".encode(), "ä"),
        (PLAIN + b"utf-8\r\nContent-Transfer-Encoding: x-none", b"a", "a"),
        (PLAIN + b"utf-8\r\nContent-Transfer-Encoding: base64", b"QUI*", "AB"),
    ],
)
def test_values_with_a_problem(header: bytes, body: bytes, expected: str) -> None:
    assert value(header, body) == (expected, True, False)


@pytest.mark.parametrize(
    ("text", "limit", "expected"),
    [
        ("abc", 3, None),
        ("abcd", 3, "abc"),
        ("aä", 2, "a"),
        ("aä", 3, None),
        ("\U0001f600", 3, ""),
        ("<b", 1, "<"),
    ],
)
def test_truncation(text: str, limit: int, expected: str | None) -> None:
    found = value(PLAIN + b"utf-8", text.encode(), limit)
    assert found == (text if expected is None else expected, False, expected is not None)


@pytest.mark.parametrize(
    ("html", "limit", "expected"),
    [
        ('Hi <a href="https://example.com">x</a>', 15, "Hi "),
        ('Hi <a href="https://example.com">x</a>', 34, 'Hi <a href="https://example.com">x'),
        ('Hi <a title="x > y" href="z">x</a>', 22, "Hi "),
        ("Hi <a title='x < y' href=z>x</a>", 18, "Hi "),
        ("a < b and more text", 10, "a < b and "),
        ("<p class=don't>words and words", 20, "<p class=don't>words"),
        ("<script>if (a<b) c();</script>", 18, "<script>if (a<b) c"),
        ("<!-- a <b c --> x <i", 12, "<!-- a <b c "),
        ("text</p>more", 6, "text"),
        ("text<p>more", 5, "text"),
    ],
)
def test_html_is_not_truncated_in_a_tag(html: str, limit: int, expected: str) -> None:
    assert value(b"Content-Type: text/html; charset=utf-8", html.encode(), limit) == (
        expected,
        False,
        True,
    )


@given(st.text(alphabet="<>ab/=\"'! -äscript€", max_size=60), st.integers(1, 80))
@settings(max_examples=200, deadline=None)
def test_truncated_values_are_beginnings(text: str, limit: int) -> None:
    for kind in (b"html", b"plain"):
        found, _, truncated = value(
            b"Content-Type: text/" + kind + b"; charset=utf-8", text.encode(), limit
        )
        assert len(found.encode()) <= limit
        assert text.startswith(found)
        assert truncated == (len(text.encode()) > limit)


@pytest.mark.timeout(100)
@pytest.mark.parametrize(
    "bit", ["<!--", "<script>", "<a ", '<a b="', "<", "</", "<a b='c\">", "<!--x>", '="']
)
def test_truncating_hostile_html_ends(bit: str) -> None:
    html = (bit * 100_000).encode()
    value(b"Content-Type: text/html; charset=utf-8", html, len(html) - 1)
