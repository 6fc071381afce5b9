"""The mailboxes of an account as a tree, and what must hold of it (RFC 8621 §2)."""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Any

from mailhive.jmap.errors import SetError, invalid_properties
from mailhive.jmap.limits import Limits

__all__ = ["MailboxTree"]

_Index = defaultdict[Any, set[str]]


class MailboxTree:
    """Stored mailbox documents by id, indexed by what has to be unique."""

    def __init__(self, mailboxes: Mapping[str, Mapping[str, Any]]) -> None:
        self.mailboxes: dict[str, Mapping[str, Any]] = {}
        self._children: _Index = defaultdict(set)  # of a parent
        self._named: _Index = defaultdict(set)  # of a parent and a name
        self._with_role: _Index = defaultdict(set)
        for mailbox_id, data in mailboxes.items():
            self.put(mailbox_id, data)

    def __contains__(self, mailbox_id: str) -> bool:
        return mailbox_id in self.mailboxes

    def put(self, mailbox_id: str, data: Mapping[str, Any]) -> None:
        """Add or replace a mailbox, without a check."""
        self.remove(mailbox_id)
        self.mailboxes[mailbox_id] = data
        self._children[data["parentId"]].add(mailbox_id)
        self._named[data["parentId"], data["name"]].add(mailbox_id)
        self._with_role[data["role"]].add(mailbox_id)

    def remove(self, mailbox_id: str) -> None:
        """Take a mailbox away, without a check."""
        data = self.mailboxes.pop(mailbox_id, None)
        if data is not None:
            self._children[data["parentId"]].discard(mailbox_id)
            self._named[data["parentId"], data["name"]].discard(mailbox_id)
            self._with_role[data["role"]].discard(mailbox_id)

    def has_child(self, mailbox_id: str) -> bool:
        return bool(self._children[mailbox_id])

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
        if others := self._named[parent, data["name"]] - {mailbox_id}:
            raise SetError(
                "alreadyExists",
                "A mailbox of this name is there already",
                existingId=min(others),
                properties=["name"],
            )
        if data["role"] is not None and (others := self._with_role[data["role"]] - {mailbox_id}):
            raise invalid_properties(["role"], f"{min(others)} has this role already")

    def check_change(self, mailbox_id: str, data: Mapping[str, Any], limits: Limits) -> None:
        """Would this mailbox be all right if it were like this?  SetError if not."""
        before = self.mailboxes.get(mailbox_id)
        self.put(mailbox_id, data)
        try:
            self.check(mailbox_id, limits)
        finally:
            self.remove(mailbox_id)
            if before is not None:
                self.put(mailbox_id, before)

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
        levels, below = 0, self._children[mailbox_id]
        while below:  # what stands below something at the top has no loop
            levels += 1
            below = {child for mailbox in below for child in self._children[mailbox]}
        return levels

    def is_valid(self, limits: Limits) -> bool:
        """Is every mailbox all right?"""
        try:
            for mailbox_id in self.mailboxes:
                self.check(mailbox_id, limits)
        except SetError:
            return False
        return True
