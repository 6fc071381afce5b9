"""The properties of an Identity (RFC 8621 §6)."""

from typing import Any

from mailhive.jmap.checks import is_any, is_email_address, is_string, list_of, nullable
from mailhive.jmap.registry import Property
from mailhive.model.paths import is_mailbox

__all__ = ["PROPERTIES", "STORED"]


def _is_sender(value: Any) -> bool:
    """An address to send from, or `*@` and a domain."""
    return isinstance(value, str) and is_mailbox(value)


_ADDRESSES = nullable(list_of(is_email_address))

PROPERTIES = {
    "id": Property(server_set=True, immutable=True),
    "name": Property(is_string, ""),
    "email": Property(_is_sender, immutable=True),
    "replyTo": Property(_ADDRESSES, None),
    "bcc": Property(_ADDRESSES, None),
    "textSignature": Property(is_string, ""),
    "htmlSignature": Property(is_string, ""),
    "mayDelete": Property(is_any, server_set=True),
}

#: What the record of an Identity holds; the rest is computed.
STORED = ("name", "email", "replyTo", "bcc", "textSignature", "htmlSignature")
