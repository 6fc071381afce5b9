"""Reports that come back for what an account has sent: of delivery and of display."""

from typing import Any

from attrs import define, field
from twisted.internet.defer import Deferred
from twisted.logger import Logger

from mailhive.errors import BlobNotFound, MailhiveError
from mailhive.mail.delivery import Delivered
from mailhive.mime import structure
from mailhive.mime.part import Part
from mailhive.mime.report import delivery_report, disposition_report, report_parts
from mailhive.mime.transfer import decode

__all__ = ["ReportReader"]

#: How a stored structure begins whose root is a multipart/report.
_REPORT = b'["multipart/report",'
#: Octets of a part that are read, and reports that are at the same time.
_MOST_OCTETS = 262_144
_AT_ONCE = 100


@define(eq=False)
class ReportReader:
    """An observer of delivery, who tells `submissions` what is for an EmailSubmission.

    Anybody can write a report, so it counts only for what the account itself has sent,
    and not at all if it was filed as junk.  A crash may lose what it says; the message
    is in the mailbox nevertheless.
    """

    submissions: Any  # IReportedSubmissions
    blobs: Any  # IBlobStore
    _under_way: int = field(default=0, init=False)
    _log = Logger()

    def __call__(self, delivered: Delivered) -> None:
        if not delivered.email.structure.startswith(_REPORT) or delivered.junk:
            return
        if self._under_way >= _AT_ONCE:
            self._log.warn("Too many reports for {account}", account=delivered.account_id)
            return
        self._under_way += 1
        Deferred.fromCoroutine(self._read(delivered)).addBoth(self._end)

    def _end(self, _: object) -> None:
        self._under_way -= 1

    async def _read(self, delivered: Delivered) -> None:
        email, account_id = delivered.email, delivered.account_id
        parts = report_parts(structure.load(email.structure, email.headers))
        if parts is None:
            return
        # RFC 3464 §2: a delivery status notification has a null reverse-path.
        if parts.is_delivery and delivered.envelope.mail_from:
            return
        try:
            with self.blobs.hold():
                await self.blobs.touch(email.blob_id)
                status = await self._octets(email.blob_id, parts.status)
                if parts.is_delivery:
                    returned = await self._octets(email.blob_id, parts.returned)
                    report = delivery_report(status, returned)
                    await self.submissions.delivered(account_id, report, email.blob_id)
                else:
                    notification = disposition_report(status)
                    await self.submissions.displayed(account_id, notification, email.blob_id)
        except BlobNotFound:
            pass  # it was deleted meanwhile
        except MailhiveError as error:
            self._log.warn(
                "A report for {account} is not noted: {reason}",
                account=account_id,
                reason=str(error),
            )
        except Exception:
            self._log.failure("A report is not noted", account=account_id)

    async def _octets(self, blob_id: str, part: Part | None) -> bytes:
        """The beginning of the body of a part."""
        if part is None:
            return b""
        length = min(part.body_end - part.body_start, _MOST_OCTETS)
        return decode(await self.blobs.read(blob_id, part.body_start, length), part.encoding)
