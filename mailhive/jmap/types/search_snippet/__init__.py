"""SearchSnippet (RFC 8621 §5)."""

from mailhive.jmap.mail_capability import MAIL
from mailhive.jmap.registry import DataType
from mailhive.jmap.types.search_snippet.get import get

__all__ = ["DATATYPE"]

DATATYPE = DataType(
    name="SearchSnippet",
    capability=MAIL,
    by_state=True,
    methods={"SearchSnippet/get": get},
)
