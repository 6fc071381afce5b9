"""Where a message goes in an account, and with which keywords, by rules and without I/O."""

import re
from collections.abc import Iterable, Mapping
from typing import Any

from attrs import field, frozen

from mailhive.config.delivery import DeliverySettings
from mailhive.mime.fields import Headers, parse_fields, unfold
from mailhive.model.addresses import canonical_address, canonical_name, split
from mailhive.model.field_pattern import FieldPattern
from mailhive.model.keywords import is_keyword
from mailhive.model.principal import Principal

__all__ = ["NO_RULES", "Marks", "Rules", "details", "find_mailbox"]

#: Characters of a field's value that are looked at, and words of one that become keywords.
_MOST_VALUE = 10_000
_MOST_WORDS = 20
_WORDS = re.compile(r"[\s,]+")
#: Roles of mailboxes for what the user has written, into which no mail from others goes.
_OWN_MAIL = ("drafts", "sent", "scheduled", "templates")


@frozen
class Marks:
    """What the header of a message says of it."""

    is_junk: bool = False
    keywords: frozenset[str] = frozenset()


@frozen
class _KeywordRule:
    keyword: str
    patterns: tuple[FieldPattern, ...]
    anyone: bool


@frozen
class Rules:
    """The rules of a configuration; by default there are none."""

    subaddress_mailboxes: bool = False
    _junk: tuple[FieldPattern, ...] = ()
    _keyword_fields: tuple[str, ...] = ()
    _keywords: tuple[_KeywordRule, ...] = ()
    _is_idle: bool = field(init=False)

    @_is_idle.default
    def _(self) -> bool:
        return not (self._junk or self._keyword_fields or self._keywords)

    @classmethod
    def of(cls, settings: DeliverySettings) -> "Rules":
        """Those of settings without `problems`."""
        return cls(
            settings.subaddress_mailboxes,
            tuple(map(FieldPattern.parse, settings.junk_fields)),
            tuple(name.lower() for name in settings.keyword_fields),
            tuple(
                _KeywordRule(name.lower(), tuple(map(FieldPattern.parse, rule.fields)), rule.anyone)
                for name, rule in settings.keyword.items()
            ),
        )

    def marks(self, header: bytes, *, filtered: bool) -> Marks:
        """What follows from a header block; `filtered`: a filter of ours has written in it."""
        if self._is_idle:
            return Marks()
        headers = Headers(parse_fields(header))
        found = {
            rule.keyword
            for rule in self._keywords
            if (filtered or rule.anyone) and _fits(headers, rule.patterns)
        }
        if not filtered:
            return Marks(keywords=frozenset(found))
        for name in self._keyword_fields:
            for value in headers.all(name):
                words = _WORDS.split(unfold(value[:_MOST_VALUE]).strip())[:_MOST_WORDS]
                found.update(word.lower() for word in words if is_keyword(word))
        return Marks(_fits(headers, self._junk), frozenset(found))


NO_RULES = Rules()


def _fits(headers: Headers, patterns: Iterable[FieldPattern]) -> bool:
    return any(
        pattern.matches(unfold(value[:_MOST_VALUE]))
        for pattern in patterns
        for value in headers.all(pattern.name)
    )


def details(principal: Principal, recipients: Iterable[str]) -> frozenset[str]:
    """The details of those sub-addresses (RFC 5233 §1) that a principal is reached by.

    In the form of `canonical_name`.  "" is among them if another address reaches it, whose
    mail is for the inbox: what stands behind the name of a list, or before the domain of
    a catch-all, is nothing of the principal's own.
    """
    own = {canonical_address(address) for address in principal.emails}
    found = set()
    for address in recipients:
        canonical = canonical_address(address) or ""
        local, domain = split(canonical)
        base, _, detail = local.partition("+")
        is_own = base and canonical not in own and f"{base}@{domain}" in own
        found.add(detail if is_own else "")
    return frozenset(found)


def find_mailbox(mailboxes: Mapping[str, Mapping[str, Any]], detail: str) -> str | None:
    """The id of the mailbox that a detail names, of those by id with `name` and `parentId`.

    By name, or as a path of names between `/` or `.`; the longest name goes first.
    """
    children: dict[tuple[str | None, str], str] = {}
    for mailbox_id, data in mailboxes.items():
        children.setdefault((data["parentId"], canonical_name(data["name"])), mailbox_id)

    def below(parent: str | None, rest: str) -> str | None:
        for end in range(len(rest), 0, -1):
            if end < len(rest) and rest[end] not in "/.":
                continue
            found = children.get((parent, rest[:end]))
            if found is not None and end < len(rest):
                found = below(found, rest[end + 1 :])
            if found is not None:
                return found
        return None

    found = below(None, detail)
    return None if found is None or mailboxes[found]["role"] in _OWN_MAIL else found
