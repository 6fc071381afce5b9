"""Values of the file that are more than strings and numbers."""

from pathlib import Path

import pytest

from mailhive.config.structure import Mistakes, converter
from mailhive.model.networks import Networks


def structured(value):
    return converter(Path("/")).structure(value, Networks)


def test_networks_are_a_list_or_one_value():
    assert structured(["10.0.0.0/8", "::1"]) == Networks.parse(["10.0.0.0/8", "::1"])
    assert structured("10.0.0.0/8") == Networks.parse(["10.0.0.0/8"])
    assert structured([]) == Networks()


def test_each_mistake_in_networks_is_told_with_its_place():
    with pytest.raises(Mistakes) as caught:
        structured(["10.0.0.1/8", "::1", 7, "here"])
    assert [path for path, _ in caught.value.found] == [(0,), (2,), (3,)]
    first, second, third = (message for _, message in caught.value.found)
    assert 'did you mean "10.0.0.0/8"?' in first
    assert second == "is an integer; allowed is a string"
    assert "allowed is an address or a network" in third
