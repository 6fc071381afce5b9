"""Base subjects (RFC 5256 §2.1) and keys."""

import pytest

from mailhive.mime.subject import base_subject, fold, thread_subject


@pytest.mark.parametrize(
    ("subject", "base"),
    [
        ("Hello", "Hello"),
        ("Re: Hello", "Hello"),
        ("RE:re:Fwd: FW: Hello", "Hello"),
        ("Re[2]: Hello", "Hello"),
        ("Re [2] : Hello", "Hello"),
        ("[list] Hello", "Hello"),
        ("[list] Re: [other] Hello (fwd)", "Hello"),
        ("[list]", "[list]"),
        ("[a] [b]", "[b]"),
        ("Hello (fwd) (FWD) ", "Hello"),
        ("[Fwd: Re: Hello]", "Hello"),
        ("[fwd: [Fwd: Hello] (fwd)]", "Hello"),
        ("Re:", ""),
        ("", ""),
        (" Hello \t  world ", "Hello world"),
        ("Regarding: x", "Regarding: x"),
        ("Fwd x", "Fwd x"),
        ("[a[b] x", "[a[b] x"),
    ],
)
def test_base_subject(subject: str, base: str) -> None:
    assert base_subject(subject) == base


def test_thread_subjects_ignore_case_and_white_space() -> None:
    one, two = base_subject("Re: [tag] Hello  World"), base_subject("hello WorlD (fwd)")
    assert thread_subject(fold(one)) == thread_subject(fold(two)) == "helloworld"
    assert thread_subject("hello") != thread_subject("hello you")


def test_folding() -> None:
    assert fold("STRASSE") == fold("straße")
    assert fold("Ä") == fold("a\u0308") == fold("ä")
    assert fold("ﬁn") == "fin"
    assert sorted(["b", "Ä", "a"], key=fold) == ["a", "Ä", "b"]


@pytest.mark.timeout(100)
@pytest.mark.parametrize("bit", ["[a]", "re:", "[fwd:", "(fwd)", "[", " ", "re[", "re "])
def test_hostile_subjects_end(bit: str) -> None:
    base_subject(bit * 50_000)
    base_subject(bit * 300 + "x" + "]" * 300)
