"""Whom mail reaches in the end, where addresses stand for others (RFC 5321 §3.9)."""

from collections.abc import Callable, Mapping
from typing import Any

from attrs import define, field, frozen

from mailhive.config.forward import ForwardSettings
from mailhive.model.addresses import canonical_address, split

__all__ = ["Forwards", "Reach"]


@frozen
class Reach:
    """Where mail for an address goes in the end.

    `elsewhere` has addresses of other servers by the sender that they are sent to from,
    None: the original one.  `is_expanded`: an alias of several is among what it stands for,
    and not behind a list (RFC 3461 §5.2.7).
    """

    here: tuple[str, ...]
    elsewhere: Mapping[str | None, tuple[str, ...]]
    is_expanded: bool = False

    @property
    def is_renamed(self) -> bool:
        """Is it an alias of a single recipient elsewhere, who reports for it then?"""
        return not self.here and {by: len(to) for by, to in self.elsewhere.items()} == {None: 1}


def _keyed(tables: Mapping[str, ForwardSettings]) -> dict[str, ForwardSettings]:
    """By canonical addresses."""
    return {canonical_address(name) or name: table for name, table in tables.items()}


@define(eq=False)
class Forwards:
    """The addresses that stand for others, as `tables` say.

    So do their sub-addresses (`user+detail@`, RFC 5233), those aside that have a table or
    somebody of the directory of their own.
    """

    directory: Any  # IDirectory
    tables: Mapping[str, ForwardSettings] = field(factory=dict, converter=_keyed)

    def prepare(self, tables: Mapping[str, ForwardSettings]) -> Callable[[], None]:
        """What it returns puts other tables in force (`mailhive.reload`)."""

        def use() -> None:
            self.tables = tables

        return use

    async def reach(self, address: str) -> Reach | None:
        """Where mail for an address goes; None if it does not stand for others.

        `TemporaryFailure` if that cannot be known now.
        """
        if await self._name(address) is None:
            return None
        here: dict[str, str] = {}
        elsewhere: dict[str, tuple[str, str | None]] = {}
        seen: set[str] = set()
        is_expanded = False
        waiting: list[tuple[str, str | None]] = [(address, None)]
        while waiting:
            each, sender = waiting.pop(0)
            canonical = canonical_address(each) or each
            name = await self._name(each)
            if name is not None and name not in seen:
                seen.add(name)
                table = self.tables[name]
                sender = table.sender or sender
                is_expanded |= sender is None and len(table.to) > 1
                waiting += [  # who has the name itself gets the detail
                    (each if canonical_address(to) == name else to, sender) for to in table.to
                ]
            elif name is not None or await self.is_here(canonical):
                here.setdefault(canonical, each)
            else:
                elsewhere.setdefault(canonical, (each, sender))
        senders = dict.fromkeys(sender for _, sender in elsewhere.values())
        return Reach(
            tuple(here.values()),
            {
                sender: tuple(to for to, by in elsewhere.values() if by == sender)
                for sender in senders
            },
            is_expanded,
        )

    async def is_here(self, address: str) -> bool:
        """Is it of a domain of this server, whoever has it?"""
        is_local: bool = await self.directory.is_local_domain(split(address)[1])
        return is_local

    async def _name(self, address: str) -> str | None:
        """The name of the table that an address has."""
        canonical = canonical_address(address) or ""
        if canonical in self.tables:
            return canonical
        local, domain = split(canonical)
        user, mark, _ = local.partition("+")
        name = f"{user}@{domain}"
        if not (mark and user) or name not in self.tables:
            return None
        # If somebody has the very address, it reaches others than the one before the mark.
        exact, usual = [
            {principal.name for principal in await self.directory.recipients(each)}
            for each in (canonical, name)
        ]
        return name if exact == usual else None
