"""A mailhive of the benchmark: in a directory of its own, on the loopback, as it comes."""

import pathlib
import socket
import subprocess
import sys
import time

from http1 import Connection

ROOT = pathlib.Path(__file__).resolve().parents[3]
CONFIG = """\
[server]
hostname = "mail.example.org"
data-dir = "{data}"
{workers}
[server.listener.jmap]
bind = "127.0.0.1:{http}"
protocol = "jmap"
url = "http://127.0.0.1:{http}"
[server.listener.smtp]
bind = "127.0.0.1:{smtp}"
protocol = "smtp"
[server.listener.lmtp]
bind = "127.0.0.1:{lmtp}"
protocol = "lmtp"
[jmap]
directory = "memory"
[directory.memory]
type = "memory"
"""
PRINCIPAL = """\
[[directory.memory.principals]]
name = "{name}"
secret = "{name}-secret"
email = "{name}@example.org"
"""


def free_port() -> int:
    with socket.socket() as some:
        some.bind(("127.0.0.1", 0))
        port: int = some.getsockname()[1]
    return port


class Mailhive:
    """A daemon on a data directory.  `source` is the checkout that it runs from."""

    def __init__(
        self,
        directory: pathlib.Path,
        users: list[str],
        *,
        workers: int | None = None,
        source: pathlib.Path = ROOT,
        before: tuple[str, ...] = (),
        python: str = sys.executable,
    ) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.name = "mailhive" if workers is None else f"mailhive with {workers} workers"
        self.directory, self.source, self.before, self.python = directory, source, before, python
        self.http, self.smtp_port, self.lmtp_port = free_port(), free_port(), free_port()
        self.config = directory / "mailhive.toml"
        text = CONFIG.format(
            data=directory / "data",
            http=self.http,
            smtp=self.smtp_port,
            lmtp=self.lmtp_port,
            workers="" if workers is None else f"workers = {workers}",
        )
        self.config.write_text(text + "".join(PRINCIPAL.format(name=name) for name in users))
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> float:
        """Seconds until it answers."""
        begin = time.monotonic()
        daemon = [self.python, "-c", "from twisted.scripts.twistd import run; run()"]
        with (self.directory / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [*self.before, *daemon, "-n", "--pidfile=", "mailhive", "-c", str(self.config)],
                cwd=self.source,
                stdout=log,
                stderr=log,
            )
        # The sockets are bound before the data directory is opened: only an answer tells.
        request = b"GET /.well-known/jmap HTTP/1.1\r\nHost: localhost\r\n\r\n"
        while True:
            try:
                Connection(f"http://127.0.0.1:{self.http}").exchange(request)
                return time.monotonic() - begin
            except OSError:
                if self._process.poll() is not None:
                    raise OSError(f"mailhive does not start: see {self.directory}/log") from None
                time.sleep(0.01)

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def stop(self) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait(60)
            self._process = None

    def url(self, user: str) -> str:
        return f"http://{user}:{user}-secret@127.0.0.1:{self.http}/.well-known/jmap"

    def smtp(self) -> str:
        return f"lmtp://127.0.0.1:{self.lmtp_port}"

    @staticmethod
    def recipient(user: str) -> str:
        return f"{user}@example.org"

    def paths(self) -> list[pathlib.Path]:
        """Where mail lies."""
        return [self.directory / "data"]
