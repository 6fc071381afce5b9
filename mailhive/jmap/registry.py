"""Datatypes as declarations, found by discovery.

A datatype is one package under `mailhive.jmap.types`, or one that another
distribution names in the entry point group `mailhive.datatype`; its `DATATYPE`
says what it is and the generic engine (`mailhive.jmap.standard`) does the rest.
Session capabilities, gating by `using` and documentation follow from it.
"""

import pkgutil
from collections.abc import Awaitable, Callable, Collection, Mapping
from importlib import import_module
from importlib.metadata import entry_points
from typing import Any

from attrs import evolve, field, frozen

from mailhive.jmap.capabilities import WITHOUT_METHODS, Capability
from mailhive.jmap.checks import Check, is_any
from mailhive.jmap.context import Context
from mailhive.jmap.envelope import Request

__all__ = [
    "REQUIRED",
    "DataType",
    "Followed",
    "Method",
    "Property",
    "Registry",
    "optional_capabilities",
]


@frozen
class Followed:
    """A response, and calls that the server makes by itself right after it.

    Each is a method name and its arguments; what they answer, errors included,
    becomes a response of the same call (RFC 8620 §5.4).
    """

    response: dict[str, Any]
    calls: tuple[tuple[str, dict[str, Any]], ...]


_CORE = "urn:ietf:params:jmap:core"

#: A method: `await method(context, arguments)` gives the response's arguments.
Method = Callable[[Context, dict[str, Any]], Awaitable[dict[str, Any] | Followed]]

#: The default of a property that has none.
REQUIRED: Any = object()


@frozen
class Property:
    """One property of a datatype (RFC 8620 §1.6.3, §5.3).

    `refers_to` names the datatype whose ids the value holds, as itself, in a
    list or as keys of a map, so that creation references in it are resolved.
    """

    check: Check = is_any
    default: Any = REQUIRED
    immutable: bool = False
    server_set: bool = False
    refers_to: str | None = None


@frozen
class DataType:
    """A datatype: its properties, and its methods by full name (`Mailbox/get`).

    `push_only` are types without methods whose states are pushed beside its own.
    Objects that are `kept_once` belong to no account: of several processes, one keeps
    them and makes all calls.  Where a type goes `by_state`, what its get, changes, query
    and queryChanges answer follows from their arguments, who asks and what the mail store
    has of the account, so that it can be given again while nothing has changed there.
    """

    name: str
    capability: Capability
    properties: Mapping[str, Property] = field(factory=dict)
    methods: Mapping[str, Method] = field(factory=dict)
    push_only: tuple[str, ...] = ()
    kept_once: bool = False
    by_state: bool = False


@frozen
class Registry:
    """Every datatype the server has."""

    datatypes: Mapping[str, DataType]
    methods: Mapping[str, tuple[Capability, Method]]
    capabilities: Mapping[str, Capability]
    without_methods: frozenset[str] = WITHOUT_METHODS
    _by_state: frozenset[str] = field(init=False)

    @_by_state.default
    def _methods_by_state(self) -> frozenset[str]:
        verbs = ("get", "changes", "query", "queryChanges")
        types = [name for name, datatype in self.datatypes.items() if datatype.by_state]
        return frozenset(f"{name}/{verb}" for name in types for verb in verbs)

    @property
    def push_types(self) -> frozenset[str]:
        """The types whose states are pushed (RFC 8620 §7.1)."""
        stateful = {name for name in self.datatypes if f"{name}/changes" in self.methods}
        return frozenset(stateful).union(*(t.push_only for t in self.datatypes.values()))

    def goes_by_state(self, request: Request) -> bool:
        """Does all that a request asks for go by the state of accounts?"""
        return all(name in self._by_state for name, _, _ in request.method_calls)

    @classmethod
    def of(cls, datatypes: list[DataType]) -> "Registry":
        """A registry of exactly these types; ValueError if two claim one name."""
        methods: dict[str, tuple[Capability, Method]] = {}
        for datatype in datatypes:
            for name, method in datatype.methods.items():
                if name in methods:
                    raise ValueError(f"two datatypes have a method {name}")
                methods[name] = (datatype.capability, method)
        return cls(
            {t.name: t for t in datatypes},
            methods,
            {t.capability.uri: t.capability for t in datatypes},
        )

    @classmethod
    def load(cls, disabled: Collection[str] = ()) -> "Registry":
        """Our own types and those of other installed packages.

        Without those of the capabilities whose URIs are `disabled`.
        """
        package = import_module("mailhive.jmap.types")
        names = sorted(m.name for m in pkgutil.iter_modules(package.__path__) if m.ispkg)
        own = [import_module(f"{package.__name__}.{name}").DATATYPE for name in names]
        types = own + [p.load() for p in entry_points(group="mailhive.datatype")]
        registry = cls.of([t for t in types if t.capability.uri not in disabled])
        return evolve(registry, without_methods=WITHOUT_METHODS.difference(disabled))


def optional_capabilities() -> list[str]:
    """The URIs of all capabilities but the core, which nothing works without."""
    return sorted({*Registry.load().capabilities, *WITHOUT_METHODS} - {_CORE})
