"""The push state: how far a subscriber has heard, for all accounts it can see.

One opaque string for every channel (RFC 8620 §7.3 the event id, RFC 8887 §4.3.5.2
pushState): the modseq of each account.  As the state of a type is a modseq of its
account, the types that changed since are those whose state is higher.
"""

import re
from collections.abc import Mapping

__all__ = ["decode_push_state", "encode_push_state"]

_ENTRY = re.compile(r"([A-Za-z0-9_]+)-([0-9a-f]{1,16})", re.ASCII)


def encode_push_state(modseqs: Mapping[str, int]) -> str:
    """The string that stands for the modseq of each account."""
    return ".".join(f"{account}-{modseq:x}" for account, modseq in sorted(modseqs.items()))


def decode_push_state(state: str) -> dict[str, int] | None:
    """The modseq of each account; None for a string that we did not make."""
    modseqs = {}
    for entry in state.split(".") if state else ():
        match = _ENTRY.fullmatch(entry)
        if match is None:
            return None
        modseqs[match[1]] = int(match[2], 16)
    return modseqs
