"""What changed in an account."""

from attrs import frozen

__all__ = ["Changes", "QueryChanges", "StateChange"]


@frozen
class Changes:
    """The answer to "what changed since" for one type (RFC 8620 §5.2).

    `new_state` is the modseq reached; when `has_more` it is an intermediate one.
    `only_counts` are those of `updated` that changed in their server-counted
    properties only (a Mailbox's counts, RFC 8621 §2.2).
    """

    old_state: int
    new_state: int
    has_more: bool
    created: tuple[str, ...]
    updated: tuple[str, ...]
    destroyed: tuple[str, ...]
    only_counts: tuple[str, ...] = ()


@frozen
class QueryChanges:
    """What turns earlier results of a query into those of now (RFC 8620 §5.6).

    First the ids of `removed` are to be taken out, which may never have been in;
    then the pairs of id and index in `added` are to be put in, in that order.
    `total` and `state` are those of the results then; `total` may be None if it
    was not asked for.
    """

    removed: tuple[str, ...]
    added: tuple[tuple[str, int], ...]
    total: int | None
    state: int


@frozen
class StateChange:
    """One committed change set: the account and the new modseq of each type it touched."""

    account_id: str
    changed: dict[str, int]
