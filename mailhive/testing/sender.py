"""A user of a local server who sends mail (RFC 8621 §7).

alice = await Sender.of(stores, Principal("alice", emails=("alice@example.org",)))
made = await alice.send(REMOTE)
await alice.reached(made["id"], "waiting", "waiting")
"""

from typing import Any, Self

from attrs import frozen

from mailhive.config.relay import QueueSettings
from mailhive.jmap.limits import Limits
from mailhive.model.principal import Principal
from mailhive.testing.conformance.outbox import turn
from mailhive.testing.local import LocalStores, LocalUser

__all__ = ["DRAFT", "LOCAL", "REMOTE", "Sender", "envelope"]

#: From alice@example.org to one recipient of this server and one elsewhere, in Bcc.
DRAFT = (
    b"From: Alice <alice@example.org>\r\nTo: Bob <bob@example.org>\r\n"
    b"Bcc: zoe@far.example\r\nDate: Sat, 01 Mar 2025 10:00:00 +0000\r\n"
    b"Message-ID: <1@example.org>\r\nSubject: s\r\n\r\nbody\r\n"
)
#: The same to two elsewhere, and to the one here.
REMOTE = DRAFT.replace(b"bob@example.org", b"yan@far.example")
LOCAL = DRAFT.replace(b"Bcc: zoe@far.example\r\n", b"")


def envelope(sender: str, *recipients: str) -> dict[str, Any]:
    """An Envelope without parameters."""
    return {
        "mailFrom": {"email": sender, "parameters": None},
        "rcptTo": [{"email": recipient, "parameters": None} for recipient in recipients],
    }


@frozen
class Sender:
    """A user, and the identity that their mail is from."""

    user: LocalUser
    identity_id: str

    @classmethod
    async def of(
        cls,
        stores: LocalStores,
        principal: Principal,
        sending: QueueSettings | None = None,
        **limits: Any,
    ) -> Self:
        """The principal, with the first identity that there is."""
        user = await stores.user(principal, Limits(**limits), sending)
        identities = (await user.call("Identity/get"))["list"]
        return cls(user, identities[0]["id"] if identities else "none")

    async def call(self, method: str, /, **arguments: Any) -> dict[str, Any]:
        """As of the user."""
        return await self.user.call(method, **arguments)

    async def draft(self, message: bytes = DRAFT) -> str:
        """The id of an Email to be sent."""
        return await self.user.add(message, "drafts", keywords={"$draft": True})

    async def try_to_send(self, email_id: str, **properties: Any) -> dict[str, Any]:
        """The response to the creation `s` of an EmailSubmission."""
        given = {"identityId": self.identity_id, "emailId": email_id, **properties}
        return await self.call("EmailSubmission/set", create={"s": given})

    async def send(self, message: bytes = DRAFT, **properties: Any) -> dict[str, Any]:
        """What was created."""
        result = await self.try_to_send(await self.draft(message), **properties)
        assert result["notCreated"] is None
        created: dict[str, Any] = result["created"]["s"]
        return created

    async def refused(self, message: bytes = DRAFT, **properties: Any) -> dict[str, Any]:
        """The SetError, after which nothing is there."""
        result = await self.try_to_send(await self.draft(message), **properties)
        assert result["created"] is None and result["newState"] == result["oldState"]
        error: dict[str, Any] = result["notCreated"]["s"]
        return error

    async def get(self, submission_id: str) -> dict[str, Any]:
        """The EmailSubmission."""
        [found] = (await self.call("EmailSubmission/get", ids=[submission_id]))["list"]
        return dict(found)

    async def reached(self, submission_id: str, *delivered: str) -> dict[str, Any]:
        """The EmailSubmission, once this is so of its recipients, in order.

        `delivered` of each; "waiting" for those queued that nobody takes.
        """
        while True:
            found = await self.get(submission_id)
            if _delivered(found) == list(delivered):
                return found
            await turn()

    async def mail(self) -> list[bytes]:
        """Every message of the account."""
        ids = (await self.call("Email/query"))["ids"]
        emails = (await self.call("Email/get", ids=ids, properties=["blobId"]))["list"]
        return [await self.user.download(email["blobId"]) for email in emails]


def _delivered(submission: dict[str, Any]) -> list[str]:
    return [
        "waiting" if status["smtpReply"].startswith("451 4.4.0 ") else status["delivered"]
        for status in submission["deliveryStatus"].values()
    ]
