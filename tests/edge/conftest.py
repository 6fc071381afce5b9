"""Certificates in files."""

from collections.abc import Callable
from pathlib import Path

import pytest

from mailhive.testing.certificates import make_certificate


@pytest.fixture
def files(tmp_path: Path) -> Callable[..., tuple[Path, Path]]:
    """Write the PEM files of a new certificate, by their stem."""

    def write(stem: str, *names: str, days: float = 30) -> tuple[Path, Path]:
        made = make_certificate(*(names or ("localhost",)), days=days)
        paths = tmp_path / f"{stem}.pem", tmp_path / f"{stem}.key"
        paths[0].write_bytes(made.certificate)
        paths[1].write_bytes(made.private_key)
        return paths

    return write
