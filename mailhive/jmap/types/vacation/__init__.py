"""VacationResponse (RFC 8621 §8): the one object that says what is answered in absence."""

from typing import Any

from mailhive.jmap.capabilities import Capability
from mailhive.jmap.checks import is_boolean, is_string, is_utc_date, nullable
from mailhive.jmap.context import Account
from mailhive.jmap.errors import SetError
from mailhive.jmap.registry import DataType, Property
from mailhive.jmap.standard.get import get_method
from mailhive.jmap.standard.set import SetCall, Setter, set_method
from mailhive.jmap.standard.validate import defaults_of, validate_update
from mailhive.mail.vacation import SINGLETON, VACATION

__all__ = ["DATATYPE"]

PROPERTIES = {
    "id": Property(server_set=True, immutable=True),
    "isEnabled": Property(is_boolean, False),
    "fromDate": Property(nullable(is_utc_date), None),
    "toDate": Property(nullable(is_utc_date), None),
    "subject": Property(nullable(is_string), None),
    "textBody": Property(nullable(is_string), None),
    "htmlBody": Property(nullable(is_string), None),
}

#: Characters of the subject and both bodies together.
MAX_SIZE = 250_000


def _fetch(
    reader: Any, account: Account, ids: list[str] | None, properties: tuple[str, ...]
) -> dict[str, dict[str, Any]]:
    if ids is not None and SINGLETON not in ids:
        return {}
    # RFC 8621 §8.1: there is one in every account, also when nobody has ever set it.
    found = reader.records(VACATION, [SINGLETON])
    whole = {"id": SINGLETON, **defaults_of(PROPERTIES)}
    if SINGLETON in found:
        whole |= found[SINGLETON].data
    return {SINGLETON: {name: whole[name] for name in properties}}


class _Setter(Setter):
    """Updates the singleton, whose record is made by the first change."""

    def __init__(self, call: SetCall) -> None:
        self._call = call
        self._writer = call.writer

    def create(self, creation_id: str, data: dict[str, Any]) -> tuple[str, dict[str, Any]]:
        raise SetError("singleton", "There is one VacationResponse, which can be updated")

    def update(self, object_id: str, patch: dict[str, Any]) -> dict[str, Any] | None:
        _check_id(object_id)
        current = _fetch(self._writer, self._call.account, None, tuple(PROPERTIES))[SINGLETON]
        patched = validate_update(current, patch, PROPERTIES)
        size = sum(len(patched[name] or "") for name in ("subject", "textBody", "htmlBody"))
        if size > MAX_SIZE:
            raise SetError("tooLarge", f"Subject and bodies may have {MAX_SIZE} characters")
        if patched != current:
            document = {name: value for name, value in patched.items() if name != "id"}
            if self._writer.records(VACATION, [SINGLETON]):
                self._writer.update_record(VACATION, SINGLETON, document)
            else:
                self._writer.create_record(VACATION, document, SINGLETON)
        return None

    def destroy(self, object_id: str) -> None:
        _check_id(object_id)
        raise SetError("singleton", "The VacationResponse can be disabled, not destroyed")


def _check_id(object_id: str) -> None:
    if object_id != SINGLETON:
        raise SetError("notFound")


DATATYPE = DataType(
    name=VACATION,
    capability=Capability("urn:ietf:params:jmap:vacationresponse"),
    properties=PROPERTIES,
    methods={
        "VacationResponse/get": get_method(VACATION, PROPERTIES, _fetch),
        "VacationResponse/set": set_method(VACATION, PROPERTIES, _Setter),
    },
)
