"""What must hold of a tree of mailboxes (RFC 8621 §2), against a plain reading of it."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailhive.jmap.errors import SetError
from mailhive.jmap.limits import Limits
from mailhive.jmap.types.mailbox.tree import MailboxTree

LIMITS = Limits(mailbox_depth=3)
IDS = ["a", "b", "c", "d", "e"]

_mailbox = st.fixed_dictionaries(
    {
        "name": st.sampled_from(["x", "y", "z"]),
        "parentId": st.sampled_from([None, None, *IDS]),
        "role": st.sampled_from([None, None, None, "sent"]),
    }
)


def path(mailboxes: dict[str, Any], mailbox_id: str) -> list[str] | None:
    """From the mailbox to the top, None when there is no way or it is too long."""
    found: list[str] = []
    at: str | None = mailbox_id
    while at is not None:
        if at not in mailboxes or at in found or len(found) == LIMITS.mailbox_depth:
            return None
        found.append(at)
        at = mailboxes[at]["parentId"]
    return found


def is_valid(mailboxes: dict[str, Any]) -> bool:
    places = [(m["parentId"], m["name"]) for m in mailboxes.values()]
    roles = [m["role"] for m in mailboxes.values() if m["role"] is not None]
    return (
        len(set(places)) == len(places)
        and len(set(roles)) == len(roles)
        and all(path(mailboxes, mailbox_id) is not None for mailbox_id in mailboxes)
    )


@given(st.dictionaries(st.sampled_from(IDS), _mailbox))
def test_a_tree_is_valid_when_every_mailbox_is(mailboxes: dict[str, Any]) -> None:
    tree = MailboxTree(mailboxes)
    assert tree.is_valid(LIMITS) == is_valid(mailboxes)
    for mailbox_id in mailboxes:
        children = [m for m in mailboxes.values() if m["parentId"] == mailbox_id]
        assert tree.has_child(mailbox_id) == bool(children)


@given(
    st.dictionaries(st.sampled_from(IDS), _mailbox).filter(is_valid),
    st.sampled_from([*IDS, "new"]),
    _mailbox,
)
def test_a_change_of_a_valid_tree_is_checked_and_not_made(
    mailboxes: dict[str, Any], mailbox_id: str, data: dict[str, Any]
) -> None:
    tree = MailboxTree(mailboxes)
    try:
        tree.check_change(mailbox_id, data, LIMITS)
    except SetError:
        valid = False
    else:
        valid = True
    assert valid == is_valid({**mailboxes, mailbox_id: data})
    assert tree.mailboxes == mailboxes
    assert tree.is_valid(LIMITS)


def test_another_of_the_same_name_is_told() -> None:
    tree = MailboxTree({"a": {"name": "x", "parentId": None, "role": None}})
    with pytest.raises(SetError) as caught:
        tree.check_change("b", {"name": "x", "parentId": None, "role": None}, LIMITS)
    assert caught.value.json()["existingId"] == "a"
    tree.remove("a")
    tree.check_change("b", {"name": "x", "parentId": None, "role": None}, LIMITS)
