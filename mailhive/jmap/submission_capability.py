"""`urn:ietf:params:jmap:submission` (RFC 8621 §1.3.2)."""

from typing import Any

from mailhive.jmap.capabilities import Capability
from mailhive.jmap.context import Account
from mailhive.jmap.limits import Limits

__all__ = ["SUBMISSION"]


def _account(limits: Limits, account: Account) -> dict[str, Any]:
    return {"maxDelayedSend": 0, "submissionExtensions": {}}


SUBMISSION = Capability("urn:ietf:params:jmap:submission", account=_account)
