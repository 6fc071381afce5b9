"""The beginning of what goes over a connection, as a wiretap shows it."""

import zlib

from attrs import define, field

from mailhive.edge.redact import redact_json

__all__ = ["SHOWN", "Excerpt"]

#: Octets of a body, and of what one side of a connection says at a time, that are shown.
SHOWN = 16_384


@define
class Excerpt:
    """Takes octets and keeps the first of them."""

    total: int = 0
    _kept: bytearray = field(factory=bytearray)

    def add(self, data: bytes) -> None:
        """More octets."""
        self.total += len(data)
        if len(self._kept) < SHOWN:
            self._kept += data[: SHOWN - len(self._kept)]

    def text(self, media_type: str = "application/json", coding: str = "") -> str:
        """What is shown of them: text without secrets, and the size of anything else."""
        if not self.total:
            return ""
        if not _is_text(media_type) or coding not in ("", "gzip"):
            return f"[{self.total} octets of {media_type or 'no type'}]"
        data = _unzipped(self._kept) if coding else bytes(self._kept)
        shown = redact_json(data.decode("utf-8", "replace"))
        rest = self.total - len(self._kept)
        return f"{shown} [{rest} octets more]" if rest else shown


def _is_text(media_type: str) -> bool:
    essence = media_type.partition(";")[0].strip().lower()
    return essence.startswith("text/") or essence.endswith(("/json", "+json"))


def _unzipped(data: bytes | bytearray) -> bytes:
    try:
        return zlib.decompressobj(31).decompress(data, SHOWN)
    except zlib.error:
        return b""
