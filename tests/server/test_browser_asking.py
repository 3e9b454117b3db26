"""The page's question fields in a real browser: answers, and citations that play their moments."""

import re

import pytest

from kinoscope.server.app import create_app
from kinoscope.server.config import ServeConfig
from tests.browser import check_page, needs_browser, play_time, plays, until
from tests.server.made import running, running_app

pytestmark = needs_browser
QUESTION = "What happens after the door opens?"


@pytest.fixture(scope="module")
def address(speaking_index, one_torch_thread, tmp_path_factory):
    """A server whose model speaks."""
    app = create_app(speaking_index, ServeConfig(cache=tmp_path_factory.mktemp("cache")))
    with running_app(app) as found:
        yield found


def cited(link):
    """The span of an answer's link."""
    start, end = re.search(r"start=([\d.]+)&end=([\d.]+)", link.get_attribute("href")).groups()
    return float(start), float(end)


def test_a_library_answers_and_a_citation_plays_its_moment(address, tab_of) -> None:
    tab = tab_of(f"{address}/?q=rain&apart=true")
    tab.get_by_label("What to find").fill("snow")
    tab.get_by_role("button", name="Search").click()
    tab.wait_for_url(re.compile("q=snow"))
    assert tab.url == f"{address}/?q=snow&apart=true", "no empty question is in the address"
    assert not tab.locator(".answers").count(), "nothing is asked before somebody asks"
    tab.get_by_label("Ask about the best of these moments").fill(QUESTION)
    tab.get_by_role("button", name="Ask").click()
    tab.wait_for_url(re.compile("ask=What"))
    answers = tab.locator(".answers li")
    assert answers.count() == 3
    assert all(told.strip() for told in answers.locator("p").all_inner_texts())
    assert tab.get_by_label("Ask about the best of these moments").input_value() == QUESTION
    link = answers.last.get_by_role("link")
    start, end = cited(link)
    assert re.match(r"(short|long)\.mp4, \d:\d\d\.\d – \d:\d\d\.\d$", link.inner_text())
    link.click()
    plays(tab)
    until(tab, "(a) => document.querySelector('#inside video').currentTime >= a", start)
    assert start <= play_time(tab) <= end + 0.5
    assert tab.locator("#playing").inner_text() == link.inner_text().partition(",")[0]


def test_a_video_answers_and_a_citation_jumps_to_its_moment(address, tab_of) -> None:
    tab = tab_of(f"{address}/?q=snow&apart=true&name=long*")
    tab.locator(".poster").first.click()
    plays(tab)
    tab.get_by_label("Ask about this video").fill(QUESTION)
    tab.keyboard.press("Enter")
    tab.wait_for_url(re.compile("/watch/.*ask=What"))
    assert tab.get_by_role("heading", name="long.mp4").is_visible()
    links = tab.locator(".answers").get_by_role("link")
    spans = [cited(link) for link in links.all()]
    start, end = max(spans)
    assert 0 < start < end, "a long video is not read whole"
    plays(tab, "main")
    links.nth(spans.index((start, end))).press("Enter")
    until(
        tab,
        "([a, b]) => (t => t >= a && t < b)(document.querySelector('main video').currentTime)",
        [start, end],
    )
    loop = tab.get_by_role("button", name=re.compile("^Loop"))
    assert loop.get_attribute("aria-pressed") == "true"
    assert "/watch/" in tab.url and "ask=What" in tab.url, "it jumps, no page is loaded"


def test_without_a_script_one_still_asks(address, tab_of) -> None:
    tab = tab_of(f"{address}/?q=snow&apart=true", java_script_enabled=False)
    tab.get_by_label("Ask about the best of these moments").fill(QUESTION)
    tab.get_by_role("button", name="Ask").click()
    link = tab.locator(".answers li").first.get_by_role("link")
    start, end = cited(link)
    link.click()
    tab.wait_for_url(re.compile("/watch/"))
    assert tab.locator("video").get_attribute("src").endswith(f"#t={start},{end}")
    assert not tab.get_by_role("button", name=re.compile("^Loop")).is_visible()
    tab.get_by_label("Ask about this video").fill(QUESTION)
    tab.get_by_role("button", name="Ask").click()
    assert tab.locator(".answers li").count() >= 1


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1280])
def test_answers_are_accessible(address, tab_of, width, scheme, record_property) -> None:
    tab = tab_of(f"{address}/?q=snow&apart=true&ask={QUESTION}", width=width, scheme=scheme)
    assert tab.locator(".answers li").count() == 3
    check_page(tab, width, record_property)
    video = tab.locator(".answers a").first.get_attribute("href").partition("?")[0]
    tab = tab_of(f"{address}{video}?q=snow&ask={QUESTION}", width=width, scheme=scheme)
    assert tab.locator(".answers li").count() >= 1
    check_page(tab, width, record_property)


def test_a_model_without_words_says_so_and_shows_no_field(
    library, tab_of, tmp_path, record_property
) -> None:
    with running(library[1], tmp_path) as address:
        tab = tab_of(f"{address}/?q=red&ask={QUESTION}")
        told = "the palette model gives vectors, no words: load a multimodal LLM, such as mini"
        assert tab.get_by_role("alert").inner_text() == told
        assert not tab.get_by_label(re.compile("^Ask about")).count()
        assert tab.locator(".hit").count(), "what was found is shown all the same"
        check_page(tab, 1280, record_property)
        tab_of.leave(tab)
    tab_of.said.clear()  # the browser reports the refusal too
