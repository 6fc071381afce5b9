"""Folding, search texts, and where the tokens of a text are."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailhive.model.fulltext import fold, phrases, units


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ()),
        ("  \n ", ()),
        ("...", None),
        ('"" *', None),
        ("one two one", ("one", "two")),
        ("Ünïcode ＦＵＬＬ", ("unicode", "full")),
        ('"one two" three', ("one two", "three")),
        ("'one two' three", ("one two", "three")),
        (r'"say \"two\" words"', ("say two words",)),
        (r"'it\'s'", ("it s",)),
        ("don't can't", ("don t", "can t")),
        ('"open', ("open",)),
        ("bob@example.org", ("bob example org",)),
        ("東京tokyo", ("東 京 tokyo",)),
        ('a" OR "b', ("a", "or", "b")),
        ("x\x00y\ud800z", ("x y z",)),
    ],
)
def test_a_search_text_becomes_phrases(text, expected):
    assert phrases(text) == expected


@given(st.text())
def test_folded_text_is_made_of_plain_tokens(text):
    folded = fold(text)
    assert folded == " ".join(folded.split(" ")).strip()
    assert not any(char.isascii() and not (char.isalnum() or char == " ") for char in folded)
    folded.encode()


# What folds in its own way: ligatures, fractions, marks that go and marks that
# stay, letters of scripts without spaces that become one with what follows.
ODD = "aÉß½㋀⑴ﬁ　-_'·゙\u0301\u0306ﾞ्বিো東京かがｶhㅎㅏㄴ한각\u1112\u1161\u11abﾡￂทีา¨ʼ\u200b\u00adİΣשָעَक़"


ODD_TEXT = st.text(st.one_of(st.sampled_from(ODD), st.characters(exclude_categories=["Cs"])))


@given(ODD_TEXT)
def test_white_space_parts_tokens_as_a_comma_does(text):
    assert fold(text) == fold(",".join(text.split())) == fold(f"{text},{'é' * 50}")[:-51].strip()


@given(ODD_TEXT)
def test_the_tokens_of_all_units_are_those_of_the_text(text):
    found = list(units(text))
    assert [token for _, _, tokens in found for token in tokens] == fold(text).split()
    assert all(start < end for start, end, _ in found)
    assert all(first[1] <= second[0] for first, second in pairwise(found))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", []),
        ("...", []),
        ("Hello, World!", ["Hello", "World"]),
        ("cafe\u0301 crème", ["cafe\u0301", "crème"]),
        ("東京tokyo", ["東", "京", "tokyo"]),
        ("か\u3099くせい", ["か\u3099", "く", "せ", "い"]),
        ("\u1112\u1161\u11ab국", ["\u1112\u1161\u11ab", "국"]),
        ("ที่", ["ที่"]),
        ("bob@example.org", ["bob", "example", "org"]),
    ],
)
def test_units_are_pieces_of_the_text(text, expected):
    assert [text[start:end] for start, end, _ in units(text)] == expected
