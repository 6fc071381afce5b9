"""EmailSubmission/get (RFC 8621 §7.1)."""

from typing import Any

from mailhive.jmap.context import Account

__all__ = ["fetch"]


def fetch(
    reader: Any, account: Account, ids: list[str] | None, properties: tuple[str, ...]
) -> dict[str, dict[str, Any]]:
    """The submissions with exactly `properties`."""
    return {
        record.id: {name: {"id": record.id, **record.data}[name] for name in properties}
        for record in reader.records("EmailSubmission", ids).values()
    }
