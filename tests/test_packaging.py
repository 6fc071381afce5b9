"""An installation of its own: the plugin, the command, and a provider from elsewhere."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

CONFIG = """\
[server.listener.clock]
bind = "127.0.0.1:0"
protocol = "daytime"
greeting = "At the third stroke"
[jmap]
directory = "memory"
[directory.memory]
type = "memory"
"""


def run(*command: object, **more: object) -> str:
    done = subprocess.run(
        [str(word) for word in command],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        **more,  # type: ignore[call-overload]
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The `bin` of a fresh venv that mailhive and the third party's package were installed into.

    What they depend on is taken from the venv that runs the tests; a path entry
    does not bring along the source tree that is installed there.
    """
    home = tmp_path_factory.mktemp("installed")
    venv.create(home / "venv", with_pip=False)
    python = home / "venv" / "bin" / "python"
    packages = Path(run(python, "-c", "import site; print(site.getsitepackages()[0])").strip())
    (packages / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")

    clone = home / "clone"
    listed = ["git", "-c", "safe.directory=*", "ls-files", "-z", "-co", "--exclude-standard"]
    for name in run(*listed, cwd=ROOT).split("\0"):
        if name and (ROOT / name).is_file():
            (clone / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, clone / name)
    pip = [sys.executable, "-m", "pip", "--python", python, "--disable-pip-version-check"]
    offline = ["install", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    run(*pip, *offline, clone, clone / "tests/data/thirdparty")
    shutil.rmtree(clone)

    _, _, script = Path(sys.executable).with_name("twistd").read_text().partition("\n")
    (python.parent / "twistd").write_text(f"#!{python}\n{script}")
    (python.parent / "twistd").chmod(0o755)
    return python.parent


def test_commands_are_there(installed: Path, tmp_path: Path) -> None:
    assert run(installed / "mailhive", "--version", cwd=tmp_path).startswith("mailhive ")
    where = run(installed / "python", "-I", "-c", "import mailhive; print(mailhive.__file__)")
    assert Path(where.strip()).is_relative_to(installed.parent)
    assert "  mailhive " in run(installed / "twistd", "--help", cwd=tmp_path)


def test_every_module_and_data_file_is_installed(installed: Path) -> None:
    code = "import mailhive, pathlib; print(pathlib.Path(mailhive.__file__).parent)"
    package = Path(run(installed / "python", "-I", "-c", code).strip())
    suffixes = {".py", ".sql", ".typed"}

    def files(top: Path) -> set[str]:
        return {str(p.relative_to(top)) for p in top.rglob("*") if p.suffix in suffixes}

    assert files(package) == files(ROOT / "mailhive")


def test_a_provider_of_another_package(installed: Path, tmp_path: Path) -> None:
    """Its keys are checked and shown like our own, and its listener serves."""
    config = tmp_path / "mailhive.toml"
    config.write_text(CONFIG)
    shown = run(installed / "mailhive", "check", config)
    assert f'server.listener.clock.greeting = "At the third stroke"  # {config}:4' in shown

    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    command = [installed / "twistd", "--nodaemon", "--pidfile=", "mailhive", "-c", config]
    with subprocess.Popen(
        command, cwd=elsewhere, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as daemon:
        assert daemon.stdout is not None
        try:
            log = ""
            for line in daemon.stdout:
                log += line
                if 'listener "clock" on 127.0.0.1:' in line:
                    break
            else:
                raise AssertionError(log)
            port = int(line.rpartition(":")[2])
            with socket.create_connection(("127.0.0.1", port)) as client:
                assert client.makefile().readline().startswith("At the third stroke ")
            daemon.send_signal(signal.SIGTERM)
            assert daemon.wait(timeout=100) == -signal.SIGTERM
        finally:
            daemon.kill()

    config.write_text(CONFIG.replace("greeting", "greting"))
    done = subprocess.run(
        [installed / "mailhive", "check", config], capture_output=True, text=True, env=os.environ
    )
    assert done.returncode == 1
    mistake = f"{config}:4: server.listener.clock.greting: is not a known key; "
    assert done.stderr == mistake + 'did you mean "greeting"?\n'
