"""EmailSubmission (RFC 8621 §7)."""

from mailhive.jmap.registry import DataType
from mailhive.jmap.standard.changes import changes_method
from mailhive.jmap.standard.get import get_method
from mailhive.jmap.standard.query_changes import query_changes_method
from mailhive.jmap.submission_capability import SUBMISSION
from mailhive.jmap.types.submission.get import fetch
from mailhive.jmap.types.submission.properties import PROPERTIES
from mailhive.jmap.types.submission.query import FILTERS, SORTS, query, query_changes
from mailhive.jmap.types.submission.set import set_

__all__ = ["DATATYPE"]

DATATYPE = DataType(
    name="EmailSubmission",
    capability=SUBMISSION,
    properties=PROPERTIES,
    methods={
        "EmailSubmission/get": get_method("EmailSubmission", PROPERTIES, fetch),
        "EmailSubmission/changes": changes_method("EmailSubmission"),
        "EmailSubmission/query": query,
        "EmailSubmission/queryChanges": query_changes_method(query_changes, FILTERS, SORTS),
        "EmailSubmission/set": set_,
    },
)
