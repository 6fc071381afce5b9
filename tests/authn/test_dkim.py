"""DKIM: the RFCs' own examples, what makes a signature none, and another implementation."""

import re
from base64 import b64encode

import dkim
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from hypothesis import given
from hypothesis import strategies as st

from mailhive.authn.canonical import canonical_body, canonical_field, split_message
from mailhive.authn.dkim import verify
from mailhive.authn.dkim_key import KeyUnusable, parse_key
from mailhive.authn.dkim_sign import SigningKey, published, sign
from mailhive.authn.dns import DnsFailure
from mailhive.authn.tags import TagError, parse_tags

NOW = 1_600_000_000
RSA = SigningKey("example.com", "rsa", generate_private_key(65537, 1024))
ED25519 = SigningKey("example.com", "ed", Ed25519PrivateKey.generate())
MESSAGE = (
    b"From: Joe <joe@example.com>\r\nTo: a@x.example,\r\n\tb@x.example\r\nSubject:  two  words \r\n"
    b"Received: by x\r\n\r\nHello \t you\r\n\r\nBye  \r\n\r\n\r\n"
)

#: RFC 8463 Appendix A
RFC8463 = b"""\
DKIM-Signature: v=1; a=ed25519-sha256; c=relaxed/relaxed;
 d=football.example.com; i=@football.example.com;
 q=dns/txt; s=brisbane; t=1528637909; h=from : to :
 subject : date : message-id : from : subject : date;
 bh=2jUSOH9NhtVGCQWNr9BrIAPreKQjO6Sn7XIkfJVOzv8=;
 b=/gCrinpcQOoIfuHNQIbq4pgh9kyIK3AQUdt9OdqQehSwhEIug4D11Bus
 Fa3bT3FY5OsU7ZbnKELq+eXdp1Q1Dw==
DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/relaxed;
 d=football.example.com; i=@football.example.com;
 q=dns/txt; s=test; t=1528637909; h=from : to : subject :
 date : message-id : from : subject : date;
 bh=2jUSOH9NhtVGCQWNr9BrIAPreKQjO6Sn7XIkfJVOzv8=;
 b=F45dVWDfMbQDGHJFlXUNB2HKfbCeLRyhDXgFpEL8GwpsRe0IeIixNTe3
 DhCVlUrSjV4BwcVcOF6+FF3Zo9Rpo1tFOeS9mPYQTnGdaSGsgeefOsk2Jz
 dA+L10TeYt9BgDfQNZtKdN1WO//KgIqXP7OdEFE4LjFYNcUxZQ4FADY+8=
From: Joe SixPack <joe@football.example.com>
To: Suzie Q <suzie@shopping.example.net>
Subject: Is dinner ready?
Date: Fri, 11 Jul 2003 21:00:37 -0700 (PDT)
Message-ID: <20030712040037.46341.5F8J@football.example.com>

Hi.

We lost the game.  Are you hungry yet?

Joe.
""".replace(b"\n", b"\r\n")
RFC8463_RSA = (
    "v=DKIM1; k=rsa; p=MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQDkHlOQoBTzWRiGs5V6NpP3idY6Wk08a5qhdR6w"
    "y5bdOKb2jLQiY/J16JYi0Qvx/byYzCNb3W91y3FutACDfzwQ/BC/e/8uBsCR+yz1Lxj+PL6lHvqMKrM3rG4hstT5QjvHO9"
    "PzoxZyVYLzBfO2EeC3Ip3G+2kryOTIKT+l/K4w3QIDAQAB"
)
RFC8463_KEYS = {
    "brisbane._domainkey.football.example.com": {
        "TXT": ["v=DKIM1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="]
    },
    "test._domainkey.football.example.com": {"TXT": [RFC8463_RSA]},
}


async def inline(function, *arguments):
    return function(*arguments)


@pytest.fixture
def judged(run, zone):
    """The verdicts on a message, with the keys of the tests or others."""

    def verdicts(message, names=None, now=NOW):
        known = {
            f"{key.selector}._domainkey.{key.domain}": {"TXT": [published(key)]}
            for key in (RSA, ED25519)
        }
        resolver = zone({**known, **(names or {})})
        found = run(verify(resolver, message, now=now, offload=inline))
        assert len(resolver.asked) <= 10
        return found

    return verdicts


def results(verdicts):
    return [verdict.result for verdict in verdicts]


def test_the_example_of_rfc_8463(judged):
    found = judged(RFC8463, RFC8463_KEYS)
    assert [(v.result, v.algorithm, v.domain, v.selector) for v in found] == [
        ("pass", "ed25519-sha256", "football.example.com", "brisbane"),
        ("pass", "rsa-sha256", "football.example.com", "test"),
    ]
    assert results(judged(RFC8463.replace(b"hungry", b"angry"), RFC8463_KEYS)) == ["fail"] * 2
    assert results(judged(RFC8463.replace(b"Suzie Q", b"Suzy"), RFC8463_KEYS)) == ["fail"] * 2


@pytest.mark.parametrize(
    ("kind", "header", "body"),
    [
        ("relaxed", [b"a:X\r\n", b"b:Y Z\r\n"], b" C\r\nD E\r\n"),
        ("simple", [b"A: X\r\n", b"B : Y\t\r\n\tZ  \r\n"], b" C \r\nD \t E\r\n"),
    ],
)
def test_the_examples_of_canonicalization(kind, header, body):
    # RFC 6376 §3.4.5
    fields, rest = split_message(b"A: X\r\nB : Y\t\r\n\tZ  \r\n\r\n C \r\nD \t E\r\n\r\n\r\n")
    assert [canonical_field(field.raw, kind) for field in fields] == header
    assert canonical_body(rest, kind) == body


@pytest.mark.parametrize(
    ("body", "simple", "relaxed"),
    [
        (b"", b"\r\n", b""),
        (b"\r\n\r\n", b"\r\n", b""),
        (b"a", b"a\r\n", b"a\r\n"),
        (b"a \t", b"a \t\r\n", b"a\r\n"),
        (b" \r\n\r\n", b" \r\n", b""),
        (b"a\r\n \r\n", b"a\r\n \r\n", b"a\r\n"),
    ],
)
def test_ends_of_bodies(body, simple, relaxed):
    # RFC 6376 §3.4.3 and §3.4.4
    assert canonical_body(body, "simple") == simple
    assert canonical_body(body, "relaxed") == relaxed


@pytest.mark.parametrize("key", [RSA, ED25519], ids=lambda key: key.algorithm)
def test_what_we_sign_verifies(judged, key):
    field = sign(MESSAGE, key, now=NOW)
    assert all(len(line) <= 78 for line in field.split(b"\r\n"))
    assert field.startswith(b"DKIM-Signature: v=1;") and field.endswith(b"\r\n")
    [verdict] = judged(field + MESSAGE)
    assert (verdict.result, verdict.domain, verdict.selector) == ("pass", key.domain, key.selector)
    changes = [
        (b"Joe", b"Eve"),
        (b"two", b"one"),
        (b"Hello", b"Hullo"),
        (b"Subject:", b"Subject: another\r\nSubject:"),
        (b"To:", b"Cc: c@x.example\r\nTo:"),
        (b"\r\n\r\nHello", b"\r\nReply-To: eve@x.example\r\n\r\nHello"),
    ]
    for old, new in changes:
        assert results(judged(field + MESSAGE.replace(old, new, 1))) == ["fail"], (old, new)
    harmless = [
        (b"Received: by x", b"Received: by y"),
        (b"  words", b" words"),
        (b"\t you", b" you"),
    ]
    for old, new in harmless:
        assert results(judged(field + MESSAGE.replace(old, new))) == ["pass"], (old, new)
    more = [(b"From:", b"From: eve@x.example\r\nFrom:")]
    for old, new in more:
        assert results(judged(field + MESSAGE.replace(old, new, 1))) == ["fail"]


def test_a_message_without_from_is_not_signed():
    with pytest.raises(ValueError, match="From"):
        sign(b"Subject: x\r\n\r\n", RSA, now=NOW)


_HEADER = st.lists(
    st.tuples(
        st.sampled_from(["Subject", "To", "X-Odd", "Cc", "List-Id", "subject", "DATE"]),
        st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=60),
    ),
    max_size=8,
)


@given(_HEADER, st.lists(st.sampled_from([b"a", b" ", b"\t", b"\r\n", b"\xff", b"."]), max_size=40))
def test_whatever_is_signed_verifies_here_and_elsewhere(judged, header, body):
    message = b"From: joe@example.com\r\n"
    message += b"".join(f"{name}: {value}\r\n".encode() for name, value in header)
    message += b"\r\n" + b"".join(body) + b"\r\n"  # as any line on the wire ends
    for key in (RSA, ED25519):
        signed = sign(message, key, now=NOW) + message
        assert results(judged(signed)) == ["pass"]
        text = published(key).encode()
        assert dkim.verify(signed, dnsfunc=lambda _, timeout=5, text=text: text)


@pytest.mark.parametrize("header_kind", [b"simple", b"relaxed"])
@pytest.mark.parametrize("body_kind", [b"simple", b"relaxed"])
def test_what_others_sign_verifies(judged, header_kind, body_kind):
    private = RSA.private.private_bytes(
        Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption()
    )
    kinds = (header_kind, body_kind)
    field = dkim.sign(MESSAGE, b"rsa", b"example.com", private, canonicalize=kinds)
    assert results(judged(field + MESSAGE)) == ["pass"]
    seed = ED25519.private.private_bytes(Encoding.Raw, PrivateFormat.Raw, NoEncryption())
    field = dkim.DKIM(MESSAGE, signature_algorithm=b"ed25519-sha256").sign(
        b"ed", b"example.com", b64encode(seed), canonicalize=kinds
    )
    assert results(judged(field + MESSAGE)) == ["pass"]


def signed_with(**tags):
    """A message whose signature has other tags, None to leave one out."""
    field = sign(MESSAGE, RSA, now=NOW)
    found = parse_tags(field.partition(b":")[2])
    found.update(tags)
    text = "; ".join(f"{name}={value}" for name, value in found.items() if value is not None)
    return f"DKIM-Signature: {text}\r\n".encode() + MESSAGE


@pytest.mark.parametrize(
    ("tags", "result"),
    [
        *[({name: None}, "permerror") for name in ("v", "a", "b", "bh", "d", "h", "s")],
        ({"v": "2"}, "permerror"),
        ({"a": "rsa-sha1"}, "policy"),
        ({"a": "rsa-md5"}, "permerror"),
        ({"a": "ed25519-sha256"}, "permerror"),
        ({"b": "!"}, "permerror"),
        ({"bh": "ü"}, "permerror"),
        ({"d": "x..example"}, "permerror"),
        ({"d": "other.example"}, "permerror"),
        ({"s": "../x"}, "permerror"),
        ({"s": "none"}, "permerror"),
        ({"i": "@other.example"}, "permerror"),
        ({"i": "@notexample.com"}, "permerror"),
        ({"h": "to:subject"}, "permerror"),
        ({"c": "exact"}, "permerror"),
        ({"q": "http"}, "permerror"),
        ({"l": "x"}, "permerror"),
        ({"l": "3"}, "policy"),
        ({"l": "100000"}, "permerror"),
        ({"x": str(NOW - 1)}, "fail"),
        ({"x": str(NOW + 1)}, "fail"),  # which nobody signed
        ({"t": str(NOW + 1)}, "fail"),
        ({"b": "AAAA"}, "fail"),
        ({"bh": "AAAA"}, "fail"),
    ],
)
def test_signatures_that_do_not_count(judged, tags, result):
    [verdict] = judged(signed_with(**tags))
    assert verdict.result == result
    assert verdict.why


@pytest.mark.parametrize(
    ("record", "result"),
    [
        ("", "permerror"),
        ("v=DKIM1", "permerror"),
        ("v=DKIM1; p=", "permerror"),
        ("v=DKIM2; p={p}", "permerror"),
        ("p={p}; v=DKIM1", "permerror"),
        ("p={p}; p={p}", "permerror"),
        ("v=DKIM1; p=!!!!", "permerror"),
        ("v=DKIM1; p=AAAA", "permerror"),
        ("v=DKIM1; k=ed25519; p={p}", "permerror"),
        ("v=DKIM1; k=dsa; p={p}", "permerror"),
        ("v=DKIM1; h=sha1; p={p}", "permerror"),
        ("v=DKIM1; s=tlsrpt; p={p}", "permerror"),
        ("p={p}", "pass"),
        ("v=DKIM1; h=sha1 : sha256; s=email; n=a note; p={p};", "pass"),
        ("v=DKIM1; t=s:x; k=rsa; p= {p} ", "pass"),
    ],
)
def test_key_records(judged, record, result):
    # RFC 6376 §3.6.1
    text = record.format(p=published(RSA).partition("p=")[2])
    names = {"rsa._domainkey.example.com": {"TXT": [text]}}
    [verdict] = judged(sign(MESSAGE, RSA, now=NOW) + MESSAGE, names)
    assert verdict.result == result


def test_keys_in_the_older_form_and_in_testing(judged):
    octets = RSA.private.public_key().public_bytes(Encoding.DER, PublicFormat.PKCS1)
    text = f"v=DKIM1; t=y; p={b64encode(octets).decode()}"
    names = {"rsa._domainkey.example.com": {"TXT": [text]}}
    [verdict] = judged(sign(MESSAGE, RSA, now=NOW) + MESSAGE, names)
    assert (verdict.result, verdict.testing) == ("pass", True)


def test_short_keys(judged):
    # RFC 8301 §3.2
    numbers = bytes.fromhex("3048024100") + b"\xc5" + b"\x01" * 63 + bytes.fromhex("0203010001")
    names = {"rsa._domainkey.example.com": {"TXT": [f"p={b64encode(numbers).decode()}"]}}
    [verdict] = judged(sign(MESSAGE, RSA, now=NOW) + MESSAGE, names)
    assert verdict.result in ("policy", "permerror")


def test_keys_that_cannot_be_looked_up(judged):
    signed = sign(MESSAGE, RSA, now=NOW) + sign(MESSAGE, ED25519, now=NOW) + MESSAGE
    names = {"rsa._domainkey.example.com": {"TXT": DnsFailure}}
    assert results(judged(signed, names)) == ["temperror", "pass"]


def test_ten_signatures_are_looked_at(judged):
    signed = b"".join(sign(MESSAGE, RSA, now=NOW + n) for n in range(100)) + MESSAGE
    assert results(judged(signed)) == ["pass"] * 10


@pytest.mark.parametrize(
    "message",
    [b"", b"\r\n", b"\r\nbody", b"no field\r\n\r\n", b"From: a@x.example\r\n\r\n",
     b"DKIM-Signature:\r\n\r\n", b"DKIM-Signature: ;;;\r\n\r\n", b"DKIM-Signature: \xff\r\n\r\n"],
)  # fmt: skip
def test_messages_without_a_signature_that_counts(judged, message):
    assert set(results(judged(message))) <= {"permerror"}


@given(st.data())
def test_a_signed_message_with_any_octet_changed(judged, data):
    signed = bytearray(sign(MESSAGE, ED25519, now=NOW) + MESSAGE)
    at = data.draw(st.integers(0, len(signed) - 1))
    signed[at] = data.draw(st.integers(0, 255).filter(lambda octet: octet != signed[at]))
    for verdict in judged(bytes(signed)):
        assert verdict.result in ("pass", "fail", "policy", "permerror", "temperror")


@given(st.binary(max_size=200))
def test_any_octets_as_tags_and_keys(octets):
    for text in (octets, b"v=DKIM1; p=" + octets):
        try:
            parse_tags(text)
            parse_key(text)
        except (TagError, KeyUnusable) as error:
            assert str(error)


@pytest.mark.parametrize(
    "part", [b" ", b"\t \t", b" \r\n", b"\r\n", b"a ", b"\r\n\t", b";", b"a=b;"]
)
def test_long_messages_are_read_in_no_time(part):
    many = part * 300_000
    for kind in ("simple", "relaxed"):
        canonical_body(many, kind)
        canonical_field(b"A: " + many + b"\r\n", kind)
    split_message(b"From: x\r\n" + many)
    split_message(b"From" + many + b":\r\n\r\n")
    try:
        parse_tags(many)
    except TagError:
        assert re.search(rb"[\s;a=b]", part)
