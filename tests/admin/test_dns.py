"""`mailhive dns`."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from mailhive.admin.cli import main
from mailhive.smtp.relay.tlsa import usable, verify
from mailhive.testing.certificates import make_certificate

CONFIG = """\
[server]
hostname = "mail.example.org"
{listeners}
[jmap]
directory = "memory"
[directory.memory]
type = "memory"
"""

MX = """\
[server.listener.mx]
bind = ["192.0.2.1:25", "8.8.4.4:25", "[2600::1]:25"]
protocol = "smtp"
"""

WEB = """\
[server.listener.web]
bind = "127.0.0.1:8080"
protocol = "jmap"
url = "{url}"
"""


def dns(where: Path, *domains: str, listeners: str = MX) -> list[str]:
    path = where / "mailhive.toml"
    path.write_text(CONFIG.format(listeners=listeners))
    result = CliRunner().invoke(main, ["dns", "-c", str(path), *domains])
    assert result.exit_code == 0, result.output
    return result.output.splitlines()


def test_records(tmp_path: Path) -> None:
    found = dns(tmp_path, listeners=MX + WEB.format(url="https://jmap.example.org:8443/x"))
    assert found == [
        "; example.org",
        "example.org. 3600 IN MX 10 mail.example.org.",
        "mail.example.org. 3600 IN AAAA 2600::1",
        "mail.example.org. 3600 IN A 8.8.4.4",
        "_jmap._tcp.example.org. 3600 IN SRV 0 1 8443 jmap.example.org.",
        "; jmap.example.org needs A and AAAA records with the public addresses of this server",
        "; mail from example.org is not signed: `mailhive dkim make example.org` makes a key",
        "; if no other server sends for the domain; mail by way of routes comes from those:",
        '; example.org. 3600 IN TXT "v=spf1 a:mail.example.org -all"',
        "; once all mail from the domain is signed, or comes from the servers named above:",
        '; _dmarc.example.org. 3600 IN TXT "v=DMARC1; p=quarantine"',
    ]


def test_where_mail_programs_send(tmp_path: Path) -> None:
    made = make_certificate("mail.example.org")
    (tmp_path / "mx.pem").write_bytes(made.certificate + made.private_key)
    tls = 'tls = "{}"\ncertificate = "mx.pem"\nprivate-key = "mx.pem"\n'
    listeners = [
        f'[server.listener.{name}]\nprotocol = "submission"\nbind = {bind}\n' + tls.format(name)
        for name, bind in (
            ("implicit", '["127.0.0.1:465", "[::1]:465"]'),
            ("starttls", '"127.0.0.1:587"'),
        )
    ]
    found = dns(tmp_path, listeners=MX + "".join(listeners))
    assert [line for line in found if "_submission" in line] == [
        "_submissions._tcp.example.org. 3600 IN SRV 0 1 465 mail.example.org.",
        "_submission._tcp.example.org. 3600 IN SRV 0 1 587 mail.example.org.",
    ]


def test_the_key_that_others_may_hold_it_to(tmp_path: Path) -> None:
    made = make_certificate("mail.example.org")
    (tmp_path / "mx.pem").write_bytes(made.certificate + made.private_key)
    tls = 'tls = "starttls"\ncertificate = "mx.pem"\nprivate-key = "mx.pem"\n'
    found = dns(tmp_path, listeners=MX + tls)
    (line,) = [line for line in found if "TLSA" in line]
    name, *fields, digest = line.removeprefix("; ").split()
    assert name == "_25._tcp.mail.example.org." and fields == ["3600", "IN", "TLSA", "3", "1", "1"]
    records = usable([b"\3\1\1" + bytes.fromhex(digest)])
    assert verify(records, [made.x509], ["mail.example.org"]) is None


def test_a_server_that_sends_nothing(tmp_path: Path) -> None:
    found = dns(tmp_path, listeners=MX + "[relay]\nenabled = false\n")
    assert found[-3:] == [
        "; this server sends no mail to others; if nobody else sends for the domain:",
        '; example.org. 3600 IN TXT "v=spf1 -all"',
        '; _dmarc.example.org. 3600 IN TXT "v=DMARC1; p=reject"',
    ]


def test_domains(tmp_path: Path) -> None:
    found = dns(tmp_path, "Example.NET.", "bücher.example")
    assert "example.net. 3600 IN MX 10 mail.example.org." in found
    assert "xn--bcher-kva.example. 3600 IN MX 10 mail.example.org." in found


@pytest.mark.parametrize(
    ("listeners", "told"),
    [
        (MX.replace(":25", ":2525"), "; mail comes to port 25, and mailhive listens on 2525"),
        (WEB.format(url="https://mail.example.org"),
         "_jmap._tcp.example.org. 3600 IN SRV 0 1 443 mail.example.org."),
        (WEB.format(url="https://mail.example.org"), "; no MX record: no listener takes in mail"),
        (WEB.format(url="http://mail.example.org"), "; no SRV record for JMAP: no listener has an"),
    ],
)  # fmt: skip
def test_what_cannot_be_published(tmp_path: Path, listeners: str, told: str) -> None:
    assert any(line.startswith(told) for line in dns(tmp_path, listeners=listeners))


def test_no_domain(tmp_path: Path) -> None:
    path = tmp_path / "mailhive.toml"
    path.write_text(CONFIG.format(listeners=MX))
    result = CliRunner().invoke(main, ["dns", "-c", str(path), "a..b"])
    assert (result.exit_code, result.output) == (1, 'Error: "a..b" is no domain\n')
