"""How a message came in."""

from attrs import frozen

__all__ = ["PLAIN", "Arrival"]


@frozen
class Arrival:
    """What is known of a message by the way it came, besides what is written in it.

    If it `is_junk` it goes to the mailbox for junk, and nothing answers it.  If it
    `is_filtered` its header may say so too, or name keywords: a filter of ours wrote that.
    `found` is what was found of it, the body of an Authentication-Results field.  `added`
    are recipients whom a filter of ours has named, and not the client; they may be elsewhere.
    """

    is_junk: bool = False
    is_filtered: bool = False
    found: bytes = b""
    added: frozenset[str] = frozenset()


#: Of a message of which nothing is known.
PLAIN = Arrival()
