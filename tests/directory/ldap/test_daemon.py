"""The whole daemon by the example of etc/, and its LDAP server taken away."""

import base64
import http.client
import smtplib
import time

import pytest

from mailhive.testing.conformance.directory import PASSWORDS
from mailhive.testing.process import DaemonProcess

pytestmark = pytest.mark.system


class LdapDaemon(DaemonProcess):
    """On the example, with ports of its own."""

    text: str

    def _configuration(self) -> str:
        return self.text


@pytest.fixture
def daemon(slapd, tmp_path):
    made = LdapDaemon(tmp_path / "etc")
    slapd.settings(
        tmp_path,
        ("8080", str(made.http_port)),
        ("2525", str(made.smtp_port)),
        ('type = "ldap"\n', 'type = "ldap"\ntimeout = "1s"\nback-off = "1s"\n'),
        ('{ positive = "1m", negative = "10s" }', '{ positive = "0s", negative = "0s" }'),
    )
    made.text = (tmp_path / "etc/mailhive.toml").read_text()
    with made:
        yield made


def session(daemon, login, password):
    """The status of a request for the session."""
    connection = http.client.HTTPConnection("127.0.0.1", daemon.http_port, timeout=100)
    pair = base64.b64encode(f"{login}:{password}".encode()).decode()
    connection.request("GET", "/.well-known/jmap", headers={"Authorization": f"Basic {pair}"})
    response = connection.getresponse()
    if response.status in (301, 302, 307, 308):
        connection.close()
        connection.request(
            "GET", response.getheader("Location"), headers={"Authorization": f"Basic {pair}"}
        )
        response = connection.getresponse()
    response.read()
    connection.close()
    return response.status


def rcpt(daemon, address):
    """The code that a recipient gets."""
    with smtplib.SMTP("127.0.0.1", daemon.smtp_port, timeout=100) as client:
        client.ehlo()
        client.mail("sender@elsewhere.example")
        return client.rcpt(address)[0]


def decided(ask, daemon, *what):
    """What is answered at last: a busy server may need longer than the daemon waits."""
    while (code := ask(daemon, *what)) in (451, 503):
        time.sleep(0.1)
    return code


def as_ever(daemon):
    assert decided(session, daemon, "bob", PASSWORDS["bob"]) == 200
    assert decided(session, daemon, "bob", "wrong") == 401
    assert decided(session, daemon, "nobody", "wrong") == 401
    assert decided(rcpt, daemon, "bob@example.org") == 250
    assert decided(rcpt, daemon, "nobody@example.net") == 550


def undecided(daemon):
    for login, password in [("bob", PASSWORDS["bob"]), ("bob", "wrong"), ("nobody", "wrong")]:
        assert session(daemon, login, password) == 503
    assert rcpt(daemon, "bob@example.org") // 100 == 4
    assert rcpt(daemon, "nobody@example.net") // 100 == 4


def test_logins_and_mail_wait_for_the_server(daemon, slapd):
    as_ever(daemon)
    slapd.kill()
    try:
        undecided(daemon)
    finally:
        slapd.start()
    as_ever(daemon)
    slapd.pause()
    try:
        undecided(daemon)
    finally:
        slapd.resume()
    as_ever(daemon)
    log = daemon.log()
    assert "Traceback" not in log
    assert "cannot answer" in log and "answers again" in log
    assert PASSWORDS["bob"] not in log
