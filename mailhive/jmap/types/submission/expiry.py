"""Destroying EmailSubmissions that are over, after a while (RFC 8621 §7)."""

from contextlib import suppress
from typing import Any

from attrs import frozen

from mailhive.errors import NotFound
from mailhive.jmap.types.submission.reported import SUBMISSION
from mailhive.model.utcdate import parse_utc_date

__all__ = ["SubmissionExpiry"]

#: Records that are destroyed in one write.
_PAGE = 500


@frozen
class SubmissionExpiry:
    """An `mail.collector.Expiry`: destroys those whose `sendAt` is `life` seconds ago.

    Those whose message is still on its way to somebody stay.
    """

    store: Any  # IMailStore
    life: float

    async def expire(self, account_id: str, now: float) -> int:
        before = int((now - self.life) * 1000)
        destroyed = 0
        while old := await self.store.read(account_id, _old, before):
            destroyed += await self.store.write(account_id, _destroy, old)
        return destroyed


def _old(reader: Any, before: int) -> list[str]:
    """The ids of some, the oldest first."""
    records = reader.records(SUBMISSION).values()
    return [record.id for record in records if _is_over(record.data, before)][:_PAGE]


def _destroy(writer: Any, ids: list[str]) -> int:
    """What the user has destroyed meanwhile is none of ours."""
    for submission_id in ids:
        with suppress(NotFound):
            writer.destroy_record(SUBMISSION, submission_id)
    return len(ids)


def _is_over(submission: dict[str, Any], before: int) -> bool:
    return (
        parse_utc_date(submission["sendAt"]) < before
        and submission["undoStatus"] != "pending"
        and all(s["delivered"] != "queued" for s in submission["deliveryStatus"].values())
    )
