"""A mailhive in a process of its own, on free ports of the loopback.

    with DaemonProcess(directory) as daemon:
        smtplib.SMTP("127.0.0.1", daemon.smtp_port).sendmail(...)
        JmapClient(daemon.session_url, "alice", daemon.users["alice"], http)

For tests that need real sockets, and for people who write clients.
"""

import json
import os
import random
import re
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Self

from attrs import Factory, define, field

__all__ = ["DaemonFailed", "DaemonProcess"]

USERS = {"alice": "wonderland", "bob": "builder"}

#: With a timeout that no pause of a test reaches, however slow the machine is.
_CONFIG = """
[server]
hostname = "mail.example.org"
data-dir = "data"
workers = {workers}

[server.listener."jmap"]
bind = "127.0.0.1:{http_port}"
url = "{url}"
protocol = "jmap"
idle-timeout = "1h"
{tls}

[server.listener."smtp"]
bind = "127.0.0.1:{smtp_port}"
protocol = "smtp"

[storage]
mail = "sqlite"
blob = "files"

[store."sqlite"]
type = "sqlite"

[blob."files"]
type = "fs"

[relay]
{relay}

[jmap]
directory = "{directory}"

[directory."{directory}"]
type = "{directory}"
"""

_PRINCIPAL = """
[[directory."memory".principals]]
name = {name}
type = "individual"
secret = {password}
email = {email}
"""


class DaemonFailed(Exception):
    """The server did not start, or ended; the text is what it said."""


#: Ports are taken from blocks of so many, which belong to one process each.
_BLOCK = 64
#: Those below the ports that systems give to connections, of which one could have it when a
#: server starts again.
_PORTS = range(10_048, 32_768, _BLOCK)
#: The blocks of this process: a socket each, for as long as it lives.
_held: list[socket.socket] = []
_ports: Iterator[int] = iter(())


def free_port() -> int:
    """A port of the loopback that nobody listens on.

    Nobody else is given it as long as this process lives, whether a server has it at the
    moment or not.
    """
    global _ports  # noqa: PLW0603
    while True:
        for port in _ports:
            with suppress(OSError), socket.create_server(("127.0.0.1", port)):
                return port
        _ports = iter(_new_block())


def _new_block() -> range:
    """Ports of which no other process hands out any."""
    for start in random.SystemRandom().sample(_PORTS, len(_PORTS)):
        mark = socket.socket(socket.AF_UNIX)
        try:
            # A name in the abstract namespace, which goes with the process (unix(7)).
            mark.bind(f"\0mailhive-testing-ports-{start}")
        except OSError:
            mark.close()
        else:
            _held.append(mark)
            return range(start, start + _BLOCK)
    raise OSError("other processes have all the ports")


@define
class DaemonProcess:
    """`twistd mailhive` on a configuration of its own; the data outlives a restart.

    `users` are logins and passwords; each has the address LOGIN@example.org.
    With `tls`, a pair of PEM files, JMAP is spoken over HTTPS as `localhost`.
    `url` is what clients use, if it is not the server itself, but a proxy.
    `extra` is more TOML, for tables that are not in the configuration yet, such
    as `[jmap.limits]`; `keys` has more lines for those that are, by name.  Without
    `users` the directory is one that `account` fills.
    """

    directory: Path
    users: Mapping[str, str] = USERS
    tls: tuple[Path, Path] | None = None
    workers: int = 1
    url: str | None = None
    extra: str = ""
    keys: Mapping[str, str] = Factory(dict)
    http_port: int = Factory(free_port)
    smtp_port: int = Factory(free_port)
    _process: subprocess.Popen[bytes] | None = field(default=None, init=False)

    @property
    def base_url(self) -> str:
        if self.url is not None:
            return self.url
        if self.tls:
            return f"https://localhost:{self.http_port}"
        return f"http://127.0.0.1:{self.http_port}"

    @property
    def session_url(self) -> str:
        return f"{self.base_url}/.well-known/jmap"

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def data(self) -> Path:
        return self.directory / "data"

    def log(self) -> str:
        """Everything that the server has logged, over all its lives."""
        return (self.directory / "log").read_text(encoding="utf-8", errors="replace")

    def memory(self, *, peak: bool = False) -> int:
        """Octets of memory that the daemon occupies, or the most that it ever has."""
        key = "VmHWM:" if peak else "VmRSS:"
        lines = Path(f"/proc/{self.pid}/status").read_text(encoding="ascii").splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(key))

    def worker_pids(self) -> dict[int, int]:
        """The process ids of the workers that it has at this moment, by number."""
        found = {}
        for path in Path("/proc").glob("[0-9]*"):
            try:
                status = (path / "status").read_text(encoding="ascii", errors="replace")
                words = (path / "cmdline").read_bytes().split(b"\0")
            except OSError:
                continue  # it has ended meanwhile
            if f"\nPPid:\t{self.pid}\n" in status and b"mailhive.worker" in words:
                found[int(words[-2])] = int(path.name)
        return found

    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def start(self, patience: float = 120.0) -> None:
        """Start and wait until both ports answer; `DaemonFailed` if they do not."""
        config = self.directory / "mailhive.toml"
        config.write_text(self._configuration(), encoding="utf-8")
        twistd = Path(sys.executable).with_name("twistd")
        command = [str(twistd), "--nodaemon", "--pidfile=", "mailhive", "-c", str(config)]
        with (self.directory / "log").open("ab") as log:
            begin = log.tell()
            self._process = subprocess.Popen(  # noqa: S603
                command, cwd=self.directory, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        deadline = time.monotonic() + patience
        while not self._has_started(begin):
            if not self.is_running() or time.monotonic() > deadline:
                self.kill()
                raise DaemonFailed(self.log()[begin:])
            time.sleep(0.02)

    def _has_started(self, begin: int) -> bool:
        # Where there are several workers, the ports answer before any of them does.
        listening = len(re.findall(r'/\d+\] smtp listener "smtp" on ', self.log()[begin:]))
        return (self.workers == 1 or listening >= self.workers) and all(
            map(_answers, (self.http_port, self.smtp_port))
        )

    def account(self, *words: str, password: str = "") -> subprocess.CompletedProcess[str]:
        """`mailhive account WORDS`, on the configuration of this server."""
        return self.command("account", *words, password=password)

    def command(self, *words: str, password: str = "") -> subprocess.CompletedProcess[str]:
        """`mailhive WORDS`, on the configuration of this server."""
        command = [str(Path(sys.executable).with_name("mailhive")), *words]
        return subprocess.run(  # noqa: S603
            command,
            input=f"{password}\n",
            capture_output=True,
            text=True,
            env=os.environ | {"MAILHIVE_CONFIG": str(self.directory / "mailhive.toml")},
            check=False,
        )

    def stop(self, patience: float = 60.0) -> None:
        """Ask it to end, and wait; `DaemonFailed` if it does not, or not cleanly."""
        if self._process is None:
            return
        self._process.send_signal(signal.SIGTERM)
        try:
            status = self._process.wait(patience)
        except subprocess.TimeoutExpired:
            self.kill()
            raise DaemonFailed(f"not stopped within {patience} s\n{self.log()}") from None
        self._process = None
        if status not in {0, -signal.SIGTERM}:  # twistd ends by the signal that it got
            raise DaemonFailed(f"ended with status {status}\n{self.log()}")

    def send_signal(self, what: signal.Signals) -> None:
        """Send it a signal."""
        assert self._process is not None
        self._process.send_signal(what)

    def kill(self) -> None:
        """End it with SIGKILL, as a crash would, and its workers with it."""
        if self._process is not None:
            workers = self.worker_pids()
            self._process.send_signal(signal.SIGSTOP)  # so that none sees another die
            for pid in workers.values():
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGSTOP)
            self._process.kill()
            self._process.wait()
            self._process = None
            for pid in workers.values():
                kill_other(pid)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *exception: object) -> None:
        if exception[0] is None:
            self.stop()
        else:
            self.kill()

    def _configuration(self) -> str:
        tls = ""
        if self.tls:
            certificate, key = (json.dumps(str(path)) for path in self.tls)
            tls = f'tls = "implicit"\ncertificate = {certificate}\nprivate-key = {key}'
        text = _CONFIG.format(
            workers=self.workers,
            http_port=self.http_port,
            smtp_port=self.smtp_port,
            url=self.base_url,
            tls=tls,
            directory="memory" if self.users else "internal",
            relay="" if "relay" in self.keys else "enabled = false",
        )
        for name, password in self.users.items():
            # A JSON string is a TOML string too.
            text += _PRINCIPAL.format(
                name=json.dumps(name),
                password=json.dumps(password),
                email=json.dumps([f"{name}@example.org"]),
            )
        for table, lines in self.keys.items():
            text = text.replace(f"[{table}]\n", f"[{table}]\n{lines}\n", 1)
        return text + self.extra


def kill_other(pid: int) -> None:
    """End a process that is no child of ours, and wait for that."""
    with suppress(ProcessLookupError):
        descriptor = os.pidfd_open(pid)
        try:
            signal.pidfd_send_signal(descriptor, signal.SIGKILL)
            select.select([descriptor], [], [], 120)
        finally:
            os.close(descriptor)


def _answers(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=5).close()
    except OSError:
        return False
    return True
