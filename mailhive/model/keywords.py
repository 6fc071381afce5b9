"""Keywords of an Email (RFC 8621 §4.1.1)."""

import re

__all__ = ["MAX_KEYWORDS", "is_keyword"]

#: Keywords of one Email.
MAX_KEYWORDS = 100

# %x21-%x7e without ( ) { ] % * " \
_KEYWORD = re.compile(r"[!#$&'+-\[^-z|}~]{1,255}", re.ASCII)


def is_keyword(text: str) -> bool:
    """Can it be one?"""
    return _KEYWORD.fullmatch(text) is not None
