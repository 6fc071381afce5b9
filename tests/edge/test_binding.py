"""Channel bindings: both ends of a connection have the same."""

from contextlib import suppress
from hashlib import sha256
from types import SimpleNamespace

from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key
from cryptography.x509 import load_pem_x509_certificate
from OpenSSL import SSL

from mailhive.edge.binding import channel_bindings
from mailhive.testing.certificates import make_certificate


def connected(pair, version):
    """The two ends of a connection, whose handshake is over."""
    certificate = load_pem_x509_certificate(pair.certificate)
    key = load_pem_private_key(pair.private_key, None)
    server_context, client_context = SSL.Context(SSL.TLS_METHOD), SSL.Context(SSL.TLS_METHOD)
    server_context.use_certificate(certificate)
    server_context.use_privatekey(key)
    client_context.set_max_proto_version(version)
    server, client = SSL.Connection(server_context, None), SSL.Connection(client_context, None)
    server.set_accept_state()
    client.set_connect_state()
    for _ in range(4):
        for one, other in ((client, server), (server, client)):
            with suppress(SSL.WantReadError):
                one.do_handshake()
            with suppress(SSL.WantReadError):
                other.bio_write(one.bio_read(65_536))
    return server, client


def bindings_of(connection):
    return channel_bindings(SimpleNamespace(getHandle=lambda: connection))


def test_both_ends_have_the_same():
    server, client = connected(make_certificate("mx.example"), SSL.TLS1_3_VERSION)
    found = bindings_of(server)
    # RFC 9266 §2, as the client has it
    exported = client.export_keying_material(b"EXPORTER-Channel-Binding", 32)
    shown = client.get_peer_certificate().to_cryptography().public_bytes(Encoding.DER)
    assert found == {"tls-exporter": exported, "tls-server-end-point": sha256(shown).digest()}


def test_none_where_there_is_none():
    server, _ = connected(make_certificate("mx.example"), SSL.TLS1_2_VERSION)
    assert server.get_protocol_version_name() == "TLSv1.2"
    assert bindings_of(server) == {}
    assert channel_bindings(object()) == {}
    assert bindings_of(object()) == {}
