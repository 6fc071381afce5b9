"""Octets to text by label."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailhive.mime.charset import Charsets, decode, decode_undeclared, is_binary, is_known


@pytest.mark.parametrize(
    ("data", "label", "text"),
    [
        ("ä€".encode(), "UTF-8", "ä€"),
        ("ä€".encode(), ' "utf8" ', "ä€"),
        (b"\xe4\x80", "iso-8859-1", "ä€"),
        (b"\xe4", "latin1", "ä"),
        ("鎔".encode("gb18030"), "GB2312", "鎔"),
        ("똠".encode("cp949"), "ks_c_5601-1987", "똠"),
        ("①".encode("cp932"), "Shift_JIS", "①"),
        ("日本".encode("iso-2022-jp"), "ISO-2022-JP", "日本"),
        ("привет".encode("koi8-r"), "KOI8-R", "привет"),
        (b"plain", "us-ascii", "plain"),
    ],
)
def test_labels(data: bytes, label: str, text: str) -> None:
    assert decode(data, label) == (text, False)


@pytest.mark.parametrize(
    ("data", "label", "text"),
    [
        ("ä".encode(), "x-unknown", "ä"),
        ("ä".encode(), "us-ascii", "ä"),
        (b"a\xffb", "utf-8", "a\ufffdb"),
        (b"a", "rot13", "a"),
        (b"a", "zip", "a"),
        (b"a", "idna", "a"),
        (b"a", "unicode_escape", "a"),
        (b"a", "x\0y", "a"),
        (b"a", "ä", "a"),
        (b"+2AA-", "utf-7", "+2AA-"),
    ],
)
def test_problems(data: bytes, label: str, text: str) -> None:
    assert decode(data, label) == (text, True)


def test_no_label() -> None:
    assert decode_undeclared("grün".encode()) == ("grün", False)
    german = "Schöne Grüße aus München, wir hören voneinander. Natürlich!" * 3
    assert decode_undeclared(german.encode("cp1252")) == (german, True)
    russian = "Съешь же ещё этих мягких французских булок, да выпей чаю. " * 5
    assert decode_undeclared(russian.encode("cp1251"))[0] == russian


def test_what_is_no_text() -> None:
    picture = b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 20
    assert is_binary(picture)
    assert decode_undeclared(picture) == (picture.decode("cp1252", "replace"), True)
    russian = "Съешь же ещё этих мягких французских булок, да выпей чаю. \n\t" * 5
    for text in (
        russian.encode("koi8-r"),
        russian.encode("utf-16"),
        "Grüße\n".encode("utf-16-le") * 50,
        "東京 100\n".encode("utf-16") * 50,
        "東京\n".encode("iso-2022-jp") * 50,
        "東京\n".encode("cp932") * 50,
        russian.encode("cp1251") + b"\0",
    ):
        assert not is_binary(text)


@given(
    st.binary(max_size=100), st.sampled_from(["utf-7", "utf-16", "big5", "iso-2022-jp", "x", "hz"])
)
def test_every_text_can_be_sent(data: bytes, label: str) -> None:
    decode(data, label)[0].encode("utf-8")
    decode(data, label, Charsets(utf_7=True))[0].encode("utf-8")
    assert is_known(label) == (label not in ("x", "utf-7"))


def test_utf_7_is_decoded_where_it_is_allowed() -> None:
    allowed = Charsets(utf_7=True)
    assert decode(b"Hi +AOQ-", "unicode-1-1-utf-7", allowed) == ("Hi ä", False)
    assert decode(b"+2AA-", "utf-7", allowed) == ("\ufffd", True)
    assert decode(b"+ADw-script+AD4-", "utf-7") == ("+ADw-script+AD4-", True)


def test_guesses_can_be_turned_off() -> None:
    strict = Charsets(guess=False)
    assert decode_undeclared("grün".encode(), strict) == ("gr\ufffd\ufffdn", True)
    assert decode_undeclared(b"gr", strict) == ("gr", False)
    for label in ("x-unknown", "us-ascii"):
        assert decode("ä".encode(), label, strict) == ("\ufffd\ufffd", True)
    assert decode("ä".encode(), "utf-8", strict) == ("ä", False)
