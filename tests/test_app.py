"""What app.py adds to the parts that it puts together."""

from twisted.logger import LogLevel, capturedLogs

from mailhive.app import report_failure
from mailhive.errors import TemporaryFailure


def test_what_cannot_be_had_now_is_a_line_without_a_traceback() -> None:
    with capturedLogs() as logs:
        report_failure("Email/get", TemporaryFailure("The mail store cannot be read now"))
    [event] = logs
    assert event["log_level"] is LogLevel.warn and "log_failure" not in event
    assert (event["method"], event["why"]) == ("Email/get", "The mail store cannot be read now")


def test_what_is_our_mistake_has_a_traceback() -> None:
    with capturedLogs() as logs:
        report_failure("Email/get", ZeroDivisionError())
    [event] = logs
    assert event["log_level"] is LogLevel.critical
    assert event["log_failure"].check(ZeroDivisionError)
