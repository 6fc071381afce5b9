"""Answers of a name server that validates: unbound, and a zone that is signed until 2080.

The zone was made by `ldns-signzone`; then a TLSA record of it was changed.
"""

import os
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from pytest_twisted import ensureDeferred
from twisted.internet import reactor
from twisted.names import dns

from mailhive.errors import TemporaryFailure
from mailhive.names import TLSA, ask, name_resolver
from mailhive.testing.process import free_port

pytestmark = pytest.mark.system

ZONE = Path(__file__).parent / "data/dnssec/signed.test.zone"

_UNBOUND = """\
server:
  directory: "{directory}"
  chroot: ""
  username: ""
  pidfile: ""
  use-syslog: no
  interface: 127.0.0.1@{port}
  do-ip6: no
  local-zone: "test." nodefault
  trust-anchor-file: "anchor"
  module-config: "validator iterator"
remote-control:
  control-enable: no
"""
_AUTHORITY = """\
auth-zone:
  name: {name}
  zonefile: "{name}"
  for-downstream: no
  for-upstream: yes
"""
_PLAIN = """\
plain.test. 60 IN SOA ns.plain.test. hostmaster.plain.test. 1 60 60 60 60
plain.test. 60 IN NS ns.plain.test.
mx.plain.test. 60 IN A 127.0.0.8
"""


@pytest.fixture
def unbound(tmp_path: Path) -> Iterator[str]:
    """The address of a name server that knows two zones and trusts the key of one."""
    program = shutil.which("unbound", path=f"{os.environ['PATH']}:/usr/sbin:/sbin")
    assert program, "unbound is missing"
    signed = ZONE.read_text()
    (tmp_path / "signed.test").write_text(signed)
    (tmp_path / "plain.test").write_text(_PLAIN)
    (key,) = re.findall(r"^signed\.test\.\s.*\sDNSKEY\s+257 .*$", signed, re.MULTILINE)
    (tmp_path / "anchor").write_text(key + "\n")
    port = free_port()
    zones = "".join(_AUTHORITY.format(name=name) for name in ("signed.test", "plain.test"))
    (tmp_path / "conf").write_text(_UNBOUND.format(directory=tmp_path, port=port) + zones)
    with (tmp_path / "log").open("wb") as log:
        command = [program, "-d", "-c", str(tmp_path / "conf")]
        process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        deadline = time.monotonic() + 120
        while b"start of service" not in (tmp_path / "log").read_bytes():
            assert process.poll() is None and time.monotonic() < deadline, (
                tmp_path / "log"
            ).read_text()
            time.sleep(0.05)
        yield f"127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait()


@ensureDeferred
async def test_what_unbound_has_validated(unbound: str) -> None:
    resolver = name_resolver((unbound,), reactor, validate=True)
    for name, kind, count, canonical, is_secure in (
        ("signed.test", dns.MX, 1, "signed.test", True),
        ("mx.signed.test", dns.A, 1, "mx.signed.test", True),
        ("mx.signed.test", dns.AAAA, 0, "mx.signed.test", True),
        ("none.signed.test", dns.A, None, "none.signed.test", True),
        ("alias.signed.test", dns.A, 1, "mx.signed.test", True),
        ("outside.signed.test", dns.A, 1, "mx.plain.test", False),
        ("outside.signed.test", dns.CNAME, 1, "outside.signed.test", True),
        ("_25._tcp.mx.signed.test", TLSA, 1, "_25._tcp.mx.signed.test", True),
        ("mx.plain.test", dns.A, 1, "mx.plain.test", False),
    ):
        answer = await ask(resolver, name, kind)
        found = None if answer.records is None else len(answer.records)
        assert (found, answer.name, answer.is_secure) == (count, canonical, is_secure), name
    with pytest.raises(TemporaryFailure):  # its signature is not that of the record
        await ask(resolver, "_25._tcp.forged.signed.test", TLSA)
    unasked = await ask(name_resolver((unbound,), reactor), "mx.signed.test", dns.A)
    assert unasked.records and not unasked.is_secure
