"""Who somebody may be when they send mail: addresses, and an Identity for each.

A principal may send from its own addresses.  It may also send from addresses that
reach it and nobody else by way of these: sub-addresses (`user+detail@`), and
whatever its catch-all takes (RFC 8621 §9.6).
"""

from typing import Any

from mailhive.model.addresses import canonical_address, canonical_domain, split
from mailhive.model.principal import Principal

__all__ = ["add_default_identities", "corresponds", "may_send_as", "primary_identity"]

#: The record of which addresses an Identity was made for, whether it is still there or
#: not, and of which was the primary one then.
_MADE = "DefaultIdentities"


async def may_send_as(directory: Any, owner: Principal, address: str) -> bool:
    """May mail of the principal's account be from this address?

    `*@example.org` stands for whatever address of a domain (RFC 8621 §6); it is
    for the owner of the catch-all.  `TemporaryFailure` when that cannot be known now.
    """
    own = {canonical_address(email) for email in owner.emails}
    local, domain = split(canonical_address(address) or "")
    if not local:
        return False
    if f"{local}@{domain}" in own:
        return True
    if local == "*":
        return f"@{domain}" in own
    if f"{local.partition('+')[0]}@{domain}" in own or f"@{domain}" in own:
        reached = await directory.recipients(address)
        return [principal.name for principal in reached] == [owner.name]
    return False


def corresponds(identity: str, address: str) -> bool:
    """Is this an address that an Identity whose `email` is `identity` can send from?"""
    local, domain = split(identity)
    if local == "*":
        own = canonical_domain(domain)
        return own is not None and own == canonical_domain(split(address)[1])
    canonical = canonical_address(address)
    return canonical is not None and canonical == canonical_address(identity)


def primary_identity(reader: Any, owner: Principal) -> str | None:
    """The oldest Identity with the primary address, which is there to send with."""
    email = owner.primary_email
    records = reader.records("Identity")
    return next((i for i, record in records.items() if record.data["email"] == email), None)


def add_default_identities(writer: Any, owner: Principal) -> None:
    """Make an Identity for each address of the owner that none was made for yet.

    One that was destroyed is therefore not made again.  Those count as changed that
    are the primary one from now on, or were until now: that can be told from them.
    """
    made = next(iter(writer.records(_MADE).values()), None)
    known = [] if made is None else made.data["emails"]
    primary = None if made is None else made.data.get("primary")
    missing = {
        canonical: email
        for email in owner.emails
        if not email.startswith("@") and (canonical := canonical_address(email)) not in known
    }
    for email in missing.values():
        writer.create_record(
            "Identity",
            {
                "name": owner.description,
                "email": email,
                "replyTo": None,
                "bcc": None,
                "textSignature": "",
                "htmlSignature": "",
            },
        )
    data = {"emails": [*known, *missing], "primary": primary_identity(writer, owner)}
    if made is None:
        writer.create_record(_MADE, data)
    elif data != made.data:
        writer.update_record(_MADE, made.id, data)
        if data["primary"] != primary:
            for record in writer.records("Identity", {data["primary"], primary} - {None}).values():
                writer.update_record("Identity", record.id, record.data)
