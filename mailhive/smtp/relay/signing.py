"""Signatures of mail that goes to other servers (RFC 6376 §5), and seals (RFC 8617 §5.1).

A message is signed on its way out and not before: what waits for days goes out with
keys that are published now.  Its signatures are remembered, so that all of its
destinations, and attempts that follow each other, get the same ones.
"""

import re
from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Any

from attrs import define, field
from twisted.internet.defer import Deferred, DeferredLock

from mailhive.authn.arc_seal import seal
from mailhive.authn.canonical import split_message
from mailhive.authn.dkim_sign import SEALED, SIGNED, SigningKey, sign
from mailhive.config.dkim import DkimSettings, KeyFileError, read_private_key
from mailhive.errors import MailhiveError
from mailhive.mime.address import parse_addresses
from mailhive.model.addresses import canonical_domain, split

__all__ = ["Keys", "Signer", "read_keys", "signatures"]

#: Messages whose signatures are remembered; those of one take about a thousand octets.
_REMEMBERED = 1_000
_BARE = re.compile(rb"(?<!\r)\n|\r(?!\n)")

#: The keys of each canonical domain.
Keys = Mapping[str, tuple[SigningKey, ...]]


@define(eq=False)
class Signer:
    """`offload(function, *arguments)` runs what takes time; `clock.seconds()` is the time."""

    blobs: Any  # IBlobStore
    offload: Callable[..., Deferred[Any]]
    clock: Any
    keys: Keys = field(factory=dict)
    _turn: DeferredLock = field(init=False, factory=DeferredLock)
    _known: OrderedDict[str, bytes] = field(init=False, factory=OrderedDict)

    def prepare(self, settings: Mapping[str, DkimSettings]) -> Callable[[], None]:
        """Read keys; what it returns puts them in force (`mailhive.reload`)."""
        keys = read_keys(settings)
        return lambda: self._use(keys)

    async def signatures(self, blob_id: str) -> bytes:
        """The fields to put before a message: none if no domain of ours is its author's."""
        if not self.keys:
            return b""
        # One at a time: no more than one message is in memory for this, and none is
        # signed twice because it goes to two servers at once.
        await self._turn.acquire()
        try:
            if blob_id not in self._known:
                keys = self.keys
                message = await self.blobs.read(blob_id)
                made: bytes = await self.offload(
                    signatures, message, keys, int(self.clock.seconds())
                )
                if keys is not self.keys:  # they were changed meanwhile
                    return made
                self._known[blob_id] = made
                if len(self._known) > _REMEMBERED:
                    self._known.popitem(last=False)
            self._known.move_to_end(blob_id)
            return self._known[blob_id]
        finally:
            self._turn.release()

    def seal(self, message: bytes, domain: str, found: bytes) -> bytes:
        """The fields that say in the name of a domain what was found of a message.

        None without a key of the domain, or of one above it.  Takes time, and may run on
        any thread.
        """
        message = _BARE.sub(b"\r\n", message)
        for key in _keys_of(domain, self.keys):
            if key.algorithm == "rsa-sha256":  # what all who follow ARC know
                return seal(message, key, found, now=int(self.clock.seconds()))
        return b""

    def _use(self, keys: Keys) -> None:
        self.keys = keys
        self._known.clear()


def read_keys(settings: Mapping[str, DkimSettings]) -> Keys:
    """The keys that are configured; `MailhiveError` if there is one that cannot be read."""
    found: dict[str, tuple[SigningKey, ...]] = {}
    for name, table in settings.items():
        try:
            private = read_private_key(table.private_key)
        except KeyFileError as error:
            raise MailhiveError(f'dkim."{name}": {error}') from None
        for domain in filter(None, map(canonical_domain, table.domains)):
            key = SigningKey(
                domain,
                table.selector,
                private,
                _names(table.sealed_fields, SEALED),
                _names(table.signed_fields, SIGNED),
            )
            found[domain] = (*found.get(domain, ()), key)
    return found


def signatures(message: bytes, keys: Keys, now: int) -> bytes:
    """A DKIM-Signature field by each key of the author's domain.  Takes time."""
    message = _BARE.sub(b"\r\n", message)  # as it goes over the wire (smtp.stuffing)
    chosen = _keys_of(_author(message), keys)
    return b"".join(sign(message, key, now=now) for key in chosen)


def _author(message: bytes) -> str:
    """The domain of the first address in From."""
    fields, _ = split_message(message)
    value = next((each.value for each in fields if each.name == "from"), b"")
    groups = parse_addresses(value.decode("utf-8", "replace"))
    emails = [address.email for group in groups for address in group.addresses]
    return canonical_domain(split(emails[0])[1]) or "" if emails else ""


def _keys_of(domain: str, keys: Keys) -> tuple[SigningKey, ...]:
    """Those of the domain, or of the nearest one above it that has some."""
    while domain and domain not in keys:
        domain = domain.partition(".")[2]
    return keys.get(domain, ())


def _names(chosen: tuple[str, ...] | None, usual: tuple[str, ...]) -> tuple[str, ...]:
    return usual if chosen is None else tuple(dict.fromkeys(map(str.lower, chosen)))
