"""Filters and distinguished names with places for values.

A filter is parsed once, while its values are not there yet, and what is sent is
made of objects: nothing that a value contains can become part of the filter.
"""

import re
from dataclasses import replace
from typing import Any

from sansldap import (
    FilterAnd,
    FilterApproxMatch,
    FilterEquality,
    FilterExtensibleMatch,
    FilterGreaterOrEqual,
    FilterLessOrEqual,
    FilterNot,
    FilterOr,
    FilterSubstrings,
    LDAPFilter,
)

__all__ = ["DnTemplate", "FilterTemplate", "any_of", "equals"]

_PLACE = re.compile(r"\{([^{}]*)\}")
_MARK = re.compile(rb"\0([a-z]+)\0")
_LONGEST = 10_000  # characters
_WITH_VALUE = (
    FilterEquality,
    FilterGreaterOrEqual,
    FilterLessOrEqual,
    FilterApproxMatch,
    FilterExtensibleMatch,
)
_SPECIAL_IN_DN = re.compile(r'[\0"+,;<=>\\]|^[ #]| $')


def equals(attribute: str, value: str) -> LDAPFilter:
    """The filter `(attribute=value)`."""
    return FilterEquality(attribute, value.encode())


def any_of(filters: list[LDAPFilter]) -> LDAPFilter:
    """A filter for what fits at least one of some."""
    return filters[0] if len(filters) == 1 else FilterOr(filters)


class FilterTemplate:
    """The text of a filter (RFC 4515), in which `{place}` stands for a value.

    ValueError says what is wrong with the text and what is allowed.
    """

    def __init__(self, text: str, *places: str) -> None:
        if "\0" in text or r"\00" in text or len(text) > _LONGEST:
            raise ValueError(f"is no filter; allowed are {_LONGEST} characters without NUL")
        # What is a place and what a brace is lost when the text is parsed, NUL is not.
        marked = _PLACE.sub(lambda place: rf"\00{_known(place[1], places)}\00", text)
        try:
            self._filter = LDAPFilter.from_string(marked)
        except (ValueError, RecursionError) as error:
            example = '"(uid={name})"' if "name" in places else '"(objectClass=person)"'
            raise ValueError(
                f'"{text[:200]}" is no filter ({_reason(error)}); allowed is one as RFC 4515 has '
                f"it, such as {example}"
            ) from error

    def fill(self, **values: str) -> LDAPFilter:
        """The filter with these values, which must be text that UTF-8 can encode."""
        octets = {place.encode(): value.encode() for place, value in values.items()}
        return _filled(self._filter, octets)


class DnTemplate:
    """A distinguished name (RFC 4514), in which `{place}` stands for a value."""

    def __init__(self, text: str, *places: str) -> None:
        self._text = text
        if not text:
            raise ValueError('is empty; allowed is a name, such as "uid={name},ou=people,o=x"')
        for place in _PLACE.finditer(text):
            _known(place[1], places)

    def fill(self, **values: str) -> str:
        """The name with these values, escaped where that is necessary."""
        return _PLACE.sub(lambda place: _escaped(values[place[1]]), self._text)


def _known(place: str, places: tuple[str, ...]) -> str:
    if place not in places:
        allowed = ", ".join(f"{{{name}}}" for name in places) or "none"
        raise ValueError(f"{{{place}}} stands for nothing; allowed: {allowed}")
    return place


def _reason(error: Exception) -> str:
    return "too deep" if isinstance(error, RecursionError) else str(error)


def _filled(part: Any, values: dict[bytes, bytes]) -> Any:
    if isinstance(part, FilterAnd | FilterOr):
        return replace(part, filters=[_filled(inner, values) for inner in part.filters])
    if isinstance(part, FilterNot):
        return replace(part, filter=_filled(part.filter, values))
    if isinstance(part, FilterSubstrings):
        return replace(
            part,
            initial=part.initial and _value(part.initial, values),
            any=[_value(piece, values) for piece in part.any],
            final=part.final and _value(part.final, values),
        )
    if isinstance(part, _WITH_VALUE):
        return replace(part, value=_value(part.value, values))
    return part  # a test for presence


def _value(template: bytes, values: dict[bytes, bytes]) -> bytes:
    return _MARK.sub(lambda mark: values[mark[1]], template)


def _escaped(value: str) -> str:
    # RFC 4514 §2.4
    return _SPECIAL_IN_DN.sub(lambda match: f"\\{ord(match[0]):02x}", value)
