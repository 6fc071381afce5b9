"""Postfix and OpenSMTPD on the loopback, each in a directory of its own.

    with Postfix(unpacked, ("127.0.0.2", port), routes={"example.org": 2525}, others=2526):
        smtplib.SMTP("127.0.0.2", port).sendmail(...)

`unpacked` is made of Debian's packages by `tests/mta/unpack`.  What a server takes goes
on at once, by the domain of the recipient.  Both want to be started by root and then
have users of their own, so that they live in a copy of the directory by `chroot`;
others than root need `sudo` without a password.
"""

import os
import signal
import socket
import subprocess
import tempfile
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar, Self

from mailhive.testing.certificates import make_certificate

__all__ = ["MailServerFailed", "OpenSmtpd", "Postfix"]

_PATIENCE = 120.0  # seconds

#: Users and groups; their numbers are nobody's on the machine.
_USERS = """\
root:x:0:0:root:/:/bin/sh
postfix:x:61201:61201::/var/spool/postfix:/bin/false
opensmtpd:x:61202:61202::/var/lib/opensmtpd/empty:/bin/false
opensmtpq:x:61203:61203::/var/lib/opensmtpd/empty:/bin/false
nobody:x:65534:65534::/:/bin/false
"""
_GROUPS = """\
root:x:0:
postfix:x:61201:
postdrop:x:61204:
opensmtpd:x:61202:
opensmtpq:x:61203:
nogroup:x:65534:
"""


class MailServerFailed(Exception):
    """The server did not start; the text is what it said."""


class _Server(ABC):
    """`address` is where it listens; `routes` are ports of the loopback by domain, used with
    STARTTLS only; `others` is the port for all other domains, used without TLS.
    """

    #: Its name in greetings and trace headers.
    hostname: ClassVar[str]

    def __init__(
        self, unpacked: Path, address: tuple[str, int], routes: Mapping[str, int], others: int
    ) -> None:
        self.address = address
        #: For TLS, in its own name.
        self.certificate = make_certificate(self.hostname)
        self._routes = routes
        self._others = others
        self._home = Path(tempfile.mkdtemp(prefix="mailhive-mta-"))
        self._root = self._home / "root"
        self._process: subprocess.Popen[bytes] | None = None
        try:
            _as_root("cp", "-r", "--preserve=mode,links", str(unpacked), str(self._root))
            for name, content in self._files().items():
                self._write(name, content)
            self._prepare()
            self._start()
        except BaseException:
            self.close()
            raise

    def log(self) -> str:
        """What the server has said."""
        return _as_root(
            "cat", str(self._home / "log"), str(self._root / "var/log/postfix")
        ).decode()

    def close(self) -> None:
        """End it, and remove what it had."""
        process, self._process = self._process, None
        if process is not None and process.poll() is None:
            _as_root("kill", f"-{signal.SIGTERM:d}", str(process.pid))
            process.wait(_PATIENCE)
        _as_root("rm", "-rf", str(self._home))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _start(self) -> None:
        """Start it, and wait until it takes connections."""
        command = _privileged("chroot", str(self._root), *self._command())
        with (self._home / "log").open("ab") as log:
            self._process = subprocess.Popen(  # noqa: S603
                command, cwd="/", stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        deadline = time.monotonic() + _PATIENCE
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise MailServerFailed(self.log())
            time.sleep(0.05)

    def _answers(self) -> bool:
        try:
            socket.create_connection(self.address, timeout=5).close()
        except OSError:
            return False
        return True

    def _files(self) -> dict[str, bytes]:
        """The content of files by their path in its directory."""
        return {
            "etc/passwd": _USERS.encode(),
            "etc/group": _GROUPS.encode(),
            "etc/hosts": b"127.0.0.1 localhost\n",
            "etc/mailname": self.hostname.encode(),
            "etc/nsswitch.conf": b"hosts: files\n",
            "etc/resolv.conf": b"lookup file\n",
            "etc/certificate.pem": self.certificate.certificate,
            "etc/key.pem": self.certificate.private_key,
            # No devices, which containers may not make: a file has what a server takes of them.
            "dev/null": b"",
            "var/log/postfix": b"",
            "dev/urandom": os.urandom(4096),
        }

    def _prepare(self) -> None:  # noqa: B027 (not all want something)
        """Make what else it wants."""

    @abstractmethod
    def _command(self) -> list[str]:
        """What starts it."""

    def _write(self, name: str, content: bytes) -> None:
        path = self._home / "content"
        path.write_bytes(content)
        mode = "600" if "key" in name else "666" if name.startswith("dev/") else "644"
        _as_root("install", "-D", "-m", mode, str(path), str(self._root / name))

    def _directory(self, name: str, owner: str = "0:0", mode: str = "755") -> None:
        path = str(self._root / name)
        _as_root("mkdir", "-p", path)
        _as_root("chown", owner, path)
        _as_root("chmod", mode, path)


_MASTER = """\
{address}:{port} inet n - n - - smtpd
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
tlsmgr unix - - n 1000? 1 tlsmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
proxymap unix - - n - - proxymap
smtp unix - - n - - smtp
error unix - - n - - error
retry unix - - n - - error
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
postlog unix-dgram n - n - 1 postlogd
"""

_QUEUES = ("active", "bounce", "corrupt", "defer", "deferred", "flush", "hold", "incoming",
           "private", "trace")  # fmt: skip

_MAIN = """\
compatibility_level = 3.6
queue_directory = /var/spool/postfix
data_directory = /var/lib/postfix
command_directory = /usr/sbin
daemon_directory = /usr/lib/postfix/sbin
shlib_directory = /usr/lib/postfix
mail_owner = postfix
setgid_group = postdrop
maillog_file = /var/log/postfix
tls_random_source = /dev/urandom

myhostname = {hostname}
mydestination =
inet_interfaces = all
inet_protocols = ipv4
mynetworks = 127.0.0.0/8
local_header_rewrite_clients =
alias_maps =
message_size_limit = 50000000
smtpd_relay_restrictions = permit_mynetworks, reject
smtpd_tls_security_level = may
smtpd_tls_chain_files = /etc/key.pem, /etc/certificate.pem

smtp_dns_support_level = disabled
smtp_host_lookup = native
smtp_destination_recipient_limit = 1000
relayhost = [127.0.0.1]:{others}
transport_maps = inline:{{ {transports} }}
smtp_tls_policy_maps = inline:{{ {policies} }}
"""


class Postfix(_Server):
    """https://www.postfix.org/postconf.5.html"""

    hostname = "postfix.example"

    def _files(self) -> dict[str, bytes]:
        address, port = self.address
        hops = {domain: f"[127.0.0.1]:{port}" for domain, port in self._routes.items()}
        main = _MAIN.format(
            hostname=self.hostname,
            address=address,
            others=self._others,
            transports=", ".join(f"{{ {domain} = smtp:{hop} }}" for domain, hop in hops.items()),
            policies=", ".join(f"{{ {hop} = encrypt }}" for hop in set(hops.values())),
        )
        return super()._files() | {
            "etc/postfix/main.cf": main.encode(),
            "etc/postfix/master.cf": _MASTER.format(address=address, port=port).encode(),
        }

    def _prepare(self) -> None:
        self._directory("var/spool/postfix")
        self._directory("var/spool/postfix/pid")
        for name in _QUEUES:
            self._directory(f"var/spool/postfix/{name}", "61201:0", "700")
        self._directory("var/spool/postfix/maildrop", "61201:61204", "730")
        self._directory("var/spool/postfix/public", "61201:61204", "710")
        self._directory("var/lib/postfix", "61201:61201", "700")

    def _command(self) -> list[str]:
        return ["/usr/lib/postfix/sbin/master", "-d", "-c", "/etc/postfix"]


_SMTPD = """\
pki "{hostname}" cert "/etc/certificate.pem"
pki "{hostname}" key "/etc/key.pem"
smtp max-message-size "50M"
listen on {address} port {port} tls pki "{hostname}" hostname "{hostname}"
{actions}
action "others" relay host "smtp+notls://127.0.0.1:{others}"
{matches}
match from any for any action "others"
"""


class OpenSmtpd(_Server):
    """https://man.openbsd.org/smtpd.conf"""

    hostname = "opensmtpd.example"

    def _files(self) -> dict[str, bytes]:
        address, port = self.address
        config = _SMTPD.format(
            hostname=self.hostname,
            address=address,
            port=port,
            others=self._others,
            actions="\n".join(
                f'action "{domain}" relay host "smtp+tls://127.0.0.1:{port}" tls no-verify'
                for domain, port in self._routes.items()
            ),
            matches="\n".join(
                f'match from any for domain "{domain}" action "{domain}"' for domain in self._routes
            ),
        )
        return super()._files() | {"etc/smtpd.conf": config.encode()}

    def _prepare(self) -> None:
        self._directory("var/spool/smtpd", mode="711")
        self._directory("var/lib/opensmtpd/empty")
        self._directory("run")
        self._directory("var/run")

    def _command(self) -> list[str]:
        return ["/usr/sbin/smtpd", "-d", "-f", "/etc/smtpd.conf"]


def _privileged(*command: str) -> list[str]:
    return [*command] if os.geteuid() == 0 else ["sudo", "-n", *command]


def _as_root(*command: str) -> bytes:
    return subprocess.run(_privileged(*command), check=True, stdout=subprocess.PIPE).stdout  # noqa: S603
