"""Lists in the DNS."""

from contextlib import suppress
from ipaddress import IPv4Address, ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailhive.authn.dns import DnsFailure
from mailhive.authn.dns_lists import AnswerPattern, DnsList, Listing, look_up

USUAL = DnsList("bl.example", (AnswerPattern.parse("127.0.0.2-254"),))


@pytest.mark.parametrize(
    ("address", "name"),
    [
        ("192.0.2.99", "99.2.0.192.bl.example"),
        (
            "2001:db8:1:2:3:4:567:89ab",
            "b.a.9.8.7.6.5.0.4.0.0.0.3.0.0.0.2.0.0.0.1.0.0.0.8.b.d.0.1.0.0.2.bl.example",
        ),
    ],
)
def test_the_examples_of_rfc_5782(address, name):
    assert USUAL.name(ip_address(address)) == name


@pytest.fixture
def listed(run, zone):
    def listed(answers, texts=(), where=USUAL):
        records = {"99.2.0.192.bl.example": {"A": answers, "TXT": texts}}
        return run(look_up(zone(records), where, ip_address("192.0.2.99")))

    return listed


def test_listings(listed):
    assert listed([]) is None
    assert listed(["127.0.0.9", "127.0.0.4"], ["Spam\x07\r\n  see", "x"]) == Listing(
        "bl.example", IPv4Address("127.0.0.4"), "Spam? see x"
    )
    assert listed(["127.0.0.2"], DnsFailure) == Listing("bl.example", IPv4Address("127.0.0.2"))
    assert len(listed(["127.0.0.2"], ["x" * 5_000]).reason) == 200


@pytest.mark.parametrize(
    "answers", [["127.0.0.1"], ["127.0.1.2"], ["192.0.2.1"], ["10.0.0.2"], ["128.0.0.2"]]
)
def test_answers_that_say_nothing(listed, answers):
    assert listed(answers) is None


def test_lists_that_do_not_answer(listed):
    all_of_them = DnsList("bl.example", (AnswerPattern.parse("127.*.*.*"),))
    for answers in (DnsFailure, ["127.255.255.254"], ["127.255.255.252", "127.0.1.2"]):
        with pytest.raises(DnsFailure):
            listed(answers)
    with pytest.raises(DnsFailure):
        listed(["127.255.255.255"], where=all_of_them)
    assert listed(["127.255.255.254", "127.0.0.2"]) is not None


@pytest.mark.parametrize(
    ("pattern", "fitting", "others"),
    [
        ("127.0.0.2", ["127.0.0.2"], ["127.0.0.3", "127.0.2.2"]),
        ("127.0.0.4-7", ["127.0.0.4", "127.0.0.7"], ["127.0.0.3", "127.0.0.8"]),
        ("127.0.*.2-3", ["127.0.9.3", "127.0.255.2"], ["127.0.9.1", "127.1.9.2"]),
    ],
)
def test_patterns(pattern, fitting, others):
    fits = AnswerPattern.parse(pattern).fits
    assert all(fits(IPv4Address(address)) for address in fitting)
    assert not any(fits(IPv4Address(address)) for address in others)


@pytest.mark.parametrize(
    "text",
    ["", "127.0.0", "127.0.0.256", "127.0.0.7-4", "127.0.0.-4", "127.0.0.2/8", "a.b.c.d",
     "127.0.0.2.3", "127.0.0.*-2", "127.0.0.٢", " 127.0.0.2", "127.0.0.2\n"],
)  # fmt: skip
def test_what_is_no_pattern(text):
    with pytest.raises(ValueError, match="octet"):
        AnswerPattern.parse(text)


_RANGES = st.lists(st.tuples(st.integers(0, 255), st.integers(0, 255)).map(sorted),
    min_size=4, max_size=4)  # fmt: skip


@given(_RANGES, st.integers(0, 2**32 - 1).map(IPv4Address))
def test_any_pattern(ranges, address):
    pattern = AnswerPattern.parse(".".join(f"{low}-{high}" for low, high in ranges))
    wanted = all(low <= n <= high for n, (low, high) in zip(address.packed, ranges, strict=True))
    assert pattern.fits(address) == wanted


@given(st.text(alphabet="0123456789.-*", max_size=20))
def test_any_text_is_a_pattern_or_none(text):
    with suppress(ValueError):
        assert AnswerPattern.parse(text).text == text
