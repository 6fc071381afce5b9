"""`mailhive app-password` and `mailhive token`: what they say, and who is let in then."""

import json
import re
import stat
import time

import pytest
from click.testing import CliRunner

from mailhive.admin.cli import main
from mailhive.auth.claims import InvalidToken, read_header
from mailhive.auth.tokens import TokenKey
from mailhive.directory.editor import Editor

CONFIG = """\
[server.listener.jmap]
bind = "127.0.0.1:8080"
protocol = "jmap"
[jmap]
directory = "accounts"
[directory.accounts]
type = "internal"
[directory.fixed]
type = "memory"
"""


@pytest.fixture
def config(tmp_path, monkeypatch):
    monkeypatch.delenv("MAILHIVE_CONFIG", raising=False)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mailhive.toml").write_text(CONFIG)
    editor = Editor(tmp_path / "var/directory.sqlite")
    editor.close()
    run("account", "add", "Alice", "--no-password")
    run("account", "add", "staff", "--group")
    return tmp_path


def run(*words, status=0):
    result = CliRunner().invoke(main, words, input="")
    assert result.exit_code == status, result.output
    if status == 1:
        assert result.output.count("\n") == 1
        assert result.output.startswith("Error: ")
    return result.output


def test_app_passwords(config):
    first = run("app-password", "add", "alice", "phone")
    second = run("app-password", "add", "ALICE", "laptop", "--scope", "smtp", "--scope", "imap")
    assert re.fullmatch(r"([a-z2-9]{4}-){5}[a-z2-9]{4}\n", first)
    assert first != second
    listed = run("app-password", "list").splitlines()
    assert [line.split()[:3] for line in listed] == [
        ["NAME", "LABEL", "SCOPES"],
        ["Alice", "laptop", "smtp"],
        ["Alice", "phone", "jmap"],
    ]
    [laptop, phone] = json.loads(run("app-password", "list", "alice", "--json"))
    assert (laptop["label"], laptop["scopes"], laptop["expires"]) == (
        "laptop",
        ["smtp", "imap"],
        None,
    )
    assert (phone["name"], phone["scopes"]) == ("Alice", ["jmap", "smtp", "imap"])
    assert phone["last-used"] is None
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", phone["made"])
    removed = run("app-password", "remove", "alice", "phone")
    assert removed == 'Removed the app password "phone" of "alice".\n'
    assert [c["label"] for c in json.loads(run("app-password", "list", "--json"))] == ["laptop"]


def test_nothing_that_is_kept_is_the_password(config):
    password = run("app-password", "add", "alice", "phone").strip()
    octets = b"".join(path.read_bytes() for path in (config / "var").iterdir())
    assert b"phone" in octets
    assert password.encode() not in octets
    assert password.replace("-", "").encode() not in octets
    assert password not in run("app-password", "list", "--json")


def test_tokens(config):
    token = run("token", "add", "alice", "script", "--scope", "jmap", "--expires", "90d").strip()
    forever = run("token", "add", "alice", "other").strip()
    key_file = config / "var/token.key"
    assert stat.S_IMODE(key_file.stat().st_mode) == 0o600
    key = TokenKey(key_file)
    key.open()
    assert key.is_of(read_header(token))
    now = time.time()
    assert key.verify(token, now) != key.verify(forever, now)
    with pytest.raises(InvalidToken, match="expired"):
        key.verify(token, now + 91 * 86_400)
    key.verify(forever, now + 10_000 * 86_400)
    [other, script] = json.loads(run("token", "list", "--json"))
    assert (other["label"], other["expires"]) == ("other", None)
    assert (script["name"], script["label"], script["scopes"]) == ("Alice", "script", ["jmap"])
    assert script["expires"] > script["made"]
    assert run("token", "remove", "alice", "script").startswith('Removed the token "script"')
    assert "script" not in run("token", "list")


def test_the_two_kinds_have_labels_of_their_own(config):
    run("token", "add", "alice", "phone")
    run("app-password", "add", "alice", "phone")
    run("token", "remove", "alice", "phone")
    assert "phone" in run("app-password", "list")


def test_they_go_with_the_account(config):
    run("token", "add", "alice", "phone")
    run("account", "remove", "alice")
    assert json.loads(run("token", "list", "--json")) == []


@pytest.mark.parametrize(
    ("words", "status", "message"),
    [
        ("app-password add nobody x", 1, 'there is no "nobody"'),
        ("app-password add staff x", 1, '"staff" is a group; only individuals log in'),
        ("app-password remove alice x", 1, '"Alice" has no app password "x"'),
        ("app-password list nobody", 1, 'there is no "nobody"'),
        ("app-password add alice x --scope pop3", 2, "'pop3' is not one of"),
        ("token remove alice x", 1, '"Alice" has no token "x"'),
        ("token add alice x --expires 1y", 2, '"y" is not a unit'),
        ("token add alice x --expires 0d", 2, "it would have expired already"),
        ("token add alice", 2, "Missing argument 'LABEL'"),
        ("token list --directory fixed", 1, 'directory "fixed" of mailhive.toml is of type'),
    ],
)
def test_mistakes(config, words, status, message):
    assert message in run(*words.split(), status=status)
    assert json.loads(run("token", "list", "--json")) == []


def test_a_label_that_is_taken_or_none(config):
    run("token", "add", "alice", "x")
    assert '"Alice" has a token "x" already' in run("token", "add", "alice", "x", status=1)
    for label in ("", "x" * 101, "a\nb"):
        assert "allowed is a label" in run("token", "add", "alice", label, status=1)


def test_a_key_file_that_is_none(config):
    (config / "var/token.key").write_text("no key")
    output = run("token", "add", "alice", "x", status=1)
    assert "token.key is not a private key of Ed25519 in PEM" in output
    assert json.loads(run("token", "list", "--json")) == []
