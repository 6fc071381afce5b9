"""Accounts of principals: found, made and furnished."""

from typing import Any

from attrs import define, field

from mailhive.mail.identities import add_default_identities
from mailhive.model.principal import Principal

__all__ = ["DEFAULT_MAILBOXES", "Accounts"]

#: Name, role and sortOrder of what a new account has, the Inbox first.
DEFAULT_MAILBOXES = (
    ("Inbox", "inbox", 10),
    ("Drafts", "drafts", 20),
    ("Sent", "sent", 30),
    ("Archive", "archive", 40),
    ("Junk", "junk", 50),
    ("Trash", "trash", 60),
)

#: The record of what the members of a group were allowed when the account was last furnished.
_RIGHTS = "MembersRights"


@define
class Accounts:
    """The account of each principal in a mail store.

    An account that was made but not furnished, because the daemon stopped in
    between, is furnished when it is next asked for; so is one whose owner got
    another address, or gave its members other rights.
    """

    store: Any  # IMailStore
    #: Account id to what it was furnished for.
    _furnished: dict[str, tuple[tuple[str, ...], str]] = field(factory=dict)

    async def find(self, owner: Principal) -> str | None:
        """The account id of a principal, if it has an account."""
        account_id: str | None = await self.store.account(owner.name)
        if account_id is not None:
            await self._furnish(account_id, owner)
        return account_id

    async def ensure(self, owner: Principal) -> str:
        """The account id of a principal, whose account is made if need be."""
        account_id: str | None = await self.store.account(owner.name)
        if account_id is None:
            account_id = await self.store.create_account(owner.name)
        await self._furnish(account_id, owner)
        return account_id

    async def _furnish(self, account_id: str, owner: Principal) -> None:
        wanted = (owner.emails, owner.members_may)
        if self._furnished.get(account_id) != wanted:
            await self.store.write(account_id, _add_defaults, owner)
            self._furnished[account_id] = wanted


def _add_defaults(writer: Any, owner: Principal) -> None:
    _add_default_mailboxes(writer, owner)
    add_default_identities(writer, owner)
    _note_rights(writer, owner)


def _note_rights(writer: Any, owner: Principal) -> None:
    """Count every Mailbox as changed when other things may be done to it: see its `myRights`."""
    given = {"membersMay": owner.members_may}
    noted = next(iter(writer.records(_RIGHTS).values()), None)
    if noted is None:
        writer.create_record(_RIGHTS, given)
    elif noted.data != given:
        writer.update_record(_RIGHTS, noted.id, given)
        for mailbox in writer.records("Mailbox").values():
            writer.update_record("Mailbox", mailbox.id, mailbox.data)


def _add_default_mailboxes(writer: Any, owner: Principal) -> None:
    if writer.records("Mailbox"):
        return
    mailboxes = DEFAULT_MAILBOXES[:1] if owner.mailboxes == "inbox" else DEFAULT_MAILBOXES
    for name, role, sort_order in mailboxes:
        writer.create_record(
            "Mailbox",
            {
                "name": name,
                "parentId": None,
                "role": role,
                "sortOrder": sort_order,
                "subscribers": [owner.name],  # and nobody of a group's members
            },
        )
