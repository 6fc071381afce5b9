"""Messages between two workers: pickled, behind their length.

Whoever can connect is a worker: the sockets are in a directory that only the user
can enter whom all of them run as.  So what comes in is trusted as this program is.
"""

import pickle
import struct
from collections.abc import Callable
from typing import Any

from attrs import frozen
from twisted.internet.protocol import Protocol
from twisted.python.failure import Failure

__all__ = ["Answer", "Call", "Hello", "Link", "Refusal", "Tell", "encode", "encode_refusal"]

_LENGTH = struct.Struct("!Q")


@frozen
class Hello:
    """The first message in either direction: who speaks."""

    index: int


@frozen
class Call:
    """Do something, and answer under this number."""

    number: int
    name: str
    args: tuple[Any, ...]


@frozen
class Tell:
    """Do something."""

    name: str
    args: tuple[Any, ...]


@frozen
class Answer:
    """What a call has returned."""

    number: int
    value: Any


@frozen
class Refusal:
    """What a call has raised: its class, its arguments and its attributes.

    Not itself, as pickle would call the class with the arguments of BaseException.
    """

    number: int
    kind: type[BaseException]
    args: tuple[Any, ...]
    state: dict[str, Any]

    @classmethod
    def of(cls, number: int, error: BaseException) -> "Refusal":
        return cls(number, type(error), error.args, error.__dict__)

    def error(self) -> BaseException:
        error = self.kind.__new__(self.kind, *self.args)
        error.args = self.args
        error.__dict__.update(self.state)
        return error


def encode(message: Any) -> bytes:
    """The octets of a message; raises whatever pickling raises."""
    octets = pickle.dumps(message, pickle.HIGHEST_PROTOCOL)
    return _LENGTH.pack(len(octets)) + octets


def encode_refusal(number: int, error: BaseException) -> bytes:
    """The octets of a refusal that arrives, whatever `error` holds.

    What can be pickled may still not come out of it, and would end the connection.
    """
    try:
        octets = encode(Refusal.of(number, error))
        pickle.loads(memoryview(octets)[_LENGTH.size :]).error()  # noqa: S301
    except Exception:
        return encode(Refusal.of(number, RuntimeError(f"{type(error).__name__}: {error}")))
    return octets


class Link(Protocol):
    """One connection.  `received(link, message)` and `lost(link)` hear what happens."""

    def __init__(
        self, received: Callable[["Link", Any], None], lost: Callable[["Link"], None]
    ) -> None:
        self._received = received
        self._lost = lost
        self._parts: list[bytes] = []
        self._size = 0
        self._wanted: int | None = None  # the length of the message that comes in

    def send(self, octets: bytes) -> None:
        """Send what `encode` has made."""
        assert self.transport is not None
        self.transport.write(octets)

    def close(self) -> None:
        assert self.transport is not None
        self.transport.loseConnection()

    def dataReceived(self, data: bytes) -> None:
        self._parts.append(data)
        self._size += len(data)
        if self._size < (_LENGTH.size if self._wanted is None else self._wanted):
            return
        # Parts of a large message are joined once.
        octets = memoryview(b"".join(self._parts))
        start = 0
        while True:
            if self._wanted is None:
                if len(octets) - start < _LENGTH.size:
                    break
                (self._wanted,) = _LENGTH.unpack_from(octets, start)
                start += _LENGTH.size
            if len(octets) - start < self._wanted:
                break
            message = pickle.loads(octets[start : start + self._wanted])  # noqa: S301
            start += self._wanted
            self._wanted = None
            self._received(self, message)
        rest = bytes(octets[start:])
        self._parts = [rest] if rest else []
        self._size = len(rest)

    def connectionLost(self, reason: Failure | None = None) -> None:  # noqa: ARG002
        self._lost(self)
