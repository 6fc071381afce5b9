"""Values with parameters: Content-Type and Content-Disposition (RFC 2045 §5, RFC 2183, RFC 2231).

Read leniently: values without their quotes, encoded-words within quotes, raw
UTF-8 and continuations out of order are all taken for what they mean.
"""

import re
from functools import lru_cache
from urllib.parse import unquote_to_bytes

from mailhive.mime import charset
from mailhive.mime.encodedword import clean, decode_words
from mailhive.mime.fields import strip_comments, unfold

__all__ = ["parse_parameters"]

#: Characters of a field that are looked at, of one that is remembered, and parameters of one.
_MAX_VALUE = 65_536
_MAX_KNOWN = 100
_MAX_PARAMETERS = 256

_PARAMETER = re.compile(r';\s*+([^=;\s"]++)\s*+=\s*+("(?:[^"\\]|\\.)*+"|[^;]*+)', re.DOTALL)
_SECTION = re.compile(r"([^*]+)\*(\d{1,4})?(\*)?")
_PAIR = re.compile(r"\\(.)", re.DOTALL)
_ENCODED_WORDS = re.compile(r"(?<=\?=)(?==\?)")
_TOKEN = re.compile(r"[^\s()]*")


def parse_parameters(raw: str) -> tuple[str, dict[str, str]]:
    """The value in lower case less comments, and its parameters by lower-case name.

    Of a parameter given twice the first counts; one in the extended form of
    RFC 2231 is preferred to its plain form.  The parameters are not to be changed.
    """
    return _parse(raw[:_MAX_VALUE]) if len(raw) > _MAX_KNOWN else _known(raw)


def _parse(raw: str) -> tuple[str, dict[str, str]]:
    text = unfold(raw)
    head, mark, rest = text.partition(";")
    value = "".join(strip_comments(head).split()).lower()
    parameters: dict[str, str] = {}
    sections: dict[str, dict[int, tuple[str, bool]]] = {}
    if not mark:
        return value, parameters
    for match in _PARAMETER.finditer(mark + rest):
        name, content = match[1].lower(), match[2]
        if len(parameters) + len(sections) >= _MAX_PARAMETERS:
            break
        if content[:1] == '"':
            content = content.removesuffix('"') if len(content) > 1 else content
            content = _PAIR.sub(r"\1", content[1:])
        else:
            content = content.strip()
            if name not in ("name", "filename") and (token := _TOKEN.match(content)):
                content = token[0]
        if "*" in name and (section := _SECTION.fullmatch(name)):
            number = int(section[2] or 0)
            extended = section[3] is not None or section[2] is None
            sections.setdefault(section[1], {}).setdefault(number, (content, extended))
        else:
            parameters.setdefault(name, _decode(content))
    for name, pieces in sections.items():
        parameters[name] = _join(pieces)
    return value, parameters


#: Most parts are of a few kinds.
_known = lru_cache(500)(_parse)


def _decode(content: str) -> str:
    """A plain value; encoded-words do not belong there, but are meant when they are."""
    if "=?" in content:
        content = decode_words(_ENCODED_WORDS.sub(" ", content))
    return clean(content)


def _join(pieces: dict[int, tuple[str, bool]]) -> str:
    """The value of a parameter in extended form or in continuations (RFC 2231 §3, §4)."""
    octets = b""
    label = ""
    for number in sorted(pieces):
        content, extended = pieces[number]
        if extended:
            if number == 0 and content.count("'") >= 2:
                label, _language, content = content.split("'", 2)
            octets += unquote_to_bytes(content)
        else:
            octets += content.encode("utf-8", "replace")
    text = charset.decode(octets, label)[0] if label else charset.decode_undeclared(octets)[0]
    return _decode(text)
