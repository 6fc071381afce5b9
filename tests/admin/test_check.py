"""`mailhive check`."""

from pathlib import Path

from click.testing import CliRunner

from mailhive import __version__
from mailhive.admin.cli import main

CONFIG = """\
[server.listener."the mx"]
bind = ["127.0.0.1:25", "[::1]:25"]
protocol = "smtp"
command-timeout = 90
[jmap]
directory = "users"
[jmap.http]
headers = ["Server: mailhive"]
[directory.users]
type = "memory"
[[directory.users.principals]]
name = "alice"
secret = "wonderland"
[[directory.users.principals]]
name = "bob"
secret-file = "bob"
email = ["bob@example.org", "@example.org"]
"""


def check(path: Path) -> tuple[int, str]:
    result = CliRunner().invoke(main, ["check", str(path)])
    return result.exit_code, result.output


def test_effective_settings(tmp_path: Path) -> None:
    path = tmp_path / "a.toml"
    path.write_text(CONFIG)
    (tmp_path / "bob").write_text("builder\n")
    status, output = check(path)
    assert status == 0, output
    lines = output.splitlines()
    for line in (
        f'server.data-dir = "{tmp_path}/var"  # default',
        f'server.listener."the mx".bind = ["127.0.0.1:25", "[::1]:25"]  # {path}:2',
        'server.listener."the mx".tls = "none"  # default',
        f'server.listener."the mx".command-timeout = "90s"  # {path}:4',
        'server.listener."the mx".certificate = []  # default',
        'store.sqlite.type = "sqlite"  # default',
        'blob.files.path = "blobs"  # default',
        f'jmap.directory = "users"  # {path}:6',
        "jmap.enabled = true  # default",
        f'jmap.http.headers = ["Server: mailhive"]  # {path}:8',
        'jmap.limits.request-size = "10M"  # default',
        "jmap.limits.get = 500  # default",
        f'directory.users.principals[0].name = "alice"  # {path}:12',
        f'directory.users.principals[0].secret = "********"  # {path}:13',
        f'directory.users.principals[1].secret = "********"  # {path}:16',
        f'directory.users.principals[1].email = ["bob@example.org", "@example.org"]  # {path}:17',
    ):
        assert line in lines
    warning = f"warning: {path}:13: directory.users.principals[0].secret: passwords are in plain"
    (told,) = [line for line in lines if line.startswith("warning")]
    assert told.startswith(warning)
    assert "wonderland" not in output
    assert "builder" not in output


def test_every_mistake(tmp_path: Path) -> None:
    path = tmp_path / "a.toml"
    path.write_text(CONFIG.replace("command-timeout = 90", "timeout = 90"))
    status, output = check(path)
    assert status == 1
    first, second = output.splitlines()
    assert first.startswith(f'{path}:4: server.listener."the mx".timeout: is not a known key')
    assert second.startswith(f"{path}:16: directory.users.principals[1].secret-file: ")


def test_a_mistake_of_a_provider_is_told_once(tmp_path: Path) -> None:
    principal = '[[directory.d.principals]]\nname = "{}"\nemail = "{}"\n'
    file = tmp_path / "mailhive.toml"
    file.write_text(
        '[server.listener.mx]\nbind = "127.0.0.1:2525"\nprotocol = "smtp"\n'
        '[jmap]\ndirectory = "d"\n[directory.d]\ntype = "memory"\n'
        + principal.format("a", "a@x.example")
        + principal.format("b", "A@x.example")
        + principal.format("c", "@")
    )
    result = CliRunner().invoke(main, ["check", str(file)])
    assert result.exit_code == 1
    assert [line.partition(": ")[2].partition(";")[0] for line in result.output.splitlines()] == [
        'directory.d.principals[1].email[0]: "A@x.example" is an address of "a" already',
        'directory.d.principals[2].email[0]: "@" is no address',
    ]


def test_version() -> None:
    assert CliRunner().invoke(main, ["--version"]).output == f"mailhive {__version__}\n"
