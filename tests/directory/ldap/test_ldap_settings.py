"""The configuration of an LDAP directory: every mistake with its line and key."""

import re
from pathlib import Path

import pytest

from mailhive.config.load import load
from mailhive.config.problems import ConfigError
from mailhive.directory.ldap.url import LdapUrl

HEAD = """\
[server.listener."jmap"]
bind = "127.0.0.1:8080"
protocol = "jmap"
[jmap]
directory = "ldap"
[directory."ldap"]
type = "ldap"
"""
GOOD = 'url = "ldap://ldap.example.org"\nbase-dn = "dc=example,dc=org"\ndomains = "example.org"\n'


def loaded(tmp_path, text):
    path = tmp_path / "mailhive.toml"
    path.write_text(HEAD + text)
    return load(path)


def problems(tmp_path, text):
    with pytest.raises(ConfigError) as caught:
        loaded(tmp_path, text)
    lines = str(caught.value).splitlines()
    return [line.removeprefix(f"{tmp_path}/mailhive.toml:") for line in lines]


def test_little_is_needed(tmp_path):
    config = loaded(tmp_path, GOOD)
    settings = config.settings.directory["ldap"].settings
    assert settings.url == ("ldap://ldap.example.org",)
    assert settings.tls.starttls is True
    assert config.warnings == ()


def test_every_mistake_is_told(tmp_path):
    found = problems(
        tmp_path,
        """\
url = ["ldap://a.example", "http://b.example", "ldap://c.example/dc=x"]
base-dn = []
domains = ["example.org", "not a domain"]
user-dn = "uid={login},dc=x"
login = "guess"
timeout = "0s"
tls = { ca = "absent.pem" }
bind = { dn = "cn=x" }
attributes = { email = ["mail", "no attribute"], quota = "" }
[directory."ldap".filter]
principals = "(uid={name})"
name = "(uid={name}"
email = "(mail={name})"
domain = "x"
enabled = "(a=b)(c=d)"
""",
    )
    keys = [line.split(": ")[:2] for line in found]
    assert keys == [
        ["8", "directory.ldap.url"],
        ["9", "directory.ldap.base-dn"],
        ["10", "directory.ldap.domains"],
        ["11", "directory.ldap.user-dn"],
        ["12", "directory.ldap.login"],
        ["13", "directory.ldap.timeout"],
        ["14", "directory.ldap.tls.ca"],
        ["15", "directory.ldap.bind.secret"],
        ["16", "directory.ldap.attributes.email"],
        ["16", "directory.ldap.attributes.quota"],
        ["18", "directory.ldap.filter.principals"],
        ["19", "directory.ldap.filter.name"],
        ["20", "directory.ldap.filter.email"],
        ["21", "directory.ldap.filter.domain"],
        ["22", "directory.ldap.filter.enabled"],
    ]
    assert all("allowed" in line or "cannot be read" in line for line in found)


def test_domains_are_needed_once(tmp_path):
    servers = 'url = "ldaps://a.example"\nbase-dn = "dc=x"\n'
    [found] = problems(tmp_path, servers)
    assert found.startswith("6: directory.ldap.domains: is missing;")
    by_filter = '[directory."ldap".filter]\ndomain = "(mail=*@{domain})"\n'
    assert loaded(tmp_path, servers + by_filter).settings.directory["ldap"].settings.domains == ()
    [found] = problems(tmp_path, GOOD + by_filter)
    assert found.startswith("12: directory.ldap.filter.domain: does nothing beside domains;")


def test_secrets_come_from_files_and_are_not_shown(tmp_path):
    (tmp_path / "secret").write_text("open sesame\n")
    settings = loaded(tmp_path, GOOD + 'bind = { dn = "cn=x", secret-file = "secret" }\n')
    assert settings.settings.directory["ldap"].settings.bind.secret == "open sesame"
    assert "sesame" not in repr(settings)


@pytest.mark.parametrize(
    ("url", "warned"),
    [
        ("ldap://ldap.example.org", True),
        ("ldaps://ldap.example.org", False),
        ("ldap://127.0.0.1", False),
        ("ldap://[::1]:3890", False),
        ("ldap://localhost", False),
    ],
)
def test_passwords_in_the_clear_are_warned_about(tmp_path, url, warned):
    text = GOOD.replace("ldap://ldap.example.org", url) + "tls = { starttls = false }\n"
    warnings = [str(warning) for warning in loaded(tmp_path, text).warnings]
    assert bool(warnings) is warned
    assert all("directory.ldap.url[0]" in warning for warning in warnings)


def test_certificates_have_to_be_some(tmp_path):
    (tmp_path / "ca.pem").write_text("no certificate\n")
    [found] = problems(tmp_path, GOOD + 'tls = { ca = "ca.pem" }\n')
    assert found.startswith("11: directory.ldap.tls.ca: ") and "allowed is PEM" in found


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("ldap://a.example", "ldap://a.example:389"),
        ("ldaps://a.example/", "ldaps://a.example:636"),
        ("LDAP://A.example:1389", "ldap://a.example:1389"),
        ("ldap://[2001:db8::1]", "ldap://[2001:db8::1]:389"),
    ],
)
def test_urls(text, shown):
    assert str(LdapUrl.parse(text)) == shown


@pytest.mark.parametrize(
    "text",
    ["", "a.example", "ldap://", "ldapi:///", "ldap://a:b", "ldap://u@a", "ldap://a/x", "ldap://ä",
     "ldap://a?x", "ldap://a#x", "ldap://[::1", "ldap://a:99999", "ldap://a b"],
)  # fmt: skip
def test_texts_that_are_no_url(text):
    with pytest.raises(ValueError, match="allowed"):
        LdapUrl.parse(text)


def test_the_example_for_active_directory(tmp_path):
    text = (Path(__file__).parents[3] / "docs/directories.md").read_text()
    [example] = re.findall(r'```toml\n(\[directory\."ad"\]\n.*?)```', text, re.DOTALL)
    (tmp_path / "ad-secret").write_text("secret")
    head = HEAD.partition("[jmap]")[0] + '[jmap]\ndirectory = "ad"\n'
    (tmp_path / "mailhive.toml").write_text(head + example)
    settings = load(tmp_path / "mailhive.toml").settings.directory["ad"].settings
    assert settings.referrals == "ignore"
    assert settings.bind.secret == "secret"
