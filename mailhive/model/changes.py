"""What changed in an account."""

from attrs import frozen

__all__ = ["Changes", "StateChange"]


@frozen
class Changes:
    """The answer to "what changed since" for one type (RFC 8620 §5.2).

    `new_state` is the modseq reached; when `has_more` it is an intermediate one.
    `property_changes` is False when every updated object changed in its
    server-counted properties only (a Mailbox's counts, RFC 8621 §2.2).
    """

    old_state: int
    new_state: int
    has_more: bool
    created: tuple[str, ...]
    updated: tuple[str, ...]
    destroyed: tuple[str, ...]
    property_changes: bool = True


@frozen
class StateChange:
    """One committed change set: the account and the new modseq of each type it touched."""

    account_id: str
    changed: dict[str, int]
