"""What a client says a download is, checked before it becomes a header."""

import re
from urllib.parse import quote

__all__ = ["content_disposition", "media_type"]

_WORD = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_MEDIA_TYPE = re.compile(
    rf'{_WORD}/{_WORD}(?:[ \t]*;[ \t]*{_WORD}=(?:{_WORD}|"(?:[ !#-\[\]-~]|\\[ -~])*"))*'
)
_NOT_PLAIN = re.compile(r"[^ !#-$&-\[\]-~]")  # neither quote, backslash nor percent


def media_type(value: str) -> str | None:
    """`value` if it is a media type with its parameters (RFC 9110 §8.3.1), else None.

    A space before the parameters is a `+` that the client left unencoded.
    """
    essence, mark, parameters = value.partition(";")
    value = essence.rstrip().replace(" ", "+") + mark + parameters.rstrip()
    return value if len(value) <= 1_000 and _MEDIA_TYPE.fullmatch(value) else None


def content_disposition(name: str) -> str:
    """`attachment` with the file name, in the form of RFC 6266 §4.3 and RFC 8187."""
    name = "".join(c for c in name if c.isprintable())
    if not name:
        return "attachment"
    plain = _NOT_PLAIN.sub("_", name)
    if plain == name:
        return f'attachment; filename="{name}"'
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(name, safe='')}"
