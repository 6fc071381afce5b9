"""How much comes in from one network."""

from collections.abc import Callable

from mailhive.model.networks import Networks

from .conftest import Bench

HELLO = b"EHLO c.example\r\n"
MAIL = b"MAIL FROM:<a@c.example>\r\n"
RCPT = b"RCPT TO:<b@mx.example>\r\n"
NewBench = Callable[..., Bench]


def codes(bench: Bench, octets: bytes, host: str = "192.0.2.1") -> str:
    """Those of the replies to somebody who says this and leaves."""
    protocol, transport = bench.connect(host)
    if transport.connected:
        protocol.dataReceived(octets)
        transport.loseConnection()
    lines = transport.value().decode().split("\r\n")[:-1]
    return " ".join(line[:3] for line in lines if line[3] == " ")


def test_connections(new_bench: NewBench) -> None:
    bench = new_bench(connections_per_minute=2)
    assert [codes(bench, b"", "2001:db8::1") for _ in range(3)] == ["220", "220", "421"]
    assert codes(bench, b"", "2001:db8::2") == "421"  # the same network
    assert codes(bench, b"", "2001:db8:0:1::2") == "220"
    bench.clock.advance(30)
    assert [codes(bench, b"", "2001:db8::1") for _ in range(2)] == ["220", "421"]


def test_messages(new_bench: NewBench) -> None:
    bench = new_bench(messages_per_hour=2)
    bench.services.resolver = None
    said = HELLO + MAIL + b"RSET\r\n" + MAIL + b"RSET\r\n"
    assert codes(bench, said) == "220 250 250 250 250 250"
    assert codes(bench, HELLO + MAIL + RCPT) == "220 250 451 503"
    assert codes(bench, HELLO + MAIL, "192.0.2.2") == "220 250 250"
    bench.clock.advance(1_800)
    assert codes(bench, HELLO + MAIL + b"RSET\r\n" + MAIL) == "220 250 250 250 451"


def test_recipients(new_bench: NewBench) -> None:
    bench = new_bench(recipients_per_hour=2)
    unknown = b"RCPT TO:<nobody@mx.example>\r\n"
    said = HELLO + MAIL + unknown + RCPT + unknown + RCPT + RCPT
    assert codes(bench, said) == "220 250 250 550 250 550 250 451"
    assert codes(bench, HELLO + MAIL + RCPT) == "220 250 250 451"


class Peers:
    """Processes without anything between them."""

    def __init__(self, everybody: list["Peers"]) -> None:
        self._served: dict[str, Callable[..., None]] = {}
        self._everybody = everybody
        everybody.append(self)

    def serve(self, name: str, function: Callable[..., None]) -> None:
        assert name not in self._served
        self._served[name] = function

    def tell(self, name: str, *args: object) -> None:
        for each in self._everybody:
            if each is not self:
                each._served[name](self, *args)


def test_processes_count_together(new_bench: NewBench) -> None:
    everybody: list[Peers] = []
    limits = {"connections_per_minute": 3, "messages_per_hour": 2, "recipients_per_hour": 2}
    one, other = [new_bench(peers=Peers(everybody), **limits) for _ in range(2)]
    assert codes(one, HELLO + MAIL + RCPT) == "220 250 250 250"
    assert codes(other, HELLO + MAIL + RCPT + RCPT) == "220 250 250 250 451"
    assert codes(one, HELLO + MAIL) == "220 250 451"
    assert codes(other, b"") == "421"
    assert codes(other, HELLO + MAIL + RCPT, "192.0.2.2") == "220 250 250 250"


def test_who_is_trusted_is_not_counted(new_bench: NewBench) -> None:
    trusted = Networks.parse(["192.0.2.0/24"])
    bench = new_bench(messages_per_hour=1, recipients_per_hour=1, trusted_networks=trusted)
    for _ in range(3):
        assert codes(bench, HELLO + MAIL + RCPT + RCPT) == "220 250 250 250 250"
