"""Policies from a web server over TLS, and what they change on the way out."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest_twisted
from attrs import Factory, define
from pytest_twisted import ensureDeferred
from twisted.internet import reactor, ssl
from twisted.web.resource import Resource
from twisted.web.server import Site

from mailhive.config.relay import RelaySettings
from mailhive.fetch.client import Fetcher
from mailhive.model.envelope import Envelope
from mailhive.smtp.relay.exchangers import Exchangers
from mailhive.smtp.relay.mta_sts import MtaSts
from mailhive.smtp.relay.routes import Routes
from mailhive.smtp.relay.signing import Signer
from mailhive.smtp.relay.transport import RelayTransport
from mailhive.testing.certificates import make_certificate
from mailhive.testing.names import NameServer
from mailhive.testing.smtp_peer import SmtpPeer

POLICY = b"version: STSv1\nmode: enforce\nmx: mx1.example.org\nmax_age: 1000\n"


class Web(Resource):
    isLeaf = True

    def __init__(self) -> None:
        super().__init__()
        self.answer: bytes | int = POLICY
        self.asked = 0

    def render_GET(self, request: Any) -> bytes:
        self.asked += 1
        if isinstance(self.answer, int):
            request.setResponseCode(self.answer)
            return POLICY
        return self.answer


@define(eq=False)
class Setting:
    web: Web
    url: str
    fetcher: Fetcher
    names: NameServer
    path: Path
    started: list[MtaSts] = Factory(list)

    def start(self) -> MtaSts:
        made = MtaSts(self.path, self.names.resolver(reactor), self.fetcher, reactor, self.url)
        made.startService()
        self.started.append(made)
        return made

    def publish(self, record: str | None) -> None:
        txt = {} if record is None else {"TXT": [f"v=STSv1; id={record};"]}
        self.names.records["_mta-sts.example.org"] = txt  # type: ignore[index]


@pytest_twisted.async_yield_fixture
async def setting(names: NameServer, tmp_path: Path) -> AsyncIterator[Setting]:
    pem = make_certificate("localhost")
    whole = pem.certificate + pem.private_key
    web = Web()
    options = ssl.PrivateCertificate.loadPEM(whole).options()
    port = reactor.listenSSL(0, Site(web), options, interface="127.0.0.1")  # type: ignore[attr-defined]
    root = ssl.trustRootFromCertificates([ssl.Certificate.loadPEM(pem.certificate)])
    fetcher = Fetcher(reactor, trust_root=root)
    url = f"https://localhost:{port.getHost().port}/{{}}"
    made = Setting(web, url, fetcher, names, tmp_path / "mta-sts.sqlite")
    made.publish("1")
    yield made
    for service in made.started:
        if service.running:
            await service.stopService()
    await fetcher.close()
    await port.stopListening()


@ensureDeferred
async def test_a_policy_is_fetched_once_and_kept(setting: Setting) -> None:
    sts = setting.start()
    policy = await sts.policy("example.org")
    assert policy is not None and policy.patterns == ("mx1.example.org",)
    assert await sts.policy("example.org") == policy and setting.web.asked == 1
    # Neither the DNS nor the web server have to go on saying so, nor does this server run on.
    await sts.stopService()
    sts = setting.start()
    for record in (None, "2"):
        setting.publish(record)
        setting.web.answer = 500
        assert await sts.policy("example.org") == policy
    setting.names.failing.add("_mta-sts.example.org")
    assert await sts.policy("example.org") == policy


@ensureDeferred
async def test_a_new_record_brings_a_new_policy(setting: Setting) -> None:
    sts = setting.start()
    await sts.policy("example.org")
    setting.web.answer = POLICY.replace(b"enforce", b"none")
    setting.publish("2")
    policy = await sts.policy("example.org")
    assert policy is not None and policy.mode == "none"


@ensureDeferred
async def test_an_extension_in_utf_8(setting: Setting) -> None:
    setting.web.answer = POLICY + "über: Grüße\n".encode().replace("ü".encode(), b"u", 1)
    policy = await setting.start().policy("example.org")
    assert policy is not None and policy.mode == "enforce"


@ensureDeferred
async def test_no_policy(setting: Setting) -> None:
    sts = setting.start()
    assert await sts.policy("nowhere.example") is None
    for answer in (404, 302, b"hello", b"x" * 100_000):
        setting.web.answer = answer
        sts._failed.clear()
        assert await sts.policy("example.org") is None
    # A server that is asked in vain is left alone for a while.
    asked = setting.web.asked
    assert await sts.policy("example.org") is None and setting.web.asked == asked


@ensureDeferred
async def test_mail_goes_to_the_servers_of_the_policy(
    setting: Setting, names: NameServer, peers: Any, stores: Any
) -> None:
    pem = make_certificate("mx1.example.org")
    context = ssl.PrivateCertificate.loadPEM(pem.certificate + pem.private_key).options()
    first = SmtpPeer(extensions=("STARTTLS",), context_factory=context)
    second = SmtpPeer()
    port = await peers(first, second)
    exchangers = Exchangers(names.resolver(reactor), "here.example")

    async def send() -> Any:
        routes = Routes(RelaySettings(port=port), exchangers, sts)
        signer = Signer(stores.blob_store, stores.context.offload, reactor)
        offload = stores.context.offload
        relay = RelayTransport(routes, stores.blob_store, "here.example", reactor, signer, offload)
        relay.startService()
        writer = stores.blob_store.open_writer()
        writer.write(b"Subject: x\r\n\r\nHello\r\n")
        with stores.blob_store.hold():
            blob_id = await writer.commit()
            envelope = Envelope("a@here.example", ("b@example.org",))
            (outcome,) = await relay.deliver(envelope, blob_id)
        relay.stopService()
        return outcome

    sts = setting.start()
    # The certificate is signed by nobody that is known: not to this server, nor to another.
    outcome = await send()
    assert outcome.code == 451 and "TLS" in outcome.text
    assert not first.messages and not second.messages and not second.commands
    # No server of the domain is one of the policy's.
    setting.web.answer = POLICY.replace(b"mx1.", b"mx9.")
    setting.publish("2")
    outcome = await send()
    assert (outcome.code, outcome.enhanced) == (451, "4.7.5")
    # A policy that only tests changes nothing.
    setting.web.answer = POLICY.replace(b"enforce", b"testing")
    setting.publish("3")
    assert (await send()).code == 250
    assert len(first.messages) == 1
