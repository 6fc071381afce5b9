"""`urn:ietf:params:jmap:submission` (RFC 8621 §1.3.2)."""

from typing import Any

from mailhive.jmap.capabilities import Capability
from mailhive.jmap.context import Account
from mailhive.jmap.limits import Limits

__all__ = ["SUBMISSION"]


def _account(limits: Limits, account: Account) -> dict[str, Any]:
    extensions: dict[str, list[str]] = {"DSN": [], "REQUIRETLS": []}
    if limits.delayed_send:
        # RFC 4865 §4 has the latest date as well, with which this object, and so the state
        # of the session, would never be the same.
        extensions["FUTURERELEASE"] = [str(limits.delayed_send)]
    return {"maxDelayedSend": limits.delayed_send, "submissionExtensions": extensions}


SUBMISSION = Capability("urn:ietf:params:jmap:submission", account=_account)
