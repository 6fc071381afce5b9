"""Local delivery: a message into the inboxes of its recipients (RFC 5321 §4.4)."""

from collections.abc import Callable
from contextlib import suppress
from typing import Any

from attrs import Factory, evolve, field, frozen
from twisted.internet.defer import Deferred, DeferredList, ensureDeferred
from twisted.logger import Logger
from zope.interface import implementer

from mailhive.errors import AccountNotFound, NotFound, TemporaryFailure
from mailhive.interfaces.delivery import IDelivery
from mailhive.mail.analyses import Analyses
from mailhive.mail.postmaster import Postmaster
from mailhive.mail.provision import Accounts
from mailhive.mail.quota import OverQuota, add_within_quota
from mailhive.mail.rules import NO_RULES, Marks, Rules, details, find_mailbox
from mailhive.model.arrival import PLAIN, Arrival
from mailhive.model.email import NewEmail
from mailhive.model.envelope import Envelope, RecipientOutcome
from mailhive.model.principal import Principal

__all__ = ["Delivered", "LocalDelivery"]


@frozen
class Delivered:
    """A message that was filed into the account of a principal, for good."""

    envelope: Envelope
    email: NewEmail
    principal: Principal
    account_id: str
    email_id: str
    junk: bool = False


@implementer(IDelivery)
@frozen(eq=False)
class LocalDelivery:
    """Delivers to the accounts of a directory's principals, all of them or none.

    A peer of SMTP is told one thing for all its recipients and sends to all of
    them again if that was a failure (RFC 5321 §4.2.5), so when one account
    cannot take the message now it is taken out of the others.

    Each of `observers` is called once for every account that has the message.
    What they do has no bearing on the outcome, so they return at once.
    """

    directory: Any  # IDirectory
    accounts: Accounts
    blob_store: Any  # IBlobStore
    offload: Callable[..., Any]
    now: Callable[[], int]
    observers: tuple[Callable[[Delivered], None], ...] = ()
    rules: Rules = NO_RULES
    postmaster: Postmaster | None = None
    analyses: Analyses = Factory(
        lambda self: Analyses(self.blob_store, self.offload), takes_self=True
    )
    #: Account id to mailbox id: an inbox stays the inbox for as long as there is the account.
    _inboxes: dict[str, str] = field(init=False, factory=dict)
    _log = Logger()

    def check_recipient(
        self, address: str, size: int | None = None
    ) -> Deferred[RecipientOutcome | None]:
        return ensureDeferred(self._check_recipient(address, size or 1))

    async def _check_recipient(self, address: str, size: int) -> RecipientOutcome | None:
        """Who is over quota is told now: at the end of the message all would be put off."""
        principals = await self._recipients(address)
        if not principals:
            return RecipientOutcome(address, 550, "5.1.1", "No such recipient here")
        for principal in principals:
            if not await self._has_room(principal, size):
                return RecipientOutcome(address, 452, "4.2.2", str(OverQuota()))
        return None

    async def _recipients(self, address: str) -> tuple[Principal, ...]:
        known = self.directory if self.postmaster is None else self.postmaster
        found: tuple[Principal, ...] = await known.recipients(address)
        return found

    async def _has_room(self, principal: Principal, size: int) -> bool:
        if principal.quota is None:
            return True
        usage = 0
        account_id = await self.accounts.store.account(principal.name)
        if account_id is not None:
            with suppress(AccountNotFound):  # it is being removed
                usage = await self.accounts.store.read(account_id, _usage)
        return usage + size <= principal.quota

    def keep_sent(self, principal: Principal, blob_id: str) -> Deferred[None]:
        return ensureDeferred(self._keep_sent(principal, blob_id))

    async def _keep_sent(self, principal: Principal, blob_id: str) -> None:
        email = await self.analyses.take(blob_id, self.now())
        account_id = await self.accounts.ensure(principal)
        await self.accounts.store.write(account_id, _add_to_sent, email, principal.quota)

    def deliver(
        self, envelope: Envelope, blob_id: str, arrival: Arrival = PLAIN
    ) -> Deferred[tuple[RecipientOutcome, ...]]:
        return ensureDeferred(self._deliver(envelope, blob_id, arrival))

    async def _deliver(
        self, envelope: Envelope, blob_id: str, arrival: Arrival
    ) -> tuple[RecipientOutcome, ...]:
        try:
            reached: dict[str, tuple[Principal, list[str]]] = {}
            for address in envelope.recipients:
                principals = await self._recipients(address)
                if not principals:  # gone since RCPT: the sender will hear at the next try
                    raise TemporaryFailure(f"{address} is no longer known")
                for principal in principals:
                    reached.setdefault(principal.name, (principal, []))[1].append(address)
            email = await self.analyses.take(blob_id, self.now())
            marks = self.rules.marks(email.headers, filtered=arrival.is_filtered)
            marks = evolve(marks, is_junk=arrival.is_junk or marks.is_junk)
            filed = await self._file(email, list(reached.values()), marks)
        except OverQuota as error:
            return _all(envelope, 452, "4.2.2", str(error))
        except TemporaryFailure as error:
            self._log.warn("Delivery put off: {reason}", reason=str(error), blob=blob_id)
            return _all(envelope, 451, "4.3.0", "Cannot deliver now, try again later")
        for principal, account_id, email_id in filed:
            self._tell(Delivered(envelope, email, principal, account_id, email_id, marks.is_junk))
        return _all(envelope, 250, "2.1.5", "Delivered")

    def _tell(self, delivered: Delivered) -> None:
        for observer in self.observers:
            try:
                observer(delivered)
            except Exception:
                self._log.failure("An observer of delivery failed")

    async def _file(
        self, email: NewEmail, reached: list[tuple[Principal, list[str]]], marks: Marks
    ) -> list[tuple[Principal, str, str]]:
        """Into the account of everyone who is reached, by which of the addresses.

        When one fails, out of the others and raise why.  Returns each principal with the ids
        of account and Email.
        """
        results = await DeferredList(
            [ensureDeferred(self._file_one(email, *each, marks)) for each in reached],
            consumeErrors=True,
        )
        failures: list[Any] = [value for succeeded, value in results if not succeeded]
        if not failures:
            return [value for _, value in results]
        for succeeded, value in results:
            if succeeded:
                _, account_id, email_id = value
                with suppress(AccountNotFound):  # the account is being removed
                    await self.accounts.store.write(account_id, _destroy, email_id)
        others = [failure for failure in failures if not failure.check(OverQuota)]
        for failure in others:
            if not failure.check(TemporaryFailure, AccountNotFound):
                self._log.failure("Delivery failed", failure=failure)
        if others:  # of which nobody may know what came of them: not as when it is nowhere
            raise TemporaryFailure("store failure")
        raise failures[0].value

    async def _file_one(
        self, email: NewEmail, principal: Principal, addresses: list[str], marks: Marks
    ) -> tuple[Principal, str, str]:
        account_id = await self.accounts.ensure(principal)
        write, quota = self.accounts.store.write, principal.quota
        keywords = tuple(marks.keywords)
        if marks.is_junk:
            email_id = await write(account_id, _add_to_junk, email, quota, keywords)
            return principal, account_id, email_id
        if self.rules.subaddress_mailboxes:
            named = details(principal, addresses)
            if any(named):
                email_id = await write(account_id, _add_by_details, email, quota, keywords, named)
                return principal, account_id, email_id
        inbox, email_id = await write(
            account_id, _add_to_inbox, email, quota, keywords, self._inboxes.get(account_id)
        )
        self._inboxes[account_id] = inbox
        return principal, account_id, email_id


async def deliver_each(
    delivery: Any, envelope: Envelope, blob_id: str, arrival: Arrival = PLAIN
) -> tuple[RecipientOutcome, ...]:
    """`IDelivery.deliver` for a caller who can tell of each recipient by itself.

    To all at once, so that who is reached by two addresses gets it once; that is all or
    nothing, so after a failure to each for itself.
    """
    together: tuple[RecipientOutcome, ...] = await delivery.deliver(envelope, blob_id, arrival)
    if len(envelope.recipients) == 1 or any(outcome.code < 400 for outcome in together):
        return together
    outcomes = []
    for address, failed in zip(envelope.recipients, together, strict=True):
        try:
            alone = evolve(envelope, recipients=(address,))
            (outcome,) = await delivery.deliver(alone, blob_id, arrival)
        except TemporaryFailure:
            outcome = failed
        outcomes.append(outcome)
    return tuple(outcomes)


def _add_to_inbox(
    writer: Any, email: NewEmail, quota: int | None, keywords: tuple[str, ...], inbox: str | None
) -> tuple[str, str]:
    """The ids of the inbox, found if it is not known yet, and of the Email that is filed there."""
    if inbox is None:
        inbox = _by_role(writer)["inbox"]
    return inbox, add_within_quota(writer, email, [inbox], keywords, quota)[0]


def _add_by_details(
    writer: Any,
    email: NewEmail,
    quota: int | None,
    keywords: tuple[str, ...],
    named: frozenset[str],
) -> str:
    """The id of the Email, which is in each mailbox that a detail names, else in the inbox."""
    mailboxes = {record.id: record.data for record in writer.records("Mailbox").values()}
    inbox = _by_role(writer)["inbox"]
    places = dict.fromkeys(find_mailbox(mailboxes, detail) or inbox for detail in sorted(named))
    return add_within_quota(writer, email, list(places), keywords, quota)[0]


def _add_to_junk(writer: Any, email: NewEmail, quota: int | None, keywords: tuple[str, ...]) -> str:
    """The id of the Email; it is in the inbox if the user has no mailbox for junk."""
    mailboxes = _by_role(writer)
    mailbox = mailboxes.get("junk", mailboxes["inbox"])
    return add_within_quota(writer, email, [mailbox], {"$junk", *keywords}, quota)[0]


def _by_role(writer: Any) -> dict[str | None, str]:
    return {record.data["role"]: record.id for record in writer.records("Mailbox").values()}


def _add_to_sent(writer: Any, email: NewEmail, quota: int | None) -> None:
    mailboxes = writer.records("Mailbox").values()
    sent = next((r.id for r in mailboxes if r.data["role"] == "sent"), None)
    if sent is None:
        raise NotFound("there is no Sent mailbox")
    add_within_quota(writer, email, [sent], ("$seen",), quota)


def _usage(reader: Any) -> int:
    octets: int = reader.storage_usage()
    return octets


def _destroy(writer: Any, email_id: str) -> None:
    with suppress(NotFound):  # the user was quicker
        writer.destroy_emails([email_id])


def _all(envelope: Envelope, code: int, enhanced: str, text: str) -> tuple[RecipientOutcome, ...]:
    return tuple(RecipientOutcome(r, code, enhanced, text) for r in envelope.recipients)
