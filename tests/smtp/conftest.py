"""SMTP listeners over memory providers, on a string or on a loopback port."""

from types import SimpleNamespace

import pytest
import pytest_twisted
from attrs import define
from twisted.internet import reactor
from twisted.internet.defer import maybeDeferred
from twisted.internet.endpoints import TCP4ClientEndpoint, TCP4ServerEndpoint
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransportWithDisconnection

from mailhive.edge.certificates import Certificates
from mailhive.jmap.limits import Limits
from mailhive.mail.analyses import Analyses
from mailhive.smtp.listener import LMTP, PROVIDER, SmtpFactory
from mailhive.smtp.policy import LmtpSettings, MxSettings
from mailhive.testing.certificates import make_certificate
from mailhive.testing.memory import MemoryBlobStore, MemoryDelivery, MemoryReports
from mailhive.testing.smtp_client import SmtpClient

ADDRESSES = ("b@mx.example", "c@mx.example", "postmaster@mx.example", "\u00e4@mx.example")


def make_services(limits=None):
    blobs = MemoryBlobStore()
    return SimpleNamespace(
        blobs=blobs,
        analyses=Analyses(blobs, maybeDeferred),
        reports=MemoryReports(),
        resolver=None,
        delivery=MemoryDelivery(ADDRESSES),
        hostname="mx.example",
        limits=limits or Limits(),
        peers=None,
    )


@pytest.fixture
def new_services():
    """What listeners share, in memory."""
    return make_services


def make_factory(reactor, services, *, tls="none", context_factory=None, **settings) -> SmtpFactory:
    listener = SimpleNamespace(
        settings=MxSettings(**settings), tls=tls, context_factory=context_factory
    )
    return PROVIDER.build(None, None).make_factory("mx", listener, services, reactor)


class Transport(StringTransportWithDisconnection):
    """A string transport that knows its limits."""

    def __init__(self, host="192.0.2.1"):
        super().__init__(hostAddress=None, peerAddress=SimpleNamespace(host=host))
        self.aborted = False

    def abortConnection(self):
        self.aborted = True
        self.loseConnection()


@define
class Bench:
    """A listener on a clock, and connections to it over strings."""

    clock: Clock
    services: SimpleNamespace
    factory: SmtpFactory

    def connect(self, host="192.0.2.1"):
        transport = Transport(host)
        protocol = self.factory.buildProtocol(transport.getPeer())
        transport.protocol = protocol
        protocol.makeConnection(transport)
        return protocol, transport


@pytest.fixture
def new_bench():
    def build(limits=None, peers=None, **settings):
        clock = Clock()
        services = make_services(limits)
        services.peers = peers
        return Bench(clock, services, make_factory(clock, services, **settings))

    return build


@define
class Server:
    """A listener on a loopback port."""

    services: SimpleNamespace
    factory: SmtpFactory
    port: int
    certificate: str

    @property
    def stored(self) -> list[bytes]:
        """The messages that were delivered, as they were stored."""
        blobs = self.services.blobs._blobs
        return [blobs[d.blob_id].content for d in self.services.delivery.delivered]

    async def client(self) -> SmtpClient:
        from twisted.internet import reactor

        return await SmtpClient.connect(TCP4ClientEndpoint(reactor, "127.0.0.1", self.port))


@pytest.fixture(scope="session")
def certificate(tmp_path_factory):
    """A file with a key and a certificate of its own for localhost."""
    made = make_certificate("localhost", "127.0.0.1")
    path = tmp_path_factory.mktemp("tls") / "server.pem"
    path.write_bytes(made.private_key + made.certificate)
    return path


@pytest.fixture
def new_server(certificate):
    """Make a server: `await new_server(tls="starttls", max_recipients=100)`."""
    ports, factories = [], []

    async def build(*, tls="none", **settings):
        from twisted.internet import reactor

        services = make_services()
        context = None
        if tls != "none":
            context = Certificates([(certificate, certificate)], seconds=reactor.seconds)
        factory = make_factory(reactor, services, tls=tls, context_factory=context, **settings)
        served = factory
        if tls == "implicit":
            from twisted.protocols.tls import TLSMemoryBIOFactory

            served = TLSMemoryBIOFactory(context, False, factory)
        endpoint = TCP4ServerEndpoint(reactor, 0, interface="127.0.0.1")
        port = await endpoint.listen(served)
        ports.append(port)
        factories.append(factory)
        return Server(services, factory, port.getHost().port, str(certificate))

    yield build
    for port in ports:
        pytest_twisted.blockon(port.stopListening())
    for factory in factories:
        pytest_twisted.blockon(factory.drain(0.5))


@pytest.fixture
def new_lmtp(stores):
    """Start an LMTP listener on the stores; its port."""
    ports = []

    def build():
        services = SimpleNamespace(
            blobs=stores.blob_store,
            analyses=stores.delivery.analyses,
            delivery=stores.delivery,
            reports=MemoryReports(),
            hostname="mx.example",
            limits=Limits(),
        )
        listener = SimpleNamespace(settings=LmtpSettings(), tls="none", context_factory=None)
        factory = LMTP.build(None, None).make_factory("lmtp", listener, services, reactor)
        ports.append(reactor.listenTCP(0, factory, interface="127.0.0.1"))
        return ports[-1].getHost().port

    yield build
    for port in ports:
        pytest_twisted.blockon(port.stopListening())
