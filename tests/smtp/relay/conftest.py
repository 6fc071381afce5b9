"""A relay with a DNS and mail servers of its own on the loopback."""

from collections.abc import AsyncIterator, Callable, Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
from attrs import define
from cryptography.hazmat.primitives.serialization import Encoding
from twisted.internet import reactor
from twisted.internet.ssl import Certificate, PrivateCertificate

from mailhive.config.relay import RelaySettings
from mailhive.model.envelope import Envelope, RecipientOutcome
from mailhive.smtp.relay.dane import DaneLookups
from mailhive.smtp.relay.exchangers import Exchangers
from mailhive.smtp.relay.mta_sts import MtaSts
from mailhive.smtp.relay.routes import Routes
from mailhive.smtp.relay.signing import Signer
from mailhive.smtp.relay.transport import RelayTransport
from mailhive.testing.certificates import Pem
from mailhive.testing.names import NameServer
from mailhive.testing.policies import remember_policies
from mailhive.testing.process import free_port
from mailhive.testing.smtp_peer import SmtpPeer

RECORDS = {
    "example.org": {"MX": [(10, "mx1.example.org"), (20, "mx2.example.org")]},
    "mx1.example.org": {"A": ["127.0.0.1"]},
    "mx2.example.org": {"A": ["127.0.0.2"]},
}


@pytest_twisted.async_yield_fixture
async def names() -> AsyncIterator[NameServer]:
    server = NameServer(dict(RECORDS))
    await server.start(reactor)
    yield server
    await server.stop()


@pytest_twisted.async_yield_fixture
async def peers() -> AsyncIterator[Any]:
    """`start(*peers)` has them listen on 127.0.0.1, 127.0.0.2 … and one port, which it returns."""
    started: list[SmtpPeer] = []

    async def start(*wanted: SmtpPeer) -> int:
        port = free_port()  # at all of the addresses
        for number, peer in enumerate(wanted, 1):
            peer.interface = f"127.0.0.{number}"
            await peer.start(reactor, port)
            started.append(peer)
        return port

    yield start
    for peer in started:
        await peer.stop()


def context(pem: Pem, *more: Pem) -> Any:
    """The TLS side of a server that shows these certificates, its own first."""
    own = PrivateCertificate.loadPEM(pem.certificate + pem.private_key)
    options = own.options()
    options.extraCertChain = [Certificate.loadPEM(each.certificate).original for each in more]
    return options


def tlsa(pem: Pem, usage: int = 3) -> tuple[int, int, int, bytes]:
    """A TLSA record of a certificate."""
    return usage, 0, 1, sha256(pem.x509.public_bytes(Encoding.DER)).digest()


@define
class DaneWorld:
    """example.org and its servers, in a zone that is signed."""

    relay: Callable[..., Any]
    peers: Callable[..., Any]
    names: NameServer
    port: int = 0

    async def start(self, *peers: SmtpPeer) -> Any:
        self.port = await self.peers(*peers)
        self.names.signed |= {"example.org"}
        return self.again()

    def again(self) -> Any:
        """Another relay, which knows no connection."""
        return self.relay(port=self.port, dane=True)

    def publish(self, host: str, *records: tuple[int, int, int, bytes]) -> None:
        self.names.records[f"_{self.port}._tcp.{host}"] = {"TLSA": records}  # type: ignore[index]


@pytest.fixture
def world(relay: Any, peers: Any, names: NameServer) -> DaneWorld:
    return DaneWorld(relay, peers, names)


@define
class Relay:
    transport: RelayTransport
    blobs: Any

    async def send(
        self,
        *recipients: str,
        text: bytes = b"Subject: x\r\n\r\nHello\r\n",
        sender: str = "a@here.example",
        **more: Any,
    ) -> dict[str, RecipientOutcome]:
        writer = self.blobs.open_writer()
        writer.write(text)
        with self.blobs.hold():
            blob_id = await writer.commit()
            envelope = Envelope(sender, recipients or ("b@example.org",), **more)
            outcomes = await self.transport.deliver(envelope, blob_id)
        assert tuple(outcome.recipient for outcome in outcomes) == envelope.recipients
        return {outcome.recipient: outcome for outcome in outcomes}


@pytest_twisted.async_yield_fixture
async def relay(tmp_path: Path, names: NameServer, stores: Any) -> AsyncIterator[Any]:
    made: list[Relay] = []
    started: list[MtaSts] = []

    def make(policies: Mapping[str, str] | None = None, **settings: Any) -> Relay:
        exchangers = Exchangers(names.resolver(reactor), "here.example")
        chosen = RelaySettings(**settings)
        dane = DaneLookups(exchangers, chosen.port) if chosen.dane else None
        mta_sts = None
        if policies:
            path = tmp_path / f"policies{len(made)}.sqlite"
            remember_policies(path, policies)
            mta_sts = MtaSts(path, exchangers.resolver, None, reactor)
            mta_sts.startService()
            started.append(mta_sts)
        routes = Routes(chosen, exchangers, mta_sts, dane)
        signer = Signer(stores.blob_store, stores.context.offload, reactor)
        transport = RelayTransport(
            routes, stores.blob_store, "here.example", reactor, signer, stores.context.offload
        )
        transport.startService()
        made.append(Relay(transport, stores.blob_store))
        return made[-1]

    yield make
    for one in made:
        one.transport.stopService()
    for service in started:
        await service.stopService()
