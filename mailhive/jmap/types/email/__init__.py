"""Email (RFC 8621 §4)."""

from mailhive.jmap.mail_capability import MAIL
from mailhive.jmap.registry import DataType
from mailhive.jmap.standard.changes import changes_method
from mailhive.jmap.standard.copy import copy_method
from mailhive.jmap.standard.set import set_method
from mailhive.jmap.types.email import copy
from mailhive.jmap.types.email.create import prepare
from mailhive.jmap.types.email.get import get
from mailhive.jmap.types.email.import_ import import_
from mailhive.jmap.types.email.parse import parse
from mailhive.jmap.types.email.properties import PROPERTIES
from mailhive.jmap.types.email.query import query, query_changes
from mailhive.jmap.types.email.set import EmailSetter

__all__ = ["DATATYPE"]

DATATYPE = DataType(
    name="Email",
    capability=MAIL,
    by_state=True,
    properties=PROPERTIES,
    push_only=("EmailDelivery",),  # RFC 8621 §1.5
    methods={
        "Email/get": get,
        "Email/changes": changes_method("Email"),
        "Email/query": query,
        "Email/queryChanges": query_changes,
        "Email/set": set_method("Email", PROPERTIES, EmailSetter, prepare=prepare),
        "Email/copy": copy_method(
            "Email", copy.PROPERTIES, EmailSetter, copy.originals, prepare=copy.prepare
        ),
        "Email/import": import_,
        "Email/parse": parse,
    },
)
