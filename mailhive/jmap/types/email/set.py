"""Email/set (RFC 8621 §4.6): drafts, flags, moves and deletions."""

from collections.abc import Iterable
from typing import Any

from msgspec import json

from mailhive.jmap.envelope import encode_json
from mailhive.jmap.errors import SetError, invalid_properties
from mailhive.jmap.standard.patch import apply_patch
from mailhive.jmap.standard.set import SetCall
from mailhive.jmap.types.email.keywords import checked_keywords, checked_mailboxes
from mailhive.jmap.types.email.properties import is_email_property
from mailhive.jmap.types.email.store_message import filed
from mailhive.jmap.types.email.view import BodyOptions, Wanted, email_object, view_of
from mailhive.mime.view import DEFAULT_BODY_PROPERTIES
from mailhive.model.email import EmailRow

__all__ = ["EmailSetter"]

_MUTABLE = ("mailboxIds", "keywords")
_AS_BY_DEFAULT = BodyOptions(DEFAULT_BODY_PROPERTIES)


class EmailSetter:
    """Changes Emails one at a time; rows and mailboxes are read once for the call."""

    def __init__(self, call: SetCall) -> None:
        self._call = call
        self._writer = call.writer
        self._limits = call.context.limits
        self._mailboxes = frozenset(self._writer.mailbox_counts())  # the cheapest way to all ids
        touched = [*(call.arguments["update"] or ()), *(call.arguments["destroy"] or ())]
        self._rows: dict[str, EmailRow] = self._writer.emails(touched)

    def create(self, creation_id: str, data: dict[str, Any]) -> tuple[str, dict[str, Any]]:
        email = self._call.prepared[creation_id]
        if isinstance(email, SetError):
            raise email
        made = filed(self._writer, self._call.account, self._limits, self._mailboxes, data, email)
        return made["id"], made

    def update(self, object_id: str, patch: dict[str, Any]) -> dict[str, Any] | None:
        row = self._row(object_id)
        current = {
            "mailboxIds": dict.fromkeys(row.mailbox_ids, True),
            "keywords": dict.fromkeys(row.keywords, True),
        }
        # Keywords compare without regard to case and are held in lower case (RFC 8621 §4.1.1).
        patch = {p.lower() if p.startswith("keywords/") else p: v for p, v in patch.items()}
        changes = {p: v for p, v in patch.items() if p.partition("/")[0] in _MUTABLE}
        if len(changes) < len(patch):
            self._check_unchanged(object_id, {p: v for p, v in patch.items() if p not in changes})
        patched = apply_patch(current, changes, {"keywords": {}})
        mailbox_ids, keywords = row.mailbox_ids, row.keywords
        if patched.get("mailboxIds") != current["mailboxIds"]:
            mailbox_ids = checked_mailboxes(
                patched.get("mailboxIds", {}), self._mailboxes, self._limits
            )
        if patched["keywords"] != current["keywords"]:
            keywords = checked_keywords(patched["keywords"])
        self._writer.update_email(object_id, mailbox_ids=mailbox_ids, keywords=keywords)
        self._rows.pop(object_id, None)  # a creation id can name the same Email again
        return None

    def destroy(self, object_id: str) -> None:
        self._row(object_id)
        self._writer.destroy_email(object_id)

    def order_destroys(self, ids: list[str]) -> Iterable[str]:
        return ids

    def _row(self, email_id: str) -> EmailRow:
        row = self._rows.get(email_id) or self._writer.emails([email_id]).get(email_id)
        if row is None:
            raise SetError("notFound")
        return row

    def _check_unchanged(self, email_id: str, given: dict[str, Any]) -> None:
        """What cannot change may be given as it is (RFC 8620 §5.3)."""
        unknown = [name for name in given if not _is_property(name)]
        if unknown:
            raise invalid_properties(unknown, "There is no such property")
        row = self._writer.emails([email_id], summary=True, full=True)[email_id]
        email = email_object(row, view_of(row), Wanted.of(given), _AS_BY_DEFAULT)
        current = json.decode(encode_json(email))
        # Of bodyValues there is no current value: it depends on how it is asked for.
        wrong = [n for n, v in given.items() if n == "bodyValues" or current[n] != v]
        if wrong:
            raise invalid_properties(wrong, "Only mailboxIds and keywords can change")


def _is_property(name: str) -> bool:
    try:
        return is_email_property(name)
    except ValueError:
        return False
