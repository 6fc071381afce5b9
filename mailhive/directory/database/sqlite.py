"""SQLite files of others, which are only read."""

from pathlib import Path

import apsw

from mailhive.directory.database.pool import QueryFailed, Row, TooManyRows

__all__ = ["SqliteDatabase"]


class SqliteDatabase:
    """`IDatabase` on the file at `path`; waits `timeout` seconds for those who write."""

    def __init__(self, path: Path, timeout: float) -> None:
        self._connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
        self._connection.set_busy_timeout(max(1, int(timeout * 1000)))

    def query(self, sql: str, values: dict[str, str], limit: int) -> list[Row]:
        try:
            cursor = self._connection.cursor()
            rows: list[Row] = []
            for row in cursor.execute(sql, values):
                names = [column[0].lower() for column in cursor.get_description()]
                rows.append(dict(zip(names, row, strict=True)))
                if len(rows) > limit:
                    cursor.close(True)
                    raise TooManyRows(f"more than {limit} rows")
            return rows
        except apsw.Error as error:
            raise QueryFailed(str(error)) from error

    def close(self) -> None:
        self._connection.close(True)

    def tear(self) -> None:
        self._connection.interrupt()
