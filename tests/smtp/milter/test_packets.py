"""Packets of filters, whatever these send."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailhive.smtp.milter.packets import (
    Actions,
    AddRecipient,
    BadPacket,
    ChangeHeader,
    Packet,
    PacketReader,
    VerdictKind,
    packet,
    parse_change,
    parse_verdict,
)

ALL = Actions(0x1FF)
PACKETS = st.lists(st.tuples(st.binary(min_size=1, max_size=1), st.binary(max_size=300)))


@given(PACKETS, st.lists(st.integers(1, 50), min_size=1))
def test_packets_come_in_any_pieces(packets: list[tuple[bytes, bytes]], sizes: list[int]) -> None:
    octets = b"".join(packet(code, data) for code, data in packets)
    reader = PacketReader()
    found = []
    turn = 0
    while octets:
        size = sizes[turn % len(sizes)]
        found += reader.receive(octets[:size])
        octets = octets[size:]
        turn += 1
    assert found == [Packet(code, data) for code, data in packets]


@pytest.mark.parametrize("size", [0, 1_048_577, 2**32 - 1])
def test_no_packet_is_that_long(size: int) -> None:
    with pytest.raises(BadPacket):
        PacketReader().receive(size.to_bytes(4, "big"))


CODES = st.sampled_from([bytes([code]) for code in b"him+-2beqyacdrtsf4xo"])


@given(CODES, st.one_of(st.binary(max_size=60), st.text(max_size=60).map(str.encode)))
def test_anything_is_a_verdict_a_change_or_bad(code: bytes, data: bytes) -> None:
    with suppress(BadPacket):
        verdict = parse_verdict(Packet(code, data))
        if verdict is None:
            parse_change(Packet(code, data), ALL)
        elif verdict.reply is not None:
            assert 400 <= verdict.reply.code < 600
            assert verdict.reply.to_bytes().endswith(b"\r\n")


@pytest.mark.parametrize(
    ("text", "code", "enhanced", "lines"),
    [
        (b"550 5.7.1 Spam\0", 550, "5.7.1", "Spam"),
        (b"451 Later", 451, "4.7.1", "Later"),
        (b"550 4.7.1 odd", 550, "5.7.1", "4.7.1 odd"),
        (b"550\0", 550, "5.7.1", ""),
        (b"554-5.6.0 a\r\n554 5.6.0 50%%\r\n\0", 554, "5.6.0", "a\n50%"),
    ],
)
def test_replies(text: bytes, code: int, enhanced: str, lines: str) -> None:
    verdict = parse_verdict(Packet(b"y", text))
    assert verdict is not None and verdict.kind is VerdictKind.REPLY
    reply = verdict.reply
    assert reply is not None
    assert (reply.code, reply.enhanced, reply.text) == (code, enhanced, lines)


@pytest.mark.parametrize("text", [b"", b"\0", b"250 ok", b"550-a\r\n451 b", b"x", b"550 a\nb"])
def test_what_is_no_refusal(text: bytes) -> None:
    with pytest.raises(BadPacket):
        parse_verdict(Packet(b"y", text))


def test_changes() -> None:
    found = parse_change(Packet(b"m", b"\0\0\0\2Subject\0\0"), ALL)
    assert found == ChangeHeader(2, b"Subject", b"")
    assert parse_change(Packet(b"2", b"a@b\0X=1\0"), ALL) == AddRecipient("a@b", "X=1")


@pytest.mark.parametrize(
    ("code", "data"),
    [(b"h", b"Name"), (b"h", b"a:b\0c\0"), (b"m", b"\0\0"), (b"+", b"<>\0"), (b"-", b"<a@b>x\0")],
)
def test_changes_that_are_none(code: bytes, data: bytes) -> None:
    with pytest.raises(BadPacket):
        parse_change(Packet(code, data), ALL)


def test_only_what_was_agreed_on() -> None:
    with pytest.raises(BadPacket):
        parse_change(Packet(b"q", b"why\0"), ALL & ~Actions.QUARANTINE)
