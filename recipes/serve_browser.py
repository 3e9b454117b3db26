"""The page in headless Chromium: tests that ran and failed, and what axe finds on its pages.

    python -m recipes.serve_browser [--shots FOLDER]

Needs the extra `[browser]` and a Chromium. A run in which a test was skipped is not saved.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from kinoscope.errors import UsageError
from kinoscope.evaluation.results import Metric, save_result

ROOT = Path(__file__).parents[1]
TESTS = ("tests/server/test_browser.py", "tests/server/test_browser_asking.py")
SERIOUS = ("serious", "critical")
_ENDED = (0, 1)  # pytest's own: all passed, some failed


@dataclass
class Outcome:
    """What became of each test, by name, and what axe found on each page that was checked."""

    tests: set[str] = field(default_factory=set)
    failed: set[str] = field(default_factory=set)
    skipped: set[str] = field(default_factory=set)
    pages: list[list[Mapping[str, Any]]] = field(default_factory=list)

    @property
    def serious(self) -> int:
        """Findings that are serious or critical, summed over pages."""
        return sum(each["impact"] in SERIOUS for page in self.pages for each in page)

    def metrics(self) -> dict[str, Metric]:
        """Raises `UsageError` for a run that left something out."""
        if self.skipped:
            names = ", ".join(sorted(self.skipped))
            raise UsageError(
                f"{len(self.skipped)} tests were skipped ({names}): install Chromium and"
                " pip install '.[dev]', and run all of them"
            )
        if not self.tests or not self.pages:
            raise UsageError(f"{len(self.tests)} tests checked {len(self.pages)} pages: run all")
        return {
            "tests": Metric(value=len(self.tests), n=len(self.tests)),
            "failed": Metric(value=len(self.failed), n=len(self.tests)),
            "axe_pages": Metric(value=len(self.pages), n=len(self.pages)),
            "axe_serious": Metric(value=self.serious, n=len(self.pages)),
            "axe_findings": Metric(value=sum(map(len, self.pages)), n=len(self.pages)),
        }

    def details(self) -> dict[str, object]:
        """Names of what failed, and findings by rule and impact."""
        rules = Counter(f"{each['id']} ({each['impact']})" for page in self.pages for each in page)
        return {"failed": sorted(self.failed), "findings": dict(sorted(rules.items()))}


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs the tests and saves `results/serve_browser.json`."""
    parser = argparse.ArgumentParser(prog="python -m recipes.serve_browser")
    parser.add_argument("--shots", type=Path, help="a folder for screenshots, to be looked at")
    asked = parser.parse_args(arguments)
    outcome = ran([str(ROOT / name) for name in TESTS], shots=asked.shots)
    metrics = outcome.metrics()
    told = {"browser": browser(), "axe": version("axe-playwright-python"), **outcome.details()}
    save_result("serve_browser", metrics, details=told)
    print({name: metric.value for name, metric in metrics.items()}, told)


def ran(tests: Sequence[str], *, shots: Path | None = None) -> Outcome:
    """Runs test files in a process of their own.

    Raises `UsageError` if pytest itself fails, or ends before the last test.
    """
    environment = dict(os.environ)
    if shots is not None:
        shots.mkdir(parents=True, exist_ok=True)
        environment["KINOSCOPE_SHOTS"] = str(shots.absolute())
    names = ("--collect-only", "-q", "-o", "addopts=")  # twice quiet it would name files alone
    known = _pytest(*names, *tests, environment=environment, capture_output=True)
    wanted = sum("::" in line for line in known.splitlines())
    with tempfile.TemporaryDirectory(prefix="kinoscope-") as folder:
        report = Path(folder) / "tests.xml"
        report.write_text("<testsuites/>", encoding="utf-8")  # of a run that is killed
        form = ("-o", "junit_family=xunit1")  # the one that holds what tests record
        _pytest(*form, f"--junitxml={report}", *tests, environment=environment)
        found = read_report(report.read_text(encoding="utf-8"))
    if len(found.tests) != wanted:  # an interrupted run may end as one with a failure does
        raise UsageError(f"pytest ended after {len(found.tests)} of {wanted} tests: run all")
    return found


def _pytest(*words: str, environment: Mapping[str, str], capture_output: bool = False) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *words],
        cwd=ROOT,
        env=environment,
        capture_output=capture_output,
        text=True,
        check=False,
    )
    if done.returncode not in _ENDED:
        raise UsageError(f"pytest ended with {done.returncode}: run it by hand to see why")
    return done.stdout or ""


def read_report(text: str) -> Outcome:
    """Of a report that pytest wrote in JUnit's form."""
    found = Outcome()
    for case in ElementTree.fromstring(text).iter("testcase"):  # our own: nobody else wrote it
        name = f"{case.get('classname')}.{case.get('name')}"
        found.tests.add(name)
        if case.find("failure") is not None or case.find("error") is not None:
            found.failed.add(name)
        if case.find("skipped") is not None:
            found.skipped.add(name)
        kept = case.iterfind("properties/property[@name='axe']")
        found.pages += [json.loads(each.get("value", "[]")) for each in kept]
    return found


def browser() -> str:
    """Which Chromium it was, as it says itself."""
    from tests.browser import BROWSER

    assert BROWSER is not None, "the tests would have been skipped"
    done = subprocess.run([BROWSER, "--version"], capture_output=True, text=True, check=True)
    return done.stdout.strip()


if __name__ == "__main__":
    main()
