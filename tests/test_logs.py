"""The log as lines."""

import io
import json

import pytest
import pytest_twisted
from twisted.internet.defer import TimeoutError as DeferredTimeout
from twisted.logger import (
    FileLogObserver,
    Logger,
    LogLevel,
    LogPublisher,
    formatEventAsClassicLogText,
    globalLogPublisher,
)
from twisted.names import client, dns

from mailhive.logs import json_line, text_line


def logged(tell):
    """The lines that are written of what `tell(log)` logs."""
    file = io.StringIO()
    log = Logger(namespace="mailhive.test", observer=LogPublisher(FileLogObserver(file, json_line)))
    tell(log)
    return [json.loads(line) for line in file.getvalue().splitlines()]


def test_fields_of_an_event():
    (line,) = logged(
        lambda log: log.warn(
            "{peer} sent\n{name}", peer="192.0.2.1", name="ü", sizes=(1, 2.5), other=object
        )
    )
    assert line.pop("time").endswith("+00:00")
    assert line == {
        "level": "warn",
        "namespace": "mailhive.test",
        "message": "192.0.2.1 sent\nü",
        "peer": "192.0.2.1",
        "name": "ü",
        "sizes": [1, 2.5],
        "other": "<class 'object'>",
    }


def test_a_failure_has_its_traceback():
    def tell(log):
        try:
            raise ValueError("no")
        except ValueError:
            log.failure("it failed", time="never")

    (line,) = logged(tell)
    assert (line["level"], line["message"]) == ("critical", "it failed")
    assert "ValueError: no" in line["traceback"]
    assert line["time"] != "never"


def test_an_event_that_says_nothing_is_no_line():
    assert logged(lambda log: log.info("")) == []


def test_lines_of_text_are_those_of_twistd():
    shared = {"log_format": "{what}", "log_namespace": "mailhive.test", "log_level": LogLevel.warn}
    for what, when in (("one", 1_700_000_000.25), ("two\nlines", 1_700_000_000.75), ("", 0.0)):
        event = {**shared, "what": what, "log_time": when}
        assert text_line(event) == formatEventAsClassicLogText(event)
    assert text_line({**shared, "what": "undated"}) == "- [mailhive.test#warn] undated\n"


@pytest_twisted.ensureDeferred
async def test_questions_to_the_dns_are_not_told():
    events = []
    globalLogPublisher.addObserver(events.append)
    try:
        resolver = client.Resolver(servers=[("127.0.0.1", 9)])
        with pytest.raises(DeferredTimeout):
            await resolver.query(dns.Query("x.example", dns.MX), timeout=(0.1,))
    finally:
        globalLogPublisher.removeObserver(events.append)
    assert any(event.get("log_namespace") == "log_legacy" for event in events)
    assert not [line for event in events for line in (text_line(event), json_line(event)) if line]
