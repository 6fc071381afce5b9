"""Packages only; everything else is in pyproject.toml."""

from setuptools import find_packages, setup

setup(
    packages=[*find_packages(include=["mailhive", "mailhive.*"]), "twisted.plugins"],
    # An editable install then is a plain path entry, which twistd's search for
    # plugins can see; the default import hook would hide them from it.
    package_dir={"": "."},
)
