"""Whole answers, given again for as long as nothing has changed.

Clients that poll, and pages that are loaded again, send the same request, and mostly
nothing has happened in between.  Where all its methods go by the state of accounts alone,
the answer is that of the last time; the modseqs of the accounts say whether it still is.
"""

from collections import OrderedDict
from typing import Any

from attrs import frozen

from mailhive.jmap.session import Reach

__all__ = ["LARGEST_REQUEST", "Answers", "Asked", "JmapReply", "Moment"]

#: Octets of the largest request whose answer is kept.
LARGEST_REQUEST = 8192
#: The part of the memory that one answer may take.
_SHARE = 32

#: What the one who asks can reach, and the text of the request.
Asked = tuple[Reach, bytes]
#: The modseq of each of the accounts.
Moment = tuple[int, ...]


@frozen
class JmapReply:
    """The JSON text of a Response object, and the methods called, for the log.

    It `is_complete` when no call was answered by an error.
    """

    body: bytes
    methods: tuple[str, ...]
    is_complete: bool = False


class Answers:
    """The answers given last, in at most `size` octets.  For one thread."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._weight = 0
        self._kept: OrderedDict[Asked, tuple[Moment, JmapReply]] = OrderedDict()

    def __contains__(self, asked: Any) -> bool:
        return asked in self._kept

    def find(self, asked: Asked, moment: Moment) -> JmapReply | None:
        """The answer to a request, if one is kept that holds at this moment."""
        kept = self._kept.get(asked)
        if kept is None or kept[0] != moment:
            return None
        self._kept.move_to_end(asked)
        return kept[1]

    def add(self, asked: Asked, moment: Moment, reply: JmapReply) -> None:
        """Keep an answer that held throughout a moment."""
        self._drop(asked)
        if _weight(asked, reply) <= self._size // _SHARE:
            self._kept[asked] = (moment, reply)
            self._weight += _weight(asked, reply)
        while self._weight > self._size:
            self._drop(next(iter(self._kept)))

    def _drop(self, asked: Asked) -> None:
        kept = self._kept.pop(asked, None)
        if kept is not None:
            self._weight -= _weight(asked, kept[1])


def _weight(asked: Asked, reply: JmapReply) -> int:
    return 1000 + len(asked[1]) + len(reply.body)
