"""Debian's Cyrus in a directory of its own, by `cyrus.sh`."""

import pathlib
import subprocess
import time

import imap
from corpus import Corpus

SCRIPT = pathlib.Path(__file__).with_name("cyrus.sh")
HTTP, IMAP, LMTP = 18080, 18143, 18024


class Cyrus:
    name = "Cyrus"

    def __init__(self, directory: pathlib.Path) -> None:
        self.directory = directory

    def _run(self, verb: str, *arguments: str) -> None:
        with self.log.open("ab") as log:
            subprocess.run(
                [SCRIPT, verb, self.directory, *arguments], check=True, stdout=log, stderr=log
            )

    @property
    def log(self) -> pathlib.Path:
        self.directory.mkdir(parents=True, exist_ok=True)
        return self.directory / "log"

    def start(self) -> float:
        """Seconds until it answers."""
        begin = time.monotonic()
        self._run("start")
        return time.monotonic() - begin

    @property
    def pid(self) -> int:
        return int((self.directory / "run/master.pid").read_text())

    def stop(self) -> None:
        self._run("stop")

    def fill(self, user: str, corpus: Corpus, count: int) -> None:
        """Make the user, with the first `count` messages, which are found by their text."""
        self._run("user", user)
        if imap.fill(f"127.0.0.1:{IMAP}", user, f"{user}-secret", corpus, count):
            self._run("index", user)

    def url(self, user: str) -> str:
        return f"http://{user}:{user}-secret@127.0.0.1:{HTTP}/jmap/"

    def smtp(self) -> str:
        return f"lmtp://127.0.0.1:{LMTP}"

    @staticmethod
    def recipient(user: str) -> str:
        return user

    def paths(self) -> list[pathlib.Path]:
        """Where mail lies, with its indexes."""
        return [self.directory / name for name in ("spool", "conf", "search")]
