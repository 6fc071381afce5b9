"""The log as lines of JSON."""

import io
import json

from twisted.logger import FileLogObserver, Logger, LogPublisher

from mailhive.logs import json_line


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
