"""ARC: chains that another implementation made, and what breaks them."""

import dkim
import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mailhive.authn.arc import verify
from mailhive.authn.arc_seal import seal
from mailhive.authn.canonical import split_message
from mailhive.authn.dkim_sign import SigningKey, published
from mailhive.authn.dns import DnsFailure

NOW = 1_600_000_000
KEYS = {
    name: SigningKey(name, "arc", generate_private_key(65537, 1024))
    for name in ("one.example", "two.example", "three.example")
}
NAMES = {f"arc._domainkey.{name}": {"TXT": [published(key)]} for name, key in KEYS.items()}
MESSAGE = b"From: a@author.example\r\nTo: b@x.example\r\nSubject: x\r\n\r\nHello\r\n"


async def inline(function, *arguments):
    return function(*arguments)


def passed_on(message, name):
    """The message as `name` hands it on: with what it found, sealed."""
    found = f"Authentication-Results: {name}; spf=pass smtp.mailfrom=author.example"
    found += "; arc=pass\r\n" if b"ARC-Seal" in message else "\r\n"
    message = found.encode() + message
    private = KEYS[name].private.private_bytes(
        Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption()
    )
    fields = dkim.arc_sign(message, b"arc", name.encode(), private, name.encode())
    assert len(fields) == 3
    return b"".join(fields) + message.partition(b"\r\n")[2]


ONE = passed_on(MESSAGE, "one.example")
TWO = passed_on(ONE, "two.example")
THREE = passed_on(TWO, "three.example")


@pytest.fixture
def judged(run, zone):
    def verdict(message, **names):
        known = {**NAMES, **{f"arc._domainkey.{n}.example": {"TXT": t} for n, t in names.items()}}
        return run(verify(zone(known), message, now=NOW, offload=inline))

    return verdict


def test_no_chain(judged):
    assert judged(MESSAGE).result == "none"
    assert judged(b"").result == "none"


@pytest.mark.parametrize(
    ("message", "sealers"),
    [
        (ONE, ("one.example",)),
        (TWO, ("two.example", "one.example")),
        (THREE, ("three.example", "two.example", "one.example")),
    ],
    ids=["one", "two", "three"],
)
def test_chains(judged, message, sealers):
    verdict = judged(message)
    found = tuple((handler.domain, handler.selector) for handler in verdict.handlers)
    assert (verdict.result, found) == ("pass", tuple((name, "arc") for name in sealers))
    assert verdict.oldest_pass == 0
    for handler in verdict.handlers:
        assert handler.results.startswith(handler.domain.encode())
        assert b"spf=pass" in handler.results


def test_since_when_it_is_unchanged(judged):
    changed = TWO.replace(b"Subject: x", b"Subject: [list] x")
    verdict = judged(passed_on(changed, "three.example"))
    assert (verdict.result, verdict.oldest_pass) == ("pass", 3)
    both = passed_on(passed_on(changed, "three.example"), "one.example")
    assert judged(both).oldest_pass == 3


def test_later_changes_of_the_message(judged):
    """What was signed last has to be right, what was signed before need not."""
    assert judged(TWO.replace(b"Hello", b"Hullo")).result == "fail"
    assert judged(TWO.replace(b"Subject: x", b"Subject: y")).result == "fail"
    changed = ONE.replace(b"Subject: x", b"Subject: [list] x")
    assert judged(changed).result == "fail"
    assert judged(TWO.replace(b"To:", b"From: eve@x.example\r\nTo:")).result == "fail"


def without(message, *places):
    """The message without some of its ARC fields, by name and instance."""
    fields, body = split_message(message)
    kept = [
        field.raw
        for field in fields
        if (
            field.name,
            int(field.value.split(b"i=")[1].split(b";")[0]) if b"i=" in field.value else 0,
        )
        not in places
    ]
    return b"".join(kept) + b"\r\n" + body


@pytest.mark.parametrize("number", [1, 2, 3])
@pytest.mark.parametrize(
    "name", ["arc-seal", "arc-message-signature", "arc-authentication-results"]
)
def test_parts_that_are_missing_or_doubled(judged, name, number):
    missing = without(THREE, (name, number))
    assert missing != THREE
    assert judged(missing).result == "fail"
    fields, _ = split_message(THREE)
    for field in fields:
        if field.name == name:
            assert judged(field.raw + THREE).result == "fail"


def test_the_first_set_missing(judged):
    names = ("arc-seal", "arc-message-signature", "arc-authentication-results")
    assert judged(without(TWO, *((name, 1) for name in names))).result == "fail"
    # Whoever takes the last sets away has a chain that breaks at the message signature, or
    # one that is right as far as it goes.
    assert judged(without(TWO, *((name, 2) for name in names))).result == "pass"


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"cv=none", b"cv=pass"),
        (b"cv=pass", b"cv=none"),
        (b"cv=pass", b"cv=fail"),
        (b"cv=pass", b"h=from; cv=pass"),
        (b"a=rsa-sha256", b"a=rsa-sha1"),
        (b"i=1;", b"i=0;"),
        (b"i=1;", b"i=51;"),
        (b"i=1;", b"x=1;"),
        (b"d=one.example", b"d=two.example"),
        (b"spf=pass", b"spf=fail"),
    ],
)
def test_changed_fields(judged, old, new):
    assert old in TWO
    assert judged(TWO.replace(old, new)).result == "fail"


def test_keys(judged):
    assert judged(TWO, one=DnsFailure).result == "temperror"
    assert judged(TWO, two=DnsFailure).result == "temperror"
    assert judged(TWO, one=[]).result == "fail"
    assert judged(TWO, one=[published(KEYS["two.example"])]).result == "fail"


def test_many_sets(judged):
    sets = b"".join(
        f"ARC-Seal: i={n}; cv=pass; a=rsa-sha256; d=x.example; s=s; b=AAAA\r\n"
        f"ARC-Message-Signature: i={n}; a=rsa-sha256; d=x.example; s=s; h=from; bh=AAAA; b=AAAA\r\n"
        f"ARC-Authentication-Results: i={n}; x; none\r\n".encode()
        for n in range(1, 100)
    )
    verdict = judged(sets + MESSAGE)
    assert (verdict.result, "more than 50" in verdict.why) == ("fail", True)


@given(st.data())
def test_any_octet_changed(judged, data):
    changed = bytearray(TWO)
    at = data.draw(st.integers(0, len(changed) - 1))
    changed[at] = data.draw(st.integers(0, 255))
    assert judged(bytes(changed)).result in ("pass", "fail", "none", "temperror")


@given(st.lists(st.sampled_from(
    [b"ARC-Seal:", b"ARC-Message-Signature:", b"ARC-Authentication-Results:", b" i=1;", b"i=2;",
     b"cv=none;", b"a=rsa-sha256;", b"b=AAAA;", b"d=one.example;", b"s=arc;", b"h=from;",
     b"bh=AAAA;", b"\r\n", b"\r\n "]
)))  # fmt: skip
def test_anything_like_a_chain(judged, parts):
    assert judged(b"".join(parts) + b"\r\n" + MESSAGE).result in ("none", "fail")


def sealed(message, name, found="spf=pass smtp.mailfrom=author.example"):
    """The message as we hand it on."""
    more = "; arc=pass" if b"ARC-Seal" in message else ""
    fields = seal(message, KEYS[name], f"{name}; {found}{more}".encode(), now=NOW)
    return fields + message


def dkimpy_verdict(message):
    def txt(name, timeout=5):
        return "".join(NAMES[name.decode().rstrip(".")]["TXT"]).encode()

    verdict, _, why = dkim.arc_verify(message, dnsfunc=txt)
    return verdict.decode(), why


@pytest.mark.parametrize("passers", [(sealed,), (sealed, passed_on, sealed), (passed_on, sealed)])
def test_what_we_seal_is_valid_here_and_elsewhere(judged, passers):
    message = MESSAGE
    for name, passer in zip(KEYS, passers, strict=False):
        message = passer(message, name)
    assert judged(message).result == "pass"
    assert dkimpy_verdict(message)[0] == "pass"
    changed = message.replace(b"Hello", b"Hallo")
    assert judged(changed).result == "fail"
    assert dkimpy_verdict(changed)[0] == "fail"


@pytest.mark.parametrize(
    ("message", "found"),
    [
        (ONE, "x; arc=fail"),
        (ONE, "x; arc=temperror"),
        (ONE, "x; spf=pass"),
        (MESSAGE, "x; arc=pass"),
        (b"To: b@x.example\r\n\r\n", "x; spf=pass"),
    ],
)
def test_what_is_not_sealed(message, found):
    assert seal(message, KEYS["one.example"], found.encode(), now=NOW) == b""


def test_no_more_than_fifty_sets(judged):
    message = MESSAGE
    for _ in range(50):
        message = sealed(message, "one.example")
    assert judged(message).result == "pass"
    assert sealed(message, "one.example") == message


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    header=st.lists(st.sampled_from([b"Subject: \xc3\xa4  b\r\n", b"To:\r\n\t c\r\n", b"To: d\r\n",
                                     b"DKIM-Signature: x\r\n", b"List-Id: e \r\n"])),
    body=st.lists(st.sampled_from([b"x", b" ", b"\t", b"\r\n"])).map(b"".join),
)  # fmt: skip
def test_whatever_is_sealed_is_valid(judged, header, body):
    message = b"From: a@b.example\r\n" + b"".join(header) + b"\r\n" + body
    message = sealed(sealed(message, "one.example"), "two.example")
    assert judged(message).result == "pass"
    if body.endswith(b"\r\n"):
        assert dkimpy_verdict(message)[0] == "pass"
