"""The mailboxes of an account as a tree, and what must hold of it (RFC 8621 §2)."""

from collections.abc import Iterator, Mapping
from typing import Any

from mailhive.jmap.errors import SetError, invalid_properties
from mailhive.jmap.limits import Limits

__all__ = ["MailboxTree"]


class MailboxTree:
    """Stored mailbox documents by id.  A change is made on a copy and checked there."""

    def __init__(self, mailboxes: Mapping[str, Mapping[str, Any]]) -> None:
        self.mailboxes = dict(mailboxes)

    def __contains__(self, mailbox_id: str) -> bool:
        return mailbox_id in self.mailboxes

    def put(self, mailbox_id: str, data: Mapping[str, Any]) -> None:
        """Add or replace a mailbox, without a check."""
        self.mailboxes[mailbox_id] = data

    def remove(self, mailbox_id: str) -> None:
        """Take a mailbox away, without a check."""
        self.mailboxes.pop(mailbox_id, None)

    def has_child(self, mailbox_id: str) -> bool:
        return any(m["parentId"] == mailbox_id for m in self.mailboxes.values())

    def ancestors(self, mailbox_id: str) -> Iterator[str]:
        """The parent, its parent and so on; ends when it comes back to where it was."""
        seen = {mailbox_id}
        parent = self.mailboxes[mailbox_id]["parentId"]
        while parent is not None and parent in self.mailboxes and parent not in seen:
            seen.add(parent)
            yield parent
            parent = self.mailboxes[parent]["parentId"]

    def depth(self, mailbox_id: str) -> int:
        """0 for a mailbox at the top."""
        return sum(1 for _ in self.ancestors(mailbox_id))

    def check(self, mailbox_id: str, limits: Limits) -> None:
        """Is this mailbox all right where it is?  SetError if not."""
        data = self.mailboxes[mailbox_id]
        if len(data["name"].encode()) > limits.mailbox_name_size:
            raise invalid_properties(["name"], f"Longer than {limits.mailbox_name_size} octets")
        parent = data["parentId"]
        if parent is not None:
            self._check_place(mailbox_id, parent, limits)
        for other_id, other in self.mailboxes.items():
            if other_id == mailbox_id:
                continue
            if other["parentId"] == parent and other["name"] == data["name"]:
                raise SetError(
                    "alreadyExists",
                    "A mailbox of this name is there already",
                    existingId=other_id,
                    properties=["name"],
                )
            if data["role"] is not None and other["role"] == data["role"]:
                raise invalid_properties(["role"], f"{other_id} has this role already")

    def _check_place(self, mailbox_id: str, parent: str, limits: Limits) -> None:
        if parent not in self.mailboxes:
            raise invalid_properties(["parentId"], "There is no such mailbox")
        ancestors = list(self.ancestors(mailbox_id))
        top = ancestors[-1] if ancestors else mailbox_id
        if parent == mailbox_id or self.mailboxes[top]["parentId"] is not None:
            raise invalid_properties(["parentId"], "A mailbox cannot be within itself")
        if len(ancestors) + self._height(mailbox_id) >= limits.mailbox_depth:
            raise invalid_properties(["parentId"], f"Deeper than {limits.mailbox_depth} levels")

    def _height(self, mailbox_id: str) -> int:
        """Levels below a mailbox."""
        depths = [
            1 + list(self.ancestors(m)).index(mailbox_id)
            for m in self.mailboxes
            if mailbox_id in self.ancestors(m)
        ]
        return max(depths, default=0)

    def is_valid(self, limits: Limits) -> bool:
        """Is every mailbox all right?"""
        try:
            for mailbox_id in self.mailboxes:
                self.check(mailbox_id, limits)
        except SetError:
            return False
        return True
