"""The process that starts the workers, and another in place of one that ends.

It has the listening sockets, the lock on the data directory and the log, and no more.
It speaks to a worker over pipes, by lines: on its standard input, behind what it is to
run, come `reload` and `close`, and the end of the supervisor is the end of input.  A
worker tells `ready`, `reloaded` and `drained`, and again and again that it is `alive`:
one that hangs would have the others wait for it, and is killed.

Stopping has two steps, as a request that one worker is answering may need another:
all stop accepting and answer what they have; when all have, the office closes, and
then the others.
"""

import fcntl
import os
import pickle
import struct
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from signal import SIGHUP, signal
from socket import socket
from typing import Any

from attrs import define, field, frozen
from twisted.application.service import Service
from twisted.internet.defer import Deferred, DeferredList
from twisted.internet.error import ProcessExitedAlready
from twisted.internet.protocol import ProcessProtocol
from twisted.internet.task import LoopingCall
from twisted.logger import Logger, globalLogPublisher
from twisted.python.failure import Failure

from mailhive.errors import MailhiveError
from mailhive.workers.told import event_of

__all__ = ["BEAT", "LENGTH", "STATUS", "Assignment", "Supervisor", "WorkersError"]

#: The length of an assignment, which comes before it.
LENGTH = struct.Struct("!I")
#: The descriptor on which a worker tells how it stands.
STATUS = 3
#: Seconds from one sign of life of a worker to the next.
BEAT = 1.0
#: Looks, one in `BEAT`, at which a worker that runs may have given none.  They are counted
#: rather than the time, which may pass while all stand still.
_SILENT = 60
#: Seconds after which a worker that has lived so long is replaced at once.
_SETTLED = 10.0
#: Seconds until one is replaced that has not; doubled each time, up to the second.
_PAUSES = 0.5, 30.0
#: Seconds that workers have to end, from SIGTERM on.
_PATIENCE = 12.0
#: What concerns the service manager and this process only.
_NOT_INHERITED = ("NOTIFY_SOCKET", "LISTEN_FDS", "LISTEN_FDNAMES", "LISTEN_PID")

_log = Logger()


class WorkersError(MailhiveError):
    """The workers cannot be started, for a reason that the administrator can mend."""


@frozen
class Assignment:
    """What a worker is to be: pickled to its standard input, before anything else."""

    config: Any  # LoadedConfig
    index: int
    count: int
    directory: Path  # of the sockets of workers
    sockets: Mapping[str, Sequence[int]]  # descriptors, by listener


@define(eq=False)
class _Worker(ProcessProtocol):
    """One process, from its start to its end."""

    index: int
    supervisor: "Supervisor"
    began: float
    assignment: Assignment | None = None
    is_assigned: bool = False
    is_ready: bool = False
    is_drained: bool = False
    silent: int = 0  # looks since its last sign of life
    reloading: Deferred[None] | None = None
    ended: Deferred[None] = field(factory=Deferred)
    _rest: dict[int, bytes] = field(factory=dict)

    def childDataReceived(self, childFD: int, data: bytes) -> None:
        *lines, self._rest[childFD] = (self._rest.get(childFD, b"") + data).split(b"\n")
        for line in lines:
            if childFD == STATUS:
                self.supervisor.heard(self, line.decode())
            else:
                self._log(line)

    def _log(self, line: bytes) -> None:
        try:
            event = event_of(line, self.index)
        except ValueError:  # somebody has printed something
            text = line.decode("utf-8", "replace")
            _log.error("Worker {worker}: {text}", worker=self.index, text=text)
        else:
            globalLogPublisher(event)

    def assign(self) -> None:
        """Say what it is to be."""
        self.is_assigned = True
        octets = pickle.dumps(self.assignment)
        self._write(LENGTH.pack(len(octets)) + octets)

    def say(self, command: str) -> None:
        """Tell the worker; if it is there to hear it."""
        self._write(f"{command}\n".encode())

    def _write(self, octets: bytes) -> None:
        if not self.ended.called and self.transport is not None:
            self.transport.writeToChild(0, octets)

    def signal(self, name: str) -> None:
        try:
            assert self.transport is not None
            self.transport.signalProcess(name)
        except ProcessExitedAlready:
            pass

    def processEnded(self, reason: Failure) -> None:
        self.ended.callback(None)
        if self.reloading is not None:
            self.reloading.callback(None)
        self.supervisor.lost(self, reason.getErrorMessage())


class Supervisor(Service):
    """Runs `count` workers on `config`, with the `sockets` of each listener.

    `notify(state)` tells the service manager.
    """

    def __init__(
        self,
        config: Any,
        sockets: Mapping[str, Sequence[socket]],
        reactor: Any,
        notify: Callable[[str], None],
    ) -> None:
        self._config = config
        self._sockets = sockets
        self._reactor = reactor
        self._notify = notify
        server = config.settings.server
        self._count: int = server.workers
        self._data_dir: Path = server.data_dir
        self._workers: dict[int, _Worker] = {}
        self._failures = dict.fromkeys(range(self._count), 0)
        self._starting: dict[int, Any] = {}  # IDelayedCall
        self._lock: int | None = None
        self._was_ready = False
        self._reloads = 0
        self._hangup: Any = None  # what SIGHUP did before
        self._looking = LoopingCall(self._look)
        self._looking.clock = reactor

    # IService

    def startService(self) -> None:
        """Take the data directory, and begin when the reactor runs; `WorkersError`."""
        try:
            self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._directory.chmod(0o700)  # who gets in can have workers do anything
            self._lock = os.open(
                self._directory / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600
            )
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise WorkersError(
                f"{self._data_dir} is in use by another process; only one may run on a data "
                "directory."
            ) from None
        except OSError as error:
            where = error.filename or self._data_dir
            raise WorkersError(f"server.data-dir: cannot use {where}: {error.strerror}") from error
        super().startService()
        self._reactor.callWhenRunning(self._begin)

    @property
    def _directory(self) -> Path:
        return self._data_dir / "run"

    def stopService(self) -> Deferred[None]:
        """Have all workers end; fires when they have."""
        super().stopService()
        self._notify("STOPPING=1")
        if self._hangup is not None:
            signal(SIGHUP, self._hangup)
            self._hangup = None
        if self._looking.running:
            self._looking.stop()
        for alarm in self._starting.values():
            alarm.cancel()
        self._starting.clear()
        workers = list(self._workers.values())
        for worker in workers:
            worker.signal("TERM")
        alarm = self._reactor.callLater(_PATIENCE, self._cut)
        ended = DeferredList([worker.ended for worker in workers])
        return ended.addCallback(lambda _: self._close(alarm))

    def _cut(self) -> None:
        for worker in self._workers.values():
            _log.warn("Worker {worker} does not end and is killed", worker=worker.index)
            worker.signal("KILL")

    def _close(self, alarm: Any) -> None:
        if alarm.active():
            alarm.cancel()
        for opened in self._sockets.values():
            for sock in opened:
                sock.close()
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    # Workers

    def _begin(self) -> None:
        self._hangup = signal(SIGHUP, lambda *_: self._reactor.callFromThread(self._reload))
        for index in range(self._count):
            self._start(index)
        self._looking.start(BEAT)

    def _look(self) -> None:
        """Kill who hangs; its end is noticed as any."""
        for worker in self._workers.values():
            worker.silent += worker.is_ready
            if worker.silent > _SILENT:
                _log.error("Worker {worker} hangs and is killed", worker=worker.index)
                worker.signal("KILL")

    def _start(self, index: int) -> None:
        self._starting.pop(index, None)
        descriptors: dict[int, Any] = {0: "w", 1: "r", 2: "r", STATUS: "r"}
        assert self._lock is not None
        # The lock is held for as long as anybody has the file open.
        inherited = iter(range(STATUS + 1, 65_536))
        descriptors[next(inherited)] = self._lock
        sockets: dict[str, list[int]] = {}
        for name, opened in self._sockets.items():
            sockets[name] = []
            for sock in opened:
                descriptor = next(inherited)
                descriptors[descriptor] = sock.fileno()
                sockets[name].append(descriptor)
        worker = self._workers[index] = _Worker(index, self, self._reactor.seconds())
        environment = {k: v for k, v in os.environ.items() if k not in _NOT_INHERITED}
        environment["PYTHONPATH"] = os.pathsep.join(sys.path)  # the same code as here
        try:
            self._reactor.spawnProcess(
                worker,
                sys.executable,
                # The number is for who lists processes.
                [sys.executable, "-P", "-m", "mailhive.worker", str(index)],
                environment,
                childFDs=descriptors,
            )
        except OSError as error:  # too many processes, or no memory
            del self._workers[index]
            _log.error("Worker {worker} cannot be started: {why}", worker=index, why=str(error))
            self._starting[index] = self._reactor.callLater(_PAUSES[1], self._start, index)
            return
        worker.assignment = Assignment(self._config, index, self._count, self._directory, sockets)
        if index == 0 or self._was_ready:
            worker.assign()

    def heard(self, worker: _Worker, status: str) -> None:
        """What a worker has told."""
        worker.silent = 0
        if status == "ready":
            worker.is_ready = True
            if not self.running:
                return
            if self._reloads:  # it began with the configuration of the start
                worker.say("reload")
            for other in self._workers.values():
                if not other.is_assigned:  # the office comes first: it makes what there is once
                    other.assign()
            ready = sum(other.is_ready for other in self._workers.values())
            if not self._was_ready and ready == self._count:
                self._was_ready = True
                self._notify("READY=1")
        elif status == "reloaded" and worker.reloading is not None:
            done, worker.reloading = worker.reloading, None
            done.callback(None)
        elif status == "drained":
            worker.is_drained = True
            self._let_close(worker)

    def lost(self, worker: _Worker, why: str) -> None:
        """A worker has ended."""
        del self._workers[worker.index]
        if not self.running:
            self._let_close(worker)
            return
        if not self._was_ready and not worker.is_ready:
            _log.critical(
                "Cannot start: worker {worker} ended ({why})", worker=worker.index, why=why
            )
            os._exit(1)  # the others end with us
        if self._reactor.seconds() - worker.began > _SETTLED:
            self._failures[worker.index] = 0
        count = self._failures[worker.index]
        first, most = _PAUSES
        pause = min(most, first * 2 ** (count - 1)) if count else 0.0
        self._failures[worker.index] += 1
        _log.error("Worker {worker} ended and is replaced: {why}", worker=worker.index, why=why)
        self._starting[worker.index] = self._reactor.callLater(pause, self._start, worker.index)

    def _let_close(self, worker: _Worker) -> None:
        if self.running:  # it alone was told to end
            worker.say("close")
            return
        if all(other.is_drained for other in self._workers.values()):
            office = self._workers.get(0)
            for last in [office] if office is not None else list(self._workers.values()):
                last.say("close")

    # Reloading

    def _reload(self) -> None:
        """Have all workers take over a changed configuration."""
        self._reloads += 1
        self._notify("RELOADING=1")
        waiting = []
        for worker in self._workers.values():
            if worker.is_ready:
                if worker.reloading is None:
                    worker.reloading = Deferred()
                waiting.append(worker.reloading)
                worker.say("reload")
        DeferredList(waiting).addCallback(lambda _: self._notify("READY=1"))
