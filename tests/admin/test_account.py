"""`mailhive account`: what it says, and what it leaves in the directory."""

import json
from pathlib import Path
from types import SimpleNamespace

import pytest
from click.testing import CliRunner

from mailhive.admin.cli import main
from mailhive.admin.common import PLACES, work_as_owner
from mailhive.config.units import Size
from mailhive.directory import schemes
from mailhive.directory.editor import Editor
from mailhive.errors import NotFound
from mailhive.model.principal import Principal

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
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MAILHIVE_CONFIG", raising=False)
    path = tmp_path / PLACES[0]
    path.write_text(CONFIG)
    return path


@pytest.fixture
def editor(config):
    editor = Editor(config.parent / "var/directory.sqlite")
    yield editor
    editor.close()


def run(*words, password="", status=0):
    result = CliRunner().invoke(main, ["account", *words], input=password)
    assert result.exit_code == status, result.output
    if status == 1:
        assert result.output.count("\n") == 1  # one line
        assert result.output.startswith("Error: ")
    return result.output


def secret_of(editor, name):
    value = editor._connection.value
    return value("SELECT secret FROM principal WHERE key = ?", (name,))


def test_add_with_everything(editor):
    run("add", "staff", "--group", "--members-may", "read", "--email", "staff@x.example")
    run("add", "news", "--type", "list")
    words = "--email e@x.example --email @x.example --member-of staff --member-of news --quota 2G"
    output = run("add", "Eve", *words.split(), "--description", "Eve E.", password="pass word\n")
    assert output == 'Added individual "Eve".\n'
    eve = Principal(
        "Eve",
        description="Eve E.",
        emails=("e@x.example", "@x.example"),
        member_of=("staff", "news"),
        quota=Size(2_000_000_000),
    )
    staff = Principal("staff", "group", emails=("staff@x.example",), members_may="read")
    assert editor.principals() == (eve, Principal("news", "list"), staff)
    assert schemes.matches(secret_of(editor, "eve"), "pass word")


def test_add_bare_and_without_a_password(editor):
    run("add", "eve", "--bare", "--no-password")
    assert editor.principals() == (Principal("eve", mailboxes="inbox"),)
    assert secret_of(editor, "eve") is None


def test_a_hash_of_another_program(editor):
    hashed = "{SSHA}" + schemes._CONTEXT.handler("ldap_salted_sha1").hash("x").removeprefix(
        "{SSHA}"
    )
    run("add", "eve", "--hashed", password=hashed)
    assert secret_of(editor, "eve") == hashed
    output = run("password", "eve", "--hashed", password="no hash", status=1)
    assert output == "Error: that is no hash; without --hashed it is taken as the password\n"


def test_passwords(editor):
    run("add", "eve", password="first\r\n")
    assert schemes.matches(secret_of(editor, "eve"), "first")
    assert run("password", "EVE", password="second\nmore\n") == 'Changed the password of "EVE".\n'
    assert schemes.matches(secret_of(editor, "eve"), "second")
    run("password", "eve", "--none")
    assert secret_of(editor, "eve") is None


@pytest.mark.parametrize(
    ("password", "message"),
    [
        ("", "the password is empty; allowed is any other"),
        ("\n", "the password is empty; allowed is any other"),
        ("x" * 5000, "the password is too long; allowed are 1024 octets"),
        (b"\xff\n", "the password is not UTF-8; allowed is any text"),
        ("a\tb\n", "the password has control characters; allowed are all others"),
    ],
)
def test_passwords_that_cannot_be(config, password, message):
    assert run("add", "eve", password=password, status=1) == f"Error: {message}\n"
    assert run("list").splitlines() == ["NAME  TYPE  QUOTA  ADDRESSES"]


def test_a_password_is_asked_for_twice_at_a_terminal(editor, monkeypatch):
    """And not shown."""
    monkeypatch.setattr("mailhive.admin.account._at_terminal", lambda: True)
    output = run("add", "eve", password="secret\nsecret\n")
    assert output.startswith("Password: \nRepeat for confirmation: \n")
    assert schemes.matches(secret_of(editor, "eve"), "secret")


def test_set(editor):
    for name in ("staff", "board"):
        run("add", name, "--group")
    run("add", "eve", "--email", "a@x.example", "--member-of", "staff", "--no-password")
    words = "--email b@x.example --email c@x.example --member-of board --quota 5000"
    assert run("set", "eve", *words.split()) == 'Changed individual "eve".\n'
    emails = ("b@x.example", "c@x.example")
    eve = Principal("eve", emails=emails, member_of=("board",), quota=5000)
    assert editor.principal("eve") == eve
    run("set", "eve", "--description", "E.")
    run("set", "eve", "--no-email", "--no-member-of", "--no-quota")
    assert editor.principal("eve") == Principal("eve", description="E.")
    run("set", "board", "--members-may", "read")
    assert editor.principal("board").members_may == "read"
    message = 'Error: "eve" is no group, and its account is not shared\n'
    assert run("set", "eve", "--members-may", "read", status=1) == message


def test_set_adds_and_takes_away(editor):
    for name in ("staff", "board", "news"):
        run("add", name, "--group")
    run("add", "eve", "--email", "a@x.example", "--member-of", "staff", "--no-password")
    words = "--add-email b@x.example --add-email a@x.example --join board --join news --leave STAFF"
    run("set", "eve", *words.split())
    emails = ("a@x.example", "b@x.example")
    assert editor.principal("eve") == Principal("eve", emails=emails, member_of=("board", "news"))
    run("set", "eve", "--remove-email", "A@X.example", "--add-email", "c@x.example")
    assert editor.principal("eve").emails == ("b@x.example", "c@x.example")
    message = 'Error: "d@x.example" is not among them\n'
    assert run("set", "eve", "--remove-email", "d@x.example", status=1) == message
    assert "not both" in run("set", "eve", "--no-email", "--add-email", "d@x.example", status=2)


def test_disable_and_enable(editor):
    run("add", "eve", "--no-password")
    run("add", "staff", "--group")
    assert run("disable", "EVE") == 'Disabled "eve".\n'
    assert editor.principal("eve") == Principal("eve", enabled=False)
    assert "enabled: no" in run("show", "eve")
    assert run("enable", "eve") == 'Enabled "eve".\n'
    assert editor.principal("eve") == Principal("eve")
    output = run("disable", "staff", status=1)
    assert output == 'Error: "staff" is a group; only individuals log in\n'


def test_list_and_show(config):
    assert json.loads(run("list", "--json")) == []
    run("add", "staff", "--group", "--email", "staff@x.example")
    run("add", "eve", "--member-of", "staff", "--quota", "2G", password="secret")
    assert run("list").splitlines() == [
        "NAME   TYPE        QUOTA  ADDRESSES",
        "eve    individual  2G     -",
        "staff  group       -      staff@x.example",
    ]
    eve = {
        "name": "eve",
        "type": "individual",
        "description": "",
        "email": [],
        "member-of": ["staff"],
        "quota": 2_000_000_000,
        "mailboxes": "default",
        "enabled": True,
        "password": "argon2",
    }
    staff = {
        "name": "staff",
        "type": "group",
        "description": "",
        "email": ["staff@x.example"],
        "member-of": [],
        "quota": None,
        "mailboxes": "default",
        "members-may": "write",
    }
    assert json.loads(run("list", "--json")) == [eve, staff]
    assert json.loads(run("show", "eve", "--json")) == eve
    assert json.loads(run("show", "staff", "--json")) == staff | {"members": ["eve"]}
    assert run("show", "Eve").splitlines() == [
        "name: eve",
        "type: individual",
        "description: -",
        "email: -",
        "member-of: staff",
        "quota: 2G",
        "mailboxes: default",
        "enabled: yes",
        "password: argon2",
    ]


def test_remove(editor):
    run("add", "eve", "--no-password")
    assert run("remove", "EVE").splitlines() == [
        'Removed individual "eve".',
        "Its mail is kept, for an account that is added by the same name.",
    ]
    with pytest.raises(NotFound):
        editor.principal("eve")
    run("add", "eve", "--no-password")
    assert run("remove", "eve", "--delete-mail").splitlines()[1:] == [
        "The daemon deletes its mail within seconds, or at its next start.",
    ]
    output = run("add", "Eve", "--no-password", status=1)
    assert output.startswith('Error: the mail of the former "eve" is still to be deleted;')


@pytest.mark.parametrize(
    ("words", "status", "message"),
    [
        ("show nobody", 1, 'there is no "nobody"'),
        ("password nobody", 1, 'there is no "nobody"'),
        ("remove nobody", 1, 'there is no "nobody"'),
        ("set nobody --quota 1G", 1, 'there is no "nobody"'),
        ("add a:b --no-password", 1, '"a:b" is no name; allowed are'),
        ("add x --no-password --email x", 1, '"x" is no address; allowed is one such as'),
        ("add x --no-password --member-of y", 1, 'there is no group or list "y"'),
        ("add x --no-password --quota 1X", 2, '"X" is not a unit'),
        ("add x --no-password --type robot", 2, "'robot' is not one of"),
        ("add", 2, "Missing argument 'NAME'"),
        ("set x", 2, "nothing to change"),
        ("set x --quota 1G --no-quota", 2, "not both"),
        ("list --directory fixed", 1, 'directory "fixed" of mailhive.toml is of type "memory"'),
        ("list --directory none", 1, 'mailhive.toml has no table [directory."none"]'),
        ("list -c nowhere.toml", 1, "nowhere.toml: cannot be read: No such file or directory"),
    ],
)
def test_mistakes(config, words, status, message):
    assert message in run(*words.split(), status=status)
    assert json.loads(run("list", "--json")) == []


def test_where_the_configuration_is(config, tmp_path, monkeypatch):
    run("add", "eve", "--no-password")
    elsewhere = tmp_path / "elsewhere"
    (elsewhere / "etc").mkdir(parents=True)
    monkeypatch.chdir(elsewhere)
    assert "mailhive.toml: cannot be read" in run("list", status=1)
    assert "eve" in run("list", "-c", str(config))
    monkeypatch.setenv("MAILHIVE_CONFIG", str(config))
    assert "eve" in run("list")
    monkeypatch.delenv("MAILHIVE_CONFIG")
    config.rename(elsewhere / "etc/mailhive.toml")
    assert "eve" not in run("list")  # the data directory is beside the file
    assert (elsewhere / "etc/var/directory.sqlite").exists()


def test_a_data_directory_that_cannot_be(config):
    config.write_text(f'{CONFIG}\n[server]\ndata-dir = "{PLACES[0]}"\n')
    assert "File exists" in run("list", status=1) or "Not a directory" in run("list", status=1)


def test_a_file_that_is_no_directory(config):
    Path("var").mkdir()
    Path("var/directory.sqlite").write_bytes(b"something else" * 100)
    output = run("list", status=1)
    assert output.startswith(f"Error: cannot use {config.parent}/var/directory.sqlite: ")


@pytest.mark.parametrize(
    ("user", "owner", "becomes"),
    [
        (0, 7, [("setgroups", []), ("setgid", 8), ("setuid", 7)]),
        (0, 0, []),
        (7, 0, []),
    ],
    ids=["root", "root in root's own", "somebody"],
)
def test_root_works_as_who_owns_the_data(monkeypatch, user, owner, becomes):
    became = []
    monkeypatch.setattr("os.geteuid", lambda: user)
    for name in ("setgroups", "setgid", "setuid"):
        monkeypatch.setattr(f"os.{name}", lambda value, name=name: became.append((name, value)))
    work_as_owner(
        SimpleNamespace(
            exists=lambda: True, stat=lambda: SimpleNamespace(st_uid=owner, st_gid=owner + 1)
        )
    )
    assert became == becomes
