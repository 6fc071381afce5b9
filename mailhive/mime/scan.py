"""Message to part tree in one pass (RFC 2045, RFC 2046 §5.1), by byte offsets.

The tree is that of RFC 8621's bodyStructure: a message/rfc822 is a leaf.  No
input is an error and none takes more than linear time and memory, for what lies
beyond a limit stays in one leaf, undivided:

- a multipart more than `MAX_DEPTH` deep is a leaf of application/octet-stream;
- so is all that follows once there are `MAX_PARTS` parts;
- of the header fields of the message, `MAX_HEADER_OCTETS` are read, and as many of
  those of all its parts together.

So what a message can be blown up to when it is shown is bounded, and lists of any
messages can be had (`mailhive.jmap.context.MAX_EMAILS`).

Boundaries are looked for in the whole message once for every multipart that is
open, with `bytes.find`.  A boundary delimiter is a line of its own, so that one
boundary may begin with another; of two that fit, the innermost counts.  One of
an outer multipart ends the inner ones, closed or not.  A multipart in which no
boundary occurs is shown as what it can only be: text/plain.
"""

import re

from mailhive.mime.encodedword import decode_words
from mailhive.mime.fields import Fields, parse_fields, split_angles, strip_comments, unfold
from mailhive.mime.params import parse_parameters
from mailhive.mime.part import Part
from mailhive.mime.transfer import decoded_size, encoding_of

__all__ = ["MAX_DEPTH", "MAX_HEADER_OCTETS", "MAX_PARTS", "header_block", "scan"]

MAX_DEPTH = 50
MAX_PARTS = 1_000
MAX_HEADER_OCTETS = 1 << 18

#: Octets of a boundary that are of use; RFC 2046 §5.1.1 allows 70.
_MAX_BOUNDARY = 1_000
_OPAQUE = "application/octet-stream"
_MEDIA_TYPE = re.compile(r"[!#$%&'*+\-.^_`{|}~0-9a-z]+/[!#$%&'*+\-.^_`{|}~0-9a-z]+")
# A header begins with a field, or with the "From " line of an mbox.
_HEADER = re.compile(rb"(?:>?From [^\n]*+\n)?[!-9;-~]++[ \t]*+:")
_BLANK_LINE = re.compile(rb"\n\r?\n")
_AFTER_BOUNDARY = re.compile(rb"(--)?[ \t]*+\r?(?:\n|\Z)")


def scan(raw: bytes) -> Part:
    """The part tree of a message; offsets refer to `raw`."""
    # Line ends are CRLF or LF, or CR in a message that has no LF at all.
    if b"\n" not in raw and b"\r" in raw:
        raw = raw.replace(b"\r", b"\n")
    return _Scanner(raw).run()


class _Open:
    """A multipart that is open, and the next delimiter line of its boundary.

    `start` is at the line feed before the delimiter, beyond the message if there
    is no such line; `end` is after its own line end.
    """

    __slots__ = ("_mark", "_pattern", "closing", "end", "part", "start")

    def __init__(self, part: Part, boundary: str) -> None:
        self.part = part
        self.start = -1
        self.end = 0
        self.closing = False
        self._mark = b"\n--" + boundary.encode("utf-8")
        self._pattern: re.Pattern[bytes] | None = None

    def seek(self, raw: bytes, position: int) -> None:
        """Find the first delimiter whose line feed is at `position` or later."""
        if self._pattern is None:
            self.start = raw.find(self._mark, position)
            if self.start < 0:
                self.start = len(raw) + 1
                return
            tail = _AFTER_BOUNDARY.match(raw, self.start + len(self._mark))
            if tail is not None:
                self.end = tail.end()
                self.closing = tail[1] is not None
                return
            # Something else begins like the boundary, and may do so often.
            self._pattern = re.compile(re.escape(self._mark) + _AFTER_BOUNDARY.pattern)
        match = self._pattern.search(raw, position)
        if match is None:
            self.start = len(raw) + 1
        else:
            self.start, self.end = match.span()
            self.closing = match[1] is not None


class _Scanner:
    def __init__(self, raw: bytes) -> None:
        self.raw = raw
        self.stack: list[_Open] = []
        self.leaf: Part | None = None  # the leaf whose end is not known yet
        self.parts = 0
        self.leaves = 0
        self.header_octets = MAX_HEADER_OCTETS

    def run(self) -> Part:
        raw = self.raw
        root = self._begin(0, "text/plain")
        self.header_octets = MAX_HEADER_OCTETS  # for the parts
        position = max(root.body_start - 1, 0)
        while self.stack:
            found = self._next_delimiter(position)
            if found is None:
                break
            self._close_until(found, self._before(found.start))
            position = found.end - 1
            if found.closing:
                self.stack.pop()
                self._end_multipart(found.part, found.end)
            elif self.parts >= MAX_PARTS:
                self._add(found, self._opaque(found.end))
                break
            else:
                digest = found.part.type == "multipart/digest"
                part = self._begin(found.end, "message/rfc822" if digest else "text/plain")
                self._add(found, part)
                position = max(part.body_start - 1, position)
        while self.stack:
            self._close_until(self.stack[-1], len(raw))
            self._end_multipart(self.stack.pop().part, len(raw))
        self._end_leaf(len(raw))
        return root

    def _next_delimiter(self, position: int) -> _Open | None:
        """The open multipart whose delimiter comes first from `position` on."""
        first: _Open | None = None
        for multipart in reversed(self.stack):
            if multipart.start < position:
                multipart.seek(self.raw, position)
            if first is None or multipart.start < first.start:
                first = multipart
        return first if first is not None and first.start < len(self.raw) else None

    def _before(self, line_feed: int) -> int:
        """Where the line ends whose line feed is there."""
        return line_feed - 1 if self.raw[line_feed - 1 : line_feed] == b"\r" else line_feed

    def _begin(self, start: int, default: str) -> Part:
        """Read the header of the part at `start`, and make the part."""
        self.parts += 1
        found = self._next_delimiter(max(start - 1, 0))
        limit = len(self.raw) if found is None else max(self._before(found.start), start)
        header_end, body_start = self._header_end(start, limit)
        block = _cut(self.raw[start:header_end], self.header_octets)
        self.header_octets -= len(block)
        part, boundary = _describe(parse_fields(block), default)
        part.header_start, part.body_start = start, body_start
        if boundary and len(self.stack) < MAX_DEPTH:
            part.sub_parts = []
            self.stack.append(_Open(part, boundary))
        else:
            if part.type.startswith("multipart/"):
                part.type = _OPAQUE if boundary else "text/plain"
            self.leaf = part
        return part

    def _header_end(self, start: int, limit: int) -> tuple[int, int]:
        """Where the header at `start` ends, and where the body begins."""
        raw = self.raw
        for blank in (b"\n", b"\r\n"):
            if raw.startswith(blank, start, limit):
                return start, start + len(blank)
        if _HEADER.match(raw, start, limit) is None:
            return start, start  # no header at all
        blank_line = _BLANK_LINE.search(raw, start, limit)
        if blank_line is None:
            return limit, limit
        return blank_line.start() + 1, blank_line.end()

    def _opaque(self, start: int) -> Part:
        self.parts += 1
        part = _part(_OPAQUE)
        part.header_start = part.body_start = start
        self.leaf = part
        return part

    @staticmethod
    def _add(parent: _Open, part: Part) -> None:
        assert parent.part.sub_parts is not None
        parent.part.sub_parts.append(part)

    def _close_until(self, multipart: _Open, end: int) -> None:
        """End at `end` what is open within `multipart`."""
        self._end_leaf(end)
        while self.stack[-1] is not multipart:
            self._end_multipart(self.stack.pop().part, end)

    def _end_leaf(self, end: int) -> None:
        if self.leaf is None:
            return
        part, self.leaf = self.leaf, None
        part.body_end = max(end, part.body_start)
        part.size = decoded_size(self.raw, part.body_start, part.body_end, part.encoding)
        self.leaves += 1
        part.part_id = str(self.leaves)

    def _end_multipart(self, part: Part, end: int) -> None:
        part.body_end = max(end, part.body_start)
        if not part.sub_parts:
            part.sub_parts = None
            part.type = "text/plain"
            part.charset = part.charset or "us-ascii"
            self.leaf = part
            self._end_leaf(part.body_end)


def header_block(raw: bytes, root: Part) -> bytes:
    """The octets of the header of a message: what `root.fields` was read from."""
    return _cut(raw[: root.body_start], MAX_HEADER_OCTETS)


def _cut(block: bytes, limit: int) -> bytes:
    """As many whole lines as fit."""
    return block if len(block) <= limit else block[: block.rfind(b"\n", 0, limit) + 1]


def _part(media_type: str) -> Part:
    return Part(
        type=media_type,
        part_id=None,
        header_start=0,
        body_start=0,
        body_end=0,
        size=0,
        encoding="n",
        unknown_encoding=False,
        charset=None,
        name=None,
        disposition=None,
        cid=None,
        language=None,
        location=None,
        fields=[],
    )


def _describe(fields: Fields, default: str) -> tuple[Part, str | None]:
    """What the header of a part says, and the boundary if it is a multipart."""
    content: dict[str, str] = {}
    for name, value in fields:
        if name[:8].lower() == "content-":
            content.setdefault(name.lower(), value)
    part = _part(default)
    part.fields = fields
    parameters: dict[str, str] = {}
    if (content_type := content.get("content-type")) is not None:
        media_type, parameters = parse_parameters(content_type)
        # RFC 2045 §5.2: one that cannot be read is as good as none.
        part.type = media_type if _MEDIA_TYPE.fullmatch(media_type) else "text/plain"
        part.charset = parameters.get("charset") or None
        part.name = parameters.get("name") or None
    if part.charset is None and part.type.startswith("text/"):
        part.charset = "us-ascii"
    if (content_disposition := content.get("content-disposition")) is not None:
        disposition, named = parse_parameters(content_disposition)
        part.disposition = disposition or None
        part.name = named.get("filename") or part.name
    if (content_id := content.get("content-id")) is not None:
        around, within = split_angles(unfold(content_id))
        part.cid = (within or around)[0].strip() or None
    if (languages := content.get("content-language")) is not None:
        tags = (tag.strip() for tag in strip_comments(unfold(languages)).split(","))
        part.language = [tag for tag in tags if tag] or None
    if (location := content.get("content-location")) is not None:
        # RFC 2557 §4.4.1: white space in it comes from folding.
        part.location = "".join(decode_words(unfold(location).strip()).split()) or None
    if part.type.startswith("multipart/"):
        boundary = parameters.get("boundary", "").rstrip()
        return part, boundary if len(boundary) <= _MAX_BOUNDARY else None
    encoding = content.get("content-transfer-encoding")
    if encoding is not None:
        letter, known = encoding_of(strip_comments(unfold(encoding)))
        part.encoding, part.unknown_encoding = letter, not known
    return part, None
