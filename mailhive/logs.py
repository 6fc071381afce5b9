"""The log as lines, by `log.format`: of text as twistd writes it, or of JSON.

In JSON each event is an object: `time`, `level`, `namespace`, `message`, the `traceback` of
what failed, and the fields of the event, as `peer` and `request` of a request.
"""

import json
import re
import sys
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import lru_cache
from signal import SIGUSR1, getsignal, signal
from time import localtime, strftime
from typing import Any

from twisted.logger import (
    FileLogObserver,
    ILogObserver,
    formatEvent,
    formatEventAsClassicLogText,
)
from twisted.python.logfile import LogFile

__all__ = ["json_line", "line_observer", "text_line"]

_PLAIN = (str, int, float, bool, type(None))
#: What Twisted adds for observers of an older kind.
_LEGACY = frozenset({"system", "format", "isError", "failure", "why"})
_NOISE = re.compile(
    r"DNSDatagramProtocol starting on |\(UDP Port \d+ Closed\)"
    r"|(?:Starting|Stopping) protocol <twisted\.names\.dns\."
)


def text_line(event: dict[str, Any]) -> str | None:
    """An event as twistd writes it; None for one that says nothing."""
    if _is_noise(event):
        return None
    if "log_failure" in event or "log_system" in event:
        return formatEventAsClassicLogText(event, formatTime=_time)
    message = _message(event)
    if not message:
        return None
    level = event.get("log_level")
    name = "-" if level is None else level.name
    line = f"{_time(event.get('log_time'))} [{event.get('log_namespace', '-')}#{name}] {message}"
    return line.replace("\n", "\n\t") + "\n"


def _message(event: dict[str, Any]) -> str:
    """What the event says, as Twisted has it, whose formatter also calls functions and is slow."""
    text = event.get("log_format")
    if isinstance(text, str) and "(" not in text and "log_flattened" not in event:
        try:
            return text.format_map(event)
        except Exception:  # which Twisted puts into words
            return formatEvent(event)
    return formatEvent(event)


def _is_noise(event: dict[str, Any]) -> bool:
    """Is it one of the four lines that Twisted writes for each question to the DNS?"""
    if event.get("log_namespace") != "log_legacy":
        return False
    return _NOISE.match(event.get("log_text") or "") is not None


def _time(when: float | None) -> str:
    return "-" if when is None else _second(int(when))


@lru_cache(2)
def _second(when: int) -> str:
    return strftime("%Y-%m-%dT%H:%M:%S%z", localtime(when))


def json_line(event: dict[str, Any]) -> str | None:
    """An event as one line; None for one that says nothing."""
    if _is_noise(event):
        return None
    message = _message(event)
    failure = event.get("log_failure")
    if not message and failure is None:
        return None
    fields = {
        name: _value(value)
        for name, value in event.items()
        if not name.startswith("log_") and name not in _LEGACY
    }
    level = event.get("log_level")
    fields |= {
        "time": datetime.fromtimestamp(event["log_time"], UTC).isoformat(timespec="milliseconds"),
        "level": level.name if level is not None else "info",
        "namespace": event.get("log_namespace", ""),
        "message": message,
    }
    if failure is not None:
        fields["traceback"] = failure.getTraceback()
    return json.dumps(fields, ensure_ascii=False) + "\n"


def _value(value: Any) -> Any:
    if isinstance(value, _PLAIN):
        return value
    if isinstance(value, list | tuple | set | frozenset):
        return [_value(item) for item in value]
    return str(value)


def line_observer(
    line: Callable[[dict[str, Any]], str | None], twistd: Mapping[str, Any], reactor: Any
) -> ILogObserver:
    """Writes lines where the options of twistd would have the log be written.

    As with twistd, SIGUSR1 begins a new file.
    """
    name = twistd.get("logfile")
    if name == "-" or (twistd.get("nodaemon") and not name):
        file: Any = sys.stdout
    else:
        file = LogFile.fromFullPath(name or "twistd.log")
        if not getsignal(SIGUSR1):
            signal(SIGUSR1, lambda *_: reactor.callFromThread(file.rotate))
    return FileLogObserver(file, line)
