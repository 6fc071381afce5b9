"""Marking what was searched for (RFC 8621 §5)."""

import html
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailhive.jmap.types.search_snippet.highlight import MAX_EXCERPT, excerpt, highlight
from mailhive.model.fulltext import fold, phrases

WORDS = " ".join(f"word{n}" for n in range(200))


def plain(marked: str) -> str:
    return html.unescape(re.sub("</?mark>|^…|…$", "", marked))


@pytest.mark.parametrize(
    ("text", "search", "expected"),
    [
        ("The Foo/bar method", "foo", "The <mark>Foo</mark>/bar method"),
        ("a < b & foo > c", "foo", "a &lt; b &amp; <mark>foo</mark> &gt; c"),
        (
            "<mark>foo</mark>",
            "foo mark",
            "&lt;<mark>mark</mark>&gt;<mark>foo</mark>&lt;/<mark>mark</mark>&gt;",
        ),
        ('say "foo\'s"', "foo", 'say "<mark>foo</mark>\'s"'),
        ("one two one", "one two", "<mark>one</mark> <mark>two</mark> <mark>one</mark>"),
        ("one two one", '"one two"', "<mark>one two</mark> one"),
        ("one, two three", '"ONE two" "two three"', "<mark>one, two three</mark>"),
        (
            "CAFÉ cafe\u0301s cafe\u0301",
            "café",
            "<mark>CAFÉ</mark> cafe\u0301s <mark>cafe\u0301</mark>",
        ),
        ("mail bob@example.org now", "bob@example.org", "mail <mark>bob@example.org</mark> now"),
        ("東京都に行く", "京都", "東<mark>京都</mark>に行く"),
        ("東京都に行く", "東京 都", "<mark>東京都</mark>に行く"),
        ("ภาษาไทย", "ไทย", "ภาษา<mark>ไทย</mark>"),
        ("Ελλάδα МОСКВА", "ελλαδα москва", "<mark>Ελλάδα</mark> <mark>МОСКВА</mark>"),
        ("uncle a.b.c clef", "clef", "uncle a.b.c <mark>clef</mark>"),
        ("football", "foot", None),
        ("", "foo", None),
        ("foo", "", None),
    ],
)
def test_highlight(text: str, search: str, expected: str | None) -> None:
    assert highlight(text, phrases(search) or ()) == expected


def test_an_excerpt_begins_and_ends_with_words() -> None:
    found = excerpt(f"{WORDS} the needle is here {WORDS}", ("needle",))
    assert found is not None
    assert found.startswith("…") and found.endswith("…")
    assert " the <mark>needle</mark> is here " in found
    assert all(word in WORDS.split() for word in found.strip("…").split()[:3])
    assert 200 < len(found.encode()) <= MAX_EXCERPT
    assert excerpt("x" * 99 + "-needle", ("needle",)) == "…<mark>needle</mark>"


def test_an_excerpt_of_text_without_spaces() -> None:
    found = excerpt("あいうえおかきくけこ" * 100 + "東京" + "さしすせそ" * 100, ("東 京",))
    assert found is not None
    lead, mark, rest = found.partition("<mark>東京</mark>")
    assert mark
    assert lead.startswith("…") and lead.endswith("けこ") and 15 < len(lead) <= 21
    assert rest.startswith("さしす") and rest.endswith("…") and len(rest) > 40


def test_a_short_text_is_shown_whole_on_one_line() -> None:
    found = excerpt("dear\r\n\r\n  all,\tthe needle\u00a0<1 ", ("needle",))
    assert found == "dear all, the <mark>needle</mark> &lt;1"


def test_the_place_with_most_of_the_phrases_is_shown() -> None:
    text = f"alpha {WORDS} beta {WORDS} alpha and beta {WORDS} alpha"
    found = excerpt(text, ("alpha", "beta"))
    assert found is not None
    assert "<mark>alpha</mark> and <mark>beta</mark>" in found


def test_a_phrase_that_is_too_long_is_cut() -> None:
    found = excerpt("a" * 1000, ("a" * 1000,))
    assert found == "<mark>" + "a" * (MAX_EXCERPT - 16) + "</mark>…"
    found = excerpt("x " + "東" * 300, (" ".join("東" * 300),))
    assert found is not None
    assert len(found.encode()) <= MAX_EXCERPT
    assert found.endswith("東</mark>…")


@given(
    st.lists(
        st.sampled_from(
            [
                "needle",
                "NEEDLE hay",
                "hay",
                "<&>",
                "東京",
                "ねedle",
                "\n\n",
                "x" * 99,
                "é",
                "&" * 40,
            ]
        ),
        max_size=60,
    ),
    st.sampled_from(["needle", '"needle hay"', "東京", "x" * 99 + " é", "needle 京 hay"]),
)
def test_excerpts_are_short_and_part_of_the_text(pieces: list[str], search: str) -> None:
    text = " ".join(pieces)
    wanted = phrases(search) or ()
    found = excerpt(text, wanted)
    assert (found is None) == (highlight(text, wanted) is None)
    if found is not None:
        assert len(found.encode()) <= MAX_EXCERPT
        assert plain(found) in " ".join(text.split())
        marks = re.findall("<mark>(.*?)</mark>", found)
        assert marks
        assert all(fold(html.unescape(m)) for m in marks)
        assert not re.search("<(?!/?mark>)", found)
    whole = highlight(text, wanted)
    if whole is not None:
        assert plain(whole) == text
