"""What reports say of EmailSubmissions (RFC 8621 §7: dsnBlobIds, mdnBlobIds, deliveryStatus).

A submission is known by its id, which its message has as ENVID unless the client gave
another one, and by the Message-ID of the message, a key of its record.

What reports say of recipients is kept apart in the record, as `reported`, so that it
outlasts what the outbox tells later.  It counts where the outbox knows no better: a report
can come from anybody who has seen the message.  What is final stays (RFC 8621 §7).
"""

from collections.abc import Iterable, Mapping
from typing import Any

from mailhive.mime.report import DeliveryReport, DispositionReport
from mailhive.model.addresses import canonical_address

__all__ = ["SUBMISSION", "as_reported", "note_delivery", "note_display"]

SUBMISSION = "EmailSubmission"

#: Reports of one submission that are kept, and how many more for each recipient.
_MOST_REPORTS = 50
_MOST_PER_RECIPIENT = 2

_DELIVERED = {"delivered": "yes", "failed": "no"}

Status = Mapping[str, str]


def as_reported(status: Status, reported: Status) -> dict[str, str]:
    """A DeliveryStatus as the outbox has it, with what reports say of the recipient."""
    if status["delivered"] == "unknown":
        return {**status, **reported}
    if status["delivered"] == "yes" and "displayed" in reported:
        return {**status, "displayed": reported["displayed"]}
    return dict(status)


def note_delivery(writer: Any, report: DeliveryReport, blob_id: str) -> None:
    """Have the submission that a delivery report is about say what it says."""
    said: list[tuple[tuple[str, ...], dict[str, str]]] = []
    for recipient in report.recipients:
        entry = {"smtpReply": recipient.reply}
        if recipient.action in _DELIVERED:
            entry["delivered"] = _DELIVERED[recipient.action]
        said.append((recipient.addresses, entry))
    found = _find(writer, report.message_id, report.envelope_id)
    _note(writer, found, said, "dsnBlobIds", blob_id)


def note_display(writer: Any, report: DispositionReport, blob_id: str) -> None:
    """The same for what a recipient's mail program reports."""
    said = [(report.addresses, {"displayed": "yes"} if report.is_displayed else {})]
    _note(writer, _find(writer, report.message_id, None), said, "mdnBlobIds", blob_id)


def _find(writer: Any, message_id: str | None, envelope_id: str | None) -> list[Any]:
    """The records of the submissions that it may be about, the likeliest first."""
    if envelope_id and (found := writer.records(SUBMISSION, [envelope_id])):
        return list(found.values())
    if not message_id:
        return []
    # One Email may have been submitted several times: of those that have another ENVID
    # it is not about any.
    records = reversed(writer.records_by_key(SUBMISSION, message_id).values())
    return [r for r in records if not envelope_id or envelope_id == _envelope_id(r)]


def _envelope_id(record: Any) -> str | None:
    parameters = record.data["envelope"]["mailFrom"]["parameters"] or {}
    return next((v for n, v in parameters.items() if n.upper() == "ENVID"), None)


def _note(
    writer: Any,
    records: Iterable[Any],
    said: Iterable[tuple[tuple[str, ...], dict[str, str]]],
    list_name: str,
    blob_id: str,
) -> None:
    """Change the first of the records that has one of the recipients."""
    for record in records:
        data = record.data
        status = data["deliveryStatus"]
        addresses = {canonical_address(address): address for address in status}
        entries: dict[str, dict[str, str]] = {}
        for known_as, entry in said:
            forms = map(canonical_address, known_as)
            if (own := next((addresses[f] for f in forms if f in addresses), None)) is not None:
                entries[own] = entry
        if entries:
            break
    else:
        return
    most = _MOST_REPORTS + _MOST_PER_RECIPIENT * len(status)
    if blob_id in data[list_name] or len(data[list_name]) >= most:
        return
    reported = dict(data.get("reported", {}))
    for address, entry in entries.items():
        before = reported.get(address, {})
        if "delivered" in before:  # that was final
            entry = {name: value for name, value in entry.items() if name == "displayed"}
        reported[address] = {**before, **entry}
    changed = {
        **data,
        "reported": reported,
        "deliveryStatus": {a: as_reported(s, reported.get(a, {})) for a, s in status.items()},
        list_name: [*data[list_name], blob_id],
    }
    writer.update_record(SUBMISSION, record.id, changed)
    writer.refer_to_blob(SUBMISSION, record.id, blob_id)
