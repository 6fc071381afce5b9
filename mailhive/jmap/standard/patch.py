"""PatchObject (RFC 8620 §5.3)."""

from collections.abc import Mapping
from itertools import pairwise
from typing import Any

from mailhive.jmap.errors import SetError

__all__ = ["apply_patch"]


def apply_patch(
    current: Mapping[str, Any], patch: Mapping[str, Any], defaults: Mapping[str, Any]
) -> dict[str, Any]:
    """The object after `patch`; `current` is left as it is.

    A null sets a property back to its default in `defaults`, or removes it.
    `SetError` invalidPatch when a path breaks one of the rules.
    """
    paths = {path: _tokens(path) for path in patch}
    _refuse_prefixes(list(paths.values()))
    patched = dict(current)
    copied: set[int] = set()
    for path, value in patch.items():
        *parents, last = paths[path]
        target = patched
        for token in parents:
            child = target.get(token)
            if isinstance(child, list):
                raise SetError("invalidPatch", f"{path!r} points inside an array")
            if not isinstance(child, dict):
                raise SetError("invalidPatch", f"{path!r}: {token!r} does not exist")
            if id(child) not in copied:
                child = dict(child)
                copied.add(id(child))
                target[token] = child
            target = child
        if value is not None:
            target[last] = value
        elif not parents and last in defaults:
            target[last] = defaults[last]
        else:
            target.pop(last, None)
    return patched


def _tokens(path: str) -> tuple[str, ...]:
    return tuple(t.replace("~1", "/").replace("~0", "~") for t in path.split("/"))


def _refuse_prefixes(paths: list[tuple[str, ...]]) -> None:
    # Sorted, a path that is the prefix of any other is the prefix of the next.
    paths.sort()
    for shorter, longer in pairwise(paths):
        if longer[: len(shorter)] == shorter:
            raise SetError(
                "invalidPatch", f"{'/'.join(shorter)!r} is a prefix of {'/'.join(longer)!r}"
            )
