"""Judgements, with a name server on the loopback."""

from collections.abc import AsyncIterator, Callable
from ipaddress import ip_address
from typing import Any

import dkim
import pytest
import pytest_twisted
from attrs import evolve
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from pytest_twisted import ensureDeferred
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.internet.threads import deferToThread

from mailhive.authn.dkim_sign import SigningKey, published, sign
from mailhive.authn.results import Result
from mailhive.smtp.judging.judge import Judge, Judgement, Origin
from mailhive.smtp.judging.lookups import Lookups
from mailhive.testing.names import NameServer

KEY = SigningKey("strict.example", "s", Ed25519PrivateKey.generate())
LIST = SigningKey("list.example", "arc", generate_private_key(65537, 1024))
RECORDS = {
    "arc._domainkey.list.example": {"TXT": [published(LIST)]},
    "strict.example": {"TXT": ["v=spf1 ip4:192.0.2.1 -all"]},
    "_dmarc.strict.example": {"TXT": ["v=DMARC1; p=reject; sp=quarantine"]},
    "s._domainkey.strict.example": {"TXT": [published(KEY)]},
    "other.example": {"TXT": ["v=spf1 +all"]},
    "mail.named.example": {"TXT": ["v=spf1 ip4:192.0.2.9 -all"]},
    "halting.example": {"TXT": ["v=spf1 a:down.example -all"]},
    "_dmarc.halting.example": {"TXT": ["v=DMARC1; p=reject"]},
}
MESSAGE = b"From: a@strict.example\r\nSubject: x\r\n\r\nHello\r\n"


async def _inline(function: Callable[..., Any], *arguments: Any) -> Any:
    return function(*arguments)


@pytest_twisted.async_yield_fixture
async def judged() -> AsyncIterator[Any]:
    names = NameServer(RECORDS, failing={"down.example", "_dmarc.down.example"})
    await names.start(reactor)
    lookups = Lookups(names.resolver(reactor))
    judge = Judge(lookups, "mx.here.example", deferToThread, reactor)

    async def judged(
        message: bytes,
        mail_from: str = "a@strict.example",
        address: str = "192.0.2.1",
        *,
        hello: str = "mail.other.example",
        known: tuple[Result, ...] = (),
        sealers: frozenset[str] = frozenset(),
    ) -> Judgement:
        header, _, body = message.partition(b"\r\n\r\n")
        origin = Origin(ip_address(address), hello, mail_from)
        asked = evolve(judge, sealers=sealers)
        return await asked.judge(origin, header + b"\r\n", lambda: body, known)

    yield judged
    await names.stop()


def said(judgement: Judgement) -> str:
    return " ".join(judgement.field.decode().split())


@ensureDeferred
async def test_mail_from_where_it_says(judged: Callable[..., Any]) -> None:
    judgement = await judged(sign(MESSAGE, KEY, now=1_700_000_000) + MESSAGE)
    assert judgement.action == "none"
    assert said(judgement) == (
        "Authentication-Results: mx.here.example; spf=pass smtp.mailfrom=a@strict.example; "
        "dkim=pass header.d=strict.example header.s=s header.a=ed25519-sha256; "
        "dmarc=pass header.from=strict.example policy.dmarc=reject"
    )


@ensureDeferred
async def test_either_is_enough(judged: Callable[..., Any]) -> None:
    by_address = await judged(MESSAGE)
    assert by_address.action == "none" and "dkim=none; dmarc=pass" in said(by_address)
    signed = sign(MESSAGE, KEY, now=1_700_000_000) + MESSAGE
    by_key = await judged(signed, "b@other.example", "192.0.2.9")
    assert by_key.action == "none" and "dmarc=pass" in said(by_key)
    changed = await judged(signed.replace(b"Hello", b"Hallo"), "b@other.example", "192.0.2.9")
    assert changed.action == "reject" and "dkim=fail reason=" in said(changed)


@ensureDeferred
async def test_others_do_not_vouch(judged: Callable[..., Any]) -> None:
    judgement = await judged(MESSAGE, "b@other.example", "192.0.2.9")
    assert (judgement.action, judgement.author) == ("reject", "strict.example")
    assert "spf=pass smtp.mailfrom=b@other.example;" in said(judgement)
    assert "dmarc=fail header.from=strict.example" in said(judgement)
    bounce = await judged(MESSAGE, "", "192.0.2.9")
    assert "spf=none smtp.helo=mail.other.example;" in said(bounce) and bounce.action == "reject"


@pytest.mark.parametrize(
    ("author", "action", "result"),
    [
        ("a@sub.strict.example", "quarantine", "fail"),
        ("a@other.example, b@strict.example", "reject", "fail"),
        ("a@other.example\r\nFrom: b@strict.example", "reject", "fail"),
        (", ".join(f"a@x{n}.example" for n in range(6)), "quarantine", "permerror"),
        ("nobody", "none", "permerror"),
        ("", "none", "permerror"),
        ("a@down.example", "none", "temperror"),
        ("a@missing.example", "none", "none"),
    ],
)
@ensureDeferred
async def test_authors(judged: Callable[..., Any], author: str, action: str, result: str) -> None:
    message = f"From: {author}\r\nSubject: x\r\n\r\n".encode()
    judgement = await judged(message, "b@third.example", "192.0.2.9")
    assert judgement.action == action
    assert f"dmarc={result}" in said(judgement)


@ensureDeferred
async def test_what_cannot_be_known_now_asks_for_nothing(judged: Callable[..., Any]) -> None:
    message = MESSAGE.replace(b"strict", b"halting")
    judgement = await judged(message, "a@halting.example", "192.0.2.9")
    assert judgement.action == "none"
    assert "spf=temperror reason=" in said(judgement)
    assert "dmarc=temperror header.from=halting.example" in said(judgement)


@ensureDeferred
async def test_the_name_of_the_host_has_a_policy_too(judged: Callable[..., Any]) -> None:
    known = (Result("iprev", "pass", {"policy.iprev": "192.0.2.9"}),)
    judgement = await judged(MESSAGE, address="192.0.2.9", hello="mail.named.example", known=known)
    assert said(judgement).startswith(
        "Authentication-Results: mx.here.example; iprev=pass policy.iprev=192.0.2.9; "
        "spf=fail smtp.mailfrom=a@strict.example; spf=pass smtp.helo=mail.named.example; "
    )
    assert judgement.action == "reject"


def listed(message: bytes, found: str) -> bytes:
    """The message as a list hands it on that has changed it, sealed by another implementation."""
    results = f"Authentication-Results: list.example; {found}\r\n".encode()
    changed = results + message.replace(b"Subject: ", b"Subject: [list] ")
    private = LIST.private.private_bytes(
        Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption()
    )
    fields = dkim.arc_sign(changed, b"arc", b"list.example", private, b"list.example")
    return b"".join(fields) + changed.partition(b"\r\n")[2]


@pytest.mark.parametrize(
    ("found", "sealers", "action"),
    [
        ("dmarc=pass header.from=strict.example", {"list.example"}, "none"),
        ("dmarc=pass header.from=strict.example", {"example"}, "reject"),
        ("dmarc=pass header.from=other.example", {"list.example"}, "reject"),
        ("dmarc=fail header.from=strict.example", {"list.example"}, "reject"),
    ],
)
@ensureDeferred
async def test_chains(
    judged: Callable[..., Any], found: str, sealers: set[str], action: str
) -> None:
    signed = sign(MESSAGE, KEY, now=1_700_000_000) + MESSAGE
    judgement = await judged(
        listed(signed, found), "b@other.example", "192.0.2.9", sealers=frozenset(sealers)
    )
    assert judgement.action == action
    assert (
        'arc=pass reason="sealed by list.example" smtp.remote-ip=192.0.2.9 header.oldest-pass=0'
    ) in said(judgement)
    overridden = (
        'dmarc=fail reason="list.example vouches for it by ARC, and found that it passed" '
        "header.from=strict.example policy.dmarc=reject policy.override=local_policy"
    )
    assert (overridden in said(judgement)) == (action == "none")


@ensureDeferred
async def test_a_broken_chain_counts_for_nothing(judged: Callable[..., Any]) -> None:
    message = listed(MESSAGE, "dmarc=pass header.from=strict.example")
    changed = message.replace(b"Hello", b"Hallo")
    sealers = frozenset({"list.example"})
    judgement = await judged(changed, "b@other.example", "192.0.2.9", sealers=sealers)
    assert judgement.action == "reject"
    assert 'arc=fail reason="the body was changed" smtp.remote-ip=192.0.2.9;' in said(judgement)


def test_a_dns_that_never_answers() -> None:
    class Silent:
        """An `IResolver`."""

        def query(self, query: Any, timeout: Any) -> Any:
            return Deferred()

    clock = Clock()
    judge = Judge(Lookups(Silent()), "mx.here.example", _inline, clock)
    origin = Origin(ip_address("192.0.2.1"), "mail.example", "a@strict.example")
    signed = sign(MESSAGE, KEY, now=1_700_000_000) + MESSAGE
    header, _, body = signed.partition(b"\r\n\r\n")
    done: list[Judgement] = []
    judging = judge.judge(origin, header + b"\r\n", lambda: body)
    Deferred.fromCoroutine(judging).addCallback(done.append)
    clock.pump([20.0, 20.0])
    (judgement,) = done
    assert judgement.action == "none"
    results = [word for word in said(judgement).split() if "=temperror" in word]
    assert [word.partition("=")[0] for word in results] == ["spf", "spf", "dkim", "dmarc"]
    assert not clock.getDelayedCalls()
