"""Trace information (RFC 5321 §4.4): the header fields a receiving server adds."""

from datetime import UTC, datetime
from email.utils import format_datetime
from ipaddress import IPv6Address, ip_address

from mailhive.smtp.events import MessageStart

__all__ = ["TraceFilter", "address_literal", "received_header", "trace_header"]

_RETURN_PATH = b"return-path:"
_RECEIVED = b"received:"


def address_literal(host: str) -> str:
    """The address literal of an IP address (RFC 5321 §4.1.3); "" for any other peer."""
    try:
        address = ip_address(host.partition("%")[0])
    except ValueError:
        return ""
    if isinstance(address, IPv6Address):
        if address.ipv4_mapped is not None:
            return f"[{address.ipv4_mapped}]"
        return f"[IPv6:{address}]"
    return f"[{address}]"


def trace_header(
    start: MessageStart, *, peer: str, hostname: str, transaction: str, now: float
) -> bytes:
    """Return-Path and Received of a message.

    `peer` is the client's address literal or "", `transaction` an id for the
    log, `now` in seconds since 1970.
    """
    received = received_header(
        start, peer=peer, hostname=hostname, transaction=transaction, now=now
    )
    return f"Return-Path: <{start.envelope.mail_from}>\r\n".encode() + received


def received_header(
    start: MessageStart, *, peer: str, hostname: str, transaction: str, now: float
) -> bytes:
    """Received alone, as a message has it that goes on."""
    envelope = start.envelope
    date = format_datetime(datetime.fromtimestamp(now, UTC))
    origin = f"from {start.hello}" + (f" ({peer})" if peer else "")
    lines = [
        f"Received: {origin}",
        f"\tby {hostname} with {start.protocol} id {transaction}",
    ]
    if len(envelope.recipients) == 1:
        # RFC 5321 §7.6: with several, `for` could disclose a blind copy.
        lines.append(f"\tfor <{envelope.recipients[0]}>")
    return ("\r\n".join(lines) + f"; {date}\r\n").encode()


class TraceFilter:
    """Passes a message through, counting its Received fields and dropping Return-Path.

    RFC 5321 §4.4: a message has one Return-Path, which the delivering server
    inserts.  Only the header is looked at, line by line; at most the beginning
    of one line is held back.
    """

    def __init__(self) -> None:
        #: Received fields so far (RFC 5321 §6.3).
        self.received = 0
        self._in_header = True
        self._at_line_start = True
        self._dropping = False
        self._held = b""

    def feed(self, data: bytes) -> bytes:
        """What to store of `data` and of what was held back before."""
        if not self._in_header:
            return data
        data = self._held + data
        self._held = b""
        kept = []
        position = 0
        while position < len(data):
            if self._at_line_start:
                start = data[position : position + len(_RETURN_PATH)]
                if len(start) < len(_RETURN_PATH) and b"\n" not in start:
                    self._held = start
                    break
                if start.startswith((b"\r\n", b"\n")):
                    self._in_header = False
                    kept.append(data[position:])
                    break
                self._begin_line(start.lower())
            end = data.find(b"\n", position) + 1 or len(data)
            self._at_line_start = data[end - 1 : end] == b"\n"
            if not self._dropping:
                kept.append(data[position:end])
            position = end
        return b"".join(kept)

    def flush(self) -> bytes:
        """What is held back when the message ends."""
        return self._held

    def _begin_line(self, start: bytes) -> None:
        if start.startswith((b" ", b"\t")):
            return  # folded: belongs to the line before
        self._dropping = start.startswith(_RETURN_PATH)
        self.received += start.startswith(_RECEIVED)
