"""A vacation response, from the client that asks for it to the inbox of who gets it."""

import json
import smtplib
import time
from collections.abc import Callable
from typing import Any

from mailhive.testing.process import DaemonProcess

ALICE, BOB = "alice@example.org", "bob@example.org"
USING = [
    "urn:ietf:params:jmap:core",
    "urn:ietf:params:jmap:mail",
    "urn:ietf:params:jmap:vacationresponse",
]


def set_vacation(client: Any, **values: Any) -> None:
    arguments = {"accountId": client.account_id, "update": {"singleton": values}}
    call = ["VacationResponse/set", arguments, "0"]
    status, answer = client.post(json.dumps({"using": USING, "methodCalls": [call]}).encode())
    assert status == 200
    assert answer["methodResponses"][0][1]["updated"] == {"singleton": None}


def responses(client: Any) -> list[dict[str, Any]]:
    found = client.call("Email/query", filter={"header": ["Auto-Submitted", "auto-replied"]})
    properties = [
        "from",
        "to",
        "subject",
        "inReplyTo",
        "bodyValues",
        "textBody",
        "header:Return-Path",
    ]
    return client.call(
        "Email/get", ids=found["ids"], properties=properties, fetchTextBodyValues=True
    )["list"]


def test_a_vacation_response(daemon: DaemonProcess, jmap: Callable[..., Any]) -> None:
    alice, bob = jmap(daemon), jmap(daemon, "bob")
    set_vacation(alice, isEnabled=True, textBody="I am away.")
    set_vacation(bob, isEnabled=True, textBody="So am I.")
    message = (
        f"From: {BOB}\r\nTo: {ALICE}\r\nSubject: Lunch?\r\nMessage-ID: <lunch@x>\r\n\r\nToday?\r\n"
    )
    for _ in range(2):
        with smtplib.SMTP("127.0.0.1", daemon.smtp_port) as client:
            client.sendmail(BOB, ALICE, message)
    deadline = time.monotonic() + 120
    while not responses(bob) and time.monotonic() < deadline:
        time.sleep(0.05)
    [response] = responses(bob)
    assert response["from"][0]["email"] == ALICE
    assert response["to"][0]["email"] == BOB
    assert response["subject"] == "Auto: Lunch?"
    assert response["inReplyTo"] == ["lunch@x"]
    assert response["bodyValues"][response["textBody"][0]["partId"]]["value"] == "I am away."
    assert response["header:Return-Path"].strip() == "<>"
    assert responses(alice) == []
