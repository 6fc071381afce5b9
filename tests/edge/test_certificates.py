"""Certificates by name, renewed, and what is negotiated with them, over real TLS."""

import ssl
import warnings

import pytest
from cryptography.x509 import load_der_x509_certificate
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.protocols.tls import TLSMemoryBIOFactory

from mailhive.edge.certificates import LOOK, CertificateError, Certificates, names_of


class Hello(Protocol):
    """Says hello."""

    def connectionMade(self):
        self.transport.write(b"hello")


def handshake(certificates, name="localhost", **options):
    """A handshake in memory; returns the client's side of it."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_alpn_protocols(options.pop("alpn", ["h2", "http/1.1"]))
    if ciphers := options.pop("ciphers", None):
        context.set_ciphers(ciphers)
    for option, value in options.items():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of versions that nobody should use
            setattr(context, option, value)
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = context.wrap_bio(incoming, outgoing, server_hostname=name)
    clock = Clock()
    factory = TLSMemoryBIOFactory(certificates, False, Factory.forProtocol(Hello), clock)
    server, transport = factory.buildProtocol(None), StringTransport()
    server.makeConnection(transport)
    for _ in range(4):
        try:
            client.do_handshake()
            if client.read(100) == b"hello":
                return client
        except ssl.SSLWantReadError:
            pass
        if data := outgoing.read():
            server.dataReceived(data)
        clock.advance(0)
        incoming.write(transport.value())
        transport.clear()
    raise AssertionError("the handshake does not end")


def names(client):
    return names_of(load_der_x509_certificate(client.getpeercert(binary_form=True)))


@pytest.fixture
def clock():
    return Clock()


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
@pytest.mark.parametrize(
    ("asked", "got"),
    [
        ("mail.example.org", {"mail.example.org"}),
        ("www.example.net", {"example.net", "www.example.net"}),
        ("WWW.example.net", {"example.net", "www.example.net"}),
        ("a.example.com", {"*.example.com"}),
        ("a.b.example.com", {"mail.example.org"}),
        ("example.com", {"mail.example.org"}),
        ("unknown.example", {"mail.example.org"}),
        (None, {"mail.example.org"}),
    ],
)
def test_the_certificate_of_the_name_that_is_asked_for(files, clock, asked, got, version):
    certificates = Certificates(
        [
            files("first", "mail.example.org"),
            files("second", "example.net", "www.example.net"),
            files("third", "*.example.com"),
        ],
        seconds=clock.seconds,
        protocols=[b"http/1.1"],
    )
    client = handshake(certificates, asked, maximum_version=version)
    assert names(client) == got
    assert client.version() == version.name.replace("_", ".")
    assert client.selected_alpn_protocol() == "http/1.1"


def test_what_is_too_old_is_refused(files, clock):
    certificates = Certificates([files("a")], seconds=clock.seconds)
    old = {"maximum_version": ssl.TLSVersion.TLSv1_1, "minimum_version": ssl.TLSVersion.TLSv1}
    with pytest.raises((ssl.SSLError, AssertionError)):
        handshake(certificates, **old, ciphers="ALL:@SECLEVEL=0")


def test_ciphers(files, clock):
    pair = files("a")
    weak = {"maximum_version": ssl.TLSVersion.TLSv1_2, "ciphers": "ECDHE-ECDSA-AES128-SHA256"}
    with pytest.raises((ssl.SSLError, AssertionError)):
        handshake(Certificates([pair], seconds=clock.seconds), **weak)
    tolerant = Certificates([pair], seconds=clock.seconds, opportunistic=True)
    assert "SHA256" in handshake(tolerant, **weak).cipher()[0]


def test_no_protocol_is_negotiated_where_there_is_no_choice(files, clock):
    client = handshake(Certificates([files("a")], seconds=clock.seconds))
    assert client.selected_alpn_protocol() is None


def test_changed_files_are_read_again(files, clock):
    pairs = [files("a", "old.example"), files("b", "b.example")]
    certificates = Certificates(pairs, seconds=clock.seconds)
    open_before = handshake(certificates, "b.example")
    files("a", "new.example")
    assert names(handshake(certificates, None)) == {"old.example"}
    clock.advance(LOOK)
    assert names(handshake(certificates, None)) == {"new.example"}
    assert names(handshake(certificates, "b.example")) == names(open_before)
    files("b", "b.example", "c.example")
    assert certificates.reload() == []  # at once
    assert names(handshake(certificates, "c.example")) == {"b.example", "c.example"}


def test_other_files(files, clock):
    certificates = Certificates([files("a", "a.example")], seconds=clock.seconds)
    apply = certificates.prepare([files("b", "b.example"), files("c", "c.example")])
    assert names(handshake(certificates, "c.example")) == {"a.example"}
    apply()
    assert names(handshake(certificates, "c.example")) == {"c.example"}
    assert names(handshake(certificates, "a.example")) == {"b.example"}
    certificate, _ = files("d", "d.example")
    for pair in ((certificate, files("e")[1]), (certificate, certificate.with_suffix(".none"))):
        with pytest.raises(CertificateError, match="cannot be used"):
            certificates.prepare([pair])


@pytest.mark.parametrize("half", [0, 1])
def test_half_a_renewal_changes_nothing(files, clock, half):
    pair = files("a", "old.example")
    certificates = Certificates([pair], seconds=clock.seconds)
    before = pair[half].read_bytes()
    files("a", "new.example")
    after = pair[half].read_bytes()
    pair[half].write_bytes(before)
    (problem,) = certificates.reload()
    assert "the key is not that of the certificate" in problem
    assert names(handshake(certificates, None)) == {"old.example"}
    pair[half].write_bytes(after)
    assert certificates.reload() == []
    assert names(handshake(certificates, None)) == {"new.example"}


@pytest.mark.parametrize("broken", ["gone", "no PEM"])
def test_files_that_cannot_be_used_any_more(files, clock, broken):
    pair = files("a", "old.example")
    certificates = Certificates([pair], seconds=clock.seconds)
    if broken == "gone":
        pair[0].rename(pair[0].with_suffix(".away"))
    else:
        pair[0].write_bytes(b"nonsense")
    assert len(certificates.reload()) == 1
    assert names(handshake(certificates, None)) == {"old.example"}
    files("a", "new.example")
    assert certificates.reload() == []
    assert names(handshake(certificates, None)) == {"new.example"}
