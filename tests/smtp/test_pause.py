"""Clients that speak before they are greeted (RFC 5321 §4.3.1)."""

from pathlib import Path
from typing import Any

import pytest

from mailhive.model.networks import Networks
from mailhive.smtp.pause import GreetingPause
from mailhive.smtp.policy import MxSettings

from .test_checks import MESSAGE, bench_of

DELAY = 5.0


@pytest.fixture
def bench(tmp_path: Path) -> Any:
    def pause(visit: Any) -> Any:
        return GreetingPause.at(
            visit,
            seconds=DELAY,
            trusted=Networks.parse(["10.0.0.0/8"]),
            reactor=made.clock,
        )

    made = bench_of(tmp_path, pause)
    return made


def test_who_waits_is_served(bench: Any) -> None:
    protocol, transport = bench.connect()
    bench.clock.advance(DELAY - 0.1)
    assert transport.value() == b""
    bench.clock.advance(0.1)
    assert transport.value().startswith(b"220 ")
    protocol.dataReceived(MESSAGE)
    assert b"250 2.0.0 Message accepted" in transport.value()


@pytest.mark.parametrize("junk", [MESSAGE, b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01" * 9, b"x"])
def test_who_speaks_first_is_turned_away(bench: Any, junk: bytes) -> None:
    protocol, transport = bench.connect()
    protocol.dataReceived(junk)
    # No more of it is read, whatever there is.
    assert transport.producerState == "paused"
    assert transport.value() == b""
    bench.clock.advance(DELAY)
    assert transport.value() == b"554 You spoke before you were greeted\r\n"
    assert transport.producerState == "producing"
    protocol.dataReceived(b"EHLO x\r\nQUIT\r\n")
    replies = transport.value().split(b"\r\n")
    assert [reply[:3] for reply in replies[1:]] == [b"503", b"221", b""]
    assert not bench.services.delivery.delivered


def test_who_leaves_before(bench: Any) -> None:
    _, transport = bench.connect()
    transport.loseConnection()
    bench.clock.advance(DELAY)
    assert transport.value() == b""


def test_who_is_trusted_does_not_wait(bench: Any) -> None:
    _, transport = bench.connect("10.1.2.3")
    assert transport.value().startswith(b"220 ")


def test_it_has_an_end() -> None:
    with pytest.raises(ValueError, match="longer than a minute"):
        MxSettings(greeting_delay=61.0)
