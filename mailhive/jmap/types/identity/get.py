"""Identity/get (RFC 8621 §6.1)."""

from collections.abc import Mapping
from typing import Any

from mailhive.jmap.context import Account

__all__ = ["fetch", "may_delete"]


def fetch(
    reader: Any, account: Account, ids: list[str] | None, properties: tuple[str, ...]
) -> dict[str, dict[str, Any]]:
    """The identities with exactly `properties`."""
    records = reader.records("Identity", ids).values()
    primary = _primary(reader, account)
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
    return _primary(reader, account) != identity_id


def _primary(reader: Any, account: Account) -> str | None:
    records: Mapping[str, Any] = reader.records("Identity")
    email = account.owner.primary_email
    return next((i for i, record in records.items() if record.data["email"] == email), None)
