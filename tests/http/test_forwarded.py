"""Who is behind a proxy, told by fields that anybody can send."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailhive.http.forwarded import Proxies
from mailhive.model.networks import Networks

PROXY = "10.0.0.1"
PROXIES = Proxies(Networks.parse(["10.0.0.0/8", "2001:db8:a::/48"]))


def client(peer: str = PROXY, proxies: Proxies = PROXIES, **fields: str) -> str:
    values = {name.replace("_", "-").lower().encode(): value for name, value in fields.items()}
    return proxies.client(peer, values.get)


@pytest.mark.parametrize(
    ("fields", "address"),
    [
        ({}, PROXY),
        ({"X_Real_IP": "192.0.2.7"}, "192.0.2.7"),
        ({"X_Real_IP": "2001:db8::7"}, "2001:db8::7"),
        ({"X_Real_IP": "::ffff:192.0.2.7"}, "192.0.2.7"),
        ({"X_Forwarded_For": "192.0.2.7"}, "192.0.2.7"),
        ({"X_Forwarded_For": "192.0.2.7:4711"}, "192.0.2.7"),
        ({"X_Forwarded_For": "[2001:db8::7]:4711"}, "2001:db8::7"),
        # right to left, over proxies of ours only
        ({"X_Forwarded_For": "198.51.100.1, 192.0.2.7"}, "192.0.2.7"),
        ({"X_Forwarded_For": "198.51.100.1, 192.0.2.7, 10.0.0.3 , 10.0.0.2"}, "192.0.2.7"),
        ({"X_Forwarded_For": "10.0.0.3, 10.0.0.2"}, "10.0.0.3"),
        ({"X_Forwarded_For": "unknown, 10.0.0.2"}, "10.0.0.2"),
        ({"X_Forwarded_For": "nonsense"}, PROXY),
        ({"X_Forwarded_For": "192.0.2.7,"}, PROXY),
        ({"Forwarded": "for=192.0.2.7"}, "192.0.2.7"),
        ({"Forwarded": 'proto=https;For="192.0.2.7:80";by=203.0.113.43'}, "192.0.2.7"),
        ({"Forwarded": 'for="[2001:db8::7]:4711"'}, "2001:db8::7"),
        ({"Forwarded": 'for="[2001:db8:\\:7]"'}, "2001:db8::7"),
        ({"Forwarded": 'for=198.51.100.1, for=192.0.2.7;proto=http, for="[2001:db8:a::1]"'},
         "192.0.2.7"),
        ({"Forwarded": "for=_hidden, for=10.0.0.2"}, "10.0.0.2"),
        ({"Forwarded": "for=unknown"}, PROXY),
        ({"Forwarded": "for=192.0.2.7, proto=https"}, PROXY),
        ({"Forwarded": 'host=", for=192.0.2.7'}, PROXY),
        # several
        ({"Forwarded": "for=192.0.2.7", "X_Real_IP": "192.0.2.7",
          "X_Forwarded_For": "198.51.100.1, 192.0.2.7"}, "192.0.2.7"),
        ({"Forwarded": "for=198.51.100.1", "X_Forwarded_For": "192.0.2.7"}, PROXY),
        ({"X_Real_IP": "198.51.100.1", "X_Forwarded_For": "192.0.2.7"}, PROXY),
    ],
)  # fmt: skip
def test_what_a_trusted_proxy_says(fields, address):
    assert client(**fields) == address


@pytest.mark.parametrize("peer", ["192.0.2.1", "2001:db8:b::1", "unix"])
def test_others_are_not_believed(peer):
    fields = {"X_Real_IP": "198.51.100.1", "X_Forwarded_For": "198.51.100.1"}
    assert client(peer, **fields, Forwarded="for=198.51.100.1") == peer
    assert client(peer, Proxies(), **fields) == peer


def test_a_peer_of_ipv4_on_an_ipv6_socket():
    assert client(f"::ffff:{PROXY}", X_Real_IP="192.0.2.7") == "192.0.2.7"


def test_only_the_fields_that_the_proxies_set():
    proxies = Proxies(PROXIES.trusted, ("X-Real-IP",))
    assert client(PROXY, proxies, X_Real_IP="192.0.2.7", X_Forwarded_For="8.8.8.8") == "192.0.2.7"
    assert client(PROXY, proxies, X_Forwarded_For="8.8.8.8") == PROXY


@given(st.text('for=;,"\\ []:.0123456789abcdef_unknown\t', max_size=200), st.text(max_size=100))
def test_a_client_cannot_get_past_what_the_proxy_adds(forwarded, forwarded_for):
    assert client(X_Forwarded_For=f"{forwarded_for}, 192.0.2.7") == "192.0.2.7"
    # quotes that the client leaves open may swallow the proxy's words, and gain nothing
    assert client(Forwarded=f"{forwarded}, for=192.0.2.7") in ("192.0.2.7", PROXY)
