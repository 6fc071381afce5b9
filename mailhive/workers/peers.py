"""The workers of a daemon, connected to each other.

Each listens on a Unix socket in a directory of their own, and connects to those of
the others, again and again until they are there.  A worker calls on connections that
it has made, and answers on those that others have.
"""

import os
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any
from zlib import crc32

from attrs import define, field
from twisted.application.service import Service
from twisted.internet.defer import CancelledError, Deferred, fail, maybeDeferred
from twisted.internet.endpoints import UNIXClientEndpoint
from twisted.internet.error import CannotListenError
from twisted.internet.protocol import Factory
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from mailhive.errors import MailhiveError, TemporaryFailure
from mailhive.interfaces.peers import IPeers
from mailhive.workers.link import (
    Answer,
    Call,
    Hello,
    Link,
    Refusal,
    Tell,
    encode,
    encode_refusal,
)

__all__ = ["Caller", "Peers"]

#: Seconds that a call waits for a worker that is being replaced.
PATIENCE = 15.0
#: Seconds from one attempt to connect to the next.
_PAUSE = 0.05

_log = Logger()


class _Meeting:
    """The directory with the sockets of the workers, each named by its number.

    By way of a descriptor where that is possible, as the path of a socket may have
    no more than 107 octets.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)

    def path(self, index: int) -> str:
        """Where the socket of a worker is."""
        through = Path(f"/proc/self/fd/{self._descriptor}")
        return str((through if through.exists() else self._directory) / str(index))

    def close(self) -> None:
        os.close(self._descriptor)


@define(eq=False)
class Caller:
    """A process that asks."""

    index: int
    gone: Deferred[None] = field(factory=Deferred)


@implementer(IPeers)
class Peers(Service):
    """`IPeers` of worker `index` of `count`; their sockets are in `directory`."""

    def __init__(self, index: int, count: int, directory: Path, reactor: Any) -> None:
        self.index = index
        self.count = count
        self.reactor = reactor
        self._meeting = meeting = _Meeting(directory)
        self._port: Any = None
        self._functions: dict[str, Callable[..., Any]] = {}
        self._observers: list[Callable[[int], None]] = []
        self._callers: dict[Link, Caller | None] = {}  # None before they said who they are
        self._others = {
            other: _Other(other, self, meeting) for other in range(count) if other != index
        }

    @property
    def is_office(self) -> bool:
        return self.index == 0

    # IService

    def startService(self) -> None:
        super().startService()
        path = self._meeting.path(self.index)
        Path(path).unlink(missing_ok=True)  # a crash has left it
        try:
            self._port = self.reactor.listenUNIX(path, _Factory(self._link), mode=0o600)
        except CannotListenError as error:
            raise MailhiveError(f"cannot make a socket in data-dir/run: {error}") from error
        for other in self._others.values():
            other.start()

    def stopService(self) -> Any:
        """Fail what is not answered yet, and what is asked for from now on."""
        super().stopService()
        for other in self._others.values():
            other.stop()
        for link in list(self._callers):
            link.close()
        stopped: Deferred[None] = maybeDeferred(self._port.stopListening)
        return stopped.addCallback(lambda _: self._meeting.close())

    # IPeers

    def owner(self, account_id: str) -> int:
        return crc32(account_id.encode()) % self.count

    def serve(self, name: str, function: Callable[..., Any]) -> None:
        self._functions[name] = function

    def call(self, worker: int, name: str, *args: Any) -> Deferred[Any]:
        return self._others[worker].call(name, args)

    def tell(self, name: str, *args: Any) -> None:
        octets = encode(Tell(name, args))
        for other in self._others.values():
            other.tell(octets)

    def on_join(self, observer: Callable[[int], None]) -> None:
        self._observers.append(observer)

    # Answering

    def _link(self) -> Link:
        link = Link(self._received, self._lost)
        self._callers[link] = None
        return link

    def _received(self, link: Link, message: Any) -> None:
        caller = self._callers.get(link)
        if isinstance(message, Hello):
            self._callers[link] = Caller(message.index)
            link.send(encode(Hello(self.index)))
            for observer in self._observers:
                _attempt(observer, message.index)
        elif caller is None:
            link.close()
        elif isinstance(message, Tell):
            _attempt(self._functions[message.name], caller, *message.args)
        elif isinstance(message, Call):
            done = maybeDeferred(self._functions[message.name], caller, *message.args)
            done.addCallback(lambda value: encode(Answer(message.number, value)))
            done.addErrback(self._refused, message)
            done.addCallback(self._answer, link)
            done.addErrback(lambda failure: _log.failure("An answer is lost", failure))

    def _refused(self, failure: Failure, call: Call) -> bytes:
        error = failure.value
        assert error is not None
        if not isinstance(error, MailhiveError | CancelledError):
            _log.failure("{name} has failed", failure, name=call.name)
        return encode_refusal(call.number, error)

    def _answer(self, octets: bytes, link: Link) -> None:
        if link in self._callers:  # else nobody is there to hear it
            link.send(octets)

    def _lost(self, link: Link) -> None:
        caller = self._callers.pop(link)
        if caller is not None:
            caller.gone.callback(None)


def _attempt(function: Callable[..., Any], *args: Any) -> None:
    try:
        function(*args)
    except Exception:
        _log.failure("What another worker told has failed here")


@define(eq=False)
class _Waiting:
    """A call that cannot be sent yet."""

    octets: bytes
    number: int
    alarm: Any  # IDelayedCall


class _Other:
    """Another worker, as one that is called."""

    def __init__(self, index: int, peers: Peers, meeting: _Meeting) -> None:
        self._index = index
        self._peers = peers
        self._endpoint = UNIXClientEndpoint(peers.reactor, meeting.path(index))
        self._link: Link | None = None
        self._is_there = False  # has it said so?
        self._connecting: Any = None  # Deferred or IDelayedCall, to cancel
        self._running = False
        self._number = 0
        self._asked: dict[int, Deferred[Any]] = {}
        self._waiting: deque[_Waiting] = deque()

    def start(self) -> None:
        self._running = True
        self._connect()

    def stop(self) -> None:
        self._running = False
        if self._connecting is not None:
            self._connecting.cancel()
        if self._link is not None:
            self._link.close()
        self._fail("This worker stops")

    def call(self, name: str, args: tuple[Any, ...]) -> Deferred[Any]:
        if not self._running:
            return fail(TemporaryFailure("This worker stops"))
        self._number = number = self._number + 1
        try:
            octets = encode(Call(number, name, args))
        except Exception:
            return fail(Failure())
        asked: Deferred[Any] = Deferred()
        self._asked[number] = asked
        if self._is_there and self._link is not None:
            self._link.send(octets)
        else:
            alarm = self._peers.reactor.callLater(PATIENCE, self._give_up, number)
            self._waiting.append(_Waiting(octets, number, alarm))
        return asked

    def tell(self, octets: bytes) -> None:
        # Behind the Hello, on which it looks for what it was not told.
        if self._link is not None:
            self._link.send(octets)

    def _give_up(self, number: int) -> None:
        self._waiting = deque(w for w in self._waiting if w.number != number)
        why = f"Worker {self._index} is not there"
        self._asked.pop(number).errback(TemporaryFailure(why))

    def _connect(self) -> None:
        self._connecting = self._endpoint.connect(_Factory(self._made))
        self._connecting.addCallbacks(self._connected, self._not_connected)

    def _made(self) -> Link:
        return Link(self._received, self._lost)

    def _connected(self, link: Link) -> None:
        self._connecting = None
        self._link = link
        link.send(encode(Hello(self._peers.index)))

    def _not_connected(self, _: Failure) -> None:
        self._connecting = None
        if self._running:
            self._connecting = self._peers.reactor.callLater(_PAUSE, self._connect)

    def _received(self, link: Link, message: Any) -> None:
        if isinstance(message, Hello):
            self._is_there = True
            waiting, self._waiting = self._waiting, deque()
            for call in waiting:
                call.alarm.cancel()
                link.send(call.octets)
        elif isinstance(message, Answer):
            self._asked.pop(message.number).callback(message.value)
        elif isinstance(message, Refusal):
            self._asked.pop(message.number).errback(message.error())

    def _lost(self, _: Link) -> None:
        was_there, self._is_there, self._link = self._is_there, False, None
        if not self._running:
            return
        if was_there:
            self._fail(f"Worker {self._index} has ended", only_sent=True)
        self._connecting = self._peers.reactor.callLater(0 if was_there else _PAUSE, self._connect)

    def _fail(self, why: str, *, only_sent: bool = False) -> None:
        """Nobody will answer."""
        kept = {}
        if only_sent:
            kept = {w.number: self._asked[w.number] for w in self._waiting}
        else:
            for call in self._waiting:
                call.alarm.cancel()
            self._waiting.clear()
        asked, self._asked = self._asked, kept
        for number, deferred in asked.items():
            if number not in kept:
                deferred.errback(TemporaryFailure(why))


class _Factory(Factory):
    noisy = False

    def __init__(self, make: Callable[[], Link]) -> None:
        self._make = make

    def buildProtocol(self, addr: object) -> Link:  # noqa: ARG002
        return self._make()
