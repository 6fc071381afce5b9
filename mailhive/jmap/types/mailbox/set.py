"""Mailbox/set (RFC 8621 §2.5)."""

from collections.abc import Iterable, Mapping
from typing import Any
from uuid import uuid4

from mailhive.jmap.arguments import Argument
from mailhive.jmap.checks import is_boolean
from mailhive.jmap.errors import SetError, invalid_properties
from mailhive.jmap.standard.creation_ids import resolve_object, resolve_patch
from mailhive.jmap.standard.set import SetCall, Setter
from mailhive.jmap.standard.validate import validate_create, validate_update
from mailhive.jmap.types.mailbox.get import fetch
from mailhive.jmap.types.mailbox.properties import COUNTS, PROPERTIES, rights, stored
from mailhive.jmap.types.mailbox.tree import MailboxTree
from mailhive.model.email import EmailQuery, Filing, FilterCondition

__all__ = ["EXTRA", "MailboxSetter"]

EXTRA = {"onDestroyRemoveEmails": Argument(is_boolean, False)}


class MailboxSetter(Setter):
    """Changes mailboxes one at a time.

    Names and roles must be unique at the end of the call, not in between (RFC
    8620 §5.3: two mailboxes can swap names).  So the tree that the call asks for
    is built first; only if that one is not valid is each change held against
    the state it finds.
    """

    def __init__(self, call: SetCall) -> None:
        self._call = call
        self._writer = call.writer
        self._limits = call.context.limits
        self._user = call.account.user
        self._tree = MailboxTree({i: r.data for i, r in self._writer.records("Mailbox").items()})
        self._final_is_valid = self._is_final_state_valid()

    def create(self, creation_id: str, data: dict[str, Any]) -> tuple[str, dict[str, Any]]:
        whole, added = validate_create(data, PROPERTIES)
        document = stored(whole, self._user)
        if document["role"] == "inbox":
            raise invalid_properties(["role"], "There is one inbox")
        self._check("new", document)
        mailbox_id = self._writer.create_record("Mailbox", document)
        self._tree.put(mailbox_id, document)
        counts = dict.fromkeys(COUNTS, 0)
        return mailbox_id, {**counts, "myRights": rights(document["role"]), **added}

    def update(self, object_id: str, patch: dict[str, Any]) -> dict[str, Any] | None:
        document = self._patched(object_id, patch)
        if document != self._tree.mailboxes[object_id]:
            self._check(object_id, document)
            self._writer.update_record("Mailbox", object_id, document)
            self._tree.put(object_id, document)
        return None

    def destroy(self, object_id: str) -> None:
        if self._tree.has_child(object_id):
            raise SetError("mailboxHasChild")
        self._check_destroy(object_id)
        self._remove_emails(object_id)
        self._writer.destroy_record("Mailbox", object_id)
        self._tree.remove(object_id)

    def order_destroys(self, ids: list[str]) -> Iterable[str]:
        """Children before their parents."""
        known = [i for i in ids if i in self._tree]
        return [
            *(i for i in ids if i not in self._tree),
            *sorted(known, key=self._tree.depth, reverse=True),
        ]

    def _check(self, mailbox_id: str, document: Mapping[str, Any]) -> None:
        """Hold a document against the others; SetError if it does not fit."""
        if not self._final_is_valid:
            self._tree.check_change(mailbox_id, document, self._limits)

    def _remove_emails(self, mailbox_id: str) -> None:
        # RFC 8621 §2.5: Emails in no other Mailbox are destroyed.
        in_mailbox = EmailQuery(FilterCondition((("inMailbox", mailbox_id),)))
        ids = self._writer.query_emails(in_mailbox).ids
        kept: dict[str, Filing] = {}
        for email, filing in self._writer.filings(ids).items():
            if others := tuple(m for m in filing.mailbox_ids if m != mailbox_id):
                kept[email] = Filing(others, filing.keywords)
        self._writer.update_emails(kept)
        self._writer.destroy_emails([email for email in ids if email not in kept])

    def _is_final_state_valid(self) -> bool:
        """Would every single change of the call succeed, and fit with the others?"""
        arguments = self._call.arguments
        tree = MailboxTree(self._tree.mailboxes)
        new = uuid4().hex  # nobody can name what is not there yet but by reference
        ids = {
            **self._call.context.created_ids,
            **{c: f"{new}{number}" for number, c in enumerate(arguments["create"] or ())},
        }
        try:
            for creation_id, data in (arguments["create"] or {}).items():
                whole, _ = validate_create(resolve_object(data, PROPERTIES, ids), PROPERTIES)
                tree.put(ids[creation_id], stored(whole, self._user))
            for mailbox_id, patch in (arguments["update"] or {}).items():
                patched = self._patched(mailbox_id, resolve_patch(patch, PROPERTIES, ids))
                tree.put(mailbox_id, patched)
            for mailbox_id in arguments["destroy"] or ():
                self._check_destroy(mailbox_id)
                tree.remove(mailbox_id)
        except (SetError, AttributeError):  # AttributeError: not an object
            return False
        return tree.is_valid(self._limits)

    def _patched(self, mailbox_id: str, patch: Mapping[str, Any]) -> dict[str, Any]:
        """The document after an update that is all right by itself."""
        if mailbox_id not in self._tree:
            raise SetError("notFound")
        current = fetch(self._writer, self._call.account, [mailbox_id], tuple(PROPERTIES))
        patched = validate_update(current[mailbox_id], patch, PROPERTIES)
        before = self._tree.mailboxes[mailbox_id]
        document = stored(patched, self._user, before["subscribers"])
        role = before["role"]
        if document["role"] != role and "inbox" in (document["role"], role):
            raise invalid_properties(["role"], "The inbox stays the inbox")
        return document

    def _check_destroy(self, mailbox_id: str) -> None:
        if mailbox_id not in self._tree:
            raise SetError("notFound")
        if self._tree.mailboxes[mailbox_id]["role"] == "inbox":
            raise SetError("forbidden", "The inbox cannot be destroyed")
        counts = self._writer.mailbox_counts([mailbox_id])[mailbox_id]
        if counts.total_emails and not self._call.arguments["onDestroyRemoveEmails"]:
            raise SetError("mailboxHasEmail")
