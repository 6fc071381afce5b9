"""PostgreSQL, by psycopg."""

import socket
import ssl
from contextlib import suppress
from os import dup
from typing import Any

import psycopg
from psycopg.rows import dict_row

from mailhive.directory.database.pool import MOST_ROWS, Lost, QueryFailed, Row, TooManyRows
from mailhive.directory.database.settings import SqlSettings

__all__ = ["PostgresqlDatabase"]

_LEAST = 2  # seconds to connect in; libpq takes no less


class PostgresqlDatabase:
    """`IDatabase` on the server of `settings`; `timeout` is for connecting."""

    def __init__(self, settings: SqlSettings, timeout: float) -> None:
        self._connection = psycopg.connect(
            **_parameters(settings),
            connect_timeout=max(_LEAST, int(timeout)),
            application_name="mailhive",
            client_encoding="utf-8",
            autocommit=True,
            prepare_threshold=None,  # poolers such as pgbouncer may not keep statements
            row_factory=dict_row,
        )
        # What nobody waits for any longer need not burden the server.
        try:
            self._connection.execute(f"SET statement_timeout = {int(settings.timeout * 1000)}")
        except BaseException:
            self.close()
            raise

    def query(self, sql: str, values: dict[str, str]) -> list[Row]:
        rows: list[Any] = []
        try:
            with self._connection.cursor() as cursor:
                for row in cursor.stream(sql, values):
                    rows.append(row)
                    if len(rows) > MOST_ROWS:
                        self._connection.close()  # or all that there is would be read
                        raise TooManyRows
        except QueryFailed:
            raise
        except Exception as error:  # a server that talks nonsense causes all kinds
            broken = self._connection.broken or self._connection.closed
            if broken or not isinstance(error, psycopg.Error) or error.sqlstate is None:
                raise Lost(_text(error)) from error
            raise QueryFailed(_text(error)) from error
        return [{name.lower(): value for name, value in row.items()} for row in rows]

    def close(self) -> None:
        with suppress(Exception):
            self._connection.close()

    def tear(self) -> None:
        with suppress(Exception), socket.socket(fileno=dup(self._connection.fileno())) as shared:
            shared.shutdown(socket.SHUT_RDWR)


def _parameters(settings: SqlSettings) -> dict[str, Any]:
    tls = settings.tls
    parameters: dict[str, Any] = {
        "host": settings.host,
        "port": settings.port,
        "dbname": settings.database,
        "user": settings.user,
        "password": settings.password,
        "sslmode": "verify-full" if tls.enable else "disable",
        "gssencmode": "disable",
        "sslcert": tls.certificate,
        "sslkey": tls.private_key,
        "sslrootcert": (tls.ca or _authorities()) if tls.enable else None,
    }
    return {key: str(value) for key, value in parameters.items() if value is not None}


def _authorities() -> str:
    """Where the system keeps those that it trusts, or libpq's word for it."""
    return ssl.get_default_verify_paths().cafile or "system"


def _text(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
