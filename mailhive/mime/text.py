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

_UNSEEN = frozenset({"script", "style", "head", "title", "template", "noscript", "#comment",
                     "-comment", "-doctype", "object", "svg", "math"})
_BLOCKS = frozenset({
    "address", "article", "aside", "blockquote", "body", "br", "caption", "center", "dd",
    "details", "dialog", "dir", "div", "dl", "dt", "fieldset", "figcaption", "figure", "footer",
    "form", "h1", "h2", "h3", "h4", "h5", "h6", "header", "hgroup", "hr", "html", "li", "main",
    "menu", "nav", "ol", "option", "p", "pre", "section", "select", "summary", "table", "tbody",
    "textarea", "tfoot", "thead", "tr", "ul",
})  # fmt: skip
_CELLS = frozenset({"td", "th"})

_SPACE = re.compile(r"[ \t\r\n\f\xa0]+")
# What mailers pad previews with: it takes no room on the screen.
_INVISIBLE = re.compile("[\0-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\xad\u034f\u061c\u115f\u1160\u17b4"
                        "\u17b5\u180e\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufeff]+")  # fmt: skip
_QUOTED_LINE = re.compile(r"^[ \t]*>.*$", re.MULTILINE)
