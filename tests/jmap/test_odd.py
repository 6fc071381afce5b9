"""Odd mail: hostile, broken, old or foreign, and what Email/get has to say of it.

`odd/NAME.eml` is a message, `odd/NAME.json` the properties it must have, with
body values by the text they are of and parts by their type.
"""

import json
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted

from mailhive.testing.local import LocalUser

ODD = Path(__file__).parent / "odd"
NAMES = sorted(path.stem for path in ODD.glob("*.eml"))
HEADERS = (
    "messageId", "inReplyTo", "references", "sender", "from", "to", "cc", "bcc", "replyTo",
    "subject", "sentAt",
)  # fmt: skip
PARTS = ("textBody", "htmlBody", "attachments")
PART = ("type", "size", "charset", "name", "disposition", "cid", "language", "location")


def _part(part: dict[str, Any]) -> dict[str, Any]:
    """A part without ids, and without what it does not have."""
    known = {name: part[name] for name in PART if part.get(name) is not None}
    if part.get("subParts"):
        known["subParts"] = [_part(sub) for sub in part["subParts"]]
    return known


def described(email: dict[str, Any]) -> dict[str, Any]:
    """An Email without what differs from run to run."""
    values = email["bodyValues"]
    seen: dict[str, Any] = {name: email[name] for name in HEADERS if email[name] is not None}
    seen |= {"preview": email["preview"], "hasAttachment": email["hasAttachment"]}
    seen["bodyStructure"] = _part(email["bodyStructure"])
    for name in PARTS:
        seen[name] = [
            values[part["partId"]]["value"] if part["partId"] in values else part["type"]
            for part in email[name]
        ]
    problems = [v["value"] for v in values.values() if v["isEncodingProblem"]]
    if problems:
        seen["isEncodingProblem"] = problems
    return seen


@pytest.mark.parametrize("name", NAMES)
@pytest_twisted.ensureDeferred
async def test_odd_mail(server: LocalUser, name: str) -> None:
    raw = (ODD / f"{name}.eml").read_bytes()
    email_id = await server.add(raw)
    result = await server.call(
        "Email/get",
        ids=[email_id],
        properties=[
            *HEADERS, *PARTS, "preview", "hasAttachment", "bodyStructure", "bodyValues", "blobId",
        ],
        bodyProperties=["partId", "blobId", *PART],
        fetchAllBodyValues=True,
    )  # fmt: skip
    (email,) = result["list"]
    expected = json.loads((ODD / f"{name}.json").read_text())
    assert described(email) == expected
    assert await server.download(email["blobId"]) == raw
    for part in [*email["textBody"], *email["attachments"]]:
        assert len(await server.download(part["blobId"])) == part["size"]
