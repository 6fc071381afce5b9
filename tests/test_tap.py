"""`twistd mailhive` as a person or systemd starts it."""

import json
import os
import re
import signal
import smtplib
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from http.client import HTTPSConnection
from pathlib import Path
from typing import Self

import pytest

from mailhive.testing.certificates import make_certificate

TWISTD = Path(sys.executable).with_name("twistd")

CONFIG = """\
[server]
hostname = "localhost"
data-dir = "data"
[server.listener.mx]
bind = {bind}
protocol = "smtp"
[server.listener.web]
bind = "127.0.0.1:0"
protocol = "jmap"
[jmap]
directory = "memory"
[directory.memory]
type = "memory"
[[directory.memory.principals]]
name = "alice"
secret = "$argon2id$v=19$m=8,t=1,p=1$c29tZXNhbHQ$SoMf8qSIGYWA1dTXsQUoww"
email = "alice@localhost"
"""

#: Puts a socket where systemd would, and becomes twistd.
ACTIVATE = """\
import os, sys
os.dup2(int(sys.argv[1]), 3)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS="1", LISTEN_FDNAMES="smtp")
os.execv(sys.argv[2], sys.argv[2:])
"""


class Running:
    """twistd in the foreground; `log` is what it has written so far."""

    def __init__(self, command: list[str], cwd: Path, **more: object) -> None:
        self.process = subprocess.Popen(
            command,
            cwd=cwd,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            **more,  # type: ignore[call-overload]
        )
        self.log = ""

    def until(self, pattern: str) -> re.Match[str]:
        """Wait for a line that matches."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.log += line
            if found := re.search(pattern, line):
                return found
        raise AssertionError(f"{pattern} is not in\n{self.log}")

    def stop(self) -> None:
        """Ask it to end; twistd tells its parent which signal ended it."""
        self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(timeout=100) == -signal.SIGTERM

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()
        assert self.process.stdout is not None
        self.process.stdout.close()


def command(config: Path) -> list[str]:
    return [str(TWISTD), "--nodaemon", "--pidfile=", "mailhive", "-c", str(config)]


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "mailhive.toml"
    path.write_text(CONFIG.format(bind='"127.0.0.1:0"'))
    return path


@pytest.fixture
def taken() -> Iterator[int]:
    """A port that somebody else listens on."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def test_sigterm_ends_it_with_connections_open(config: Path) -> None:
    with Running(command(config), config.parent) as daemon:
        port = int(daemon.until(r'listener "mx" on 127\.0\.0\.1:(\d+)')[1])
        daemon.until('listener "web" on')
        with smtplib.SMTP("127.0.0.1", port) as client:
            client.ehlo("client.example.org")
            client.mail("bob@example.org")
            assert client.rcpt("alice@localhost")[0] == 250
            client.putcmd("data")
            assert client.getreply()[0] == 354
            client.send(b"Subject: unfinished\r\n")
            daemon.stop()
            client.close()
        assert "Traceback" not in daemon.log


def test_systemd_is_told(config: Path, tmp_path: Path) -> None:
    path = tmp_path / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.bind(str(path))
        receiver.settimeout(100)
        environ = os.environ | {"NOTIFY_SOCKET": str(path)}
        with Running(command(config), config.parent, env=environ) as daemon:
            assert receiver.recv(100) == b"READY=1"
            daemon.stop()
        assert receiver.recv(100) == b"STOPPING=1"


@pytest.mark.parametrize("name", ["smtp", "0"])
def test_socket_activation(name: str, config: Path) -> None:
    config.write_text(CONFIG.format(bind=f'"systemd:{name}"'))
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        number = server.fileno()
        launch = [sys.executable, "-c", ACTIVATE, str(number), *command(config)]
        with Running(launch, config.parent, pass_fds=(number,)) as daemon:
            server.close()
            daemon.until('listener "web" on')
            with smtplib.SMTP("127.0.0.1", port) as client:
                assert client.ehlo("client.example.org")[0] == 250
            daemon.stop()


def new_certificate(where: Path) -> ssl.SSLContext:
    """Put a certificate and its key there; what trusts it."""
    made = make_certificate("localhost")
    (where / "cert.pem").write_bytes(made.certificate)
    (where / "key.pem").write_bytes(made.private_key)
    return ssl.create_default_context(cadata=made.certificate.decode())


def test_tls_and_a_renewed_certificate(config: Path) -> None:
    trust = new_certificate(config.parent)
    files = 'certificate = "cert.pem"\nprivate-key = "key.pem"'
    text = config.read_text().replace('"smtp"', f'"smtp"\ntls = "starttls"\n{files}')
    config.write_text(text.replace('"jmap"', f'"jmap"\ntls = "implicit"\n{files}'))

    def ask(https: HTTPSConnection) -> int:
        https.request("GET", "/.well-known/jmap")
        answer = https.getresponse()
        answer.read()
        return answer.status

    with Running(command(config), config.parent) as daemon:
        port = int(daemon.until(r'listener "mx" on 127\.0\.0\.1:(\d+)')[1])
        web = int(daemon.until(r'listener "web" on 127\.0\.0\.1:(\d+)')[1])
        open_before = HTTPSConnection("localhost", web, context=trust)
        assert ask(open_before) == 401
        for renewed in (False, True):
            if renewed:
                trust = new_certificate(config.parent)
                daemon.process.send_signal(signal.SIGHUP)
                daemon.until("Configuration reloaded")
            with smtplib.SMTP("localhost", port) as client:
                client.starttls(context=trust)
                assert client.noop()[0] == 250
            https = HTTPSConnection("localhost", web, context=trust)
            assert ask(https) == 401
            https.close()
        assert ask(open_before) == 401
        open_before.close()
        daemon.stop()


def test_address_in_use(config: Path, taken: int) -> None:
    config.write_text(CONFIG.format(bind=f'"127.0.0.1:{taken}"'))
    done = subprocess.run(command(config), capture_output=True, text=True, cwd=config.parent)
    assert done.returncode == 1
    assert done.stderr == (
        f'mailhive: listener "mx": cannot listen on 127.0.0.1:{taken}: Address already in use\n'
    )
    assert not (config.parent / "data").exists()


def test_every_mistake_of_the_configuration(config: Path) -> None:
    config.write_text(CONFIG.format(bind='"nowhere"') + "colour = 3\n")
    done = subprocess.run(command(config), capture_output=True, text=True, cwd=config.parent)
    assert done.returncode == 1
    first, second = done.stderr.splitlines()
    assert first.startswith(f"{config}:5: server.listener.mx.bind: ")
    assert second.startswith(f"{config}:18: directory.memory.principals[0].colour: ")


def test_start_that_fails_is_one_message(config: Path) -> None:
    (config.parent / "occupied").touch()
    config.write_text(config.read_text().replace('"data"', '"occupied/data"'))
    done = subprocess.run(command(config), capture_output=True, text=True, cwd=config.parent)
    assert done.returncode == 1
    assert "server.data-dir: cannot use" in done.stdout
    assert "Traceback" not in done.stdout + done.stderr


def test_in_the_background(config: Path) -> None:
    """Relative paths survive going into the background; a second daemon is refused."""
    arguments = [str(TWISTD), "mailhive", "-c", config.name]
    done = subprocess.run(arguments, capture_output=True, text=True, cwd=config.parent)
    assert done.returncode == 0, done.stderr
    pid = int((config.parent / "twistd.pid").read_text())
    try:
        assert (config.parent / "data").is_dir()
    finally:
        os.kill(pid, signal.SIGTERM)


def test_help_and_version() -> None:
    done = subprocess.run([TWISTD, "mailhive", "--help"], capture_output=True, text=True)
    assert "--config=" in done.stdout
    done = subprocess.run([TWISTD, "mailhive", "--version"], capture_output=True, text=True)
    assert re.fullmatch(r"mailhive \d+\.\d+\.\d+\n", done.stdout)


def test_a_log_of_json_lines(config: Path) -> None:
    without = config.read_text() + '[log]\nformat = "json"\n'
    config.write_text(without)
    with Running(command(config), config.parent) as daemon:
        port = int(daemon.until(r'listener \\"mx\\" on 127\.0\.0\.1:(\d+)')[1])
        daemon.until(r'listener \\"web\\" on')
        with smtplib.SMTP("127.0.0.1", port) as client:
            client.ehlo("not-told.example.org")
        config.write_text(f'{without}wiretap = "mx"\n')
        daemon.process.send_signal(signal.SIGHUP)
        daemon.until("Configuration reloaded; changed: log.wiretap")
        with smtplib.SMTP("127.0.0.1", port) as client:
            client.docmd("AUTH", "PLAIN d29uZGVybGFuZA==")
            client.sendmail("bob@example.org", ["alice@localhost"], b"Subject: x\r\n\r\nhello\r\n")
        daemon.until("Message accepted")
        daemon.stop()
    events = [json.loads(line) for line in daemon.log.splitlines()]
    (accepted,) = [event for event in events if event.get("outcome", "").startswith("250")]
    assert (accepted["peer"], accepted["recipients"]) == ("127.0.0.1", ["alice@localhost"])
    told = [event for event in events if event["namespace"] == "mailhive.wiretap"]
    assert any("FROM:<bob@example.org>" in event["dump"] for event in told)
    assert "AUTH PLAIN [redacted]" in [event["dump"] for event in told]
    assert "d29uZGVybGFuZA" not in daemon.log
    assert "not-told" not in daemon.log


def test_a_file_of_json_lines_is_rotated(config: Path, tmp_path: Path) -> None:
    config.write_text(config.read_text() + '[log]\nformat = "json"\n')
    log = tmp_path / "mail.log"
    options = [f"--logfile={log}", *command(config)[1:]]
    notified = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.bind(notified)
        receiver.settimeout(100)
        environ = os.environ | {"NOTIFY_SOCKET": notified}
        with Running([str(TWISTD), *options], config.parent, env=environ) as daemon:
            assert receiver.recv(100) == b"READY=1"
            daemon.process.send_signal(signal.SIGUSR1)
            while not (tmp_path / "mail.log.1").exists():
                time.sleep(0.02)
            daemon.stop()
    before, after = (tmp_path / "mail.log.1").read_text(), log.read_text()
    assert any(json.loads(line).get("protocol") == "smtp" for line in before.splitlines())
    assert "Server Shut Down" in json.loads(after.splitlines()[-1])["message"]
