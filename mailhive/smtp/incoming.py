"""The content of a message as it comes in, by DATA or in chunks (RFC 5321 §4.1.1.4, RFC 3030).

Its end is told in a step of its own, when the owner has seen all of the content and has
had its chance to find fault with it.
"""

from attrs import define, frozen

from mailhive.smtp.content import Chunk, DotStuffed, Message
from mailhive.smtp.events import MessageData, MessageRefused
from mailhive.smtp.lines import InputBuffer
from mailhive.smtp.replies import SmtpReply

__all__ = ["Ended", "Incoming"]


@frozen
class Ended:
    """The message is complete, or of no use for this `fault`."""

    fault: SmtpReply | None


@define(eq=False)
class Incoming:
    """One message at a time, from `begin_data` or `begin_chunks` until it ends or `forget`."""

    _input: InputBuffer
    _size_limit: int | None
    _message: Message | None = None
    _data: DotStuffed | None = None  # reading the content of DATA
    _chunk: Chunk | None = None  # reading the content of BDAT

    @property
    def receiving(self) -> bool:
        """Is it content, rather than a command, that comes next?"""
        return self._data is not None or self._chunk is not None

    @property
    def has_message(self) -> bool:
        """Was a message begun that has not failed between its chunks?"""
        return self._message is not None

    def begin_data(self) -> None:
        """A message comes up to CRLF.CRLF."""
        self._message = Message(self._size_limit)
        self._data = DotStuffed()

    def begin_chunks(self, chunk: Chunk, fault: SmtpReply | None) -> None:
        """A message comes in chunks, this one first; with a fault it is only read."""
        self._message = Message(self._size_limit, fault=fault)
        self._chunk = chunk

    def take_chunk(self, chunk: Chunk) -> None:
        """The next chunk, or one that is to be skipped, comes."""
        self._chunk = chunk

    def refuse(self, reply: SmtpReply) -> None:
        """Find fault with the message; the first fault counts."""
        if self._message is not None and self._message.fault is None:
            self._message.fault = reply

    def forget(self) -> None:
        """There is no message any more, nor content of one."""
        self._message = self._data = self._chunk = None

    def step(self) -> MessageData | MessageRefused | Ended | SmtpReply | None:
        """What comes next: an event, the end, a reply to a chunk; None: more input is needed."""
        while True:
            if self._data is not None:
                if self._data.ended:
                    self._data = None
                    return self._end()
                if not self._input:
                    return None
                content, rest = self._data.feed(self._input.take())
                self._input.receive(rest)
            else:
                chunk = self._chunk
                assert chunk is not None
                if not chunk.remaining:
                    self._chunk = None
                    return self._end_chunk(chunk)
                if not self._input:
                    return None
                content = self._input.take(chunk.remaining)
                chunk.remaining -= len(content)
                if chunk.refusal is not None:
                    continue
            if (event := self._feed(content)) is not None:
                return event

    def _feed(self, content: bytes) -> MessageData | MessageRefused | None:
        message = self._message
        assert message is not None
        if not content or message.fault is not None:
            return None
        fault = message.feed(content)
        return MessageRefused(fault) if fault else MessageData(content)

    def _end_chunk(self, chunk: Chunk) -> SmtpReply | Ended:
        if chunk.refusal is not None:
            return chunk.refusal
        if chunk.last:
            return self._end()
        if self._message is not None and self._message.fault is not None:
            # RFC 3030 §2: the message has failed; chunks that follow get 503.
            fault, self._message = self._message.fault, None
            return Ended(fault)
        return SmtpReply(250, "2.0.0", f"{chunk.size} octets received")

    def _end(self) -> Ended:
        assert self._message is not None
        return Ended(self._message.end())
