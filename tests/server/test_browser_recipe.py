"""The recipe of the page's tests: what it counts, and which runs it does not save."""

import pytest

from kinoscope.errors import UsageError
from kinoscope.evaluation.results import load_result
from recipes import serve_browser
from recipes.serve_browser import ran

TESTS = """
import json
import pytest

def found(*impacts):
    return json.dumps([{"page": "/", "id": "name", "impact": i, "nodes": 1} for i in impacts])

def test_good(record_property):
    record_property("axe", found())
    record_property("axe", found("serious", "minor"))

def test_bad(record_property):
    record_property("axe", found("critical"))
    assert 0

@pytest.fixture
def broken():
    yield
    assert 0

def test_good_that_ends_badly(broken):
    pass

def test_bad_that_ends_badly(broken):
    assert 0
"""


INTERRUPTED = (
    TESTS.partition("def test_bad(")[0]
    + """
@pytest.fixture
def broken():
    yield
    assert 0

def test_interrupted(broken):
    raise KeyboardInterrupt

def test_never_begun():
    pass
"""
)


@pytest.fixture
def written(tmp_path, monkeypatch):
    """Runs those tests, and what is added, as if they were the page's, under the same options."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(serve_browser, "browser", lambda: "Chromium 1")
    (tmp_path / "pytest.ini").write_text("[pytest]\naddopts = -q\nfilterwarnings = error\n")

    def write(more=""):
        file = tmp_path / "test_made.py"
        file.write_text(TESTS + more)
        monkeypatch.setattr(serve_browser, "TESTS", (str(file),))

    return write


def test_tests_failures_and_findings_are_counted_once_each(written, tmp_path) -> None:
    written()
    serve_browser.main([])
    saved = load_result("serve_browser", folder=tmp_path / "results")
    assert {name: metric.value for name, metric in saved.metrics.items()} == {
        "tests": 4, "failed": 3, "axe_pages": 3, "axe_serious": 2, "axe_findings": 3,
    }  # fmt: skip
    assert saved.details["findings"] == {
        "name (critical)": 1, "name (minor)": 1, "name (serious)": 1,
    }  # fmt: skip
    assert [name.rpartition(".")[2] for name in saved.details["failed"]] == [
        "test_bad", "test_bad_that_ends_badly", "test_good_that_ends_badly",
    ]  # fmt: skip


def test_a_run_that_left_something_out_is_not_saved(written, tmp_path) -> None:
    written("def test_away():\n    pytest.skip('no Chromium')\n")
    with pytest.raises(UsageError, match=r"1 tests were skipped \(.*test_away\): install Chromium"):
        serve_browser.main([])
    (tmp_path / "test_made.py").write_text("def test_that_looks_at_nothing():\n    pass\n")
    with pytest.raises(UsageError, match="1 tests checked 0 pages"):
        serve_browser.main([])
    (tmp_path / "test_made.py").write_text("import nothing_of_that_name\n")
    with pytest.raises(UsageError, match="pytest ended with 2"):
        serve_browser.main([])
    (tmp_path / "test_made.py").write_text(INTERRUPTED)
    with pytest.raises(UsageError, match="pytest ended after 2 of 3 tests"):
        serve_browser.main([])
    assert not (tmp_path / "results").exists()


def test_screenshots_go_where_they_are_wanted(written, tmp_path, monkeypatch) -> None:
    monkeypatch.delenv("KINOSCOPE_SHOTS", raising=False)
    file = tmp_path / "test_made.py"
    file.write_text(
        "import os\nfrom pathlib import Path\n\ndef test_shoots():\n"
        "    (Path(os.environ['KINOSCOPE_SHOTS']) / 'a.png').write_text('')\n"
    )
    assert not ran([str(file)], shots=tmp_path / "shots").failed
    assert [each.name for each in (tmp_path / "shots").iterdir()] == ["a.png"]
    (failed,) = ran([str(file)]).failed
    assert failed.endswith(".test_shoots")
