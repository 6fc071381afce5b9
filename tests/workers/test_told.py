"""The log of a worker, as the supervisor writes it."""

import io
import json
import os

from twisted.logger import FileLogObserver, Logger, formatEventAsClassicLogText

from mailhive.logs import json_line
from mailhive.workers.told import Teller, event_of


class Unprintable:
    def __str__(self):
        return "as text"


def written(write):
    """What comes through the pipe."""
    reading, writing = os.pipe()
    try:
        write(Logger("mailhive.some", observer=Teller(writing)))
        return os.read(reading, 1_000_000).splitlines()
    finally:
        os.close(reading)
        os.close(writing)


def test_an_event_is_written_as_if_it_were_of_this_process():
    def write(log):
        log.warn("{who} did {what}\nand more", who="ünïcode", what=Unprintable(), peers=("a", 1))

    (line,) = written(write)
    event = event_of(line, 3)
    assert "[mailhive.some#warn/3] ünïcode did as text" in formatEventAsClassicLogText(event)
    told = json.loads(json_line(event))
    assert told.pop("time")
    assert told == {
        "level": "warn",
        "namespace": "mailhive.some",
        "message": "ünïcode did as text\nand more",
        "who": "ünïcode",
        "what": "as text",
        "peers": ["a", 1],
        "worker": 3,
    }


def test_a_failure_keeps_its_traceback():
    def write(log):
        try:
            raise ZeroDivisionError("a mistake")
        except ZeroDivisionError:
            log.failure("It failed")

    (line,) = written(write)
    file = io.StringIO()
    FileLogObserver(file, formatEventAsClassicLogText)(event_of(line, 0))
    assert "It failed" in file.getvalue()
    assert "ZeroDivisionError: a mistake" in file.getvalue()
    assert "a mistake" in json.loads(json_line(event_of(line, 0)))["traceback"]


def test_what_is_no_event_is_refused():
    for line in (b"", b"Fatal Python error", b"3", b"{}", b"\xff"):
        try:
            event_of(line, 0)
        except ValueError:
            continue
        raise AssertionError(line)
