"""Every way to a host that is not public, seen before a connection is made."""

from ipaddress import IPv4Address, IPv6Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailhive.fetch.guard import Guard
from mailhive.fetch.url import parse_url
from mailhive.model.networks import Networks


def obviously_refused(url, allow=Networks()):  # noqa: B008
    """Why a URL is refused before anything is resolved."""
    try:
        return Guard(allow).refuses_target(parse_url(url))
    except ValueError as error:
        return str(error)


#: Addresses by what they are, as the reason says it.
NOT_PUBLIC = {
    "loopback": ["127.0.0.1", "127.255.255.254", "::1", "::ffff:127.0.0.1"],
    "unspecified": ["0.0.0.0", "0.1.2.3", "::", "::ffff:0.0.0.0"],
    "private": [
        "10.0.0.1",
        "172.16.0.1",
        "172.31.255.255",
        "192.168.1.1",
        "fc00::1",
        "fd00:ec2::254",
        "fec0::1",
        "::ffff:10.0.0.1",
        "64:ff9b::10.0.0.1",
    ],
    "link-local": ["169.254.169.254", "fe80::1", "fe80::1%eth0", "64:ff9b::a9fe:a9fe"],
    "shared by a carrier": ["100.64.0.1", "100.127.255.255", "100.100.100.200"],
    "multicast": ["224.0.0.1", "239.255.255.255", "ff02::1"],
    "for documentation": [
        "192.0.2.1",
        "198.51.100.1",
        "203.0.113.1",
        "2001:db8::1",
        "3fff::1",
    ],
    "for benchmarks": ["198.18.0.1", "198.19.255.255"],
    "of a cloud's metadata": ["168.63.129.16"],
    "reserved": [
        "192.0.0.192",
        "192.88.99.1",
        "240.0.0.1",
        "255.255.255.255",
        "::127.0.0.1",  # IPv4-compatible
        "::ffff:0:127.0.0.1",  # IPv4-translated
        "64:ff9b:1::10.0.0.1",
        "100::1",
        "2001::7f00:1",  # Teredo
        "2001:2::1",
        "2001:20::1",
        "2002:7f00:1::",  # 6to4
        "2002:808:808::",
        "4000::1",
        "5f00::1",
    ],
}


@pytest.mark.parametrize(
    ("purpose", "address"),
    [(purpose, address) for purpose, addresses in NOT_PUBLIC.items() for address in addresses],
)
def test_address_that_is_not_public(purpose, address):
    reason = Guard().refuses(address)
    assert reason is not None
    assert f" is {purpose}, not of a public host" in reason


@pytest.mark.parametrize(
    "address",
    [
        "1.1.1.1",
        "9.255.255.255",
        "11.0.0.0",
        "100.63.255.255",
        "100.128.0.0",
        "126.255.255.255",
        "128.0.0.0",
        "172.15.255.255",
        "172.32.0.0",
        "192.0.1.0",
        "223.255.255.255",
        "2606:4700::1111",
        "2a00::1",
        "::ffff:1.1.1.1",
        "64:ff9b::1.1.1.1",
    ],
)
def test_public_address(address):
    assert Guard().refuses(address) is None
    host = f"[{address}]" if ":" in address else address
    assert obviously_refused(f"https://{host}/") is None


@given(st.ip_addresses(v=4))
def test_what_python_calls_private_is_refused(address):
    if not address.is_global and address not in (
        IPv4Address("192.0.0.9"),
        IPv4Address("192.0.0.10"),
    ):
        assert Guard().refuses(address) is not None
        assert Guard().refuses(IPv6Address(f"::ffff:{address}")) is not None
        assert obviously_refused(f"http://{address}/") is not None
        assert obviously_refused(f"http://[64:ff9b::{address}]/") is not None


@given(st.ip_addresses(v=6, network="2000::/3"))
def test_what_python_calls_private_is_refused_of_ipv6(address):
    if address.is_private and address not in Networks.parse(["2001::/23"]):
        assert Guard().refuses(address) is not None


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "127.0.0.1.",
        "2130706433",  # decimal
        "0177.0.0.1",  # octal
        "017700000001",
        "0x7f.0.0.1",  # hexadecimal
        "0x7f000001",
        "0X7F000001",
        "0x",
        "127.1",  # short
        "127.0.1",
        "0",
        "1.2.3.4.5",
        "256.256.256.256",
        "[::1]",
        "[::]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "[0:0:0:0:0:ffff:7f00:0001]",
        "[::1%25lo]",
        "[::1%lo]",
        "[127.0.0.1]",
        "[v1.x]",
        "localhost",
        "LOCALHOST",
        "localhost.",
        "a.localhost",
        "ⓛocalhost",
        "１２７.0.0.1",  # full-width
        "127。0。0。1",  # ideographic full stops
        "①②⑦.⓪.⓪.①",
        "%31%32%37.0.0.1",
        "127.0.0.1%00.example.com",
        "example.com@127.0.0.1",
        "user:password@example.com",
        "",
        ".",
        "a..b",
        "exa mple.com",
        "example.com\\.example.org",
        "example.com\r\n",
        "example.com\t",
        "-example.com",
        "a" * 64 + ".example",
        "a." * 127 + "example",
        "example.com:0",
        "example.com:65536",
        "example.com:x",
        "example.com:٣",
    ],
)
def test_host_that_is_obviously_refused(host):
    reason = obviously_refused(f"http://{host}/path")
    assert reason
    assert "\n" not in reason


@pytest.mark.parametrize(
    "url",
    [
        "",
        "/push",
        "//example.com/",
        "example.com",
        "file:///etc/passwd",
        "ftp://example.com/",
        "gopher://example.com/",
        "javascript:alert(1)",
        "http:example.com",
        "http:/example.com",
        "http:\\\\example.com",
        " http://example.com/",
        "http://example.com/a b",
        "http://example.com/\r\nHost: 127.0.0.1",
        "http://example.com/\\x",
        "http://example.com/é",
    ],
)
def test_what_is_no_url_of_the_web(url):
    assert obviously_refused(url)


@pytest.mark.parametrize("port", [22, 25, 53, 110, 143, 445, 993, 2049, 4190, 6000, 6667])
def test_port_of_another_service(port):
    assert obviously_refused(f"https://example.com:{port}/") == (
        f"port {port} is of another service than the web"
    )


@pytest.mark.parametrize(
    ("url", "origin"),
    [
        ("https://example.com", "https://example.com"),
        ("HTTPS://EXAMPLE.com:443/", "https://example.com"),
        ("https://example.com:8443/x", "https://example.com:8443"),
        ("http://example.com./", "http://example.com"),
        ("https://bücher.example/", "https://xn--bcher-kva.example"),
        ("https://xn--bcher-kva.example/", "https://xn--bcher-kva.example"),
        ("https://push_1.example.com/", "https://push_1.example.com"),
        ("https://[2606:4700:0::1111]:8443/", "https://[2606:4700::1111]:8443"),
    ],
)
def test_good_url(url, origin):
    assert obviously_refused(url) is None
    assert parse_url(url).origin == origin


def test_path_and_query_stay_and_the_fragment_goes():
    assert parse_url("https://example.com?a=%20b;c#d").path == "/?a=%20b;c"
    assert parse_url("https://example.com/a/../b//?x?y").path == "/a/../b//?x?y"


def test_allowed_networks_are_reached():
    allow = Networks.parse(["10.1.0.0/16", "::1"])
    guard = Guard(allow)
    assert guard.refuses("10.1.2.3") is None
    assert guard.refuses("::ffff:10.1.2.3") is None
    assert guard.refuses("10.2.0.1") is not None
    assert obviously_refused("http://10.1.2.3:8080/", allow) is None
    assert obviously_refused("http://localhost/", allow) is None
    assert obviously_refused("http://127.0.0.1/", allow) is not None
    assert obviously_refused("http://0x0a010203/", allow) is not None


@given(st.text(max_size=40))
def test_no_host_makes_it_stumble(host):
    reason = obviously_refused(f"http://{host}/")
    assert reason is None or (reason and "\n" not in reason)
