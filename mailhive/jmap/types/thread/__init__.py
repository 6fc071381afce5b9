"""Thread (RFC 8621 §3)."""

from typing import Any

from mailhive.jmap.context import Account
from mailhive.jmap.mail_capability import MAIL
from mailhive.jmap.registry import DataType, Property
from mailhive.jmap.standard.changes import changes_method
from mailhive.jmap.standard.get import get_method
from mailhive.model.email import EmailQuery

__all__ = ["DATATYPE"]

PROPERTIES = {
    "id": Property(server_set=True, immutable=True),
    "emailIds": Property(server_set=True),
}


def _fetch(
    reader: Any, account: Account, ids: list[str] | None, properties: tuple[str, ...]
) -> dict[str, dict[str, Any]]:
    threads = reader.threads(ids or ())
    if "emailIds" not in properties:
        return {i: {"id": i} for i in threads}
    return {i: {"id": i, "emailIds": email_ids} for i, email_ids in threads.items()}


def _all_ids(reader: Any, limit: int) -> list[str]:
    firsts = reader.query_emails(EmailQuery(collapse_threads=True), limit=limit).ids
    return [email.thread_id for email in reader.emails(firsts).values()]


DATATYPE = DataType(
    name="Thread",
    capability=MAIL,
    by_state=True,
    properties=PROPERTIES,
    methods={
        "Thread/get": get_method("Thread", PROPERTIES, _fetch, _all_ids),
        "Thread/changes": changes_method("Thread"),
    },
)
