"""The id of a blob: `b` and the base-32 digits of the SHA-256 of its octets.

The digits are `0-9a-v` (RFC 4648 §7), so that ids sort as their digests do.
"""

import re
from base64 import b32hexencode
from functools import lru_cache

__all__ = ["digest_of", "id_of"]

_BLOB_ID = re.compile(r"b[0-9a-v]{52}", re.ASCII)


@lru_cache(1000)  # asked for more than once while a blob comes
def id_of(digest: bytes) -> str:
    """The id of the blob whose SHA-256 is `digest`."""
    return "b" + b32hexencode(digest).rstrip(b"=").lower().decode("ascii")


def digest_of(wire: str) -> bytes | None:
    """The digest that `wire` is the id of, or None if it is no id of ours.

    Each digest has one id: the unused bits of the last digit must be zero.
    """
    if _BLOB_ID.fullmatch(wire) is None:
        return None
    number = int(wire[1:], 32)  # 260 bits
    return None if number & 15 else (number >> 4).to_bytes(32, "big")
