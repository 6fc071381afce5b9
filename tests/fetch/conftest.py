"""Web servers and a DNS server on loopback, for the client to ask."""

import socket
from ipaddress import ip_address

import pytest
import pytest_twisted
from attrs import frozen
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from cryptography.x509 import load_pem_x509_certificate
from twisted.internet import reactor, ssl
from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.defer import gatherResults
from twisted.internet.interfaces import IHostnameResolver
from twisted.names import client, dns, server
from twisted.names.common import ResolverBase
from twisted.web.resource import Resource
from twisted.web.server import Site
from zope.interface import implementer

from mailhive.fetch.client import Fetcher
from mailhive.testing.certificates import make_certificate


@pytest.fixture
def fetchers():
    """Make `Fetcher`s that are closed in the end."""
    made = []

    def make(**settings):
        made.append(Fetcher(reactor, **settings))
        return made[-1]

    yield make
    for fetcher in made:
        pytest_twisted.blockon(fetcher.close())


class Answers(Resource):
    """Answers every request by calling `answer(request)`, and keeps what was asked."""

    isLeaf = True

    def __init__(self, answer):
        super().__init__()
        self.answer = answer
        self.asked = []

    def render(self, request):
        self.asked.append((request.method, request.uri, request.content.read()))
        return self.answer(request)


@pytest.fixture
def serve():
    """Serve answers on an address of this machine; the port is on `port` of the resource."""
    ports = []

    def serve(answer, *, interface="127.0.0.1", certificate=None):
        resource = Answers(answer)
        site = Site(resource)
        if certificate is None:
            port = reactor.listenTCP(0, site, interface=interface)
        else:
            port = reactor.listenSSL(0, site, certificate.options, interface=interface)
        ports.append(port)
        resource.port = port.getHost().port
        return resource

    yield serve
    for port in ports:
        pytest_twisted.blockon(port.stopListening())


@frozen
class Certificate:
    """One that signs itself: for a server, and for a client that trusts it."""

    options: ssl.CertificateOptions
    trust_root: object


@pytest.fixture
def certificate():
    """Make a `Certificate` for names and addresses."""

    def make(*names):
        pem = make_certificate(*names)
        options = ssl.CertificateOptions(
            privateKey=load_pem_private_key(pem.private_key, None),
            certificate=load_pem_x509_certificate(pem.certificate),
        )
        trusted = ssl.Certificate.loadPEM(pem.certificate)
        return Certificate(options, ssl.trustRootFromCertificates([trusted]))

    return make


class Zone(ResolverBase):
    """Answers of a DNS server: for each name the addresses of the first, second … question.

    The last ones stay.  `asked` counts the questions for each name.
    """

    def __init__(self, names):
        super().__init__()
        self.names = names
        self.asked = {}

    def lookupAddress(self, name, timeout=None):
        return self._answer(name, dns.A, dns.Record_A)

    def lookupIPV6Address(self, name, timeout=None):
        return self._answer(name, dns.AAAA, dns.Record_AAAA)

    def _answer(self, name, kind, record):
        text = name.decode()
        key = text, kind
        rounds = self.names.get(text, [[]])
        turn = self.asked.get(key, 0)
        self.asked[key] = turn + 1
        wanted = 4 if kind == dns.A else 6
        return (
            [
                dns.RRHeader(name, kind, ttl=0, payload=record(address, ttl=0))
                for address in rounds[min(turn, len(rounds) - 1)]
                if ip_address(address).version == wanted
            ],
            [],
            [],
        )


@implementer(IHostnameResolver)
class NamesResolver:
    """Resolves through a DNS server, and caches nothing."""

    def __init__(self, resolver):
        self.resolver = resolver

    def resolveHostName(
        self, receiver, name, portNumber=0, addressTypes=None, transportSemantics="TCP"
    ):
        receiver.resolutionBegan(None)

        def resolved(results):
            for answers, _, _ in results:
                for answer in answers:
                    if answer.type == dns.A:
                        address = IPv4Address("TCP", answer.payload.dottedQuad(), portNumber)
                    else:
                        text = socket.inet_ntop(socket.AF_INET6, answer.payload.address)
                        address = IPv6Address("TCP", text, portNumber)
                    receiver.addressResolved(address)
            receiver.resolutionComplete()

        gatherResults(
            [self.resolver.lookupAddress(name), self.resolver.lookupIPV6Address(name)],
            consumeErrors=True,
        ).addCallbacks(resolved, lambda _: receiver.resolutionComplete())


@pytest.fixture
def resolving():
    """A DNS server that answers from a `Zone`, and a resolver that asks it."""
    ports, resolvers = [], []

    def resolving(zone):
        factory = server.DNSServerFactory(clients=[zone])
        port = reactor.listenUDP(0, dns.DNSDatagramProtocol(factory), interface="127.0.0.1")
        ports.append(port)
        resolver = client.Resolver(servers=[("127.0.0.1", port.getHost().port)])
        resolvers.append(resolver)
        return NamesResolver(resolver)

    yield resolving
    for port in ports:
        pytest_twisted.blockon(port.stopListening())


@pytest.fixture
def zone():
    """Make a `Zone` of names with one list of addresses each."""
    return lambda names: Zone({name: [addresses] for name, addresses in names.items()})


@pytest.fixture
def zones():
    """Make a `Zone` of names whose addresses change."""
    return Zone
