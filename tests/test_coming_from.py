"""docs/coming-from.md has every option of the two, and says what is."""

import re
from functools import cache
from pathlib import Path

import pytest

from mailhive.config.load import load
from mailhive.config.reference import reference

ROOT = Path(__file__).parent.parent
TEXT = (ROOT / "docs/coming-from.md").read_text("utf-8")

#: The options of their documentation of JMAP.
STALWART = """
server.listener.NAME.bind server.listener.NAME.protocol server.listener.NAME.url
jmap.directory jmap.http.headers
"""
JAMES = """
enabled jmap.port tls.keystoreURL tls.secret jwt.publickeypem.url url.prefix websocket.url.prefix
websocket.ping.interval upload.max.size upload.quota.limit email.send.max.size
max.size.attachments.per.mail view.email.query.enabled user.provisioning.enabled
authentication.strategy.rfc8621 jmap.version.default dynamic.jmap.prefix.resolution.enabled
webpush.prevent.server.side.request.forgery webpush.maxTimeoutSeconds webpush.maxConnections
cassandra.filter.projection.activated delay.sends.enabled disabled.capabilities
email.get.full.max.size get.max.size set.max.size org.apache.james.jmap.wire
oidc.provider.configuration.url oidc.userinfo.url oidc.introspect.url oidc.introspect.credentials
oidc.claim oidc.audience oidc.token.cache.expiration oidc.token.cache.maxSize
X-User X-User-Secret X-Real-IP jmapVersion .well-known/jmap _jmap._tcp
"""


def rows(section: str) -> list[list[str]]:
    """The cells of the table below a heading."""
    below = TEXT.partition(f"## {section}\n")[2].partition("\n## ")[0]
    lines = [line for line in below.splitlines() if line.startswith("| ")][1:]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


ROWS = rows("Stalwart") + rows("Apache James")
KEYS = re.compile(r"`((?:jmap|server|log)\.[a-z.-]+)`")


@cache
def defaults() -> dict[str, str]:
    """The default of each key, by its dotted name, as the reference has it."""
    found: dict[str, str] = {}
    section = ""
    for line in reference().splitlines():
        if match := re.match(r"##+ `\[([\w.-]+)\]`", line):
            section = match[1]
        elif match := re.match(r"\| `([\w-]+)`[^|]*\|[^|]*\| ([^|]*) \|", line):
            found.setdefault(f"{section}.{match[1]}", match[2].strip())
    return found


@pytest.mark.parametrize(("section", "options"), [("Stalwart", STALWART), ("Apache James", JAMES)])
def test_every_option_has_a_row(section: str, options: str) -> None:
    named = {name for row in rows(section) for name in re.findall(r"`([^`]+)`", row[0])}
    assert named == set(options.split())


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0].replace("`", ""))
def test_a_row(row: list[str]) -> None:
    _option, here, default, _differs, held_by = row
    path, _, name = held_by.strip("`").partition("::")
    assert re.search(rf"^(async )?def {name}\(", (ROOT / path).read_text("utf-8"), re.MULTILINE)
    known = defaults()
    keys = KEYS.findall(here)
    assert [key for key in keys if key not in known] == []
    if keys and default.startswith("`") and " " not in known[keys[0]]:
        assert default.split(", `")[0] == known[keys[0]], keys[0]


def test_snippets_in_the_form_of_stalwart_load(tmp_path: Path) -> None:
    path = tmp_path / "mailhive.toml"
    path.write_text(
        """\
[server.listener."web"]
bind = ["[::]:8443"]
url = "mail.example.net:8443"
protocol = "jmap"

[jmap]
directory = "people"

[jmap.http]
headers = ["Access-Control-Allow-Origin: *",
           "Access-Control-Allow-Methods: POST, GET, HEAD, OPTIONS",
           "Access-Control-Allow-Headers: *",
           "Cache-Control: max-age=60"]

[directory."people"]
type = "memory"

[[directory."people".principals]]
name = "zoe"
type = "individual"
description = "Zoe Z."
secret = "zoe-secret"
email = ["zoe@example.net", "z@example.net"]
email-list = ["all@example.net"]
member-of = ["staff"]
quota = "1G"

[[directory."people".principals]]
name = "staff"
type = "group"
"""
    )
    settings = load(path).settings
    assert settings.server.listener["web"].base_url == "http://mail.example.net:8443"
    assert settings.jmap.authentication == ("jwt", "basic")
    assert [name for name, _ in settings.jmap.http.headers][-1] == "Cache-Control"
    zoe, _ = settings.directory["people"].settings.principals
    assert (zoe.quota, zoe.member_of, zoe.email_list) == (10**9, ("staff",), ("all@example.net",))


DOCUMENT = (ROOT / "docs/authentication.md").read_text("utf-8")


def test_the_examples_of_the_authentication_document_load(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each with what it leaves out, and with files of its own in place of those it names."""
    monkeypatch.syspath_prepend(str(ROOT / "tests/data/thirdparty"))
    (tmp_path / "oidc").write_text("secret")
    (tmp_path / "proxy-secrets").write_text("a secret of 16 and more\n")
    (tmp_path / "issuer.pem").write_bytes(_public_key())
    base = '[server.listener.web]\nbind = "127.0.0.1:0"\nprotocol = "jmap"\n'
    base += '[directory.accounts]\ntype = "internal"\n'
    examples = re.findall(r"```toml\n(.*?)```", DOCUMENT, re.DOTALL)
    assert len(examples) == 5
    for example in examples:
        text = example.replace("/etc/mailhive/", "")
        if "[jmap]\n" not in text:
            text = '[jmap]\ndirectory = "accounts"\n' + text
        elif "directory =" not in text:
            text = text.replace("[jmap]\n", '[jmap]\ndirectory = "accounts"\n')
        path = tmp_path / "mailhive.toml"
        path.write_text(base + text)
        assert load(path).settings.jmap.directory == "accounts"


def _public_key() -> bytes:
    from joserfc.jwk import OKPKey

    return OKPKey.generate_key("Ed25519").as_pem(private=False)
