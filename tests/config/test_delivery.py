"""The section `[delivery]`."""

import pytest

from mailhive.config.load import load
from mailhive.config.problems import ConfigError

CONFIG = """\
[server.listener.mx]
bind = "127.0.0.1:2525"
protocol = "smtp"
[jmap]
directory = "memory"
[directory.memory]
type = "memory"
[delivery]
junk-fields = "X-Spam-Flag: YES"
keyword-fields = ["X-Keywords"]
[delivery.keyword."$phishing"]
fields = ["X-Phishing: *"]
"""


def test_rules_of_delivery(tmp_path):
    path = tmp_path / "mailhive.toml"
    path.write_text(CONFIG)
    delivery = load(path).settings.delivery
    assert delivery.junk_fields == ("X-Spam-Flag: YES",) and not delivery.subaddress_mailboxes
    assert delivery.keyword["$phishing"].fields == ("X-Phishing: *",)


@pytest.mark.parametrize(
    ("good", "bad", "line", "told"),
    [
        ("X-Spam-Flag: YES", "X-Spam-Flag", 9, 'delivery.junk-fields: "X-Spam-Flag" is no pattern'),
        ("X-Keywords", "X Keywords", 10, "delivery.keyword-fields: "),
        ("$phishing", "two words", 11, 'delivery.keyword."two words": is no keyword'),
        ("X-Phishing: *", ": *", 12, 'delivery.keyword."$phishing".fields: ": *" is no pattern'),
    ],
)
def test_mistakes_in_rules_of_delivery(tmp_path, good, bad, line, told):
    path = tmp_path / "mailhive.toml"
    path.write_text(CONFIG.replace(good, bad))
    with pytest.raises(ConfigError) as caught:
        load(path)
    (problem,) = caught.value.problems
    assert f":{line}" in str(problem) and told in str(problem)
