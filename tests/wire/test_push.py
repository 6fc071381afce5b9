"""A message comes in by SMTP; clients that other people wrote hear of it."""

import json
import os
import smtplib
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from mailhive.testing.process import DaemonProcess


@pytest.mark.timeout(600)  # npm may have to download first
def test_sockets_and_event_sources(
    tmp_path: Path,
    certificate: tuple[Path, Path],
    node_script: Callable[[str], tuple[str, Path]],
) -> None:
    """With a login in a header, and as browsers do it, with tickets; over TLS."""
    with DaemonProcess(tmp_path, tls=certificate) as server:
        client = subprocess.Popen(
            node_script("push"),
            env={
                "NODE_EXTRA_CA_CERTS": str(certificate[0]),
                "PATH": os.environ["PATH"],
                "SESSION_URL": server.session_url,
                "LOGIN": "alice",
                "PASSWORD": server.users["alice"],
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            assert client.stdout
            assert client.stdout.readline() == "listening\n"
            with smtplib.SMTP("127.0.0.1", server.smtp_port, timeout=100) as smtp:
                smtp.sendmail("zoe@example.net", "alice@example.org", "Subject: s\r\n\r\nb\r\n")
            out, err = client.communicate(timeout=100)
        finally:
            client.kill()
            client.wait()
        log = server.log()
    assert client.returncode == 0, err
    assert "/jmap/ws 101" in log
    assert "ticket=" not in log
    seen = json.loads(out)
    assert seen["supportsPush"] is True
    for name in ("ws", "browserSocket", "eventsource", "browserEvents"):
        change = seen[name]["change"]
        assert change["@type"] == "StateChange"
        assert {"Email", "EmailDelivery", "Mailbox", "Thread"} <= set(
            change["changed"][seen["accountId"]]
        )
    for name in ("ws", "browserSocket"):
        assert seen[name]["protocol"] == "jmap"
        assert seen[name]["code"] == 1000
        assert seen[name]["response"]["requestId"] == "R1"
        assert len(seen[name]["response"]["methodResponses"][0][1]["text"]) == 5000
    # One state for all channels.
    states = {seen[name]["change"]["pushState"] for name in ("ws", "browserSocket")}
    states |= {seen[name]["lastEventId"] for name in ("eventsource", "browserEvents")}
    assert len(states) == 1
