"""The Authentication-Results field: what is written can be read, and what is feigned goes."""

from email import message_from_bytes
from email.policy import SMTP

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailhive.authn.results import (
    Result,
    authentication_results,
    claims_to_be,
    without_claims,
)

OURS = ("mx.example.net", "bücher.example")


def test_what_is_written():
    # RFC 8601 §B
    results = [
        Result("spf", "pass", {"smtp.mailfrom": "example.com"}),
        Result("dkim", "fail", {"header.d": "example.com", "header.s": "a b"}, 'said "no"'),
        Result("iprev", "pass", {"policy.iprev": "2001:db8::1"}),
    ]
    assert authentication_results("mx.example.net", results) == (
        b"Authentication-Results: mx.example.net;\r\n"
        b"\tspf=pass smtp.mailfrom=example.com;\r\n"
        b'\tdkim=fail reason="said \\"no\\"" header.d=example.com header.s="a b";\r\n'
        b'\tiprev=pass policy.iprev="2001:db8::1"\r\n'
    )
    assert authentication_results("mx.example.net", []) == (
        b"Authentication-Results: mx.example.net;\r\n\tnone\r\n"
    )


@given(st.text(max_size=1_000), st.text(max_size=1_000))
def test_nothing_that_comes_from_outside_gets_out_of_its_place(value, reason):
    result = Result("spf", "fail", {"smtp.mailfrom": value}, reason)
    field = authentication_results("mx.example.net", [result])
    assert field.endswith(b"\r\n")
    lines = field[:-2].split(b"\r\n")
    assert all(line.startswith(b"\t") for line in lines[1:])
    assert all(len(line) <= 2_000 and b"\r" not in line and b"\n" not in line for line in lines)
    message = message_from_bytes(field + b"Subject: x\r\n\r\n", policy=SMTP)
    assert len(message.items()) == 2
    # Outside of quoted strings there is one result, and it is ours.
    bare, quoted = "", False
    text = iter(field.decode())
    for character in text:
        if quoted and character == "\\":
            next(text)
        elif character == '"':
            quoted = not quoted
        elif not quoted:
            bare += character
    assert not quoted
    assert bare.count(";") == 1
    assert bare.count("spf=") == 1 and "(" not in bare


@pytest.mark.parametrize(
    "body",
    [
        " mx.example.net; none",
        "mx.example.net",
        "\r\n\tMX.Example.NET 1; spf=pass",
        ' "mx.example.net"; dkim=pass',
        ' "mx\\.example.net"; dkim=pass',
        " (a (nested \\) one)) mx.example.net (more); none",
        " mx.example.net.; none",
        " xn--bcher-kva.example; none",
        " bücher.example; none",
        "",
        " ; spf=pass",
        " (without end mx.example.com; none",
        ' "without end; none',
    ],
)
def test_fields_that_claim_to_be_ours(body):
    assert claims_to_be(body.encode(), OURS)


@pytest.mark.parametrize(
    "body",
    [
        " mx.example.com; none",
        " other; mx.example.net",
        " (mx.example.net) other; none",
        " sub.mx.example.net; none",
        b" \xff.example; none",
    ],
)
def test_fields_of_others(body):
    assert not claims_to_be(body if isinstance(body, bytes) else body.encode(), OURS)


def test_only_those_go():
    header = (
        b"Received: by x\r\n"
        b"Authentication-Results: mx.example.net;\r\n\tspf=pass\r\n (more)\r\n"
        b"authentication-RESULTS : (c)\r\n mx.example.net; none\r\n"
        b"Authentication-Results: mx.example.com; none\r\n"
        b"X-Authentication-Results: mx.example.net; none\r\n"
        b"Subject: a\n Authentication-Results: mx.example.net; none\n"
        b"To: b\rAuthentication-Results: mx.example.net; none\r"
        b"Authentication-Results: mx.example.net; none"
    )
    assert without_claims(header, OURS) == (
        b"Received: by x\r\n"
        b"Authentication-Results: mx.example.com; none\r\n"
        b"X-Authentication-Results: mx.example.net; none\r\n"
        b"Subject: a\n Authentication-Results: mx.example.net; none\n"
        b"To: b\r"
    )


@given(st.lists(st.sampled_from([b"A: b", b"\r\n", b"\n", b" c", b"\t", b"x", b"\r", b":"])))
def test_a_header_without_claims_stays_as_it_is(parts):
    header = b"".join(parts)
    assert without_claims(header, OURS) == header


@given(st.binary(max_size=200))
def test_any_octets_as_a_field(octets):
    assert claims_to_be(octets, OURS) in (True, False)
    assert len(without_claims(octets, OURS)) <= len(octets)


def test_ours_is_known_as_ours():
    field = authentication_results("mx.example.net", [Result("spf", "pass")])
    assert without_claims(field * 3 + b"Subject: x\r\n", OURS) == b"Subject: x\r\n"


@pytest.mark.parametrize("octets", [b"(" * 200_000, b"\\" * 200_000, b'"' + b"\\a" * 100_000])
def test_long_fields_are_read_in_no_time(octets):
    claims_to_be(octets, OURS)
    without_claims(b"Authentication-Results:" + octets + b"\r\n", OURS)
