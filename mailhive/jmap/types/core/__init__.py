"""The core capability and Core/echo (RFC 8620 §2, §4)."""

from typing import Any

from mailhive.jmap.capabilities import Capability
from mailhive.jmap.context import Context
from mailhive.jmap.limits import Limits
from mailhive.jmap.registry import DataType
from mailhive.model.collation import COLLATIONS

__all__ = ["DATATYPE"]


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


async def _echo(context: Context, arguments: dict[str, Any]) -> dict[str, Any]:
    return arguments


DATATYPE = DataType(
    name="Core",
    capability=Capability("urn:ietf:params:jmap:core", session=_session),
    methods={"Core/echo": _echo},
)
