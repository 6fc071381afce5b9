"""Searches in the trees of a directory, and what makes their answers undecidable."""

from collections.abc import AsyncIterator

from attrs import define
from sansldap import FilterAnd, LDAPFilter, LDAPResultCode, SearchResultEntry, SearchScope

from mailhive.directory.ldap.connection import Found
from mailhive.directory.ldap.pool import Pool
from mailhive.errors import TemporaryFailure

__all__ = ["Entry", "Tree"]

_GONE = (LDAPResultCode.NO_SUCH_OBJECT.value, LDAPResultCode.INVALID_DN_SYNTAX.value)
_NO_ATTRIBUTES = "1.1"  # RFC 4511 §4.5.1.8


@define
class Entry:
    """An entry: its name, and values by the names of attributes in lower case.

    Attributes with options, as `description;lang-de`, are not there.
    """

    dn: str
    _values: dict[str, list[bytes]]

    def texts(self, *attributes: str) -> list[str]:
        """The values of some attributes that are text."""
        found = []
        for attribute in attributes:
            for value in self._values.get(attribute.lower(), ()):
                try:
                    found.append(value.decode())
                except UnicodeDecodeError:
                    continue
        return found

    def text(self, *attributes: str) -> str | None:
        """The first value of the first of some attributes that has one."""
        return next(iter(self.texts(*attributes)), None)


@define
class Tree:
    """Every method raises TemporaryFailure rather than leave something out.

    `principals` is what all entries have to fit.
    """

    pool: Pool
    bases: tuple[str, ...]
    principals: LDAPFilter
    time_limit: int  # seconds, asked of the server
    page_size: int
    most: int  # entries of an answer
    ignores_references: bool

    async def search(self, wanted: LDAPFilter, attributes: list[str]) -> list[Entry]:
        """The entries below every base that fit, each once."""
        found: dict[str, Entry] = {}
        for base in self.bases:
            async for page in self._pages(base, wanted, attributes):
                for entry in map(_entry, page.entries):
                    found[entry.dn.casefold()] = entry
                if len(found) > self.most:
                    raise TemporaryFailure(f"more than {self.most} entries fit an LDAP search")
        return list(found.values())

    async def read(self, dn: str, attributes: list[str]) -> Entry | None:
        """The entry of that name, if there is one and it fits."""
        page = await self._ask(dn, SearchScope.BASE, self.principals, attributes)
        self._check(page, dn, *_GONE)
        return _entry(page.entries[0]) if page.entries else None

    async def fits(self, dn: str, wanted: LDAPFilter) -> bool:
        """Does the entry of that name fit?"""
        page = await self._ask(dn, SearchScope.BASE, wanted, [_NO_ATTRIBUTES])
        self._check(page, dn, *_GONE)
        return bool(page.entries)

    async def has(self, wanted: LDAPFilter) -> bool:
        """Does any entry below a base fit?"""
        for base in self.bases:
            page = await self._ask(
                base, SearchScope.SUBTREE, wanted, [_NO_ATTRIBUTES], size_limit=1
            )
            if page.entries:
                return True
            self._check(page, base)
        return False

    async def _pages(
        self, base: str, wanted: LDAPFilter, attributes: list[str]
    ) -> AsyncIterator[Found]:
        # RFC 2696
        cookie = b""
        for _ in range(self.most + 1):
            page = await self._ask(
                base, SearchScope.SUBTREE, wanted, attributes, cookie, self.page_size
            )
            self._check(page, base)
            yield page
            if not page.cookie:
                return
            cookie = page.cookie
        raise TemporaryFailure("an LDAP search does not end")

    async def _ask(
        self,
        base: str,
        scope: SearchScope,
        wanted: LDAPFilter,
        attributes: list[str],
        cookie: bytes = b"",
        page_size: int = 0,
        size_limit: int = 0,
    ) -> Found:
        if scope != SearchScope.BASE:
            wanted = FilterAnd([self.principals, wanted])
        return await self.pool.run(
            lambda connection: connection.search(
                base,
                scope,
                wanted,
                attributes,
                size_limit=size_limit,
                time_limit=self.time_limit,
                page_size=page_size,
                cookie=cookie,
            ).addCallback(_unless_busy)
        )

    def _check(self, page: Found, base: str, *allowed: int) -> None:
        if not page.result.is_success and page.result.code not in allowed:
            raise TemporaryFailure(f'a search in "{base}" failed ({page.result.text})')
        if page.references and not self.ignores_references:
            raise TemporaryFailure(f'a part of "{base}" is on another LDAP server')


def _unless_busy(found: Found) -> Found:
    found.result.unless_busy()
    return found


def _entry(message: SearchResultEntry) -> Entry:
    values: dict[str, list[bytes]] = {}
    for attribute in message.attributes:
        name, _, options = attribute.name.lower().partition(";")
        if options.startswith("range="):
            # Active Directory gives 1,500 values at a time, and `member_of` the other way.
            raise TemporaryFailure(
                f'"{message.object_name}" has too many values of {name} for one answer'
            )
        if not options:
            values[name] = attribute.values
    return Entry(message.object_name, values)
