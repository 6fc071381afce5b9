"""The supervisor, with workers that do as the test says."""

import pickle
import socket
from types import SimpleNamespace

import pytest
from twisted.internet.error import ProcessTerminated
from twisted.internet.task import Clock
from twisted.python.failure import Failure

from mailhive.workers import supervisor as module
from mailhive.workers.supervisor import LENGTH, STATUS, Supervisor, WorkersError


class Process:
    """The other end of the pipes of a worker."""

    def __init__(self, protocol, arguments, descriptors):
        self.protocol, self.index, self.descriptors = protocol, int(arguments[-1]), descriptors
        self.heard, self.signals = b"", []
        protocol.makeConnection(self)

    def writeToChild(self, descriptor, data):
        assert descriptor == 0
        self.heard += data

    def signalProcess(self, name):
        self.signals.append(name)

    def say(self, text):
        self.protocol.childDataReceived(STATUS, text.encode())

    def end(self):
        self.protocol.processEnded(Failure(ProcessTerminated(signal=9)))

    @property
    def assignment(self):
        if not self.heard:
            return None
        (length,) = LENGTH.unpack(self.heard[: LENGTH.size])
        return pickle.loads(self.heard[LENGTH.size : LENGTH.size + length])

    @property
    def commands(self):
        (length,) = LENGTH.unpack(self.heard[: LENGTH.size])
        return self.heard[LENGTH.size + length :].decode().split()


class Reactor(Clock):
    def __init__(self):
        super().__init__()
        self.processes = []
        self.full = False

    def callWhenRunning(self, function):
        function()

    def spawnProcess(self, protocol, executable, arguments, environment, childFDs):
        if self.full:
            raise BlockingIOError("no more processes")
        assert "NOTIFY_SOCKET" not in environment
        self.processes.append(Process(protocol, arguments, childFDs))

    def callFromThread(self, function):
        function()

    def at(self, index):
        """The last process of a worker."""
        return next(p for p in reversed(self.processes) if p.index == index)


@pytest.fixture
def reactor():
    return Reactor()


@pytest.fixture
def start(tmp_path, reactor):
    started = []

    def start(count=3):
        server = SimpleNamespace(workers=count, data_dir=tmp_path)
        config = SimpleNamespace(settings=SimpleNamespace(server=server))
        listening = socket.create_server(("127.0.0.1", 0))
        told = []
        supervisor = Supervisor(config, {"smtp": [listening]}, reactor, told.append)
        started.append((supervisor, listening))
        supervisor.startService()
        return supervisor, told

    yield start
    for supervisor, listening in started:
        if supervisor.running:
            stopping = supervisor.stopService()
            for process in reactor.processes:
                if not process.protocol.ended.called:
                    process.end()
            assert stopping.called
        listening.close()


def ready(reactor, *indexes):
    for index in indexes:
        reactor.at(index).say("ready\n")


def test_the_office_comes_first_and_readiness_is_that_of_all(start, reactor):
    _, told = start()
    assert [process.index for process in reactor.processes] == [0, 1, 2]
    assert reactor.at(0).assignment.index == 0
    assert reactor.at(1).assignment is reactor.at(2).assignment is None
    ready(reactor, 0)
    assert [reactor.at(index).assignment.index for index in (1, 2)] == [1, 2]
    assignment = reactor.at(2).assignment
    assert assignment.count == 3
    ((descriptor,),) = assignment.sockets.values()
    assert descriptor in reactor.at(2).descriptors
    ready(reactor, 1)
    assert told == []
    ready(reactor, 2)
    assert told == ["READY=1"]


def test_one_that_ends_again_and_again_is_replaced_more_and_more_slowly(start, reactor):
    start(2)
    ready(reactor, 0, 1)
    pauses = []
    for _ in range(9):
        count = len(reactor.processes)
        reactor.at(1).end()
        pause = 0.0
        while len(reactor.processes) == count:
            reactor.advance(0.25)
            pause += 0.25
        pauses.append(pause)
    assert pauses == [0.25, 0.5, 1, 2, 4, 8, 16, 30, 30]
    assert [process.index for process in reactor.processes[2:]] == [1] * 9
    reactor.advance(11)
    count = len(reactor.processes)
    reactor.at(1).end()
    reactor.advance(0)
    assert len(reactor.processes) == count + 1


def test_one_that_cannot_be_started_is_tried_again(start, reactor):
    start(2)
    ready(reactor, 0, 1)
    reactor.full = True
    reactor.at(1).end()
    reactor.advance(0)
    reactor.full = False
    reactor.advance(31)
    assert [process.index for process in reactor.processes] == [0, 1, 1]


def test_all_reload_and_replacements_too(start, reactor):
    supervisor, told = start(2)
    ready(reactor, 0, 1)
    supervisor._reload()
    assert told == ["READY=1", "RELOADING=1"]
    for index in (0, 1):
        assert reactor.at(index).commands == ["reload"]
    reactor.at(0).say("reloa")
    reactor.at(0).say("ded\n")
    assert told[-1] == "RELOADING=1"
    reactor.at(1).end()  # and will not answer
    assert told[-1] == "READY=1"
    reactor.advance(0)
    ready(reactor, 1)
    assert reactor.at(1).commands == ["reload"]


def test_the_office_closes_when_all_have_answered_what_they_had(start, reactor):
    supervisor, told = start(3)
    ready(reactor, 0, 1, 2)
    stopped = supervisor.stopService()
    assert told[-1] == "STOPPING=1"
    processes = [reactor.at(index) for index in range(3)]
    assert [process.signals for process in processes] == [["TERM"]] * 3
    for index in (0, 1):
        processes[index].say("drained\n")
    assert [process.commands for process in processes] == [[], [], []]
    processes[2].end()  # it had an end of its own
    assert [process.commands for process in processes] == [["close"], [], []]
    processes[0].end()
    assert processes[1].commands == ["close"]
    assert not stopped.called
    processes[1].end()
    assert stopped.called
    assert len(reactor.processes) == 3


def test_one_that_does_not_end_is_killed(start, reactor):
    supervisor, _ = start(2)
    ready(reactor, 0, 1)
    stopped = supervisor.stopService()
    reactor.at(0).end()
    reactor.advance(module._PATIENCE)
    assert reactor.at(1).signals == ["TERM", "KILL"]
    reactor.at(1).end()
    assert stopped.called


def test_one_that_an_operator_ends_is_let_go_and_replaced(start, reactor):
    start(2)
    ready(reactor, 0, 1)
    leaving = reactor.at(1)
    leaving.say("drained\n")
    assert leaving.commands == ["close"]
    leaving.end()
    reactor.advance(0)
    assert reactor.at(1) is not leaving


def test_a_directory_that_is_in_use_is_refused(start, tmp_path):
    start(2)
    with pytest.raises(WorkersError, match="is in use by another process"):
        start(2)
    assert (tmp_path / "run").stat().st_mode & 0o777 == 0o700


def test_who_hangs_is_killed_and_replaced(start, reactor):
    start(2)
    ready(reactor, 0, 1)
    hanging = reactor.at(1)

    def look(times):
        for _ in range(times):
            reactor.at(0).say("alive\n")
            reactor.advance(module.BEAT)

    reactor.advance(1000)  # all have stood still, as when the machine was
    look(module._SILENT - 3)
    assert hanging.signals == []
    look(3)
    assert set(hanging.signals) == {"KILL"}
    hanging.end()
    look(2 * module._SILENT)  # who starts may take its time
    assert reactor.at(1) is not hanging
    assert reactor.at(0).signals == reactor.at(1).signals == []
