"""Uploads, which count against a quota of their user until an Email refers to them."""

from mailhive.store.changeset import ChangeSet

__all__ = ["UploadWriter"]


class UploadWriter(ChangeSet):
    """The part of `IMailWriter` that keeps uploads."""

    def add_upload(self, blob_id: str, media_type: str, size: int, now: float, user: str) -> None:
        self._discount(blob_id, user)
        self.connection.execute(
            "INSERT OR REPLACE INTO upload (blob, user, type, size, counted, at)"
            " VALUES (?1, ?2, ?3, ?4, ?4, ?5)",
            (blob_id, user, media_type, size, now),
        )
        self._count(user, size)

    def expire_uploads(self, before: float) -> tuple[str, ...]:
        forgotten: dict[str, None] = {}
        oldest = "SELECT blob, user FROM upload WHERE at < ? ORDER BY at, blob LIMIT 1"
        while (row := self.connection.row(oldest, (before,))) is not None:
            self._forget_upload(*row)
            forgotten[row[0]] = None
        return tuple(forgotten)

    def limit_uploads(self, user: str, quota: int) -> tuple[str, ...]:
        forgotten: list[str] = []
        # One at a time: as a rule nothing has to go, however many there are.
        oldest = "SELECT blob FROM upload WHERE user = ? AND counted > 0 ORDER BY at, blob LIMIT 1"
        while self.upload_usage(user) > quota:
            blob: str = self.connection.value(oldest, (user,))
            self._forget_upload(blob, user)
            forgotten.append(blob)
        return tuple(forgotten)

    def _forget_upload(self, blob: str, user: str) -> None:
        self._discount(blob, user)
        self.connection.execute("DELETE FROM upload WHERE blob = ? AND user = ?", (blob, user))

    def _discount(self, blob: str, user: str | None = None) -> None:
        """Let uploads of a blob, by one user or by all, count no more."""
        counted = self.connection.all(
            "SELECT user, counted FROM upload"
            " WHERE blob = ?1 AND counted > 0 AND (?2 IS NULL OR user = ?2)",
            (blob, user),
        )
        for uploader, octets in counted:
            self._count(uploader, -octets)
            self.connection.execute(
                "UPDATE upload SET counted = 0 WHERE blob = ? AND user = ?", (blob, uploader)
            )

    def _count(self, user: str, octets: int) -> None:
        self.connection.execute(
            "INSERT INTO uploader (user, octets) VALUES (?1, ?2)"
            " ON CONFLICT (user) DO UPDATE SET octets = octets + ?2",
            (user, octets),
        )
