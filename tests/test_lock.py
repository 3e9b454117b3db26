"""The lock file pins, with hashes, what the project itself asks for, and names no registry."""

import re
import tomllib
from pathlib import Path

from packaging.requirements import Requirement

ROOT = Path(__file__).parents[1]
LOCK = (ROOT / "requirements.lock").read_text()


def pinned() -> dict[str, str]:
    """Version by name."""
    return dict(re.findall(r"^([a-z0-9.-]+)==(\S+) \\$", LOCK, re.M))


def test_every_dependency_is_pinned_to_a_version_that_is_asked_for() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = [Requirement(text) for text in project["dependencies"]]
    assert len(wanted) > 10
    for each in wanted:
        version = pinned().get(each.name)
        assert version, f"{each.name} is not pinned: make lock"
        assert each.specifier.contains(version), f"{each} is pinned to {version}: make lock"


def test_every_pin_has_hashes() -> None:
    entries = re.split(r"^(?=[a-z0-9])", LOCK, flags=re.M)[1:]
    assert len(entries) == len(pinned())
    assert all(re.search(r"--hash=sha256:[0-9a-f]{64}", entry) for entry in entries)


def test_no_registry_is_named() -> None:
    assert not re.search(r"https?://|--index-url|--find-links|file:", LOCK)
