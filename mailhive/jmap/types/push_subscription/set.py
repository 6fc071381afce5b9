"""PushSubscription/set (RFC 8620 §7.2.2)."""

import hmac
from typing import Any

from attrs import evolve, frozen

from mailhive.errors import OverQuota, RateLimited
from mailhive.jmap.context import Context
from mailhive.jmap.errors import SetError, invalid_properties
from mailhive.jmap.standard.set import SET_ARGUMENTS, Setter, checked_changes, make_changes
from mailhive.jmap.standard.validate import validate_create, validate_update
from mailhive.jmap.types.push_subscription.properties import PROPERTIES, parse_keys, view
from mailhive.model.utcdate import format_utc_date, parse_utc_date
from mailhive.model.webpush import NewPushSubscription, PushSubscription

__all__ = ["set_"]

ARGUMENTS = {name: a for name, a in SET_ARGUMENTS.items() if name != "ifInState"}


async def set_(context: Context, arguments: dict[str, Any]) -> dict[str, Any]:
    """The standard method, but of no account and without states."""
    values = checked_changes(context, arguments, ARGUMENTS)
    position: dict[str, int] = {}
    if values["create"]:
        # Changes from now on are to be told, however long the verification takes.
        for account_id in context.accounts:
            position[account_id] = await context.store.read(account_id, lambda r: r.modseq)
    now = context.now()

    def work(editor: Any) -> Any:
        setter = _Setter(editor, context.push, position, now)
        return make_changes(values, context.created_ids, PROPERTIES, setter)

    outcome = await context.push.edit(context.principal, work)
    context.created_ids.update(outcome.made())
    response: dict[str, Any] = outcome.response()
    return response


@frozen
class _Setter(Setter):
    """Changes subscriptions one at a time."""

    _editor: Any  # IPushEditor
    _push: Any  # IPushSubscriptions
    _position: dict[str, int]
    _now: int

    def create(self, creation_id: str, data: dict[str, Any]) -> tuple[str, dict[str, Any]]:
        whole, added = validate_create(data, PROPERTIES)
        if whole["verificationCode"] is not None:
            raise invalid_properties(["verificationCode"], "It is given once it was pushed")
        if (reason := self._push.refusal(whole["url"])) is not None:
            raise invalid_properties(["url"], f"Nothing is pushed there: {reason}")
        new = NewPushSubscription(
            device=whole["deviceClientId"],
            url=whole["url"],
            keys=None if whole["keys"] is None else parse_keys(whole["keys"]),
            expires=self._expires(whole["expires"]),
            types=None if whole["types"] is None else tuple(whole["types"]),
            position=self._position,
        )
        try:
            made = self._editor.create(new)
        except OverQuota as error:
            raise SetError("overQuota", str(error)) from None
        except RateLimited as error:
            raise SetError("rateLimit", str(error)) from None
        return made.id, added | _corrected(whole["expires"], made)

    def update(self, object_id: str, patch: dict[str, Any]) -> dict[str, Any] | None:
        found = self._found(object_id)
        patched = validate_update(view(found), patch, PROPERTIES)
        types = patched["types"]
        changed = evolve(found, types=None if types is None else tuple(types))
        if "verificationCode" in patch:
            changed = _verified(changed, patched["verificationCode"])
        if "expires" in patch:
            changed = evolve(changed, expires=self._expires(patched["expires"]))
        if changed != found:
            self._editor.change(changed)
        return (_corrected(patched["expires"], changed) if "expires" in patch else {}) or None

    def destroy(self, object_id: str) -> None:
        self._found(object_id)
        self._editor.destroy(object_id)

    def _found(self, object_id: str) -> PushSubscription:
        found: PushSubscription | None = self._editor.subscriptions().get(object_id)
        if found is None:
            raise SetError("notFound")
        return found

    def _expires(self, wanted: str | None) -> int:
        """The time asked for, or the latest there may be (RFC 8620 §7.2)."""
        latest = (self._now + self._push.max_life) // 1000 * 1000
        expires = latest if wanted is None else min(parse_utc_date(wanted), latest)
        if expires <= self._now:
            raise invalid_properties(["expires"], "That time is over")
        return expires


def _verified(subscription: PushSubscription, code: str | None) -> PushSubscription:
    """The subscription with that code given; a wrong one is refused (RFC 8620 §7.2.2)."""
    right = subscription.code.encode()
    if code is not None and hmac.compare_digest(code.encode("utf-8", "surrogatepass"), right):
        return evolve(subscription, is_verified=True)
    if code is None and not subscription.is_verified:  # as it was
        return subscription
    raise invalid_properties(["verificationCode"], "It is not the one that was pushed")


def _corrected(wanted: str | None, made: PushSubscription) -> dict[str, Any]:
    """The expiry, if it is another than the client asked for."""
    if wanted is not None and parse_utc_date(wanted) == made.expires:
        return {}
    return {"expires": format_utc_date(made.expires)}
