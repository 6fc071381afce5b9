"""The log of a worker, told to the supervisor, who writes it.

So there is one log, in the format and the place that the options of twistd ask for,
and one who begins a new file.  Each event is a line of JSON on its way.
"""

import json
import os
from threading import Lock
from typing import Any

from attrs import field, frozen
from twisted.logger import ILogObserver, LogLevel, formatEvent
from zope.interface import implementer

__all__ = ["Teller", "event_of"]

_PLAIN = (str, int, float, bool, type(None))
#: What Twisted adds for observers of an older kind.
_LEGACY = frozenset({"system", "format", "isError", "failure", "why", "time", "message"})


@implementer(ILogObserver)
@frozen
class Teller:
    """Writes events to a pipe; from any thread."""

    descriptor: int
    _lock: Lock = field(factory=Lock)

    def __call__(self, event: dict[str, Any]) -> None:
        failure, level = event.get("log_failure"), event.get("log_level")
        told = {
            "text": formatEvent(event),
            "time": event["log_time"],
            "namespace": event.get("log_namespace", ""),
            "system": event.get("log_system"),
            "level": level.name if level is not None else "info",
            "traceback": None if failure is None else failure.getTraceback(),
            "fields": {
                name: _value(value)
                for name, value in event.items()
                if not name.startswith("log_") and name not in _LEGACY
            },
        }
        line = json.dumps(told, ensure_ascii=False, default=str).encode("utf-8", "replace") + b"\n"
        with self._lock:
            while line:
                line = line[os.write(self.descriptor, line) :]


def _value(value: Any) -> Any:
    if isinstance(value, _PLAIN):
        return value
    if isinstance(value, list | tuple | set | frozenset):
        return [_value(item) for item in value]
    return str(value)


@frozen
class _Traceback:
    """As much of a Failure as those need who write a log."""

    text: str

    def getTraceback(self, *_: object, **__: object) -> str:
        return self.text


def event_of(line: bytes, worker: int) -> dict[str, Any]:
    """The event that a worker has told; ValueError for what is none."""
    told = json.loads(line)
    if not isinstance(told, dict) or "namespace" not in told:
        raise ValueError("no event")
    event: dict[str, Any] = {
        **told["fields"],
        "worker": worker,
        "log_format": "{log_text}",
        "log_text": told["text"],
        "log_time": told["time"],
        "log_namespace": told["namespace"],
        "log_level": LogLevel.levelWithName(told["level"]),
        "log_system": f"{told['system'] or told['namespace'] + '#' + told['level']}/{worker}",
    }
    if told["traceback"] is not None:
        event["log_failure"] = _Traceback(told["traceback"])
    return event
