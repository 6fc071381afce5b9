"""Placeholders of queries, and what a configuration with queries may not say."""

from pathlib import Path

import apsw
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailhive.config.load import load
from mailhive.config.problems import ConfigError
from mailhive.directory.database.query import placeholders, pyformat


@pytest.mark.parametrize(
    ("sql", "names", "translated"),
    [
        ("SELECT :name", ["name"], "SELECT %(name)s"),
        ("a = :x AND b = :y OR c=:x", ["x", "y", "x"], "a = %(x)s AND b = %(y)s OR c=%(x)s"),
        ("a LIKE '%' || :x", ["x"], "a LIKE '%%' || %(x)s"),
        ("':x', \"a:x\", `b:x`, 'it''s :x'", [], "':x', \"a:x\", `b:x`, 'it''s :x'"),
        (":x::text, 'a'::text", ["x"], "%(x)s::text, 'a'::text"),
        ("1 -- :x '\n, :y", ["y"], "1 -- :x '\n, %(y)s"),
        ("1 /* :x\n ' */, :y", ["y"], "1 /* :x\n ' */, %(y)s"),
        ("$$ :x $$, $a$ :x $$ $a$, :y", ["y"], "$$ :x $$, $a$ :x $$ $a$, %(y)s"),
        ("12:30, a[1:2], :1", [], "12:30, a[1:2], :1"),
        (r"'C:\' || :x", ["x"], r"'C:\' || %(x)s"),
        ("a # :x", ["x"], "a # %(x)s"),
    ],
)
def test_placeholders(sql, names, translated):
    assert list(placeholders(sql)) == names
    assert pyformat(sql) == translated


def test_mysql_has_backslashes_and_comments_of_its_own():
    assert list(placeholders(r"'it\'s :x', :y", mysql=True)) == ["y"]
    assert pyformat("1 # :x '\n, :y", mysql=True) == "1 # :x '\n, %(y)s"


@given(st.lists(st.sampled_from(["'", '"', ":x", "--", "/*", "*/", "\n", "%", "$$", "a", "\\"])))
def test_any_text_is_translated(parts):
    sql = "".join(parts)
    for mysql in (False, True):
        names = set(placeholders(sql, mysql=mysql))
        back = pyformat(sql, mysql=mysql) % {name: f":{name}" for name in names}
        assert back == sql


BASE = """
[server.listener.mx]
bind = "127.0.0.1:2525"
protocol = "smtp"
[jmap]
directory = "sql"
[directory.sql]
type = "sql"
driver = "sqlite"
path = "a.sqlite3"
#
[directory.sql.query]
name = "SELECT * FROM a WHERE name = :name"
recipients = "SELECT name FROM a WHERE address = :address"
domains = "SELECT 1 FROM a WHERE domain = :domain"
"""


@pytest.mark.parametrize(
    ("old", "new", "key", "words"),
    [
        (":name", ":login", "query.name", 'has no placeholder ":login"; allowed: :name'),
        (":name", "?", "query.name", "asks the same for everybody; allowed: :name"),
        (":address", ":name", "query.recipients", "allowed: :address, :local, :domain"),
        ("domains", "members", "query.members", "is not a known key"),
        ("domains", "x", "query.domains", "is missing"),
        ('path = "a.sqlite3"', "", "path", 'is missing; driver "sqlite" needs it'),
        ('"sqlite"', '"mysql"', "host", 'is missing; driver "mysql" needs it'),
        ('"sqlite"', '"postgresql"', "path", "does nothing"),
        ('"sqlite"', '"oracle"', "driver", "is not supported"),
        ("#", "port = 0", "port", "0 is no port; allowed are 1 to 65535"),
        ("#", 'user = "x"', "user", "does nothing"),
        ("#", "timeout = 0", "timeout", "is too short"),
        ("#", "pool.max-connections = 0", "pool.max-connections", "at least 1"),
        ("#", "cache.ttl.positive = -1", "cache.ttl.positive", "is negative"),
        ("#", "tls.enable = true", "tls.enable", "does nothing"),
        ("#", 'tls.ca = "x"', "tls.ca", "does nothing"),
    ],
)
def test_mistakes(old, new, key, words, tmp_path):
    path = tmp_path / "mailhive.toml"
    path.write_text(BASE)
    assert load(path).settings.directory["sql"].settings.pool.max_connections == 10
    path.write_text(BASE.replace(old, new, 1))
    with pytest.raises(ConfigError) as caught:
        load(path)
    assert f"directory.sql.{key}: " in str(caught.value)
    assert words in str(caught.value)


@pytest.mark.parametrize(("driver", "package"), [("postgresql", "psycopg"), ("mysql", "pymysql")])
def test_a_driver_that_is_not_installed(driver, package, tmp_path, monkeypatch):
    monkeypatch.setattr(
        "mailhive.directory.database.settings.find_spec",
        lambda name: None if name == package else 1,
    )
    path = tmp_path / "mailhive.toml"
    server = f'"{driver}"\nhost = "x"\ndatabase = "x"\nuser = "x"'
    path.write_text(BASE.replace('"sqlite"', server).replace('path = "a.sqlite3"', ""))
    with pytest.raises(ConfigError) as caught:
        load(path)
    assert str(caught.value) == (
        f'{path}:9: directory.sql.driver: "{driver}" needs a package that is not there: '
        f'pip install "mailhive[{driver}]"'
    )


def test_the_examples_of_the_documentation(tmp_path):
    """The queries of docs/directories.md are valid, for tables as it describes them."""
    text = (Path(__file__).parents[2] / "docs" / "directories.md").read_text(encoding="utf-8")
    connection = apsw.Connection(":memory:")
    blocks = [block.partition("```")[0] for block in text.split("```toml\n")[1:]]
    schemas = [block.partition("```")[0] for block in text.split("```sql\n")[1:]]
    for schema in schemas:
        connection.execute(schema)
    asked = 0
    for block in blocks:
        for line in block.splitlines():
            _, mark, sql = line.partition(' = "SELECT')
            if mark:
                sql = "SELECT" + sql.rpartition('"')[0]
                connection.execute(f"EXPLAIN {sql}", dict.fromkeys(placeholders(sql), ""))
                asked += 1
    assert asked > 5
