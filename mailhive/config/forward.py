"""The tables `[forward."ADDRESS"]`: mail that goes on to other addresses."""

from attrs import Attribute, field, frozen

from mailhive.config.fields import an_address, doc, each_once
from mailhive.config.problems import Found
from mailhive.model.addresses import canonical_address
from mailhive.model.paths import is_mailbox

__all__ = ["ForwardSettings", "problems"]


def _addresses(_: object, __: "Attribute[tuple[str, ...]]", values: tuple[str, ...]) -> None:
    for value in values:
        an_address(None, None, value)
    each_once(None, None, tuple(canonical_address(value) or "" for value in values))  # type: ignore[arg-type]


@frozen
class ForwardSettings:
    """Mail to the address goes to others, here and elsewhere.

    The domain of the address has to be one of this server. The table takes the place of
    whoever has the address; name the address itself in `to` for them to have it too. It is for
    sub-addresses (`list+detail@example.org`) as well, unless these have a table or somebody of
    their own.
    """

    to: tuple[str, ...] = field(
        validator=_addresses,
        metadata=doc(
            "Where it goes: addresses of users of this server, of other such tables, and of "
            "other servers, to which it goes through the queue."
        ),
    )
    sender: str | None = field(
        default=None,
        validator=an_address,
        metadata=doc(
            "Whoever takes care of the addresses, as a mailing list has somebody: what cannot "
            "be delivered to other servers is reported to this address in place of the sender's "
            "(RFC 5321 §3.9.2). Other servers see it as the sender, for SPF.",
            default="the sender, as an alias has it",
        ),
    )


def problems(tables: dict[str, ForwardSettings]) -> Found:
    """What is wrong with the addresses that have tables."""
    seen: dict[str, str] = {}
    for name in tables:
        canonical = canonical_address(name)
        if not is_mailbox(name) or canonical is None:
            yield ("forward", name), 'is no address; allowed is one such as "user@example.org"'
        elif canonical in seen:
            yield ("forward", name), f'is "{seen[canonical]}" again; allowed is each address once'
        else:
            seen[canonical] = name
    for name, table in tables.items():
        if table.sender is not None and canonical_address(table.sender) in seen:
            message = f'"{table.sender}" is forwarded itself; allowed is an address that is not'
            yield ("forward", name, "sender"), message
