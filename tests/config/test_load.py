"""Every mistake in a configuration file is found, at its line, with what is allowed."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from mailhive.app import limits_of
from mailhive.config.endpoints import Inherited, SocketAddress
from mailhive.config.load import LoadedConfig, load
from mailhive.config.problems import ConfigError
from mailhive.jmap.limits import Limits

BASE = """\
[server.listener.mx]
bind = "127.0.0.1:2525"
protocol = "smtp"
[jmap]
directory = "memory"
[directory.memory]
type = "memory"
"""

#: What replaces a line of BASE, or is added behind it; the line, key and words of the mistake.
MISTAKES = {
    "unknown key": ("+[server]\nhostnam = 'x'", 9, "server.hostnam", 'did you mean "hostname"'),
    "unknown section": ("+[serverr]", 8, "serverr", 'did you mean "server"'),
    "unknown key of a provider": ("3:protocol = 'smtp'\nmax-eggs = 1", 4,
                                  "server.listener.mx.max-eggs", "not a known key"),
    "key of another protocol": ("3:protocol = 'smtp'\nurl = 'x.example'", 4,
                                "server.listener.mx.url", "does nothing for smtp"),
    "string for an integer": ("+[jmap.limits]\ncalls = '3'", 9, "jmap.limits.calls",
                              "is a string; allowed is an integer"),
    "boolean for an integer": ("+[jmap.limits]\ncalls = true", 9, "jmap.limits.calls",
                               "is a boolean; allowed is an integer"),
    "no workers": ("+[server]\nworkers = 0", 9, "server.workers", 'allowed is 1 to 64, or "auto"'),
    "workers by name": ("+[server]\nworkers = 'many'", 9, "server.workers",
                        '"many" is not allowed; allowed is 1 to 64, or "auto"'),
    "integer for a string": ("+[server]\nhostname = 3", 9, "server.hostname",
                             "is an integer; allowed is a string"),
    "string for a boolean": ("5:directory = 'memory'\nenabled = 'yes'", 6, "jmap.enabled",
                             "is a string; allowed is a boolean"),
    "value for a table": ("5:directory = 'memory'\nhttp = 3", 6, "jmap.http",
                          "is an integer; allowed is a table"),
    "table for a list": ("+[jmap.http]\nheaders = {a = 1}", 9, "jmap.http.headers",
                         "is a table; allowed is a list"),
    "element of a list": ("+[jmap.http]\nheaders = [\n 'A: b',\n 3]", 11, "jmap.http.headers[1]",
                          "is an integer; allowed is a string"),
    "date": ("+[server]\nhostname = 2026-01-01", 9, "server.hostname", "is a date or time"),
    "unknown unit": ("+[jmap.upload]\nmax-size = '3X'", 9, "jmap.upload.max-size",
                     '"X" is not a unit; a size is a whole number and one of B K M G'),
    "no size": ("+[jmap.upload]\nmax-size = 'big'", 9, "jmap.upload.max-size", "is not a size"),
    "negative size": ("+[jmap.upload]\nmax-size = -1", 9, "jmap.upload.max-size", "is negative"),
    "unit of a duration": ("3:protocol = 'smtp'\ncommand-timeout = '3M'", 4,
                           "server.listener.mx.command-timeout", "one of s m h d"),
    "too small": ("+[jmap.limits]\nget = 0", 9, "jmap.limits.get", "at least 1"),
    "no WebSocket URL": ("5:directory = 'memory'\nwebsocket-url-prefix = 'https://x'", 6,
                         "jmap.websocket-url-prefix", 'allowed is "ws://…"'),
    "WebSocket URL without a host": ("5:directory = 'memory'\nwebsocket-url-prefix = 'ws://'", 6,
                                     "jmap.websocket-url-prefix", "is not such a URL"),
    "directory of a domain": ("+[domain.'x.example']\ndirectory = 'ldap'", 9,
                              'domain."x.example".directory', 'names no table [directory."ldap"]'),
    "no domain": ("+[domain.'x@y']\ndirectory = 'memory'", 8, 'domain."x@y"', "is no domain"),
    "a domain twice": (
        ("+[domain.'bücher.example']\ndirectory = 'memory'\n"
        "[domain.'XN--bcher-kva.example']\ndirectory = 'memory'"),
        10, 'domain."XN--bcher-kva.example"', 'is "bücher.example" again'),
    "directory with the name of a domain": (
        ("+[domain.'x.example']\ndirectory = 'x.example'\n"
        "[directory.'x.example']\ntype = 'memory'"),
        9, 'domain."x.example".directory', "a directory whose name is no domain of these"),
    "domain without a directory": ("+[domain.'x.example']", 8, 'domain."x.example".directory',
                                   "is missing"),
    "idle before the ping is": ("+[jmap.websocket]\nping-interval = '2m'", 8,
                                "jmap.websocket.idle-timeout", "at least 125s"),
    "too short": ('+[jmap.upload]\nlife = "59m"', 9, "jmap.upload.life", "at least 1h"),
    "no header field": ("+[jmap.http]\nheaders = 'Server mailhive'", 9, "jmap.http.headers",
                        'allowed is "Name: Value"'),
    "name of a header field": ("+[jmap.http]\nheaders = 'X Y: z'", 9, "jmap.http.headers",
                               'allowed is "Name: Value"'),
    "control character": ('+[jmap.http]\nheaders = "X: a\\r\\nY: b"', 9,
                          "jmap.http.headers", "control characters"),
    "header of the connection": ("+[jmap.http]\nheaders = 'Content-Length: 3'", 9,
                                 "jmap.http.headers", "belongs to the connection"),
    "no origin": ("+[jmap.http]\nallowed-origins = 'https://a/'", 9, "jmap.http.allowed-origins",
                  'allowed is "*", or scheme, host and port'),
    "origin of sandboxes": ("+[jmap.http]\nallowed-origins = ['null']", 9,
                            "jmap.http.allowed-origins", "is not an origin"),
    "usual port in an origin": ("+[jmap.http]\nallowed-origins = ['https://a:443']", 9,
                                "jmap.http.allowed-origins", "without the scheme's usual port"),
    "origins twice": (
        "+[jmap.http]\nheaders = 'Access-Control-Allow-Origin: *'\nallowed-origins = '*'", 10,
        "jmap.http.allowed-origins", "allowed is one"),
    "PROXY headers of nobody": ("3:protocol = 'smtp'\nproxy-protocol = true", 4,
                                "server.listener.mx.proxy-protocol", "names the proxies"),
    "DANE by nobody's word": ("+[relay]\ndane = true", 9, "relay.dane",
                              "allowed when server.resolvers names them"),
    "no network": ("+[server]\ntrusted-proxies = ['proxy.example']", 9,
                   "server.trusted-proxies[0]", "is not a network"),
    "field of no proxy": ("+[server]\nforwarded-fields = ['Via']", 9,
                          "server.forwarded-fields[0]", '"X-Forwarded-For", "Forwarded"'),
    "wiretap of no listener": ("+[log]\nwiretap = ['mx', 'jmap']", 9, "log.wiretap[1]",
                               '"jmap" is no listener; allowed: "mx"'),
    "filter without a table": ("3:protocol = 'smtp'\nmilters = 'a'", 4,
                               "server.listener.mx.milters", 'names no table [milter."a"]'),
    "address of a filter": ("+[milter.a]\naddress = '127.0.0.1:11332'", 9, "milter.a.address",
                            '"unix:/run/filter.sock"'),
    "port of a filter": ("+[milter.a]\naddress = 'tcp:a:70000'", 9, "milter.a.address", "allowed"),
    "format of the log": ("+[log]\nformat = 'xml'", 9, "log.format", '"text", "json"'),
    "version of JMAP": ("5:directory = 'memory'\ndefault-version = 'draft'", 6,
                        "jmap.default-version", 'allowed: "rfc-8621"'),
    "header of the single answer": ("+[jmap.http]\nheaders = 'content-type: text/html'", 9,
                                    "jmap.http.headers", "to the single answer"),
    "address": ("2:bind = 'example.org:25'", 2, "server.listener.mx.bind",
                '"example.org" is not an IP address'),
    "address without port": ("2:bind = '127.0.0.1'", 2, "server.listener.mx.bind",
                             'allowed is "host:port"'),
    "IPv6 address without brackets": ("2:bind = '::1:25'", 2, "server.listener.mx.bind",
                                      'allowed is "host:port"'),
    "port": ("2:bind = '127.0.0.1:70000'", 2, "server.listener.mx.bind", "ports end at 65535"),
    "no address": ("2:bind = []", 2, "server.listener.mx.bind", "at least one address"),
    "missing address": ("2:", 1, "server.listener.mx.bind", "is missing"),
    "same address": ("+[server.listener.b]\nprotocol = 'smtp'\nbind = ['127.0.0.1:2525']", 10,
                     "server.listener.b.bind[0]", 'taken by 127.0.0.1:2525 of listener "mx"'),
    "same address twice": ("2:bind = ['[::1]:25', '[0:0::1]:25']", 2,
                           "server.listener.mx.bind[1]", "taken by [::1]:25"),
    "wildcard address": ("+[server.listener.b]\nprotocol = 'smtp'\nbind = '0.0.0.0:2525'", 10,
                         "server.listener.b.bind", "taken by 127.0.0.1:2525"),
    "protocol": ("3:protocol = 'gopher'", 3, "server.listener.mx.protocol",
                 '"gopher" is not known; allowed: "jmap", "lmtp", "smtp", "submission"'),
    "url": ("3:protocol = 'jmap'\nurl = 'ftp://a'", 4, "server.listener.mx.url", "allowed is"),
    "tls mode": ("3:protocol = 'smtp'\ntls = 'on'", 4, "server.listener.mx.tls",
                 'allowed: "none", "implicit", "starttls"'),
    "starttls of a protocol without": (
        "3:protocol = 'jmap'\ntls = 'starttls'\ncertificate = 'c'\nprivate-key = 'k'", 4,
        "server.listener.mx.tls", '"starttls" is not supported by jmap'),
    "tls without certificate": ("3:protocol = 'smtp'\ntls = 'implicit'\nprivate-key = 'pem'", 1,
                                "server.listener.mx.certificate", "is missing"),
    "certificate without tls": ("3:protocol = 'smtp'\ncertificate = 'x.pem'", 4,
                                "server.listener.mx.certificate", "does nothing"),
    "no listener": ("1:[server]\n2:\n3:", 1, "server.listener", "at least one"),
    "missing key": ("5:enabled = true", 4, "jmap.directory", "is missing"),
    "missing section": ("4:\n5:", 1, "jmap", "is missing"),
    "missing directory": ("5:directory = 'ldap'", 5, "jmap.directory",
                          'no table [directory."ldap"]; allowed: "memory"'),
    "missing store": ("+[storage]\nmail = 'big'", 9, "storage.mail", 'no table [store."big"]'),
    "missing blob store": ("+[storage]\nblob = 's3'", 9, "storage.blob", 'no table [blob."s3"]'),
    "type of a store": ("+[store.a]\ntype = 'papyrus'", 9, "store.a.type",
                        '"papyrus" is not known'),
    "authentication": ("5:directory = 'memory'\nauthentication = ['basic', 'psychic']", 6,
                       "jmap.authentication", '"psychic" is not known; allowed: "basic", "jwt"'),
    "strategy that cannot be imported": (
        "5:directory = 'memory'\nauthentication = 'nowhere:X'", 6, "jmap.authentication",
        'authentication provider "nowhere:X" (nowhere:X) cannot be loaded: No module named'),
    "strategy that is none": (
        "5:directory = 'memory'\nauthentication = 'json:dumps'", 6, "jmap.authentication",
        '"json:dumps" is neither a Provider nor a class'),
    "strategy that is asked for twice": (
        "5:directory = 'memory'\nauthentication = ['basic', 'basic']", 6, "jmap.authentication",
        'names "basic" twice'),
    "no strategy": ("5:directory = 'memory'\nauthentication = []", 6, "jmap.authentication",
                    "at least one is needed"),
    "strategy that is not asked for": (
        "5:directory = 'memory'\nauthentication = 'jwt'\n[jmap.basic]", 7, "jmap.basic",
        "does nothing"),
    "URL prefix": ("5:directory = 'memory'\nurl-prefix = 'mail.example.org'", 6,
                   "jmap.url-prefix", "has no scheme"),
    "disabled capability": (
        "5:directory='memory'\ndisabled-capabilities = ['urn:ietf:params:jmap:mail',\n'urn:x']", 7,
        "jmap.disabled-capabilities[1]",
        '"urn:x" cannot be disabled; allowed: "urn:ietf:params:jmap:'),
    "disabled core": (
        "5:directory = 'memory'\ndisabled-capabilities = 'urn:ietf:params:jmap:core'", 6,
        "jmap.disabled-capabilities[0]",
        '"urn:ietf:params:jmap:core" cannot be disabled; allowed: "urn:ietf:params:jmap:'),
    "attachments": ("+[jmap.email]\nmax-size = '10M'\nmax-size-attachments = '7M'", 10,
                    "jmap.email.max-size-attachments", "at most 6700K"),
    "attachments by default": ("+[jmap.email]\nmax-size = '10M'", 8,
                               "jmap.email.max-size-attachments", "20M is too much"),
    "host name": ("+[server]\nhostname = 'a b'", 9, "server.hostname", "is not a host name"),
    "secret file": (
        "+[[directory.memory.principals]]\nname = 'a'\nsecret-file = 'none'\nemail = 'a@b'", 10,
        "directory.memory.principals[0].secret-file", '"none" cannot be read: No such file'),
    "secret twice": (
        "+[[directory.memory.principals]]\nname = 'a'\nsecret-file = 'f'\nsecret = 'x'", 10,
        "directory.memory.principals[0].secret-file", "is given beside secret"),
}  # fmt: skip


def write(tmp_path: Path, change: str = "") -> Path:
    lines = BASE.splitlines()
    if change.startswith("+"):
        lines.append(change[1:])
    else:
        number = 0
        replaced: dict[int, list[str]] = {}
        for line in change.splitlines():
            start, colon, rest = line.partition(":")
            if colon and start.isdigit():
                number, line = int(start), rest
                replaced[number] = []
            replaced[number].append(line)
        for number in sorted(replaced, reverse=True):
            lines[number - 1 : number] = [line for line in replaced[number] if line]
    path = tmp_path / "mailhive.toml"
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.mark.parametrize("name", MISTAKES)
def test_mistake(name: str, tmp_path: Path) -> None:
    change, line, key, words = MISTAKES[name]
    path = write(tmp_path, change)
    with pytest.raises(ConfigError) as caught:
        load(path)
    assert len(caught.value.problems) == 1, str(caught.value)
    text = str(caught.value)
    assert text.startswith(f"{path}:{line}: {key}")
    assert words in text


def test_all_mistakes_at_once(tmp_path: Path) -> None:
    path = tmp_path / "mailhive.toml"
    path.write_text(
        """\
[server]
hostname = "-"
[server.listener.a]
bind = "127.0.0.1:2525"
protocol = "smtp"
colour = "blue"
[server.listener.b]
bind = ["127.0.0.1:2525", "x"]
protocol = "smtp"
max-errors = 0
[storage]
mail = "elsewhere"
[jmap]
directory = 3
[jmap.http]
headers = ["Good: yes", "bad"]
[jmap.limits]
calls = "many"
get = 1.5
[log]
wiretap = ["a", "c"]
"""
    )
    with pytest.raises(ConfigError) as caught:
        load(path)
    assert [(p.line, p.path[-2:]) for p in caught.value.problems] == [
        (2, ("server", "hostname")),
        (6, ("a", "colour")),
        (8, ("bind", 0)),
        (8, ("bind", 1)),
        (10, ("b", "max-errors")),
        (12, ("storage", "mail")),
        (14, ("jmap", "directory")),
        (16, ("headers", 1)),
        (18, ("limits", "calls")),
        (19, ("limits", "get")),
        (21, ("wiretap", 1)),
    ]


@pytest.mark.parametrize(
    ("octets", "line", "words"),
    [
        (b"a = 1\nb = \n", 2, "invalid value"),
        (b"a = 1\na = 2\n", 2, "cannot overwrite"),
        (b'a = 1\nb = "\xff"\n', 2, "not UTF-8"),
        (b"a = [\n", 2, ""),
        (b"a = " + b"[" * 5000, 0, "too deeply"),
    ],
)
def test_not_toml(octets: bytes, line: int, words: str, tmp_path: Path) -> None:
    path = tmp_path / "bad.toml"
    path.write_bytes(octets)
    with pytest.raises(ConfigError) as caught:
        load(path)
    (problem,) = caught.value.problems
    assert problem.line == line
    assert words in problem.message


def test_unreadable_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none\.toml: cannot be read: No such file"):
        load(tmp_path / "none.toml")
    with pytest.raises(ConfigError, match="cannot be read: Is a directory"):
        load(tmp_path)


def test_values(tmp_path: Path) -> None:
    (tmp_path / "password").write_text("pässword\n")
    path = write(
        tmp_path,
        """+
[[directory.memory.principals]]
name = "alice"
secret-file = "password"
email = "alice@example.org"
[server]
hostname = "mx.example.org"
data-dir = "data"
workers = "auto"
[server.listener."more smtp"]
bind = ["[::]:25", "0.0.0.0:25", "localhost:26", "systemd:mail"]
protocol = "smtp"
max-message-size = "1M"
command-timeout = "2m"
[jmap.http]
headers = ["Cache-Control: max-age=3600", "Server:Stalwart JMAP "]
[jmap.email]
max-size = "40M"
""",
    )
    settings = load(path).settings
    assert settings.server.hostname == "mx.example.org"
    assert settings.server.data_dir == tmp_path / "data"
    assert settings.server.workers == len(os.sched_getaffinity(0))
    listener = settings.server.listener["more smtp"]
    assert listener.name == "more smtp"
    assert listener.bind == (
        SocketAddress("::", 25),
        SocketAddress("0.0.0.0", 25),
        SocketAddress("127.0.0.1", 26),
        Inherited("mail"),
    )
    assert listener.settings.max_message_size == 1_000_000
    assert listener.settings.command_timeout == 120
    assert settings.jmap.http.headers == (
        ("Cache-Control", "max-age=3600"),
        ("Server", "Stalwart JMAP"),
    )
    assert settings.jmap.email.max_size == 40_000_000
    (alice,) = settings.directory["memory"].settings.principals
    assert alice.secret == "pässword"
    assert alice.email == ("alice@example.org",)


def test_defaults(tmp_path: Path) -> None:
    settings = load(write(tmp_path)).settings
    assert settings.server.data_dir == tmp_path / "var"
    assert settings.server.workers == 1
    assert settings.storage.mail in settings.store
    assert settings.storage.blob in settings.blob
    assert limits_of(settings) == Limits()


def test_snippets_of_stalwart(tmp_path: Path) -> None:
    """What its documentation shows loads as it stands, but for the directory it names."""
    path = tmp_path / "stalwart.toml"
    path.write_text(
        """\
[server.listener."jmap"]
bind = ["[::]:8080"]
url = "jmap.example.org:8080"
protocol = "jmap"

[jmap]
directory = "sql"

[jmap.http]
headers = ["Access-Control-Allow-Origin: *",
           "Access-Control-Allow-Methods: POST, GET, HEAD, OPTIONS",
           "Access-Control-Allow-Headers: *"]

[directory."sql"]
type = "memory"
"""
    )
    settings = load(path).settings
    assert settings.server.listener["jmap"].base_url == "http://jmap.example.org:8080"
    assert len(settings.jmap.http.headers) == 3
    assert settings.jmap.http.origins == ("*",)


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with a certificate, its key, another key and an encrypted one."""
    where = tmp_path_factory.mktemp("pem")
    openssl = shutil.which("openssl")
    assert openssl is not None
    for args in (
        "req -x509 -newkey ed25519 -nodes -subj /CN=localhost -keyout key.pem -out cert.pem",
        "genpkey -algorithm ed25519 -out other.pem",
        "genpkey -algorithm ed25519 -aes256 -pass pass:x -out locked.pem",
    ):
        subprocess.run([openssl, *args.split()], cwd=where, check=True, capture_output=True)
    return where


@pytest.mark.parametrize(
    ("certificate", "key", "line", "words"),
    [
        ("cert.pem", "other.pem", 6, "is not the key of the certificate"),
        ("cert.pem", "locked.pem", 6, "allowed is a key without password"),
        ("key.pem", "key.pem", 5, "allowed is PEM"),
        ("none.pem", "key.pem", 5, "cannot be read: No such file"),
    ],
)
def test_certificate(
    pair: Path, certificate: str, key: str, line: int, words: str, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError) as caught:
        load_tls(tmp_path, pair / certificate, pair / key)
    (problem,) = caught.value.problems
    assert problem.line == line
    assert words in problem.message


def test_good_certificate(pair: Path, tmp_path: Path) -> None:
    config = load_tls(tmp_path, pair / "cert.pem", pair / "key.pem")
    assert config.settings.server.listener["mx"].certificate == (pair / "cert.pem",)


def load_tls(tmp_path: Path, certificate: Path, key: Path) -> LoadedConfig:
    change = f"3:protocol = 'smtp'\ntls = 'starttls'\ncertificate = '{certificate}'"
    return load(write(tmp_path, change + f"\nprivate-key = '{key}'"))
