"""Parameters of an Envelope: what the submission extensions allow (RFC 8621 §1.3.2, §7)."""

from typing import Any

import pytest
import pytest_twisted

from mailhive.jmap.types.submission.parameters import (
    Hold,
    ParameterError,
    mail_parameters,
    recipient_parameters,
)
from mailhive.testing.local import LocalStores
from mailhive.testing.sender import REMOTE, Sender, envelope

NOW = 1_800_000_000_500
HOLD = Hold(NOW, 60_000)
NO_HOLD = Hold(NOW, 0)


@pytest.mark.parametrize(
    ("given", "sent"),
    [
        ({}, {}),
        ({"ret": "full", "EnvId": "a b+c"}, {"RET": "FULL", "ENVID": "a+20b+2Bc"}),
        ({"ENVID": "x" * 100}, {"ENVID": "x" * 100}),
        ({"requireTls": None}, {"REQUIRETLS": None}),
    ],
)
def test_parameters_of_the_sender(given: dict[str, str | None], sent: dict[str, str]) -> None:
    assert mail_parameters(given, NO_HOLD) == (sent, None)


@pytest.mark.parametrize(
    ("given", "sent"),
    [
        ({"Notify": "never"}, {"NOTIFY": "NEVER"}),
        ({"NOTIFY": "success,Delay"}, {"NOTIFY": "SUCCESS,DELAY"}),
        ({"ORCPT": "rfc822;Zoe+x@far.example"}, {"ORCPT": "rfc822;Zoe+2Bx@far.example"}),
        ({"ORCPT": "UTF-8;zoë@far.example"}, {"ORCPT": r"UTF-8;zo\x{EB}@far.example"}),
    ],
)
def test_parameters_of_a_recipient(given: dict[str, str | None], sent: dict[str, str]) -> None:
    assert recipient_parameters(given) == sent


@pytest.mark.parametrize(
    "given",
    [
        {"SIZE": "1"},
        {"BODY": "8BITMIME"},
        {"NOTIFY": "NEVER"},
        {"RET": None},
        {"RET": "SOME"},
        {"RET": "FULL", "ret": "FULL"},
        {"ENVID": ""},
        {"ENVID": None},
        {"REQUIRETLS": ""},
        {"REQUIRETLS": "yes"},
        {"ENVID": "a\r\nRCPT TO:<x@y.example>"},
        {"ENVID": "ë"},
        {"ENVID": " " * 34},
    ],
)
def test_what_is_wrong_with_a_sender(given: dict[str, str | None]) -> None:
    with pytest.raises(ParameterError):
        mail_parameters(given, HOLD)


@pytest.mark.parametrize(
    "given",
    [
        {"RET": "FULL"},
        {"HOLDFOR": "1"},
        {"NOTIFY": None},
        {"NOTIFY": ""},
        {"NOTIFY": "NEVER,SUCCESS"},
        {"NOTIFY": "SUCCESS,SUCCESS,SUCCESS,SUCCESS"},
        {"ORCPT": "zoe@far.example"},
        {"ORCPT": "rfc822;"},
        {"ORCPT": "rfc822;zoë@far.example"},
        {"ORCPT": "utf-8;a\nb"},
        {"ORCPT": "a b;c"},
        {"ORCPT": "rfc822;" + "x" * 500},
    ],
)
def test_what_is_wrong_with_a_recipient(given: dict[str, str | None]) -> None:
    with pytest.raises(ParameterError):
        recipient_parameters(given)


@pytest.mark.parametrize(
    ("given", "send_at"),
    [
        ({"HOLDFOR": "1"}, 1_800_000_002_000),
        ({"holdfor": "60"}, 1_800_000_061_000),
        ({"HOLDUNTIL": "2027-01-15T08:00:30Z"}, 1_800_000_030_000),
        ({"HOLDUNTIL": "2027-01-15T09:00:30.25+01:00"}, 1_800_000_031_000),
        # What is past is no reason to wait.
        ({"HOLDUNTIL": "1999-01-01T00:00:00Z"}, 1_800_000_001_000),
    ],
)
def test_when_a_message_goes(given: dict[str, str | None], send_at: int) -> None:
    """RFC 4865 §5."""
    assert mail_parameters({**given, "RET": "HDRS"}, HOLD) == ({"RET": "HDRS"}, send_at)
    with pytest.raises(ParameterError):
        mail_parameters(given, NO_HOLD)


@pytest.mark.parametrize(
    "given",
    [
        {"HOLDFOR": "61"},
        {"HOLDFOR": "0"},
        {"HOLDFOR": "-1"},
        {"HOLDFOR": "1.5"},
        {"HOLDFOR": "٣"},
        {"HOLDFOR": "1" * 10},
        {"HOLDFOR": None},
        {"HOLDFOR": "9", "HOLDUNTIL": "2027-01-15T08:00:30Z"},
        {"HOLDUNTIL": "2027-01-15T08:01:01Z"},
        {"HOLDUNTIL": "2027-01-15"},
        {"HOLDUNTIL": "tomorrow"},
        {"HOLDUNTIL": "2027-02-30T00:00:00Z"},
        {"HOLDUNTIL": None},
    ],
)
def test_what_is_wrong_with_a_time(given: dict[str, str | None]) -> None:
    with pytest.raises(ParameterError):
        mail_parameters(given, HOLD)


@pytest_twisted.ensureDeferred
async def test_parameters_reach_the_outbox(stores: LocalStores, alice: Sender) -> None:
    given = envelope("alice@example.org", "yan@far.example", "zoe@far.example", "yan@far.example")
    given["mailFrom"]["parameters"] = {"envid": "my id", "RET": "HDRS"}
    given["rcptTo"][0]["parameters"] = {"NOTIFY": "SUCCESS"}
    made = await alice.send(REMOTE, envelope=given)
    assert (await alice.get(made["id"]))["envelope"] == given
    sent = (await stores.outbox.status(made["id"])).message.envelope
    assert sent.parameters == {"ENVID": "my+20id", "RET": "HDRS"}
    assert sent.recipient_parameters == {"yan@far.example": {"NOTIFY": "SUCCESS"}}


@pytest_twisted.ensureDeferred
async def test_what_is_wrong_is_named(alice: Sender) -> None:
    given: dict[str, Any] = envelope("alice@example.org", "bob@example.org", "zoe@far.example")
    given["mailFrom"]["parameters"] = {"SMTPUTF8": None}
    given["rcptTo"][1]["parameters"] = {"NOTIFY": "SOMETIMES"}
    error = await alice.refused(envelope=given)
    assert error == {
        "type": "invalidProperties",
        "properties": ["envelope/mailFrom/parameters", "envelope/rcptTo/1/parameters"],
        "description": "SMTPUTF8 belongs to no submission extension of this server",
    }
