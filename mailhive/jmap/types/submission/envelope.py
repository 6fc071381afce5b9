"""Who an EmailSubmission goes to and comes from, and whether it may (RFC 8621 §7, §7.5)."""

from itertools import chain
from typing import Any

from mailhive.jmap.context import Account, Context
from mailhive.jmap.errors import SetError, invalid_properties
from mailhive.jmap.types.submission.parameters import (
    Hold,
    ParameterError,
    mail_parameters,
    recipient_parameters,
)
from mailhive.mail.identities import corresponds, may_send_as
from mailhive.mime.view import EmailView
from mailhive.model.addresses import canonical_address, split
from mailhive.model.envelope import Envelope
from mailhive.model.paths import is_mailbox

__all__ = ["check_authority", "check_email", "check_recipients", "make_envelope", "route_of"]


def check_email(email: EmailView) -> None:
    """Is it clear who it is from?  `SetError` invalidEmail.

    RFC 5322 §3.6.2 and RFC 8621 §7 agree: one From field, and one Sender with one
    address if there are several in From.
    """
    senders, authors = _addresses(email, "Sender"), _addresses(email, "From")
    wrong = []
    if not _is_one_field(authors, several=bool(senders)):
        wrong.append("from")
    if senders and not _is_one_field(senders, several=False):
        wrong.append("sender")
    if wrong:
        raise SetError("invalidEmail", "There must be one From and one sender", properties=wrong)


def make_envelope(given: dict[str, Any] | None, email: EmailView, identity: str) -> dict[str, Any]:
    """The envelope that was given, or else the one that follows from the Email.

    `identity` is the address of the Identity.
    """
    if given is None:
        sender = (_addresses(email, "Sender") or _addresses(email, "From"))[-1][0]
        if not corresponds(identity, sender):
            sender = identity
        unique: dict[str, str] = {}
        for field in ("To", "Cc", "Bcc"):
            for address in chain.from_iterable(_addresses(email, field)):
                unique.setdefault(canonical_address(address) or address, address)
        return {"mailFrom": _address(sender), "rcptTo": [*map(_address, unique.values())]}
    return {
        "mailFrom": _address(**given["mailFrom"]),
        "rcptTo": [_address(**recipient) for recipient in given["rcptTo"]],
    }


def route_of(envelope: dict[str, Any], hold: Hold) -> tuple[Envelope, int | None]:
    """The envelope for the outbox, and the time before which the message is not to go.

    `SetError` for parameters that are wrong, or of no submission extension that is
    shown (RFC 8621 §1.3.2).
    """
    sender, send_at = envelope["mailFrom"], None
    parameters: dict[str, str | None] = {}
    recipients: dict[str, dict[str, str | None]] = {}
    wrong, why = [], []
    try:
        parameters, send_at = mail_parameters(sender["parameters"] or {}, hold)
    except ParameterError as error:
        wrong.append("envelope/mailFrom/parameters")
        why.append(str(error))
    for number, recipient in enumerate(envelope["rcptTo"]):
        try:
            given = recipient_parameters(recipient["parameters"] or {})
        except ParameterError as error:
            wrong.append(f"envelope/rcptTo/{number}/parameters")
            why.append(str(error))
        else:
            recipients.setdefault(recipient["email"], given)
    if wrong:
        raise invalid_properties(wrong, why[0])
    with_parameters = {address: given for address, given in recipients.items() if given}
    everyone = tuple(recipient["email"] for recipient in envelope["rcptTo"])
    return Envelope(sender["email"], everyone, parameters, with_parameters), send_at


async def check_recipients(context: Context, envelope: Envelope) -> None:
    """`SetError` noRecipients, tooManyRecipients or invalidRecipients.

    An address of a domain of this server that nobody has is as invalid as one
    that is no address.
    """
    if not envelope.recipients:
        raise SetError("noRecipients")
    most = context.limits.recipients
    if len(envelope.recipients) > most:
        raise SetError(
            "tooManyRecipients", f"A message may have {most} recipients", maxRecipients=most
        )
    invalid = [a for a in envelope.recipients if not await _can_receive(context, a)]
    if invalid:
        raise SetError("invalidRecipients", invalidRecipients=invalid)


async def check_authority(
    context: Context, account: Account, envelope: Envelope, email: EmailView, identity: str
) -> None:
    """May the account send this?  `SetError` forbiddenToSend, forbiddenFrom or forbiddenMailFrom.

    Everybody in From has to be covered by the Identity, and the owner of the
    account to have a right to it still (RFC 8621 §9.6).
    """
    owner, directory = account.owner, context.directory
    if not owner.emails:
        raise SetError("forbiddenToSend", f"{account.name} has no address to send from")
    for author in _addresses(email, "From")[-1]:
        if not corresponds(identity, author) or not await may_send_as(directory, owner, author):
            raise SetError("forbiddenFrom", f"{author} is not the address of the identity")
    sender = envelope.mail_from
    if sender and not await may_send_as(directory, owner, sender):
        raise SetError("forbiddenMailFrom", f"{account.name} may not send from {sender}")


async def _can_receive(context: Context, address: str) -> bool:
    if not is_mailbox(address):
        return False
    if not await context.directory.is_local_domain(split(address)[1]):
        return True
    refusal = await context.delivery.check_recipient(address)
    return refusal is None or refusal.code < 500  # there may be room later


def _addresses(email: EmailView, field: str) -> list[list[str]]:
    """The addresses of each header field of that name."""
    found = email[f"header:{field}:asAddresses:all"]
    return [[address["email"] for address in addresses] for addresses in found]


def _is_one_field(fields: list[list[str]], *, several: bool) -> bool:
    """Is this one field, of one address or `several`?"""
    if len(fields) != 1 or not fields[0]:
        return False
    return (several or len(fields[0]) == 1) and all(map(is_mailbox, fields[0]))


def _address(email: str, parameters: dict[str, str | None] | None = None) -> dict[str, Any]:
    return {"email": email, "parameters": parameters or None}
