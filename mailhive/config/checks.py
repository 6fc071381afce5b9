"""What sections have to agree on with each other.

Looks at the parsed file itself, so that these mistakes are found together with
those inside of sections; what is of a wrong type there is left to those.
"""

from itertools import combinations
from typing import Any

from mailhive.config.endpoints import Inherited, SocketAddress, parse_bind
from mailhive.config.problems import Found
from mailhive.config.values import quoted
from mailhive.model.addresses import canonical_domain, is_domain

__all__ = ["check"]

#: Key that names a table, its default, where the tables are, and those always there.
_NAMES = (
    (("storage", "mail"), "sqlite", "store", ("sqlite",)),
    (("storage", "blob"), "files", "blob", ("files",)),
    (("jmap", "directory"), None, "directory", ()),
)


def check(document: dict[str, Any]) -> Found:
    """Names of tables that are not there, addresses that two listeners claim, and the like."""
    for path, default, section, given in _NAMES:
        name = _table(document, path[0]).get(path[1], default)
        tables = {*given, *_table(document, section)}
        if isinstance(name, str) and name not in tables:
            allowed = f"allowed: {quoted(sorted(tables))}" if tables else "there is none"
            yield path, f'names no table [{section}."{name}"]; {allowed}'
    listeners = _table(_table(document, "server"), "listener")
    if not listeners:
        yield ("server", "listener"), "is missing; at least one [server.listener.NAME] is needed"
    yield from _domains(document)
    yield from _addresses(listeners)
    yield from _milters(listeners, _table(document, "milter"))
    yield from _wiretaps(_table(document, "log"), listeners)
    yield from _proxies(document)


def _domains(document: dict[str, Any]) -> Found:
    """Names of domains, and of the directories that they choose."""
    domains, tables = _table(document, "domain"), _table(document, "directory")
    seen: dict[str, str] = {}
    for name in domains:
        canonical = canonical_domain(name)
        if canonical is None or not is_domain(canonical):
            yield ("domain", name), 'is no domain; allowed is one such as "example.org"'
        elif canonical in seen:
            yield ("domain", name), f'is "{seen[canonical]}" again; allowed is each domain once'
        else:
            seen[canonical] = name
    for name in domains:
        chosen = _table(domains, name).get("directory")
        if not isinstance(chosen, str):
            continue  # reported where the table is read
        path = ("domain", name, "directory")
        if chosen not in tables:
            allowed = f"allowed: {quoted(sorted(tables))}" if tables else "there is none"
            yield path, f'names no table [directory."{chosen}"]; {allowed}'
        elif chosen == _table(document, "jmap").get("directory"):
            continue
        elif "@" in chosen or canonical_domain(chosen) in seen:
            # It stands behind the names of accounts (mail.directories).
            yield path, f'names "{chosen}"; allowed is a directory whose name is no domain of these'


def _addresses(listeners: dict[str, Any]) -> Found:
    bound: list[tuple[str, int, SocketAddress | Inherited]] = []
    for name in listeners:
        bind = _table(listeners, name).get("bind")
        for index, value in enumerate(bind if isinstance(bind, list) else [bind]):
            try:
                bound.append((name, index, parse_bind(value)))
            except ValueError:
                continue  # reported where the listener is read
        if bind == []:
            yield ("server", "listener", name, "bind"), "is empty; at least one address is needed"
    for (first, _, taken), (second, index, address) in combinations(bound, 2):
        if address.overlaps(taken):
            message = f'{address} is taken by {taken} of listener "{first}"'
            yield (
                ("server", "listener", second, "bind", index),
                f"{message}; allowed is each address once",
            )


def _milters(listeners: dict[str, Any], tables: dict[str, Any]) -> Found:
    """Names of the filters of listeners."""
    for listener in listeners:
        named = _table(listeners, listener).get("milters", [])
        for index, name in enumerate(named if isinstance(named, list) else [named]):
            if isinstance(name, str) and name not in tables:
                allowed = f"allowed: {quoted(sorted(tables))}" if tables else "there is none"
                message = f'names no table [milter."{name}"]; {allowed}'
                yield ("server", "listener", listener, "milters", index), message


def _wiretaps(log: dict[str, Any], listeners: dict[str, Any]) -> Found:
    """Names of the listeners to show."""
    named = log.get("wiretap", [])
    for index, name in enumerate(named if isinstance(named, list) else [named]):
        if isinstance(name, str) and name not in listeners:
            message = f'"{name}" is no listener; allowed: {quoted(sorted(listeners))}'
            yield ("log", "wiretap", index), message


def _proxies(document: dict[str, Any]) -> Found:
    """What proxies say is of no use if none is trusted."""
    asked = _table(document, "jmap").get("authentication")
    trusted = _table(document, "server").get("trusted-proxies")
    if isinstance(asked, list | str) and "trusted-header" in asked and trusted in (None, [], ""):
        message = '"trusted-header" believes nobody; allowed beside server.trusted-proxies'
        yield ("jmap", "authentication"), message


def _table(document: dict[str, Any], key: str) -> dict[str, Any]:
    value = document.get(key)
    return value if isinstance(value, dict) else {}
