"""Web Push in a worker that is not the office: the office keeps all subscriptions."""

from pathlib import Path

from attrs import define, field

from mailhive.push.subscriptions import KEY_FILE
from mailhive.push.vapid import load_signer

__all__ = ["ServerKey"]


@define
class ServerKey:
    """What any worker tells of Web Push: by whose key pushes are signed (RFC 9749 §3)."""

    data_dir: Path
    contact: str
    application_server_key: str = field(default="", init=False)

    def open(self) -> None:
        """Read the key, which the office has made; `KeyFileError`, or OSError."""
        self.application_server_key = load_signer(self.data_dir / KEY_FILE, self.contact).public_key
