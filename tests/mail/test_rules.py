"""Rules of delivery: sub-addresses, what a filter says, keywords."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailhive.config.delivery import DeliverySettings, KeywordSettings
from mailhive.mail.rules import NO_RULES, Marks, Rules, details, find_mailbox
from mailhive.model.principal import Principal

ALICE = Principal("alice", emails=("alice@example.org", "alice+x@example.org", "@example.com"))

RULES = Rules.of(
    DeliverySettings(
        junk_fields=("X-Spam-Flag: YES", "X-Spam: Yes*"),
        keyword_fields=("X-Keywords",),
        keyword={
            "$Phishing": KeywordSettings(fields=("X-Phishing: *",)),
            "$ismailinglist": KeywordSettings(
                fields=("List-Id: *", "Precedence: list"), anyone=True
            ),
        },
    )
)


@pytest.mark.parametrize(
    ("header", "filtered", "junk", "keywords"),
    [
        (b"X-Spam-Flag: yes\r\n", True, True, set()),
        (b"X-Spam-Flag: yes\r\n", False, False, set()),
        (b"x-spam:\r\n Yes, 9\r\n", True, True, set()),
        (b"X-Spam-Flag: no\r\nX-Spam-Flag: YES\r\n", True, True, set()),
        (b"X-Phishing: x\r\nList-Id: <a.b>\r\n", True, False, {"$phishing", "$ismailinglist"}),
        (b"X-Phishing: x\r\nPrecedence: List\r\n", False, False, {"$ismailinglist"}),
        (b"X-Keywords: Work, $NotJunk\r\n (no) \xff\r\n", True, False, {"work", "$notjunk"}),
        (b"X-Keywords: Work\r\n", False, False, set()),
        (b"X-Keywords: \r\n", True, False, set()),
        (b"", True, False, set()),
    ],
)  # fmt: skip
def test_marks(header, filtered, junk, keywords):
    assert RULES.marks(header, filtered=filtered) == Marks(junk, frozenset(keywords))
    assert NO_RULES.marks(header, filtered=filtered) == Marks()


def test_no_more_keywords_than_an_email_may_have():
    words = b" ".join(b"%d" % number for number in range(500))
    assert len(RULES.marks(b"X-Keywords: " + words + b"\r\n", filtered=True).keywords) == 20


@given(st.binary(max_size=200), st.booleans())
def test_any_header(header, filtered):
    RULES.marks(header, filtered=filtered)


@pytest.mark.parametrize(
    ("addresses", "found"),
    [
        (["alice@example.org"], {""}),
        (["Alice+Work@Example.ORG"], {"work"}),
        (["alice+work@example.org", "alice+a+b@example.org"], {"work", "a+b"}),
        (["alice+work@example.org", "list@example.org"], {"work", ""}),
        (["alice+x@example.org"], {""}),  # an address of its own
        (["alice+@example.org"], {""}),
        (["+work@example.org"], {""}),
        (["other+work@example.com"], {""}),  # by the catch-all
        (["list+work@example.org"], {""}),  # by a list
    ],
)
def test_details(addresses, found):
    assert details(ALICE, addresses) == found


def box(name, parent=None, role=None):
    return {"name": name, "parentId": parent, "role": role}


BOXES = {
    "i": box("Inbox", role="inbox"),
    "s": box("Sent", role="sent"),
    "d": box("Drafts", role="drafts"),
    "j": box("Junk", role="junk"),
    "l": box("Lists"),
    "p": box("Python", "l"),
    "v": box("v3.13", "p"),
    "lp": box("lists.ruby"),
    "c": box("Caf\u0065\u0301"),
}


@pytest.mark.parametrize(
    ("detail", "found"),
    [
        ("lists", "l"),
        ("lists/python", "p"),
        ("lists.python", "p"),
        ("lists.python.v3.13", "v"),
        ("lists.ruby", "lp"),
        ("lists/ruby", None),
        ("python", None),
        ("lists/", None),
        ("/lists", None),
        ("inbox", "i"),
        ("junk", "j"),
        ("sent", None),
        ("drafts", None),
        ("café", "c"),
        ("", None),
        ("nothing", None),
    ],
)
def test_mailboxes(detail, found):
    assert find_mailbox(BOXES, detail) == found


@given(st.text(alphabet="ab./", max_size=64))
def test_any_detail(detail):
    boxes = {str(n): box("aab"[n % 3], str(n - 1) if n else None) for n in range(40)}
    assert find_mailbox(boxes, detail) in (None, *boxes)


@pytest.mark.parametrize("name", ["", "two words", "a%", "é", "x" * 256])
def test_what_is_no_keyword(name):
    settings = DeliverySettings(keyword={name: KeywordSettings(fields=("X: y",))})
    ((path, message),) = settings.problems()
    assert path == ("keyword", name) and "is no keyword; allowed are" in message
