"""The version of JMAP that a client asks for in its Accept header, as Apache James has it.

Accept: application/json; jmapVersion=rfc-8621
"""

import re

__all__ = ["VERSIONS", "knows_version"]

#: The versions that are spoken here; they have to agree with `jmap.default-version`.
VERSIONS = ("rfc-8621",)

_PARAMETER = re.compile(r';[ \t]*jmapversion=(?:"([^"]*)"|([^ \t,;"]*))', re.IGNORECASE)


def knows_version(accept: str | None) -> bool:
    """Can every version that an Accept header asks for be served?"""
    if not accept or ";" not in accept:
        return True
    return all((a or b).lower() in VERSIONS for a, b in _PARAMETER.findall(accept))
