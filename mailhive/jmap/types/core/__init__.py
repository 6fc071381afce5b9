"""Core/echo (RFC 8620 §4)."""

from typing import Any

from mailhive.jmap.context import Context
from mailhive.jmap.core_capability import CORE
from mailhive.jmap.registry import DataType

__all__ = ["DATATYPE"]


async def _echo(context: Context, arguments: dict[str, Any]) -> dict[str, Any]:
    return arguments


DATATYPE = DataType(name="Core", capability=CORE, methods={"Core/echo": _echo})
