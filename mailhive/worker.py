"""One of several processes that serve connections: `python -m mailhive.worker`.

The supervisor starts it (`mailhive.workers.supervisor`) and says on its standard
input what it is to be.
"""

import os
import pickle
import signal
from collections.abc import Callable
from contextlib import suppress
from socket import socket
from typing import Any

from attrs import define
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReadDescriptor
from twisted.internet.task import LoopingCall
from twisted.logger import Logger, globalLogBeginner
from zope.interface import implementer

from mailhive.app import build_worker
from mailhive.daemon import Daemon
from mailhive.errors import MailhiveError
from mailhive.workers.peers import Peers
from mailhive.workers.supervisor import BEAT, LENGTH, STATUS, Assignment
from mailhive.workers.told import Teller

__all__ = ["main"]

_log = Logger()

#: Seconds to wait for the others, once this worker has answered what it had.
_PATIENCE = 8.0


class _Worker:
    """What the supervisor says and is told."""

    def __init__(self, assignment: Assignment, reactor: Any) -> None:
        self._reactor = reactor
        self._assignment = assignment
        self._closing: Deferred[None] = Deferred()
        peers = Peers(assignment.index, assignment.count, assignment.directory, reactor)
        self._daemon: Daemon = build_worker(assignment.config, reactor, self._sockets, peers)
        self._daemon.drained = self._drained

    def _sockets(self) -> dict[str, list[socket]]:
        return {
            name: [socket(fileno=descriptor) for descriptor in descriptors]
            for name, descriptors in self._assignment.sockets.items()
        }

    def run(self) -> None:
        """Serve until somebody says that it is enough."""
        self._daemon.startService()
        self._reactor.addSystemEventTrigger("before", "shutdown", self._daemon.stopService)
        self._reactor.callWhenRunning(self._begin)
        self._reactor.addReader(_Commands(self._heard, self._alone, self._reactor))
        self._reactor.run()

    def _begin(self) -> None:
        stop = signal.getsignal(signal.SIGTERM)

        def terminate(*args: Any) -> None:
            # The supervisor sends one, as may a service manager to all of the group.
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            assert callable(stop)
            stop(*args)

        signal.signal(signal.SIGTERM, terminate)
        self._tell("ready")
        beating = LoopingCall(self._tell, "alive")
        beating.clock = self._reactor
        beating.start(BEAT)

    def _heard(self, command: bytes) -> None:
        if command == b"reload":
            self._daemon.reload().addBoth(lambda _: self._tell("reloaded"))
        elif command == b"close" and not self._closing.called:
            self._closing.callback(None)

    def _alone(self) -> None:
        """The supervisor is gone."""
        if not self._closing.called:
            self._closing.callback(None)
        if self._daemon.running:
            self._reactor.stop()

    def _drained(self) -> Deferred[None]:
        """Wait until the others need this one no more."""
        self._tell("drained")
        waiting: Deferred[None] = Deferred()
        alarm = self._reactor.callLater(_PATIENCE, self._heard, b"close")
        self._closing.addCallback(lambda _: alarm.active() and alarm.cancel())
        self._closing.addCallback(lambda _: waiting.callback(None))
        return waiting

    def _tell(self, status: str) -> None:
        with suppress(BrokenPipeError):
            os.write(STATUS, f"{status}\n".encode())


@define(eq=False)
@implementer(IReadDescriptor)
class _Commands:
    """Reads lines from the standard input, and notices its end."""

    heard: Callable[[bytes], None]
    ended: Callable[[], None]
    reactor: Any
    _rest: bytes = b""

    def doRead(self) -> None:
        data = os.read(0, 65_536)
        if not data:
            self.reactor.removeReader(self)
            self.ended()
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            self.heard(line)

    def fileno(self) -> int:
        return 0

    def connectionLost(self, reason: object) -> None:  # noqa: ARG002
        self.ended()  # epoll tells of it so; or the reactor stops

    def logPrefix(self) -> str:
        return "supervisor"


def _read(length: int) -> bytes:
    data = b""
    while len(data) < length:
        more = os.read(0, length - len(data))
        if not more:
            raise SystemExit("the supervisor is gone")
        data += more
    return data


def main() -> None:
    from twisted.internet import reactor

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # who typed it has reached the supervisor too
    globalLogBeginner.beginLoggingTo([Teller(1)], redirectStandardIO=False)
    (length,) = LENGTH.unpack(_read(LENGTH.size))
    assignment = pickle.loads(_read(length))  # noqa: S301
    try:
        _Worker(assignment, reactor).run()
    except MailhiveError as error:
        _log.critical("Cannot start: {error}", error=str(error))
        os._exit(1)  # a plain exit would wait for threads of what has started already


if __name__ == "__main__":
    main()
