"""Identity/get (RFC 8621 §6.1)."""

from typing import Any

from mailhive.jmap.context import Account
from mailhive.mail.identities import primary_identity

__all__ = ["fetch", "may_delete"]


def fetch(
    reader: Any, account: Account, ids: list[str] | None, properties: tuple[str, ...]
) -> dict[str, dict[str, Any]]:
    """The identities with exactly `properties`."""
    records = reader.records("Identity", ids).values()
    primary = primary_identity(reader, account.owner)
    return {
        record.id: {
            name: view[name]
            for view in [{"id": record.id, **record.data, "mayDelete": record.id != primary}]
            for name in properties
        }
        for record in records
    }


def may_delete(reader: Any, account: Account, identity_id: str) -> bool:
    """Not the oldest with the primary address, so that there is one to send with."""
    return primary_identity(reader, account.owner) != identity_id
