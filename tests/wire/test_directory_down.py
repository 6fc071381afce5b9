"""A directory that fails: its users are put off, others are not disturbed, and it comes back.

Two directories in one daemon: one of the configuration, and, for a domain of its own,
a table of users in PostgreSQL, as it might have been there before.
"""

import smtplib
import time
import urllib.error
import urllib.request
from base64 import b64encode

import pytest
from argon2 import PasswordHasher
from attrs import define

from mailhive.testing.database_servers import PostgresqlServer
from mailhive.testing.process import DaemonProcess, free_port

CONFIG = """
[server.listener."submission"]
bind = "127.0.0.1:{submission}"
protocol = "submission"
auth-in-clear = true

[domain."partner.example"]
directory = "partners"

[directory."partners"]
type = "sql"
driver = "postgresql"
host = "127.0.0.1"
port = {port}
database = "web"
user = "web"
password = "web-secret"
timeout = "1s"
cache.ttl = {{ positive = 0, negative = 0 }}

[directory."partners".query]
name = "SELECT login AS name, pw AS secret, mail AS email FROM users WHERE lower(login) = :name"
recipients = "SELECT login FROM users WHERE lower(mail) = :address"
domains = "SELECT 1 FROM users WHERE lower(mail) LIKE '%@' || :domain"
"""


@pytest.fixture(scope="module")
def database():
    with PostgresqlServer() as server:
        server.create("web", "web", "web-secret")
        secret = PasswordHasher(time_cost=1, memory_cost=64, parallelism=1).hash("carols")
        with server.connect("web", "web", "web-secret") as connection:
            connection.execute("CREATE TABLE users (login TEXT, pw TEXT, mail TEXT)")
            connection.execute(
                "INSERT INTO users VALUES ('Carol', %s, 'Carol@Partner.example')", (secret,)
            )
        yield server


@pytest.fixture
def daemon(tmp_path, database):
    with started(tmp_path, database) as daemon:
        yield daemon


@define
class Daemon(DaemonProcess):
    submission_port: int = 0


def started(directory, database):
    port = free_port()
    extra = CONFIG.format(port=database.port, submission=port)
    return Daemon(directory, extra=extra, submission_port=port)


def submission_login(daemon, user, password):
    """The code that a mail program gets for its login."""
    with smtplib.SMTP("127.0.0.1", daemon.submission_port, timeout=100) as client:
        try:
            return client.login(user, password)[0]
        except smtplib.SMTPAuthenticationError as error:
            return error.smtp_code


def login(daemon, user, password):
    """The status of the session resource for somebody."""
    token = b64encode(f"{user}:{password}".encode()).decode()
    request = urllib.request.Request(
        f"{daemon.base_url}/jmap/session", headers={"Authorization": f"Basic {token}"}
    )
    try:
        with urllib.request.urlopen(request, timeout=100) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        return error.code


def recipients(daemon, *addresses):
    with smtplib.SMTP("127.0.0.1", daemon.smtp_port, timeout=100) as client:
        client.ehlo()
        client.mail("<>")
        return [client.rcpt(address)[0] for address in addresses]


ADDRESSES = ("alice@example.org", "carol@partner.example", "nobody@partner.example")


def is_well(daemon):
    return (
        login(daemon, "carol@partner.example", "carols") == 200
        and login(daemon, "carol@partner.example", "wrong") == 401
        and submission_login(daemon, "carol@partner.example", "carols") == 235
        and recipients(daemon, *ADDRESSES) == [250, 250, 550]
    )


def is_broken_for_its_own_users_only(daemon):
    assert recipients(daemon, *ADDRESSES) == [250, 451, 451]
    assert login(daemon, "alice", daemon.users["alice"]) == 200
    assert login(daemon, "carol@partner.example", "carols") == 503
    assert login(daemon, "carol@partner.example", "wrong") == 503
    assert login(daemon, "alice", "wrong") == 401
    assert submission_login(daemon, "alice", daemon.users["alice"]) == 235
    assert submission_login(daemon, "carol@partner.example", "carols") == 454
    return True


def recovers(daemon):
    """Some answers may take a busy database longer than it is given."""
    deadline = time.monotonic() + 120
    while not is_well(daemon):
        assert time.monotonic() < deadline
        time.sleep(0.2)
    return True


def test_a_database_that_hangs(daemon, database):
    assert recovers(daemon)
    database.suspend()
    try:
        assert is_broken_for_its_own_users_only(daemon)
    finally:
        database.resume()
    assert recovers(daemon)
    assert 'Directory "partners" cannot answer: no answer within 1 s' in daemon.log()
    assert 'Directory "partners" answers again' in daemon.log()
    assert "Traceback" not in daemon.log()


def test_a_database_that_is_gone(daemon, database):
    assert recovers(daemon)
    database.stop()
    assert is_broken_for_its_own_users_only(daemon)
    database.start()
    assert recovers(daemon)
    assert 'Directory "partners" cannot answer: cannot connect: ' in daemon.log()
    assert "Traceback" not in daemon.log()


def test_a_daemon_that_starts_before_its_database(tmp_path, database):
    database.stop()
    with started(tmp_path, database) as daemon:
        assert is_broken_for_its_own_users_only(daemon)
        database.start()
        assert recovers(daemon)
        assert "web-secret" not in daemon.log()
