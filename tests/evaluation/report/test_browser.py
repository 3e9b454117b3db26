"""The page in a real browser: on a phone and on a desk, in light and in dark."""

import pytest

from kinoscope.evaluation.report import write_report
from tests.browser import PATIENCE_MS, launched, needs_browser
from tests.evaluation.report.made import other, protocol, save_moments, save_retrieval
from tests.evaluation.report.test_pictures import film

pytestmark = needs_browser


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """A page with everything that a report can have."""
    folder = tmp_path_factory.mktemp("report")
    film(folder / "videos" / "a.mp4")
    save_retrieval(folder / "saved")
    save_retrieval(
        folder / "saved",
        **other("a-long-name-" + "x" * 60, protocol=protocol(limit=7)),
    )
    save_moments(folder / "saved", ("a",))
    _, path, _ = write_report([folder / "saved"], folder / "to", videos=folder / "videos")
    return path


@pytest.fixture(scope="module")
def chromium():
    with launched() as browser:
        yield browser


def opened(chromium, page, width, scheme):
    """The page at a width, and what the browser asked for and complained about."""
    context = chromium.new_context(
        viewport={"width": width, "height": 800}, color_scheme=scheme, java_script_enabled=True
    )
    context.set_default_timeout(PATIENCE_MS)
    tab = context.new_page()
    asked, said = [], []
    tab.on("request", lambda request: asked.append(request.url))
    tab.on("console", lambda message: said.append(message.text))
    tab.goto(page.as_uri())
    return tab, asked, said


@pytest.mark.parametrize("width", [360, 1280])
def test_the_page_never_scrolls_sideways(chromium, page, width):
    tab, asked, said = opened(chromium, page, width, "light")
    assert tab.evaluate("document.documentElement.scrollWidth") <= width
    outside = [url for url in asked if not url.startswith("data:")]
    assert outside == [page.as_uri()] and not said
    wide = tab.evaluate(
        "[...document.querySelectorAll('.scroll')].some(e => e.scrollWidth > e.clientWidth)"
    )
    assert wide or width > 360, "tables scroll by themselves where they must"


def test_pictures_load_and_lines_are_drawn(chromium, page):
    tab, _, _ = opened(chromium, page, 1280, "light")
    tab.locator("figure img").first.scroll_into_view_if_needed()
    tab.wait_for_function("document.querySelector('figure img').naturalWidth > 0")
    assert tab.locator("svg polyline.line").count() == 2
    assert tab.get_by_role("img", name="R@k over k").count() == 1
    assert tab.get_by_role("rowheader", name="mini", exact=True).count() > 0
    assert tab.get_by_role("columnheader", name="t2v_r1", exact=True).count() > 0


def test_dark_and_light_are_both_readable(chromium, page):
    paper = {}
    for scheme in ("light", "dark"):
        tab, _, _ = opened(chromium, page, 1280, scheme)
        told = tab.evaluate("(s => [s.backgroundColor, s.color])(getComputedStyle(document.body))")
        paper[scheme], ink = (sum(map(int, c[4:-1].split(","))) / 765 for c in told)
        assert abs(paper[scheme] - ink) > 0.7
    assert paper["light"] > 0.9 and paper["dark"] < 0.2
