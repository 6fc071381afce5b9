"""Email/set (RFC 8621 §4.6): drafts, flags, moves and deletions."""

from collections.abc import Collection
from functools import cached_property
from typing import Any

from msgspec import json

from mailhive.jmap.envelope import encode_json
from mailhive.jmap.errors import SetError, invalid_properties
from mailhive.jmap.standard.patch import apply_patch
from mailhive.jmap.standard.set import SetCall, Setter
from mailhive.jmap.types.email.keywords import checked_keywords, checked_mailboxes
from mailhive.jmap.types.email.properties import is_email_property
from mailhive.jmap.types.email.store_message import filed
from mailhive.jmap.types.email.view import BodyOptions, Wanted, email_object, view_of
from mailhive.mime.view import DEFAULT_BODY_PROPERTIES
from mailhive.model.email import Filing

__all__ = ["EmailSetter"]

_MUTABLE = ("mailboxIds", "keywords")
_AS_BY_DEFAULT = BodyOptions(DEFAULT_BODY_PROPERTIES)


class EmailSetter(Setter):
    """Emails are changed and destroyed all at once, at the end of the call.

    Most of a call are filed alike and get the same patch, so what comes of a patch is kept.
    """

    def __init__(self, call: SetCall) -> None:
        self._call = call
        self._writer = call.writer
        self._limits = call.context.limits
        touched = [*(call.arguments["update"] or ()), *(call.arguments["destroy"] or ())]
        #: As they are, and as they are going to be.
        self._filings: dict[str, Filing] = self._writer.filings(touched)
        self._changed: dict[str, Filing] = {}
        self._doomed: list[str] = []
        self._patched: dict[tuple[Filing, bytes], Filing] = {}

    @cached_property
    def _mailboxes(self) -> Collection[str]:
        return frozenset(self._writer.mailbox_counts())  # the cheapest way to all ids

    def create(self, creation_id: str, data: dict[str, Any]) -> tuple[str, dict[str, Any]]:
        email = self._call.prepared[creation_id]
        if isinstance(email, SetError):
            raise email
        made = filed(self._writer, self._call.account, self._limits, self._mailboxes, data, email)
        return made["id"], made

    def update(self, object_id: str, patch: dict[str, Any]) -> dict[str, Any] | None:
        filing = self._filing(object_id)
        known = filing, encode_json(patch)
        patched = self._patched.get(known)
        if patched is None:
            # Keywords compare without regard to case and are held in lower case
            # (RFC 8621 §4.1.1).
            patch = {p.lower() if p.startswith("keywords/") else p: v for p, v in patch.items()}
            changes = {p: v for p, v in patch.items() if p.partition("/")[0] in _MUTABLE}
            if len(changes) < len(patch):
                others = {p: v for p, v in patch.items() if p not in changes}
                self._check_unchanged(object_id, others)
            patched = self._apply(filing, changes)
            if len(changes) == len(patch):
                self._patched[known] = patched
        # A creation id can name the same Email again.
        self._filings[object_id] = self._changed[object_id] = patched
        return None

    def destroy(self, object_id: str) -> None:
        self._filing(object_id)
        self._doomed.append(object_id)

    def finish(self) -> None:
        self._writer.update_emails(self._changed)
        self._writer.destroy_emails(self._doomed)

    def _filing(self, email_id: str) -> Filing:
        filing = self._filings.get(email_id) or self._writer.filings([email_id]).get(email_id)
        if filing is None:
            raise SetError("notFound")
        return filing

    def _apply(self, filing: Filing, patch: dict[str, Any]) -> Filing:
        current = {
            "mailboxIds": dict.fromkeys(filing.mailbox_ids, True),
            "keywords": dict.fromkeys(filing.keywords, True),
        }
        patched = apply_patch(current, patch, {"keywords": {}})
        mailbox_ids, keywords = filing.mailbox_ids, filing.keywords
        if patched.get("mailboxIds") != current["mailboxIds"]:
            mailbox_ids = checked_mailboxes(
                patched.get("mailboxIds", {}), self._mailboxes, self._limits
            )
        if patched["keywords"] != current["keywords"]:
            keywords = checked_keywords(patched["keywords"])
        return Filing(mailbox_ids, keywords)

    def _check_unchanged(self, email_id: str, given: dict[str, Any]) -> None:
        """What cannot change may be given as it is (RFC 8620 §5.3)."""
        unknown = [name for name in given if not _is_property(name)]
        if unknown:
            raise invalid_properties(unknown, "There is no such property")
        row = self._writer.emails([email_id], summary=True, full=True)[email_id]
        email = email_object(row, view_of(row), Wanted.of(tuple(given)), _AS_BY_DEFAULT)
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
