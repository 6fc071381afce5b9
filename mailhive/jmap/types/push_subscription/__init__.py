"""PushSubscription (RFC 8620 §7.2)."""

from mailhive.jmap.core_capability import CORE
from mailhive.jmap.registry import DataType
from mailhive.jmap.types.push_subscription.get import get
from mailhive.jmap.types.push_subscription.properties import PROPERTIES
from mailhive.jmap.types.push_subscription.set import set_

__all__ = ["DATATYPE"]

DATATYPE = DataType(
    name="PushSubscription",
    capability=CORE,
    properties=PROPERTIES,
    kept_once=True,
    methods={"PushSubscription/get": get, "PushSubscription/set": set_},
)
