"""Names of hosts, confirmed."""

from ipaddress import ip_address

import pytest

from mailhive.authn.dns import DnsFailure
from mailhive.authn.iprev import IprevVerdict, confirmed_name

NAMES = {
    "good.example": {"A": ["192.0.2.1"], "AAAA": ["2001:db8::1"]},
    "other.example": {"A": ["192.0.2.9"]},
    "down.example": {"A": DnsFailure},
}


def reverse(address, names):
    return {ip_address(address).reverse_pointer: {"PTR": names}}


@pytest.mark.parametrize(
    ("names", "verdict"),
    [
        (["good.example"], ("pass", "good.example")),
        (["other.example", "down.example", "", "good.example"], ("pass", "good.example")),
        (["other.example"], ("fail", "other.example")),
        (["missing.example", "other.example"], ("fail", "missing.example")),
        (["other.example", "down.example"], ("temperror", "other.example")),
        ([], ("permerror", "")),
        (DnsFailure, ("temperror", "")),
    ],
)
def test_verdicts(run, zone, names, verdict):
    known = zone({**NAMES, **reverse("192.0.2.1", names)})
    assert run(confirmed_name(known, ip_address("192.0.2.1"))) == IprevVerdict(*verdict)


def test_ipv6(run, zone):
    known = zone({**NAMES, **reverse("2001:db8::1", ["good.example"])})
    found = run(confirmed_name(known, ip_address("2001:db8::1")))
    assert found == IprevVerdict("pass", "good.example")


def test_ten_names(run, zone):
    many = [f"x{n}.example" for n in range(1_000)]
    known = zone({**NAMES, **reverse("192.0.2.1", [*many, "good.example"])})
    assert run(confirmed_name(known, ip_address("192.0.2.1"))).result == "fail"
    assert len(known.asked) == 11
