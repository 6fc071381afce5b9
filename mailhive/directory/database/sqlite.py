"""SQLite files of others, which are only read."""

from pathlib import Path

import apsw

from mailhive.directory.database.pool import MOST_ROWS, QueryFailed, Row, TooManyRows

__all__ = ["SqliteDatabase"]

#: Instructions of SQLite's from one look at whether to go on to the next.
_STEPS = 10_000


class SqliteDatabase:
    """`IDatabase` on the file at `path`; waits `timeout` seconds for those who write."""

    def __init__(self, path: Path, timeout: float) -> None:
        self._connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
        self._connection.set_busy_timeout(max(1, int(timeout * 1000)))
        self._torn = False
        # A query that is about to begin does not hear of an interruption.
        self._connection.set_progress_handler(lambda: self._torn, _STEPS)

    def query(self, sql: str, values: dict[str, str]) -> list[Row]:
        try:
            cursor = self._connection.cursor()
            rows: list[Row] = []
            for row in cursor.execute(sql, values):
                names = [column[0].lower() for column in cursor.get_description()]
                rows.append(dict(zip(names, row, strict=True)))
                if len(rows) > MOST_ROWS:
                    cursor.close(True)
                    raise TooManyRows
            return rows
        except apsw.Error as error:
            raise QueryFailed(str(error)) from error

    def close(self) -> None:
        self._connection.close(True)

    def tear(self) -> None:
        self._torn = True
