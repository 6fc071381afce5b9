"""The `[delivery]` section."""

from attrs import Attribute, field, frozen

from mailhive.config.fields import an_address, doc
from mailhive.config.problems import Found
from mailhive.model.field_pattern import FieldPattern
from mailhive.model.keywords import is_keyword

__all__ = ["DeliverySettings", "KeywordSettings"]


def _patterns(_: object, __: "Attribute[tuple[str, ...]]", values: tuple[str, ...]) -> None:
    for value in values:
        FieldPattern.parse(value)


def _names(_: object, __: "Attribute[tuple[str, ...]]", values: tuple[str, ...]) -> None:
    for value in values:
        FieldPattern.parse(f"{value}: x")


@frozen
class KeywordSettings:
    """A keyword that messages get by their header, such as `$phishing` or `$ismailinglist`."""

    fields: tuple[str, ...] = field(
        validator=_patterns,
        metadata=doc(
            "Messages with one of these get it: `X-Phishing: yes`, or `List-Id: *` for any value."
        ),
    )
    anyone: bool = field(
        default=False,
        metadata=doc(
            "Does that count in every message? Else only in those that come by a listener with "
            "`filtered`, as anybody can write such a field."
        ),
    )


@frozen
class DeliverySettings:
    """What becomes of messages for users of this server, besides going into their inboxes."""

    postmaster: str | None = field(
        default=None,
        validator=an_address,
        metadata=doc(
            "Who gets mail for postmaster of `server.hostname`, and of domains whose postmaster "
            "nobody is: an address of a user, group or list of this server. Every mail server has "
            "to have a postmaster (RFC 5321 §4.5.1).",
            default="postmaster of `server.hostname`, or of a domain above it",
        ),
    )
    subaddress_mailboxes: bool = field(
        default=False,
        metadata=doc(
            "Does mail to `user+work@example.org` go into the mailbox `Work` of the user, and to "
            "`user+lists/python@` or `user+lists.python@` into `Python` in `Lists`? Where "
            "there is no such mailbox it goes into the inbox, as does mail for the drafts or what "
            "was sent. Case does not matter."
        ),
    )
    junk_fields: tuple[str, ...] = field(
        default=(),
        validator=_patterns,
        metadata=doc(
            "Header fields by which a filter says that a message is junk, such as "
            "`X-Spam-Flag: YES`, `X-Spam-Status: Yes,*` or `X-Spam: Yes`; `*` stands for "
            "anything. Such messages go into the mailbox for junk, with the keyword `$junk`. "
            "They count in messages that come by a listener with `filtered`."
        ),
    )
    keyword_fields: tuple[str, ...] = field(
        default=(),
        validator=_names,
        metadata=doc(
            "Names of header fields whose words, between commas or spaces, become keywords, such "
            "as `X-Keywords`. They count as `junk-fields` do."
        ),
    )
    keyword: dict[str, KeywordSettings] = field(factory=dict, metadata=doc("", named='"$phishing"'))

    def problems(self) -> Found:
        for name in self.keyword:
            if not is_keyword(name):
                allowed = 'allowed are 1 to 255 characters of ASCII but spaces and any of (){]%*"\\'
                yield ("keyword", name), f"is no keyword; {allowed}"
