"""Identity (RFC 8621 §6)."""

from mailhive.jmap.registry import DataType
from mailhive.jmap.standard.changes import changes_method
from mailhive.jmap.standard.get import get_method
from mailhive.jmap.standard.set import set_method
from mailhive.jmap.submission_capability import SUBMISSION
from mailhive.jmap.types.identity.get import fetch
from mailhive.jmap.types.identity.properties import PROPERTIES
from mailhive.jmap.types.identity.set import IdentitySetter, prepare

__all__ = ["DATATYPE"]

DATATYPE = DataType(
    name="Identity",
    capability=SUBMISSION,
    properties=PROPERTIES,
    methods={
        "Identity/get": get_method("Identity", PROPERTIES, fetch),
        "Identity/changes": changes_method("Identity"),
        "Identity/set": set_method("Identity", PROPERTIES, IdentitySetter, prepare=prepare),
    },
)
