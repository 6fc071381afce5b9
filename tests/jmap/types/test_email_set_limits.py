"""Email/set where one thing is said twice."""

from typing import Any

import pytest_twisted

from mailhive.jmap.limits import Limits

MESSAGE = b"From: a@example.org\r\nSubject: s\r\n\r\nbody\r\n"


@pytest_twisted.ensureDeferred
async def test_an_email_that_two_keys_name_gets_both_updates(server: Any) -> None:
    email = await server.add(MESSAGE)
    update = {"#e": {"keywords/a": True}, email: {"keywords/b": True}}
    for both in (update, dict(reversed(update.items()))):
        arguments = {"accountId": server.account_id, "update": both}
        response = await server.request(["Email/set", arguments, "c"], createdIds={"e": email})
        assert response["methodResponses"][0][1]["updated"] == {email: None}
        result = await server.call("Email/get", ids=[email], properties=["keywords"])
        assert result["list"][0]["keywords"] == {"a": True, "b": True}
        await server.call("Email/set", update={email: {"keywords": {}}})


@pytest_twisted.ensureDeferred
async def test_a_text_that_many_parts_repeat_is_too_large(stores: Any, server: Any) -> None:
    limited = await stores.user(server.principal, Limits(request_size=10_000))
    part = {"partId": "t", "type": "text/plain"}

    async def create(count: int) -> Any:
        email = {
            "mailboxIds": {await server.role("drafts"): True},
            "bodyValues": {"t": {"value": "x" * 1_000}},
            "bodyStructure": {"type": "multipart/mixed", "subParts": [part] * count},
        }
        return await limited.call("Email/set", create={"e": email})

    assert (await create(9))["created"]["e"]["size"] > 9_000
    assert (await create(11))["notCreated"]["e"]["type"] == "tooLarge"
