"""DMARC: records, alignment and what is done with mail, by RFC 7489."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailhive.authn.dmarc import Authenticated, DmarcRecord, DmarcVerdict, evaluate, parse
from mailhive.authn.dns import DnsFailure
from mailhive.authn.domains import are_aligned, organizational_domain

PASS = Authenticated("spf", "pass", "example.com")


@pytest.fixture
def judge(run, zone):
    def verdict(author, *results, draw=0, **names):
        texts = {name.replace("_DOT_", "."): {"TXT": found} for name, found in names.items()}
        return run(evaluate(zone(texts), author, results, draw=draw))

    return verdict


@pytest.fixture
def by(run, zone):
    """The verdict by one record of example.com."""

    def verdict(record, author, *results, draw=0):
        names = zone({"_dmarc.example.com": {"TXT": [record]}})
        return run(evaluate(names, author, results, draw=draw))

    return verdict


@pytest.mark.parametrize(
    ("text", "record"),
    [
        ("v=DMARC1; p=none", DmarcRecord("none", "none")),
        ("v=DMARC1;p=reject;", DmarcRecord("reject", "reject")),
        ("v = DMARC1 ; p = Quarantine ; sp=none", DmarcRecord("quarantine", "none")),
        (
            "v=DMARC1; p=reject; adkim=s; aspf=s; pct=25",
            DmarcRecord("reject", "reject", True, True, 25),
        ),
        ("v=DMARC1; p=reject; adkim=x; aspf=r; pct=lots", DmarcRecord("reject", "reject")),
        ("v=DMARC1; p=reject; pct=300; unknown=1; ;=;", DmarcRecord("reject", "reject")),
        ("v=DMARC1; p=none; p=reject", DmarcRecord("none", "none")),
        ("v=DMARC1; rua=mailto:d@example.com", DmarcRecord("none", "none")),
        ("v=DMARC1; p=reject; sp=x; rua=mailto:d@example.com", DmarcRecord("none", "none")),
        ("v=DMARC1; p=reject; sp=x", None),
        ("v=DMARC1", None),
        ("v=DMARC1; p=destroy", None),
        ("v=dmarc1; p=none", None),
        ("v=DMARC10; p=none", None),
        ("p=none; v=DMARC1", None),
        ("", None),
    ],
)
def test_records(text, record):
    # RFC 7489 §6.3
    assert parse(text.encode()) == record


@given(st.binary(max_size=100))
def test_any_text_is_a_record_or_none(octets):
    for text in (octets, b"v=DMARC1;" + octets, b"v=DMARC1; p=reject; " + octets):
        found = parse(text)
        assert found is None or 0 <= found.percent <= 100


@pytest.mark.parametrize(
    ("domain", "organizational"),
    [
        ("example.com", "example.com"),
        ("a.b.example.com", "example.com"),
        ("www.example.co.uk", "example.co.uk"),
        ("co.uk", "co.uk"),
        ("com", "com"),
        ("x.example.unknown-tld", "example.unknown-tld"),
        ("mail.xn--bcher-kva.example", "xn--bcher-kva.example"),
        ("a.b.github.io", "b.github.io"),
        ("www.city.kobe.jp", "city.kobe.jp"),
        ("a.b.kobe.jp", "a.b.kobe.jp"),
    ],
)
def test_organizational_domains(domain, organizational):
    # RFC 7489 §3.2
    assert organizational_domain(domain) == organizational


@pytest.mark.parametrize(
    ("domain", "author", "relaxed", "strict"),
    [
        ("example.com", "example.com", True, True),
        ("mail.example.com", "example.com", True, False),
        ("example.com", "news.example.com", True, False),
        ("example.net", "example.com", False, False),
        ("a.co.uk", "b.co.uk", False, False),
        ("com", "example.com", False, False),
    ],
)
def test_alignment(domain, author, relaxed, strict):
    # RFC 7489 §3.1
    assert are_aligned(domain, author, strict=False) is relaxed
    assert are_aligned(domain, author, strict=True) is strict


@pytest.mark.parametrize(
    ("record", "results", "result"),
    [
        ("v=DMARC1; p=reject", [], "fail"),
        ("v=DMARC1; p=reject", [PASS], "pass"),
        ("v=DMARC1; p=reject; aspf=s", [PASS], "pass"),
        ("v=DMARC1; p=reject", [Authenticated("spf", "softfail", "example.com")], "fail"),
        ("v=DMARC1; p=reject", [Authenticated("spf", "pass", "example.net")], "fail"),
        ("v=DMARC1; p=reject", [Authenticated("spf", "pass", "a.Example.COM")], "pass"),
        ("v=DMARC1; p=reject; aspf=s", [Authenticated("spf", "pass", "a.example.com")], "fail"),
        ("v=DMARC1; p=reject; adkim=s", [Authenticated("spf", "pass", "a.example.com")], "pass"),
        ("v=DMARC1; p=reject; adkim=s", [Authenticated("dkim", "pass", "a.example.com")], "fail"),
        ("v=DMARC1; p=reject", [Authenticated("dkim", "pass", "example.com")], "pass"),
        ("v=DMARC1; p=reject", [Authenticated("dkim", "fail", "example.com"), PASS], "pass"),
        ("v=DMARC1; p=reject", [Authenticated("dkim", "temperror", "example.com")], "temperror"),
        ("v=DMARC1; p=reject", [Authenticated("dkim", "temperror", "example.net")], "fail"),
        ("v=DMARC1; p=reject", [Authenticated("spf", "pass", "")], "fail"),
        ("v=DMARC1; p=reject", [Authenticated("spf", "pass", "\ud800")], "fail"),
    ],
)
def test_results(by, record, results, result):
    verdict = by(record, "example.com", *results)
    assert (verdict.result, verdict.policy) == (result, "reject")
    assert verdict.action == ("reject" if result == "fail" else "none")


@pytest.mark.parametrize(
    ("policy", "draw", "action"),
    [
        ("reject", 0, "reject"),
        ("reject", 24, "reject"),
        ("reject", 25, "quarantine"),
        ("quarantine", 99, "none"),
        ("none", 99, "none"),
    ],
)
def test_a_part_of_the_mail(by, policy, draw, action):
    # RFC 7489 §6.6.4
    verdict = by(f"v=DMARC1; p={policy}; pct=25", "example.com", draw=draw)
    assert (verdict.policy, verdict.action) == (policy, action)


def test_domains_below(by, judge):
    # RFC 7489 §6.6.3
    record = "v=DMARC1; p=reject; sp=quarantine"
    assert by(record, "example.com").action == "reject"
    assert by(record, "news.example.com").action == "quarantine"
    assert by(record, "a.b.c.example.com").action == "quarantine"
    assert by(record, "news.example.com", PASS).result == "pass"
    own = judge(
        "news.example.com",
        _dmarc_DOT_news_DOT_example_DOT_com=["v=DMARC1; p=none"],
        _dmarc_DOT_example_DOT_com=[record],
    )
    assert own == DmarcVerdict("fail", "news.example.com", "none", "none")


@pytest.mark.parametrize(
    "texts",
    [
        [],
        ["v=spf1 -all"],
        ["v=DMARC1; p=reject", "v=DMARC1; p=none"],
        ["v=DMARC1; p=what"],
    ],
)
def test_domains_that_ask_for_nothing(judge, texts):
    verdict = judge("example.com", PASS, _dmarc_DOT_example_DOT_com=texts)
    assert verdict == DmarcVerdict("none", "example.com")


def test_other_texts_beside_the_record(judge):
    texts = ["v=spf1 -all", "v=DMARC1; p=reject"]
    assert judge("example.com", _dmarc_DOT_example_DOT_com=texts).result == "fail"


def test_no_answer(judge):
    verdict = judge("example.com", PASS, _dmarc_DOT_example_DOT_com=DnsFailure)
    assert verdict == DmarcVerdict("temperror", "example.com")


@pytest.mark.parametrize("author", ["", "x y.example", "\ud800", "a..example", "[192.0.2.1]"])
def test_authors_without_a_domain(judge, author):
    assert judge(author).result == "permerror"


def test_international_domains(run, zone):
    names = zone({"_dmarc.xn--bcher-kva.example": {"TXT": ["v=DMARC1; p=reject"]}})
    result = Authenticated("dkim", "pass", "bücher.example")
    assert run(evaluate(names, "BÜCHER.example", [result], draw=0)).result == "pass"
    assert run(evaluate(names, "bücher.example", [], draw=0)).action == "reject"
