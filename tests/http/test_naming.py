"""What a client calls a download must not become anything else than a header value."""

from email.message import EmailMessage
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailhive.http.naming import content_disposition, media_type


@pytest.mark.parametrize(
    "value",
    [
        "text/plain",
        "application/octet-stream",
        "image/svg+xml",
        "text/plain; charset=utf-8",
        'text/plain;charset="utf-8"',
        'multipart/mixed; boundary="a\\"b"; x=1',
    ],
)
def test_media_type_is_kept(value):
    assert media_type(value) == value


def test_media_type_with_a_plus_that_was_not_encoded():
    assert media_type("image/svg xml; a=b") == "image/svg+xml; a=b"


@pytest.mark.parametrize(
    "value",
    [
        "",
        "text",
        "text/",
        "/plain",
        "text/plain\r\nX: y",
        "text/plain\x00",
        "text/plain; charset",
        'text/plain; a="b',
        "text/plain, text/html",
        "té/plain",
        "text/" + "x" * 2000,
    ],
)
def test_no_media_type(value):
    assert media_type(value) is None


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("", "attachment"),
        ("\r\n\x00", "attachment"),
        ("report.pdf", 'attachment; filename="report.pdf"'),
        ('a"b.txt', "attachment; filename=\"a_b.txt\"; filename*=UTF-8''a%22b.txt"),
        ("100%25.txt", "attachment; filename=\"100_25.txt\"; filename*=UTF-8''100%2525.txt"),
        ("Füße.txt", "attachment; filename=\"F__e.txt\"; filename*=UTF-8''F%C3%BC%C3%9Fe.txt"),
        ("a\r\nSet-Cookie: x", 'attachment; filename="aSet-Cookie: x"'),
        ("../../etc/passwd", 'attachment; filename="../../etc/passwd"'),
    ],
)
def test_content_disposition(name, expected):
    assert content_disposition(name) == expected


@given(st.text(max_size=60))
def test_any_name_comes_back(name):
    value = content_disposition(name)
    assert value.isascii()
    assert value.isprintable()
    message = EmailMessage()
    message["Content-Disposition"] = value
    kept = "".join(c for c in name if c.isprintable())
    if "filename*" in value:
        assert unquote(value.rpartition("''")[2]) == kept
    elif kept:
        assert value == f'attachment; filename="{kept}"'


@given(st.text(max_size=60))
def test_any_media_type_is_printable(value):
    result = media_type(value)
    assert result is None or (result.isascii() and "\r" not in result and "\n" not in result)
