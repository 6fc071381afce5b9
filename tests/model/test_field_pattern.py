"""Patterns of header fields."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailhive.model.field_pattern import FieldPattern


@pytest.mark.parametrize(
    ("pattern", "value", "fits"),
    [
        ("X-Spam-Flag: YES", " yes ", True),
        ("X-Spam-Flag: YES", "YES!", False),
        ("X-Spam-Status: Yes,*", " Yes, score=9.1", True),
        ("X-Spam-Status: Yes,*", "No, score=1", False),
        ("X-Spamd-Result: default: True *", "default: True [9/15]", True),
        ("X: *", "", True),
        ("X: *a*", "bab", True),
        ("X: a*a", "a", False),
        ("X: a*b*c", "a c b c", True),
        ("X: a*b*c", "a c c", False),
        ("X: STRASSE", "straße", True),
    ],
)
def test_matching(pattern, value, fits):
    assert FieldPattern.parse(pattern).matches(value) is fits


@pytest.mark.parametrize("text", ["", "X-Spam", "X-Spam:", ": yes", "X Spam: yes", "é: yes"])
def test_what_is_no_pattern(text):
    with pytest.raises(ValueError, match="is no pattern of a header field; allowed is"):
        FieldPattern.parse(text)


@given(st.lists(st.text(alphabet="abX"), min_size=1), st.lists(st.text(alphabet="abXé")))
def test_stars_stand_for_anything(pieces, between):
    pattern = FieldPattern("x", tuple(piece.casefold() for piece in pieces))
    gaps = [*between, *[""] * len(pieces)]
    text = pieces[0] + "".join(gap + piece for gap, piece in zip(gaps, pieces[1:], strict=False))
    assert pattern.matches(text)


def test_long_values_take_no_longer():
    assert not FieldPattern.parse("x: " + "*a" * 30 + "*b").matches("a" * 10_000)
