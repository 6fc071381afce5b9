"""Conversations that may go on with another message."""

from typing import Any

from twisted.internet.defer import Deferred

from mailhive.smtp.client import Disconnected, Refused, Session, leave
from mailhive.smtp.limits import Limits

__all__ = ["IdleSessions"]

#: Seconds that one is kept, and messages that go over one connection.
_IDLE = 5.0
_MOST_MESSAGES = 100
#: Seconds that a server has to say that it is still there.
_CHECK = 10.0


class IdleSessions:
    """Sessions by what they were opened for; each is kept a few seconds."""

    def __init__(self, reactor: Any) -> None:
        self._reactor = reactor
        self._idle: dict[Any, list[tuple[Session, Any]]] = {}

    def keep(self, target: Any, session: Session) -> None:
        """Have one for the next message to the same target."""
        # RFC 9422 §4.1: no more transactions than the server wants.
        most = Limits.of(session.extensions).transactions or _MOST_MESSAGES
        if session.messages >= min(most, _MOST_MESSAGES):
            _end(session)
            return
        alarm = self._reactor.callLater(_IDLE, self._expire, target, session)
        self._idle.setdefault(target, []).append((session, alarm))

    async def take(self, target: Any) -> Session | None:
        """One whose server is still there, if there is one."""
        while entries := self._idle.get(target):
            session, alarm = entries.pop()
            alarm.cancel()
            if not entries:
                del self._idle[target]
            try:
                # RFC 5321 §4.1.1.5: harmless, and tells whether the connection lives.
                if (await session.command("RSET", _CHECK)).code == 250:
                    return session
            except (Disconnected, Refused):
                pass
            _end(session)
        return None

    def close(self) -> None:
        """Say goodbye to all."""
        idle, self._idle = self._idle, {}
        for entries in idle.values():
            for session, alarm in entries:
                alarm.cancel()
                _end(session)

    def _expire(self, target: Any, session: Session) -> None:
        entries = self._idle.get(target, [])
        self._idle[target] = [entry for entry in entries if entry[0] is not session]
        if not self._idle[target]:
            del self._idle[target]
        _end(session)


def _end(session: Session) -> None:
    ending = Deferred.fromCoroutine(leave(session))
    ending.addBoth(lambda _: session.wire.abort("Done"))
