"""Accounts of principals: found, made and furnished."""

from typing import Any

from attrs import define, field

__all__ = ["DEFAULT_MAILBOXES", "Accounts"]

#: Name, role and sortOrder of what a new account has.
DEFAULT_MAILBOXES = (
    ("Inbox", "inbox", 10),
    ("Drafts", "drafts", 20),
    ("Sent", "sent", 30),
    ("Archive", "archive", 40),
    ("Junk", "junk", 50),
    ("Trash", "trash", 60),
)


@define
class Accounts:
    """The account of each principal in a mail store.

    An account that was made but not furnished, because the daemon stopped in
    between, is furnished when it is next asked for.
    """

    store: Any  # IMailStore
    _furnished: set[str] = field(factory=set)

    async def find(self, name: str) -> str | None:
        """The account id of a principal, if it has an account."""
        account_id: str | None = await self.store.account(name)
        if account_id is not None:
            await self._furnish(account_id, name)
        return account_id

    async def ensure(self, name: str) -> str:
        """The account id of a principal, whose account is made if need be."""
        account_id: str = await self.store.account(name) or await self.store.create_account(name)
        await self._furnish(account_id, name)
        return account_id

    async def _furnish(self, account_id: str, name: str) -> None:
        if account_id not in self._furnished:
            await self.store.write(account_id, _add_default_mailboxes, name)
            self._furnished.add(account_id)


def _add_default_mailboxes(writer: Any, owner: str) -> None:
    if writer.records("Mailbox"):
        return
    for name, role, sort_order in DEFAULT_MAILBOXES:
        writer.create_record(
            "Mailbox",
            {
                "name": name,
                "parentId": None,
                "role": role,
                "sortOrder": sort_order,
                "subscribers": [owner],  # and nobody of a group's members
            },
        )
