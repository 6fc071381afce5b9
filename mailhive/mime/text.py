"""HTML to plain text, and previews.

A tree of the document is not built: builders take quadratic time in how deep
blocks nest, and words and where they part can be read off the tags in one pass.
"""

import html
import re

__all__ = ["MAX_PREVIEW", "html_to_text", "preview"]

#: RFC 8621 §4.1.4: a preview MUST NOT be longer, in characters.
MAX_PREVIEW = 256

#: Characters of a text that a preview is looked for in, and those in which it is as a rule.
_PREVIEW_FROM = 20_000
_PREVIEW_SOON = 500

# The rest of a tag after its name, as browsers read it: a quote
# counts only as the beginning of an attribute's value, and hides `>`.
_ATTRIBUTES = r"(?:[^>=]++|=\s*+(?:\"[^\"]*+(?:\"|\Z)|'[^']*+(?:'|\Z)|(?![\"'])))*+(?:>|\Z)"
_MARKUP = re.compile(
    r"<!--.*?(?:-->|\Z)"
    # What these hold is not shown.
    rf"|<(?P<hidden>script|style|title|template)(?=[\s/>]){_ATTRIBUTES}"
    r".*?(?=</(?P=hidden)[\s/>]|\Z)"
    rf"|</?(?P<tag>[a-z][a-z0-9]*+){_ATTRIBUTES}"
    r"|<[!?/][^>]*+(?:>|\Z)",
    re.IGNORECASE | re.DOTALL,
)
# More digits than any character has, which html.unescape would convert.
_LONG_NUMBER = re.compile(r"&#(?:[0-9]{9,}+|x[0-9a-f]{9,}+);?", re.IGNORECASE)

#: Stands between blocks until white space within them is collapsed.
_BREAK = "\v"
_BLOCKS = """address article aside blockquote body br caption center dd details dialog dir div dl
    dt fieldset figcaption figure footer form h1 h2 h3 h4 h5 h6 header hgroup hr html li main menu
    nav ol option p pre section select summary table tbody textarea tfoot thead tr ul"""
_BREAKS = dict.fromkeys(_BLOCKS.split(), _BREAK) | {"td": " ", "th": " "}

# What mailers pad previews with: it takes no room on the screen.
_INVISIBLE = re.compile(
    "[\0-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\xad\u034f\u061c\u115f\u1160\u17b4"
    "\u17b5\u180e\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufeff]+"
)
# The same for ASCII, in which it is quicker to look for nothing else.
_CONTROLS = dict.fromkeys({*range(32), 127} - set(b"\t\n\r"))
_QUOTED_LINE = re.compile(r"^[ \t]*>.*$", re.MULTILINE)


def html_to_text(document: str) -> str:
    """The words of an HTML document, a line for each block.

    Inline markup does not part words.  Scripts, styles and the title are left out.
    """
    text = _MARKUP.sub(_parting, document)
    if "&" in text:
        text = html.unescape(_LONG_NUMBER.sub("\ufffd", text))
    lines = [" ".join(line.split()) for line in text.split(_BREAK)]
    return "\n".join([line for line in lines if line])


def _parting(markup: re.Match[str]) -> str:
    tag = markup["tag"]
    return _BREAKS.get(tag.lower(), "") if tag else ""


def preview(text: str) -> str:
    """The beginning of a text on one line; quoted lines are left out unless all are quoted."""
    own = _own_words(text[:_PREVIEW_SOON])
    if len(own) < MAX_PREVIEW and len(text) > _PREVIEW_SOON:
        text = text[:_PREVIEW_FROM]
        own = _own_words(text)
    return (own or _collapse(text))[:MAX_PREVIEW].rstrip()


def _own_words(text: str) -> str:
    return _collapse(_QUOTED_LINE.sub("", text) if ">" in text else text)


def _collapse(text: str) -> str:
    shown = text.translate(_CONTROLS) if text.isascii() else _INVISIBLE.sub("", text)
    return " ".join(shown.split())
