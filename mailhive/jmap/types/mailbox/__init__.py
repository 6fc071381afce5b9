"""Mailbox (RFC 8621 §2)."""

from typing import Any

from mailhive.jmap.mail_capability import MAIL
from mailhive.jmap.registry import DataType
from mailhive.jmap.standard.changes import changes_method
from mailhive.jmap.standard.get import get_method
from mailhive.jmap.standard.set import set_method
from mailhive.jmap.types.mailbox.get import fetch
from mailhive.jmap.types.mailbox.properties import COUNTS, PROPERTIES
from mailhive.jmap.types.mailbox.query import query, query_changes
from mailhive.jmap.types.mailbox.set import EXTRA, MailboxSetter
from mailhive.model.changes import Changes

__all__ = ["DATATYPE"]


def _updated_properties(changes: Changes) -> dict[str, Any]:
    # RFC 8621 §2.2: null unless counts are all that changed.
    only_counts = (
        changes.updated
        and changes.updated == changes.only_counts
        and not changes.created
        and not changes.destroyed
    )
    return {"updatedProperties": list(COUNTS) if only_counts else None}


DATATYPE = DataType(
    name="Mailbox",
    capability=MAIL,
    by_state=True,
    properties=PROPERTIES,
    methods={
        "Mailbox/get": get_method("Mailbox", PROPERTIES, fetch),
        "Mailbox/changes": changes_method("Mailbox", _updated_properties),
        "Mailbox/query": query,
        "Mailbox/queryChanges": query_changes,
        "Mailbox/set": set_method("Mailbox", PROPERTIES, MailboxSetter, extra=EXTRA),
    },
)
