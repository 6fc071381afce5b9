"""HTML to plain text, and previews."""

import re

from selectolax.lexbor import LexborHTMLParser

__all__ = ["MAX_PREVIEW", "html_to_text", "preview"]

#: RFC 8621 §4.1.4: a preview MUST NOT be longer, in characters.
MAX_PREVIEW = 256

#: The parser takes quadratic time in how deep blocks nest, so what has more
#: markup than a person would ever write is cut here.
_MAX_CHARACTERS = 2_000_000
_MAX_TAGS = 12_000
#: Characters of a text that a preview is looked for in.
_PREVIEW_FROM = 20_000

_UNSEEN = frozenset(
    {
        "script",
        "style",
        "head",
        "title",
        "template",
        "noscript",
        "#comment",
        "-comment",
        "-doctype",
        "object",
        "svg",
        "math",
    }
)
#: Stands between blocks until white space within them is collapsed.
_BREAK = "\v"
_BREAKS = dict.fromkeys((
    "address", "article", "aside", "blockquote", "body", "br", "caption", "center", "dd",
    "details", "dialog", "dir", "div", "dl", "dt", "fieldset", "figcaption", "figure", "footer",
    "form", "h1", "h2", "h3", "h4", "h5", "h6", "header", "hgroup", "hr", "html", "li", "main",
    "menu", "nav", "ol", "option", "p", "pre", "section", "select", "summary", "table", "tbody",
    "textarea", "tfoot", "thead", "tr", "ul",
), _BREAK) | {"td": " ", "th": " "}  # fmt: skip

# What mailers pad previews with: it takes no room on the screen.
_INVISIBLE = re.compile("[\0-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\xad\u034f\u061c\u115f\u1160\u17b4"
                        "\u17b5\u180e\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufeff]+")  # fmt: skip
_QUOTED_LINE = re.compile(r"^[ \t]*>.*$", re.MULTILINE)


def html_to_text(html: str, limit: int = _MAX_CHARACTERS) -> str:
    """The words of an HTML document, a line for each block, at most `limit` characters.

    Inline markup does not part words.  Scripts, styles and the like are left out.
    """
    tree = LexborHTMLParser(_cut_markup(html[:_MAX_CHARACTERS]))
    pieces: list[str] = []
    room = limit
    node = root = tree.root
    while node is not None and room > 0:
        tag = node.tag or ""
        child = None
        if tag == "-text":
            text = node.text_content or ""
            pieces.append(text)
            room -= len(text)
        elif tag not in _UNSEEN:
            pieces.append(_BREAKS.get(tag, ""))
            child = node.first_child
        if child is not None:
            node = child
            continue
        while node is not None and node is not root and node.next is None:
            node = node.parent
            if node is not None:
                pieces.append(_BREAKS.get(node.tag or "", ""))
        node = node.next if node is not None else None
    lines = (" ".join(line.split()) for line in "".join(pieces).split(_BREAK))
    return "\n".join(line for line in lines if line)[:limit]


def _cut_markup(html: str) -> str:
    if html.count("<") <= _MAX_TAGS:
        return html
    position = -1
    for _ in range(_MAX_TAGS + 1):
        position = html.find("<", position + 1)
    return html[:position]


def preview(text: str) -> str:
    """The beginning of a text on one line; quoted lines are left out unless all are quoted."""
    text = text[:_PREVIEW_FROM]
    own = _collapse(_QUOTED_LINE.sub("", text)) if ">" in text else _collapse(text)
    return (own or _collapse(text))[:MAX_PREVIEW].rstrip()


def _collapse(text: str) -> str:
    return " ".join(_INVISIBLE.sub("", text).split())
