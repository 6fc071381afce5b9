"""`urn:ietf:params:jmap:core` (RFC 8620 §2)."""

from typing import Any

from mailhive.jmap.capabilities import Capability
from mailhive.jmap.limits import Limits
from mailhive.model.collation import COLLATIONS

__all__ = ["CORE"]


def _session(limits: Limits) -> dict[str, Any]:
    return {
        "maxSizeUpload": limits.upload_size,
        "maxConcurrentUpload": limits.concurrent_uploads,
        "maxSizeRequest": limits.request_size,
        "maxConcurrentRequests": limits.concurrent_requests,
        "maxCallsInRequest": limits.calls,
        "maxObjectsInGet": limits.get,
        "maxObjectsInSet": limits.set,
        "collationAlgorithms": sorted(COLLATIONS),
    }


CORE = Capability("urn:ietf:params:jmap:core", session=_session)
