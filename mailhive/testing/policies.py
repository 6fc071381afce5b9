"""MTA-STS policies that a server knows from before, for tests without a web server of a domain.

remember_policies(data_dir / "mta-sts.sqlite", {"example.org": "version: STSv1\\n…"})
"""

import time
from collections.abc import Mapping
from pathlib import Path

from mailhive.smtp.relay.mta_sts import SCHEMA
from mailhive.sqlite.connection import Connection

__all__ = ["remember_policies"]

_DAY = 86_400


def remember_policies(path: Path, policies: Mapping[str, str]) -> None:
    """Write policies by their domains into a file that nobody has open; they last a day."""
    connection = Connection(path)
    SCHEMA.apply(connection)
    for domain, text in policies.items():
        connection.execute(
            "INSERT INTO policy (domain, record, text, expires_at) VALUES (?, 'known', ?, ?)",
            (domain, text, int(time.time()) + _DAY),
        )
    connection.close()
