"""MTA-STS: what domains ask of whoever sends mail to them (RFC 8461).

A policy is fetched when the DNS shows a new one, and kept in

    data-dir/mta-sts.sqlite

for as long as it says, also when neither the DNS nor the web server of the domain
answer any more: that is what protects it from who stands between (§10.2).
"""

from pathlib import Path
from typing import Any

from attrs import define, field
from twisted.application.service import Service
from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.names import dns

from mailhive.errors import TemporaryFailure
from mailhive.fetch.errors import FetchFailed, FetchRefused
from mailhive.names import look_up
from mailhive.smtp.relay.sts import Policy, parse_policy, record_id
from mailhive.sqlite.connection import Connection
from mailhive.sqlite.migrations import packaged_schema
from mailhive.sqlite.thread import FileThread

__all__ = ["MtaSts"]

SCHEMA = packaged_schema("mailhive.smtp.relay", "mta_sts", 0x4D685374)

#: Octets of a policy (§3.3 suggests 64 KB).
_MOST_OCTETS = 65_536
#: Seconds in which a policy that could not be fetched is not asked for again (§3.3).
_PAUSE = 300.0
#: Domains of whom that is remembered.
_MOST_FAILED = 10_000


@define(eq=False, slots=False)
class MtaSts(Service):
    """`fetcher` is one with a guard, as the domains are other people's to choose.

    `url` is where a policy is, by the domain.
    """

    path: Path
    resolver: Any  # IResolver
    fetcher: Any
    reactor: Any
    url: str = "https://mta-sts.{}/.well-known/mta-sts.txt"
    _file: FileThread[Connection] = field(init=False)
    _failed: dict[str, float] = field(factory=dict, init=False)
    _log = Logger()

    def startService(self) -> None:
        """Open the file; blocks."""
        self._file = FileThread("MTA-STS policies", self.reactor)
        self._file.open(self.path, _open)
        super().startService()

    def stopService(self) -> Deferred[None]:
        super().stopService()
        return Deferred.fromCoroutine(self._file.close())

    async def policy(self, domain: str) -> Policy | None:
        """The policy that is in force for a domain in A-labels, if there is one."""
        now = int(self.reactor.seconds())
        known = await self._file.run(_known, domain, now)
        record = await self._record(domain)
        if record is not None and (known is None or known[0] != record):
            text = await self._fetched(domain)
            if text is not None:
                expires_at = now + parse_policy(text).max_age
                known = (record, text)
                await self._file.run(_keep, domain, record, text, expires_at, now)
        return None if known is None else parse_policy(known[1])

    async def _record(self, domain: str) -> str | None:
        try:
            found = await look_up(self.resolver, f"_mta-sts.{domain}", dns.TXT)
        except TemporaryFailure:
            return None  # §5.1: what is known goes on to be in force
        return record_id(b"".join(record.data).decode("ascii", "replace") for record in found or ())

    async def _fetched(self, domain: str) -> str | None:
        """The text of a policy that can be read; None if there is none to be had now."""
        now = self.reactor.seconds()
        if self._failed.get(domain, 0.0) > now:
            return None
        try:
            # §3.3: redirects are not followed, and any other status is a failure.
            answer = await self.fetcher.request(
                "GET", self.url.format(domain), max_body=_MOST_OCTETS
            )
            if answer.status != 200:
                raise ValueError(f"status {answer.status}")
            text: str = answer.body.decode()  # §3.2: extensions may be in UTF-8
            parse_policy(text)
        except (FetchFailed, FetchRefused, ValueError) as error:
            self._log.info(
                "{domain}: no MTA-STS policy: {why}", domain=domain, why=str(error)[:200]
            )
            if len(self._failed) >= _MOST_FAILED:
                self._failed.clear()
            self._failed[domain] = now + _PAUSE
            return None
        self._failed.pop(domain, None)
        return text


def _open(connection: Connection) -> Connection:
    SCHEMA.apply(connection)
    return connection


def _known(connection: Connection, domain: str, now: int) -> tuple[str, str] | None:
    row: tuple[str, str] | None = connection.row(
        "SELECT record, text FROM policy WHERE domain = ? AND expires_at > ?", (domain, now)
    )
    return row


def _keep(
    connection: Connection, domain: str, record: str, text: str, expires_at: int, now: int
) -> None:
    with connection.transaction("IMMEDIATE"):
        connection.execute("DELETE FROM policy WHERE expires_at <= ?", (now,))
        connection.execute(
            "INSERT OR REPLACE INTO policy (domain, record, text, expires_at) VALUES (?, ?, ?, ?)",
            (domain, record, text, expires_at),
        )
