"""PROXY headers of both versions, whole, in pieces, malformed and made up."""

import struct
from ipaddress import IPv4Address, IPv6Address, ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailhive.edge.proxy_header import MAX_HEADER, ProxyHeader, ProxyHeaderError, parse

SIGNATURE = b"\r\n\r\n\x00\r\nQUIT\n"
PORTS = st.integers(0, 65_535)
PAIRS = st.one_of(
    st.tuples(st.ip_addresses(v=4), st.ip_addresses(v=4)),
    st.tuples(st.ip_addresses(v=6), st.ip_addresses(v=6)),
)


def text(source: str, destination: str, ports: str = "1 2", kind: str = "TCP4") -> bytes:
    return f"PROXY {kind} {source} {destination} {ports}\r\n".encode()


def binary(addresses: bytes, *, command: int = 0x21, family: int = 0x11) -> bytes:
    return SIGNATURE + struct.pack("!BBH", command, family, len(addresses)) + addresses


def addresses(pair: tuple[IPv4Address | IPv6Address, ...], source_port: int = 9) -> bytes:
    return pair[0].packed + pair[1].packed + struct.pack("!HH", source_port, 25)


@given(PAIRS, PORTS, PORTS, st.binary(max_size=50))
def test_version_1(pair, source_port, port, behind):
    source, destination = pair
    kind = f"TCP{source.version}"
    header = text(str(source), str(destination), f"{source_port} {port}", kind)
    assert parse(header + behind) == ProxyHeader(len(header), (str(source), source_port))


@given(PAIRS, PORTS, st.binary(max_size=200), st.binary(max_size=50))
def test_version_2_whatever_its_tlvs_are(pair, source_port, tlvs, behind):
    source, _ = pair
    header = binary(
        addresses(pair, source_port) + tlvs, family=0x11 if source.version == 4 else 0x21
    )
    assert parse(header + behind) == ProxyHeader(len(header), (str(source), source_port))


LONGEST = text("ffff:" * 7 + "ffff", "ffff:" * 7 + "ffff", "65535 65535", "TCP6")


@pytest.mark.parametrize(
    "header",
    [
        LONGEST,
        b"PROXY UNKNOWN\r\n",
        b"PROXY UNKNOWN " + b"x" * 91 + b"\r\n",
        binary(addresses((ip_address("192.0.2.1"), ip_address("192.0.2.2"))) + b"\x04\x00\x01x"),
        binary(b"", command=0x20, family=0),
    ],
)
def test_in_pieces(header):
    for size in range(len(header)):
        assert parse(header[:size]) is None
    whole = parse(header + b"EHLO")
    assert whole is not None
    assert whole.length == len(header)


@pytest.mark.parametrize(
    "header",
    [
        b"PROXY UNKNOWN\r\n",
        b"PROXY UNKNOWN ffff:f...f:ffff ffff:f...f:ffff 65535 65535\r\n",
        binary(b"", command=0x20, family=0),
        binary(addresses((ip_address("192.0.2.1"), ip_address("192.0.2.2"))), command=0x20),
        binary(b"", family=0x00),  # unspecified
        binary(bytes(216), family=0x31),  # a Unix socket
    ],
)
def test_no_address_is_told(header):
    assert parse(header) == ProxyHeader(len(header))


@pytest.mark.parametrize(
    "data",
    [
        b"EHLO client.example\r\n",
        b"GET / HTTP/1.1\r\n",
        b"PROXY\r\n",
        b"proxy TCP4 192.0.2.1 192.0.2.2 1 2\r\n",
        text("192.0.2.1", "192.0.2.2", kind="TCP6"),
        text("2001:db8::1", "2001:db8::2", kind="TCP4"),
        text("192.0.2.1", "192.0.2.256"),
        text("192.0.2.01", "192.0.2.2"),
        text("192.0.2.1", "192.0.2.2", "65536 1"),
        text("192.0.2.1", "192.0.2.2", "-1 1"),
        text("192.0.2.1", "192.0.2.2", "1"),
        text("192.0.2.1", "192.0.2.2", "1 2 3"),
        text("192.0.2.1", " 192.0.2.2"),
        text("fe80::1%eth0", "fe80::2", kind="TCP6"),
        text("mail.example", "192.0.2.2"),
        b"PROXY UDP4 192.0.2.1 192.0.2.2 1 2\r\n",
        b"PROXY UNKNOWN" + b"x" * 200,
        b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\n" + b"x" * 200,
        b"PROXY " + b"x" * 101,
        b"\r\n\r\n\x00\r\nQUIT\r",
        binary(b"", command=0x11),  # of version 1
        binary(b"", command=0x22),
        binary(bytes(12), family=0x12),  # datagrams
        binary(bytes(11)),
        binary(bytes(35), family=0x21),
        SIGNATURE + struct.pack("!BBH", 0x21, 0x11, MAX_HEADER),
        SIGNATURE + struct.pack("!BBH", 0x20, 0x00, 0xFFFF),
    ],
)
def test_what_is_refused(data):
    with pytest.raises(ProxyHeaderError):
        parse(data)


@given(
    st.one_of(
        st.binary(max_size=300),
        st.binary(max_size=300).map(lambda rest: b"PROXY TCP4 " + rest),
        st.binary(max_size=300).map(lambda rest: SIGNATURE + rest),
    )
)
def test_whatever_comes_is_a_header_or_refused_and_waits_for_bounded_input(data):
    try:
        header = parse(data)
    except ProxyHeaderError:
        return
    if header is None:
        assert len(data) < MAX_HEADER
    else:
        assert 0 < header.length <= len(data)
