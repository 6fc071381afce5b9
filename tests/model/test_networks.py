"""Networks as the configuration names them."""

from ipaddress import IPv4Address, IPv6Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailhive.model.networks import Networks


def test_contains_addresses_of_its_networks_only():
    networks = Networks.parse(["10.0.0.0/8", "192.0.2.1", "2001:db8::/32"])
    assert networks.contains("10.255.0.1")
    assert networks.contains("192.0.2.1")
    assert networks.contains("2001:db8:1::5")
    assert not networks.contains("11.0.0.1")
    assert not networks.contains("192.0.2.2")
    assert not networks.contains("2001:db9::1")


@pytest.mark.parametrize("text", ["", "localhost", "10.0.0", "010.0.0.1", "10.0.0.1:25", "::1::"])
def test_what_is_no_address_is_in_no_network(text):
    assert not Networks.parse(["0.0.0.0/0", "::/0"]).contains(text)


def test_ipv4_mapped_address_counts_as_ipv4():
    assert Networks.parse(["127.0.0.0/8"]).contains("::ffff:127.0.0.1")
    assert Networks.parse(["::ffff:127.0.0.0/104"]).contains("127.0.0.1")
    assert not Networks.parse(["::/0"]).contains("::ffff:127.0.0.1")


def test_zone_does_not_matter():
    assert Networks.parse(["fe80::/10"]).contains("fe80::1%eth0")


@given(st.ip_addresses())
def test_every_address_is_in_all_networks_of_its_kind(address):
    everything = Networks.parse(["0.0.0.0/0", "::/0"])
    assert everything.contains(str(address))
    assert Networks.parse([str(address)]).contains(str(address))


def test_no_networks_contain_nothing():
    assert not Networks().contains("127.0.0.1")
    assert not Networks()


def test_equal_by_value_and_written_as_given():
    networks = Networks.parse(["10.0.0.0/8", "::1"])
    assert networks == Networks.parse(["10.0.0.0/8", "::1/128"])
    assert hash(networks) == hash(Networks.parse(["10.0.0.0/8", "::1"]))
    assert list(networks) == ["10.0.0.0/8", "::1"]
    assert networks.contains(IPv4Address("10.0.0.1"))
    assert networks.contains(IPv6Address("::1"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("10.0.0.1/8", 'has bits set behind its prefix; did you mean "10.0.0.0/8"?'),
        ("10.0.0.0/33", "is not a network; allowed is an address or a network"),
        ("example.com", "is not a network"),
        ("", "is not a network"),
    ],
)
def test_mistake_says_what_is_allowed(text, message):
    with pytest.raises(ValueError) as caught:
        Networks.parse(["::1", text])
    assert message in str(caught.value)
    assert str(caught.value).startswith(f'"{text}"')
