"""MySQL and MariaDB, by PyMySQL."""

import socket
import ssl
from contextlib import suppress
from typing import Any

import pymysql
from pymysql.cursors import DictCursor

from mailhive.directory.database.pool import MOST_ROWS, Lost, QueryFailed, Row, TooManyRows
from mailhive.directory.database.settings import SqlSettings

__all__ = ["MysqlDatabase"]

_PORT = 3306
#: What a server says of a query, as opposed to garbage and connections that break.
_OF_QUERIES = (
    pymysql.ProgrammingError,
    pymysql.DataError,
    pymysql.IntegrityError,
    pymysql.NotSupportedError,
    pymysql.OperationalError,
)


class MysqlDatabase:
    """`IDatabase` on the server of `settings`; `timeout` is for connecting and for each read."""

    def __init__(self, settings: SqlSettings, timeout: float) -> None:
        timeout = max(1.0, timeout)
        connected = _connected(settings, timeout)
        self._shared = connected.dup()  # TLS takes the other one away
        try:
            self._connection = pymysql.Connection(
                host=settings.host,
                user=settings.user,
                password=settings.password or "",
                database=settings.database,
                charset="utf8mb4",
                autocommit=True,
                read_timeout=max(1, int(settings.timeout)),
                write_timeout=max(1, int(settings.timeout)),
                cursorclass=DictCursor,
                # The driver holds an answer whole, so that the server has to keep it short.
                init_command=f"SET SESSION sql_select_limit = {MOST_ROWS + 1}",
                defer_connect=True,
                **_tls(settings),
            )
            self._connection.connect(connected)
        except BaseException:
            connected.close()
            self._shared.close()
            raise

    def query(self, sql: str, values: dict[str, str]) -> list[Row]:
        try:
            with self._connection.cursor() as cursor:
                cursor.execute(sql, values)
                rows: Any = cursor.fetchall()
        except Exception as error:  # a server that talks nonsense causes all kinds
            if self._connection.open and isinstance(error, _OF_QUERIES):
                raise QueryFailed(_text(error)) from error
            raise Lost(_text(error)) from error
        if len(rows) > MOST_ROWS:
            raise TooManyRows
        return [{name.lower(): value for name, value in row.items()} for row in rows]

    def close(self) -> None:
        with suppress(Exception):
            self._connection.close()
        self._shared.close()

    def tear(self) -> None:
        with suppress(OSError):
            self._shared.shutdown(socket.SHUT_RDWR)


def _connected(settings: SqlSettings, timeout: float) -> socket.socket:
    host = settings.host or ""
    if host.startswith("/"):
        connection = socket.socket(socket.AF_UNIX)
        connection.settimeout(timeout)
        try:
            connection.connect(host)
        except BaseException:
            connection.close()
            raise
        return connection
    connection = socket.create_connection((host, settings.port or _PORT), timeout)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    return connection


def _tls(settings: SqlSettings) -> dict[str, Any]:
    tls = settings.tls
    if not tls.enable:
        return {"ssl_disabled": True}
    context = ssl.create_default_context(cafile=str(tls.ca) if tls.ca else None)
    if tls.certificate is not None:
        context.load_cert_chain(tls.certificate, tls.private_key)
    return {"ssl": context}


def _text(error: Exception) -> str:
    """The message without the number that PyMySQL puts before it."""
    return " ".join(str(error.args[-1] if error.args else "").split()) or type(error).__name__
