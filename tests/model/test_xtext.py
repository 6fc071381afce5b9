"""xtext (RFC 3461 §4, RFC 6533 §3)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailhive.model.xtext import from_xtext, to_utf8_xtext, to_xtext


@given(st.text(st.characters(max_codepoint=127)))
def test_ascii_survives_as_xtext(text: str) -> None:
    encoded = to_xtext(text)
    assert from_xtext(encoded) == text
    assert all("!" <= c <= "~" and c != "=" for c in encoded)


@pytest.mark.parametrize(
    ("address", "encoded"),
    [
        ("zoe@far.example", "zoe@far.example"),
        ("a+b=c\\d@x", r"a\x{2B}b\x{3D}c\x{5C}d@x"),
        ("zoë 😀", r"zo\x{EB}\x{20}\x{1F600}"),
    ],
)
def test_addresses_beyond_ascii(address: str, encoded: str) -> None:
    assert to_utf8_xtext(address) == encoded
