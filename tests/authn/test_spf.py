"""SPF: the examples of RFC 7208, its limits, and records that are made to hurt."""

from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailhive.authn.dns import DnsFailure
from mailhive.authn.spf import check_host
from mailhive.authn.spf_macros import dotted, expand
from mailhive.authn.spf_record import Record, RecordError, is_record, parse

#: RFC 7208 Appendix A
HOSTS = {
    "example.com": {
        "A": ["192.0.2.10", "192.0.2.11"],
        "MX": ["mail-a.example.com", "mail-b.example.com"],
    },
    "amy.example.com": {"A": ["192.0.2.65"]},
    "bob.example.com": {"A": ["192.0.2.66"]},
    "mail-a.example.com": {"A": ["192.0.2.129"]},
    "mail-b.example.com": {"A": ["192.0.2.130"]},
    "example.org": {"MX": ["mail-c.example.org"]},
    "mail-c.example.org": {"A": ["192.0.2.140"]},
    "10.2.0.192.in-addr.arpa": {"PTR": ["example.com"]},
    "65.2.0.192.in-addr.arpa": {"PTR": ["amy.example.com"]},
    "140.2.0.192.in-addr.arpa": {"PTR": ["mail-c.example.org"]},
    "4.0.0.10.in-addr.arpa": {"PTR": ["bob.example.com"]},
}  # fmt: skip


@pytest.fixture
def check(run, zone):
    """The verdict on a host by the record of example.com."""

    def verdict(record, address="192.0.2.1", *, sender="joe@example.com", more=None):
        names = {**HOSTS, **(more or {})}
        names["example.com"] = {**HOSTS["example.com"], "TXT": [record]}
        return run(
            check_host(
                zone(names),
                ip_address(address),
                sender=sender,
                helo="helo.example.net",
                receiver="mx.example.net",
                now=1_700_000_000,
            )
        )

    return verdict


@pytest.mark.parametrize(
    ("record", "passes", "fails"),
    [
        ("v=spf1 +all", ["192.0.2.1", "2001:db8::1"], []),
        ("v=spf1 a -all", ["192.0.2.10", "192.0.2.11"], ["192.0.2.65"]),
        ("v=spf1 a:example.org -all", [], ["192.0.2.10", "192.0.2.140"]),
        ("v=spf1 mx -all", ["192.0.2.129", "192.0.2.130"], ["192.0.2.10"]),
        ("v=spf1 mx:example.org -all", ["192.0.2.140"], ["192.0.2.129"]),
        ("v=spf1 mx mx:example.org -all", ["192.0.2.129", "192.0.2.140"], ["192.0.2.10"]),
        ("v=spf1 mx/30 mx:example.org/30 -all", ["192.0.2.131", "192.0.2.143"], ["192.0.2.132"]),
        ("v=spf1 ptr -all", ["192.0.2.10", "192.0.2.65"], ["192.0.2.140", "10.0.0.4"]),
        ("v=spf1 ip4:192.0.2.128/28 -all", ["192.0.2.129", "192.0.2.140"], ["192.0.2.65"]),
    ],
)
def test_the_examples_of_the_appendix(check, record, passes, fails):
    # RFC 7208 §A.1
    assert [check(record, address).result for address in passes] == ["pass"] * len(passes)
    assert [check(record, address).result for address in fails] == ["fail"] * len(fails)


@pytest.mark.parametrize(
    ("record", "result"),
    [
        ("v=spf1", "neutral"),
        ("v=spf1 ?all", "neutral"),
        ("v=spf1 ~all", "softfail"),
        ("V=SPF1 -ALL", "fail"),
        ("v=spf10 -all", "none"),
        ("v=spf1-all", "none"),
        ("spf2.0/pra -all", "none"),
        ("v=spf1 unknown=%{d} -all", "fail"),
        ("v=spf1  ip4:192.0.2.1  -all ", "pass"),
        ("v=spf1 ip6:2001:db8::/32 -all", "fail"),
        ("v=spf1 exists:%{ir}.%{v}._spf.%{d} -all", "pass"),
        ("v=spf1 exists:nothing.example.com -all", "fail"),
        ("v=spf1 redirect=_spf.example.net", "softfail"),
        ("v=spf1 redirect=nothing.example.net", "permerror"),
        ("v=spf1 include:_spf.example.net -all", "fail"),
        ("v=spf1 include:good.example.net -all", "pass"),
        ("v=spf1 include:nothing.example.net -all", "permerror"),
        ("v=spf1 include:broken.example.net -all", "permerror"),
        ("v=spf1 include:silent.example.net -all", "temperror"),
        ("v=spf1 a:silent.example.net -all", "temperror"),
        ("v=spf1 +all a:silent.example.net", "pass"),
        ("v=spf1 +all nonsense", "permerror"),
        ("v=spf1 ptr:elsewhere.example -all", "fail"),
    ],
)
def test_results(check, record, result):
    more = {
        "1.2.0.192.in-addr._spf.example.com": {"A": ["127.0.0.2"]},
        "_spf.example.net": {"TXT": ["v=spf1 ~all"]},
        "good.example.net": {"TXT": ["some text", "v=spf1 ip4:192.0.2.0/24 -all"]},
        "broken.example.net": {"TXT": ["v=spf1 what -all"]},
        "silent.example.net": {"TXT": DnsFailure, "A": DnsFailure},
    }
    assert check(record, more=more).result == result


@pytest.mark.parametrize(
    "term",
    ["all:x.example", "all/8", "a:", "a/33", "a/032", "a//129", "mx/", "mx:", "include", "include:",
     "include:x", "exists", "ip4", "ip4:", "ip4:1.2.3", "ip4:1.2.3.4/33", "ip4:1.2.3.4/08",
     "ip4:::1", "ip6:1.2.3.4", "ip6:::1/129", "ip6:fe80::1%eth0", "ptr:", "ptr/24", "-", "=x",
     "a:%{x}.example", "a:%{d", "a:%d.example", "a:%{d0}.example", "a:%{c}.example",
     "a:x.example%", "exp=%{c}.example", "redirect=", "redirect=x", "a:x.123", "ip4:192.0.2.1/",
     "redirect=a.example redirect=b.example", "exp=a.example exp=b.example", "a:ü.example",
     "--all"],
)  # fmt: skip
def test_what_is_no_record(check, term):
    assert check(f"v=spf1 +all {term}").result == "permerror"


def test_several_records(run, zone):
    names = zone({"example.com": {"TXT": ["v=spf1 +all", "v=spf1 -all", "other"]}})
    asked = check_host(
        names, ip_address("192.0.2.1"), sender="a@example.com", helo="h", receiver="r", now=0
    )
    assert run(asked).result == "permerror"


@pytest.mark.parametrize(
    "sender", ["a@localhost", "a@", "a@x..example", f"a@{'x' * 64}.example", "a@[192.0.2.1]", ""]
)
def test_senders_without_a_domain(run, zone, sender):
    # RFC 7208 §4.3
    names = zone({})
    asked = check_host(
        names, ip_address("192.0.2.1"), sender=sender, helo="host", receiver="r", now=0
    )
    assert run(asked).result == "none"


def test_an_empty_sender_is_the_host_itself(run, zone):
    # RFC 7208 §2.4
    names = zone(
        {
            "mail.example.net": {"TXT": ["v=spf1 exists:%{l}.%{o} -all"]},
            "postmaster.mail.example.net": {"A": ["127.0.0.2"]},
        }
    )
    asked = check_host(
        names,
        ip_address("::ffff:192.0.2.1"),
        sender="",
        helo="mail.example.net",
        receiver="r",
        now=0,
    )
    assert run(asked).result == "pass"


@pytest.mark.parametrize(
    ("text", "expanded"),
    [
        ("%{s}", "strong-bad@email.example.com"),
        ("%{o}", "email.example.com"),
        ("%{d}", "email.example.com"),
        ("%{d4}", "email.example.com"),
        ("%{d3}", "email.example.com"),
        ("%{d2}", "example.com"),
        ("%{d1}", "com"),
        ("%{dr}", "com.example.email"),
        ("%{d2r}", "example.email"),
        ("%{l}", "strong-bad"),
        ("%{l-}", "strong.bad"),
        ("%{lr}", "strong-bad"),
        ("%{lr-}", "bad.strong"),
        ("%{l1r-}", "strong"),
        ("%{ir}.%{v}._spf.%{d2}", "3.2.0.192.in-addr._spf.example.com"),
        ("%{lr-}.lp._spf.%{d2}", "bad.strong.lp._spf.example.com"),
        ("%{lr-}.lp.%{ir}.%{v}._spf.%{d2}", "bad.strong.lp.3.2.0.192.in-addr._spf.example.com"),
        ("%{d2}.trusted-domains.example.net", "example.com.trusted-domains.example.net"),
        ("%%%_%-%{S}", "% %20strong-bad%40email.example.com"),
    ],
)
def test_macros(text, expanded):
    # RFC 7208 §7.4
    values = {
        "s": "strong-bad@email.example.com",
        "l": "strong-bad",
        "o": "email.example.com",
        "d": "email.example.com",
        "i": dotted(ip_address("192.0.2.3")),
        "v": "in-addr",
    }
    assert expand(text, values) == expanded


def test_macros_of_an_ipv6_address():
    # RFC 7208 §7.4
    values = {"i": dotted(ip_address("2001:db8::cb01")), "v": "ip6", "d": "email.example.com"}
    assert expand("%{ir}.%{v}._spf.%{d2}", values) == (
        "1.0.b.c.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6._spf.example.com"
    )


def test_long_names_lose_labels_at_the_left():
    # RFC 7208 §7.3
    expanded = expand("%{l}.%{d}", {"l": ".".join(["abcdefghi"] * 40), "d": "example.com"})
    assert 243 < len(expanded) <= 253 and expanded.endswith("abcdefghi.example.com")
    assert expanded.startswith("abcdefghi.")
    assert len(expand("%{d}", {"d": "x" * 300})) == 300  # which is no name


def test_explanations(check):
    # RFC 7208 §6.2
    more = {
        "why.example.com": {"TXT": ["See http://%{d}/why?s=%{S}&ip=%{c}&at=%{r}%_%{t}"]},
        "two.example.com": {"TXT": ["one", "two"]},
        "odd.example.com": {"TXT": ["ünderstood"]},
        "bad.example.com": {"TXT": ["100%"]},
        "ctl.example.com": {"TXT": ["a\r\nInjected: yes"]},
        "inner.example.net": {"TXT": ["v=spf1 -all exp=two.example.com"]},
        "silent.example.com": {"TXT": DnsFailure},
    }
    told = check("v=spf1 -all exp=why.%{d}", "2001:db8::1", more=more)
    assert told.explanation == (
        "See http://example.com/why?s=joe%40example.com&ip=2001:db8::1&at=mx.example.net 1700000000"
    )
    for name in ("two", "odd", "ctl", "silent", "none"):
        verdict = check(f"v=spf1 -all exp={name}.example.com", more=more)
        assert (verdict.result, verdict.explanation) == ("fail", None)
    assert check("v=spf1 ~all exp=why.%{d}", more=more).explanation is None
    redirected = check("v=spf1 redirect=inner.example.net exp=why.%{d}", more=more)
    assert redirected.domain == "example.com"  # which sent it; DMARC goes by that
    assert (redirected.result, redirected.explanation) == ("fail", None)


@pytest.mark.parametrize(("count", "result"), [(10, "fail"), (11, "permerror")])
@pytest.mark.parametrize("term", ["a:x{n}.example.com", "include:y{n}.example.com", "mx"])
def test_ten_lookups(check, term, count, result):
    # RFC 7208 §4.6.4
    more = {f"x{n}.example.com": {"A": ["192.0.2.99"]} for n in range(count)}
    more |= {f"y{n}.example.com": {"TXT": ["v=spf1 ?all"]} for n in range(count)}
    terms = " ".join(term.format(n=n) for n in range(count))
    assert check(f"v=spf1 {terms} -all", more=more).result == result


def test_lookups_are_counted_through_includes(check):
    more = {
        f"i{n}.example.com": {"TXT": [f"v=spf1 include:i{n + 1}.example.com"]} for n in range(20)
    }
    assert check("v=spf1 include:i0.example.com -all", more=more).result == "permerror"
    assert check("v=spf1 include:example.com -all").result == "permerror"
    assert check("v=spf1 redirect=example.com").result == "permerror"


@pytest.mark.parametrize(("count", "result"), [(2, "fail"), (3, "permerror")])
def test_lookups_that_find_nothing(check, count, result):
    # RFC 7208 §4.6.4
    terms = " ".join(f"a:void{n}.example.com" for n in range(count))
    assert check(f"v=spf1 {terms} -all").result == result


@pytest.mark.parametrize(("count", "result"), [(10, "fail"), (11, "permerror")])
def test_ten_mail_exchangers(check, count, result):
    more = {f"m{n}.example.net": {"A": ["192.0.2.99"]} for n in range(count)}
    more["example.net"] = {"MX": [f"m{n}.example.net" for n in range(count)]}
    assert check("v=spf1 mx:example.net -all", more=more).result == result


def test_many_names_of_a_host(check, run, zone):
    more = {"1.2.0.192.in-addr.arpa": {"PTR": [f"p{n}.example.com" for n in range(10_000)]}}
    more |= {f"p{n}.example.com": {"A": ["192.0.2.1"]} for n in range(10, 10_000)}
    verdict = check("v=spf1 ptr -all", more=more)  # only ten are looked at
    assert verdict.result in ("fail", "permerror")
    more["p9.example.com"] = {"A": ["192.0.2.1"]}
    more |= {f"p{n}.example.com": {"A": ["192.0.2.2"]} for n in range(9)}
    assert check("v=spf1 ptr -all", more=more).result == "pass"
    more["1.2.0.192.in-addr.arpa"] = {"PTR": DnsFailure}
    assert check("v=spf1 ptr -all", more=more).result == "fail"


@given(st.text(st.characters(codec="ascii"), max_size=200))
def test_any_text_is_a_record_or_is_not(text):
    try:
        assert isinstance(parse(b"v=spf1 " + text.encode()), Record)
    except RecordError as error:
        assert str(error)


_TERMS = st.sampled_from(
    ["a", "mx", "ptr", "include:%{d}", "exists:%{p}.%{l}", "redirect=%{s}", "-all", "?a:%{h}/8",
     "exp=%{i}", "ip4:10.0.0.0/8", "mx:%{ir}.%{v}", "x=%{l1r-}"]
)  # fmt: skip


@given(st.lists(_TERMS, max_size=30), st.text(max_size=20), st.text(max_size=20))
def test_any_sender_has_a_verdict(run, zone, terms, local, domain):
    record = "v=spf1 " + " ".join(terms)
    names = zone({"example.com": {"TXT": [record], "A": ["192.0.2.1"], "MX": ["example.com"]}})
    for sender in (f"{local}@example.com", f"{local}@{domain}", ""):
        asked = check_host(
            names, ip_address("192.0.2.1"), sender=sender, helo=domain, receiver="r", now=0
        )
        assert run(asked).result in (
            "none", "neutral", "pass", "fail", "softfail", "temperror", "permerror",
        )  # fmt: skip
    assert len(names.asked) < 400


@pytest.mark.parametrize("size", [10_000, 65_000])
def test_long_records_are_read_in_no_time(size):
    for term in (
        "a:" + "%{d}" * (size // 4),
        "x=" + "%" * size,
        "a" * size,
        "/" * size,
        " a" * size,
        "a:x." + "a" * size + "!",
        "a:x." + "a." * size + "!",
        "a:x." + "1-" * size,
        "a:" + "%{" * size,
        "a" + "/1" * size,
    ):
        try:
            parse(b"v=spf1 " + term.encode())
        except RecordError as error:
            assert len(str(error)) < 200
    values = {"d": "a." * size}
    assert len(expand("%{d}" * 100 + "x.example", values)) <= 253


def test_which_texts_are_records():
    assert is_record(b"v=spf1") and is_record(b"v=spf1 all") and is_record(b"V=sPf1 ")
    assert not is_record(b"v=spf1\tall") and not is_record(b" v=spf1") and not is_record(b"v=spf2")
