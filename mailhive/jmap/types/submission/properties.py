"""The properties of an EmailSubmission (RFC 8621 §7)."""

from typing import Any

from mailhive.jmap.checks import is_any, is_id, is_string, list_of, map_of, nullable, one_of
from mailhive.jmap.registry import Property

__all__ = ["PROPERTIES", "UPDATABLE"]


def _is_address(value: Any) -> bool:
    return (
        isinstance(value, dict)
        and value.keys() <= {"email", "parameters"}
        and is_string(value.get("email"))
        and nullable(map_of(is_string, nullable(is_string)))(value.get("parameters"))
    )


def _is_envelope(value: Any) -> bool:
    return (
        isinstance(value, dict)
        and value.keys() == {"mailFrom", "rcptTo"}
        and _is_address(value["mailFrom"])
        and list_of(_is_address)(value["rcptTo"])
    )


_SERVER_SET = Property(is_any, server_set=True)

PROPERTIES = {
    "id": Property(server_set=True, immutable=True),
    "identityId": Property(is_id, immutable=True, refers_to="Identity"),
    "emailId": Property(is_id, immutable=True, refers_to="Email"),
    "threadId": Property(is_id, immutable=True, server_set=True),
    "envelope": Property(nullable(_is_envelope), None, immutable=True),
    "sendAt": Property(is_any, immutable=True, server_set=True),
    "undoStatus": _SERVER_SET,
    "deliveryStatus": _SERVER_SET,
    "dsnBlobIds": _SERVER_SET,
    "mdnBlobIds": _SERVER_SET,
}

#: As they are once there is an EmailSubmission: undoStatus is set by the server on create only.
UPDATABLE = {**PROPERTIES, "undoStatus": Property(one_of(("pending", "final", "canceled")))}
