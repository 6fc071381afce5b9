"""Directories of a configuration: opened, replaced while in use, closed."""

import pytest
from pytest_twisted import ensureDeferred
from twisted.internet.defer import succeed
from twisted.internet.task import Clock

from mailhive.config.load import load
from mailhive.errors import TemporaryFailure
from mailhive.mail.directory_service import GRACE, DirectoryService
from mailhive.model.principal import Principal

CONFIG = """
[server.listener.mx]
bind = "127.0.0.1:2525"
protocol = "smtp"
[jmap]
directory = "{default}"
{domains}
[directory.one]
type = "internal"
path = "{one}"
[directory.two]
type = "internal"
path = "two"
[directory.unused]
type = "memory"
"""
TWO = '[domain."two.example"]\ndirectory = "two"'


class Made:
    """A directory that says what is done with it."""

    broken = None

    def __init__(self, table, events):
        self.name = f"{table.name}:{table.settings.path}"
        self.events = events

    def open(self):
        if self.name == Made.broken:
            raise TemporaryFailure(f"{self.name} cannot be opened")
        self.events.append(f"+{self.name}")

    def close(self):
        self.events.append(f"-{self.name}")

    def reload(self):
        self.events.append(f"*{self.name}")

    def principal(self, name):
        return succeed(Principal(name, description=self.name))


@pytest.fixture
def settings(tmp_path):
    def settings(default="one", one="one", domains=""):
        path = tmp_path / "mailhive.toml"
        path.write_text(CONFIG.format(default=default, one=one, domains=domains))
        return load(path).settings

    return settings


@pytest.fixture
def events(monkeypatch):
    monkeypatch.setattr(Made, "broken", None)
    return []


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def service(settings, events, clock):
    service = DirectoryService(settings(), lambda table: Made(table, events), clock)
    service.startService()
    return service


async def who_answers(service):
    return (await service.directories.principal("alice")).description


@ensureDeferred
async def test_those_that_are_named_are_opened_and_closed(service, events):
    assert events == ["+one:one"]
    assert await who_answers(service) == "one:one"
    await service.stopService()
    assert events == ["+one:one", "-one:one"]


@ensureDeferred
async def test_one_whose_table_changes_is_replaced_and_closed_later(
    service, settings, events, clock
):
    apply = service.prepare(settings(one="new", domains=TWO))
    assert events == ["+one:one", "+one:new", "+two:two"]
    assert await who_answers(service) == "one:one"
    apply()
    assert await who_answers(service) == "one:new"
    assert await service.directories.is_local_domain("two.example")
    clock.advance(GRACE - 1)
    assert "-one:one" not in events
    clock.advance(1)
    assert events[3:] == ["-one:one"]
    await service.stopService()
    assert sorted(events[4:]) == ["-one:new", "-two:two"]


@ensureDeferred
async def test_one_whose_table_stays_does_too_and_forgets(service, settings, events, clock):
    service.prepare(settings(default="two", domains=TWO.replace("two", "one")))()
    assert events == ["+one:one", "+two:two", "*one:one"]
    assert await who_answers(service) == "two:two"
    clock.advance(GRACE)
    assert len(events) == 3


@ensureDeferred
async def test_one_that_cannot_be_opened_changes_nothing(service, settings, events, clock):
    Made.broken = "two:two"
    with pytest.raises(TemporaryFailure, match="two:two cannot be opened"):
        service.prepare(settings(one="new", domains=TWO))
    assert events == ["+one:one", "+one:new", "-one:new"]
    assert await who_answers(service) == "one:one"
    clock.advance(GRACE)
    await service.stopService()
    assert events[3:] == ["-one:one"]


@ensureDeferred
async def test_what_was_replaced_is_closed_at_the_end_at_the_latest(
    service, settings, events, clock
):
    service.prepare(settings(one="new"))()
    await service.stopService()
    assert sorted(events[2:]) == ["-one:new", "-one:one"]
    assert clock.getDelayedCalls() == []
