"""A slapd of the tests' own: configured, filled and started in a temporary directory."""

import base64
import os
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

import pytest
import pytest_twisted
from attrs import define, field
from passlib.hash import ldap_salted_sha1
from twisted.internet.endpoints import TCP4ClientEndpoint, connectProtocol
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.threads import deferToThread

from mailhive.config.load import load
from mailhive.directory.ldap.directory import LdapDirectory
from mailhive.testing.certificates import make_certificate
from mailhive.testing.conformance.directory import PASSWORDS, PRINCIPALS
from mailhive.testing.process import free_port

ROOT = Path(__file__).parents[3]
SECRET = "sërvice secret"
BASE = "dc=example,dc=org"

_CONFIG = """\
dn: cn=config
objectClass: olcGlobal
cn: config
olcAllows: bind_anon_cred
olcTLSCertificateFile: {directory}/server.pem
olcTLSCertificateKeyFile: {directory}/server.key
olcTLSCACertificateFile: {directory}/server.pem

dn: cn=module,cn=config
objectClass: olcModuleList
cn: module
olcModulePath: /usr/lib/ldap
olcModuleLoad: back_mdb
olcModuleLoad: memberof

dn: cn=schema,cn=config
objectClass: olcSchemaConfig
cn: schema

include: file:///etc/ldap/schema/core.ldif

include: file:///etc/ldap/schema/cosine.ldif

include: file:///etc/ldap/schema/inetorgperson.ldif

include: file:///etc/ldap/schema/nis.ldif

include: file://{root}/contrib/ldap/mailhive.ldif

dn: olcDatabase=mdb,cn=config
objectClass: olcDatabaseConfig
objectClass: olcMdbConfig
olcDatabase: mdb
olcDbDirectory: {directory}/data
olcSuffix: {base}
olcRootDN: cn=admin,{base}
olcRootPW: admin
olcDbIndex: objectClass,uid,cn,mail,mailhiveAddress,member,memberOf eq
olcAccess: to attrs=userPassword by dn.exact="cn=checker,ou=services,{base}" read
  by anonymous auth by * none
olcAccess: to * by dn.children="ou=services,{base}" read by * none

dn: olcOverlay=memberof,olcDatabase={{1}}mdb,cn=config
objectClass: olcOverlayConfig
objectClass: olcMemberOf
olcOverlay: memberof
"""


@define
class Slapd:
    """The server.  It speaks LDAP with STARTTLS on one port, and LDAP inside of TLS on another."""

    directory: Path
    port: int = field(factory=free_port)
    tls_port: int = field(factory=free_port)
    _process: subprocess.Popen[bytes] | None = None

    @classmethod
    def create(cls, directory: Path) -> "Slapd":
        """Make its configuration and data, and start it."""
        made = cls(directory)
        (directory / "data").mkdir()
        (directory / "slapd.d").mkdir()
        pem = make_certificate("localhost")
        (directory / "server.pem").write_bytes(pem.certificate)
        (directory / "server.key").write_bytes(pem.private_key)
        config = directory / "config.ldif"
        config.write_text(_CONFIG.format(directory=directory, root=ROOT, base=BASE))
        _run("slapadd", "-F", directory / "slapd.d", "-n", "0", "-l", config)
        made.start()
        made.modify(_entries())
        return made

    def start(self) -> None:
        command = [
            _program("slapd"),
            *("-F", self.directory / "slapd.d", "-d", "0"),
            *("-h", f"ldap://127.0.0.1:{self.port} ldaps://127.0.0.1:{self.tls_port}"),
        ]
        self._process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 120
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.tls_port), 100).close()
                return
            except OSError:
                assert self._process.poll() is None, "slapd has ended"
                assert time.monotonic() < deadline, "slapd does not answer"
                time.sleep(0.02)

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def pause(self) -> None:
        os.kill(self._process.pid, signal.SIGSTOP)

    def resume(self) -> None:
        os.kill(self._process.pid, signal.SIGCONT)

    def modify(self, ldif: str) -> None:
        """Apply LDIF as the administrator."""
        url = f"ldap://127.0.0.1:{self.port}"
        _run("ldapmodify", "-x", "-H", url, "-D", f"cn=admin,{BASE}", "-w", "admin", text=ldif)

    def settings(self, directory: Path, *replacements: tuple[str, str]):
        """Those of the example in `etc/`, with the ports of this server."""
        text = (ROOT / "etc/directory-ldap.toml").read_text()
        (directory / "etc").mkdir(exist_ok=True)
        (directory / "var").mkdir(exist_ok=True)
        (directory / "var/ldap-secret").write_text(SECRET + "\n")
        shutil.copy(self.directory / "server.pem", directory / "var/ldap-ca.pem")
        ports = (("localhost:389", f"localhost:{self.port}"), (":636", f":{self.tls_port}"))
        for old, new in (*ports, *replacements):
            assert old in text
            text = text.replace(old, new)
        path = directory / "etc/mailhive.toml"
        path.write_text(text)
        return load(path).settings.directory["ldap"].settings


def _program(name: str) -> str:
    found = shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin:/sbin")
    assert found is not None, f"{name} is not installed: the packages slapd and ldap-utils"
    return found


def _run(name: str, *arguments: object, text: str = "") -> None:
    done = subprocess.run(
        [_program(name), *map(str, arguments)], input=text, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


def _line(key: str, value: object) -> str:
    return f"{key}:: {base64.b64encode(str(value).encode()).decode()}\n"


def _dn(principal) -> str:
    if principal.type == "individual":
        return f"uid={principal.name},ou=people,{BASE}"
    return f"cn={principal.name},ou=groups,{BASE}"


def _entries() -> str:
    """LDIF of the principals that the conformance tests want, with who may look them up."""
    text = (
        f"dn: {BASE}\nchangetype: add\nobjectClass: dcObject\nobjectClass: organization\n"
        "dc: example\no: Example\n\n"
    )
    for unit in ("people", "groups", "services"):
        text += f"dn: ou={unit},{BASE}\nchangetype: add\nobjectClass: organizationalUnit\n\n"
    for service in ("mailhive", "checker"):
        text += f"dn: cn={service},ou=services,{BASE}\nchangetype: add\n"
        text += "objectClass: organizationalRole\nobjectClass: simpleSecurityObject\n"
        text += _line("userPassword", SECRET) + "\n"
    return text + "".join(map(_entry, PRINCIPALS)) + "".join(map(_members, PRINCIPALS))


def _entry(principal) -> str:
    text = _line("dn", _dn(principal)) + "changetype: add\n"
    if principal.type == "individual":
        text += "objectClass: inetOrgPerson\nobjectClass: mailhiveAccount\n"
        text += _line("cn", principal.name) + _line("sn", principal.name)
        if principal.name in PASSWORDS:
            text += _line("userPassword", _stored(PASSWORDS[principal.name]))
    else:
        kind = "mailhiveAccount" if principal.type == "group" else "mailhiveList"
        text += f"objectClass: groupOfNames\nobjectClass: {kind}\nmember: cn=nobody,{BASE}\n"
    first, *others = principal.emails
    if first.isascii():  # which `mail` has to be
        text += _line("mail", first)
    else:
        others = [first, *others]
    text += "".join(_line("mailhiveAddress", address) for address in others)
    if principal.description:
        text += _line("displayName", principal.description)
    if principal.quota is not None:
        text += _line("mailhiveQuota", principal.quota)
    if principal.members_may != "write":
        text += _line("mailhiveMembersMay", principal.members_may)
    if principal.mailboxes != "default":
        text += _line("mailhiveMailboxes", principal.mailboxes)
    return text + "\n"


def _stored(password: str) -> str:
    """As slapd may have it: hashed, but for those that ASCII has no letters for."""
    return ldap_salted_sha1.hash(password) if password[0].isascii() else password


def _members(principal) -> str:
    """Who belongs to it; only once all are there, as the overlay looks at once."""
    members = [_dn(each) for each in PRINCIPALS if principal.name in each.member_of]
    if not members:
        return ""
    text = _line("dn", _dn(principal)) + "changetype: modify\nadd: member\n"
    return text + "".join(_line("member", member) for member in members) + "\n"


class _Outwards(Protocol):
    """To the server, and what it says back to the client, as the relay's mode has it."""

    def __init__(self, inwards):
        self.inwards = inwards

    def dataReceived(self, data):
        mode, client = self.inwards.factory.mode, self.inwards.transport
        if mode == "half":
            client.write(data[: len(data) // 2])
            self.inwards.factory.mode = "silent"
        elif mode == "cut":
            client.write(data[: len(data) // 2])
            client.loseConnection()
        elif mode == "garbage":
            client.write(bytes(reversed(data)))
        elif mode == "long":
            client.write(b"0\x84\x7f\xff\xff\xff" + data)
        elif mode == "more":
            client.write(data + data)
        elif mode == "pass":
            client.write(data)

    def connectionLost(self, reason):
        self.inwards.transport.loseConnection()


class _Inwards(Protocol):
    def connectionMade(self):
        relay = self.factory
        relay.clients.add(self)
        relay.most = max(relay.most, len(relay.clients))
        self.outwards, self.early = None, b""
        if relay.mode == "refuse":
            self.transport.abortConnection()
            return
        endpoint = TCP4ClientEndpoint(relay.reactor, "127.0.0.1", relay.target)
        connectProtocol(endpoint, _Outwards(self)).addCallbacks(self._begin, self._end)

    def _begin(self, outwards):
        self.outwards = outwards
        outwards.transport.write(self.early)
        if self not in self.factory.clients:
            outwards.transport.loseConnection()

    def _end(self, _):
        self.transport.abortConnection()

    def dataReceived(self, data):
        self.factory.received += data
        if self.outwards is None:
            self.early += data
        else:
            self.outwards.transport.write(data)

    def connectionLost(self, reason):
        self.factory.clients.discard(self)
        if self.outwards is not None:
            self.outwards.transport.loseConnection()


class Relay(Factory):
    """Between client and server.  `mode` says what becomes of the server's answers."""

    protocol = _Inwards
    noisy = False

    def __init__(self, target, reactor):
        self.target, self.reactor = target, reactor
        self.mode = "pass"
        self.clients = set()
        self.most = 0  # clients at a time
        self.received = b""
        self.listening = reactor.listenTCP(0, self, interface="127.0.0.1")

    @property
    def port(self):
        return self.listening.getHost().port

    def disconnect(self):
        for client in self.clients:
            client.transport.abortConnection()


@pytest_twisted.async_yield_fixture
async def relay(slapd):
    from twisted.internet import reactor

    made = Relay(slapd.port, reactor)
    yield made
    await made.listening.stopListening()
    made.disconnect()


@pytest_twisted.async_yield_fixture
async def new_directory(slapd, tmp_path):
    """Make a directory: `new_directory(*replacements in the example's text)`."""
    from twisted.internet import reactor

    made = []

    def build(*replacements):
        settings = slapd.settings(tmp_path, *replacements)
        made.append(LdapDirectory("ldap", settings, reactor, deferToThread))
        return made[-1]

    yield build
    for directory in made:
        await directory.close()


@pytest.fixture(scope="module")
def slapd(tmp_path_factory):
    server = Slapd.create(tmp_path_factory.mktemp("slapd"))
    yield server
    server.kill()
