"""The page in a real browser: search, play, jump, by keys alone, on a phone, through a restart."""

import re
from dataclasses import replace

import pytest

from kinoscope.embedder import Embedder
from kinoscope.index.handle import Index
from tests.browser import check_page, needs_browser, play_time, plays, until
from tests.movies import Movie
from tests.server.made import Palette, running, write_film

pytestmark = needs_browser


@pytest.fixture(scope="module")
def address(library, tmp_path_factory):
    with running(library[1], tmp_path_factory.mktemp("cache")) as found:
        yield found


def test_a_search_by_words_and_by_words_to_avoid(address, tab_of) -> None:
    tab = tab_of(address)
    tab.get_by_label("What to find").fill("green -yellow")
    tab.get_by_role("button", name="Search").click()
    tab.wait_for_url(re.compile(r"\?q=green"))
    assert tab.url == f"{address}/?q=green+-yellow", "what is empty is not in the address"
    assert tab.locator(".hit").first.get_by_role("heading").inner_text() == "flags.mp4"
    until(tab, "document.querySelector('.poster img').naturalWidth > 0")
    assert "moment" in tab.get_by_role("status").filter(has_text="moment").inner_text()


def test_a_composed_search_from_a_result(address, tab_of) -> None:
    tab = tab_of(f"{address}/?q=blue")
    tab.get_by_role("link", name=re.compile("^Like sea.mp4")).first.click()
    tab.wait_for_url(re.compile("like="))
    assert tab.locator(".example").inner_text().startswith("Like sea.mp4")
    tab.get_by_label("but other in this").fill("much red")
    tab.get_by_role("button", name="Search").click()
    tab.wait_for_url(re.compile("edit=much"))
    first = tab.locator(".hit h2").all_inner_texts()[0]
    assert first in ("flags.mp4", "sea.mp4")
    tab.get_by_role("link", name=re.compile("^Without sea.mp4")).click()
    until(tab, "!document.querySelector('.example')")


def test_a_clip_that_is_chosen_is_looked_for(address, tab_of, tmp_path) -> None:
    film = write_film(tmp_path / "mine.mp4", ["yellow"] * 3)
    tab = tab_of(address)
    tab.locator("#file").set_input_files(film)
    tab.wait_for_url(re.compile("like=upload-"))
    assert tab.locator(".hit h2").first.inner_text() == "forest.mp4"
    until(tab, "document.querySelector('.example img').naturalWidth > 0")
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(b"no film")
    tab.locator("#file").set_input_files(broken)
    until(tab, "document.querySelector('#told').textContent.includes('not a video')")
    tab_of.said.clear()  # the browser reports the refusal too


def test_the_player_opens_at_the_moment_and_loops_it(address, tab_of) -> None:
    tab = tab_of(f"{address}/?q=green&name=flags*")
    hit = tab.locator(".hit").first
    start, end = (float(hit.get_attribute(f"data-{name}")) for name in ("start", "end"))
    assert 3 < start < end < 11
    hit.locator(".poster").click()
    plays(tab)
    until(tab, "(a) => document.querySelector('#inside video').currentTime > a", start + 0.2)
    assert start <= play_time(tab) <= end + 0.5
    tab.evaluate("(t) => { document.querySelector('#inside video').currentTime = t }", end - 0.2)
    until(
        tab,
        "([a, b]) => (t => t >= a && t < b)(document.querySelector('#inside video').currentTime)",
        [start, end - 0.5],
    )
    tab.keyboard.press("Escape")
    until(tab, "!document.querySelector('#player').open")
    until(tab, "!document.querySelector('#inside video')")  # nothing plays on


def test_the_strip_jumps_by_click_and_by_keys(address, tab_of) -> None:
    tab = tab_of(f"{address}/?q=green&name=flags*")
    tab.locator(".poster").first.click()
    plays(tab)
    strip = tab.get_by_role("slider")
    box = strip.locator("svg").bounding_box()
    tab.mouse.click(box["x"] + box["width"] * 0.8, box["y"] + 10)
    until(tab, "document.querySelector('#inside video').currentTime > 13")
    assert play_time(tab) < 18
    assert (
        tab.get_by_role("button", name=re.compile("^Loop")).get_attribute("aria-pressed") == "false"
    )
    strip.focus()
    tab.keyboard.press("Home")
    until(tab, "document.querySelector('#inside video').currentTime < 3")
    tab.keyboard.press("PageUp")
    until(tab, "document.querySelector('#inside video').currentTime > 9")
    until(tab, "+document.querySelector('.strip').getAttribute('aria-valuenow') > 9")
    tab.get_by_role("link", name=re.compile("^0:0")).first.click()
    pressed = "document.querySelector('.loop').getAttribute('aria-pressed') === 'true'"
    until(tab, pressed)
    until(tab, "(t => t >= 3 && t < 11)(document.querySelector('#inside video').currentTime)")


def test_everything_is_done_by_keys_alone(address, tab_of) -> None:
    tab = tab_of(f"{address}/?q=red")
    tab.keyboard.press("Tab")
    assert tab.evaluate("document.activeElement.className") == "skip"
    tab.keyboard.press("Enter")
    tab.keyboard.press("Tab")
    assert tab.evaluate("document.activeElement.className") == "poster"
    until(tab, "document.querySelector('.poster video')")  # it previews what is focused
    tab.keyboard.press("Enter")
    plays(tab)
    assert tab.evaluate("!!document.activeElement.closest('dialog')")
    tab.keyboard.press("Escape")
    until(tab, "!document.querySelector('#player').open")
    assert tab.evaluate("document.activeElement.className") == "poster", "back where one was"
    tab.keyboard.press("/")
    assert tab.evaluate("document.activeElement.id") == "q"
    tab.keyboard.press("Control+a")
    tab.keyboard.type("black")
    tab.keyboard.press("Enter")
    tab.wait_for_url(re.compile("q=black"))
    assert tab.locator(".hit h2").first.inner_text() == "night.mp4"


def test_a_poster_previews_while_it_is_pointed_at(address, tab_of) -> None:
    tab = tab_of(f"{address}/?q=green&name=flags*")
    tab.locator(".poster").first.hover()
    until(
        tab, "(v => v && v.currentTime > 0 && !v.paused)(document.querySelector('.poster video'))"
    )
    assert tab.evaluate("document.querySelector('.poster video').muted")
    tab.mouse.move(0, 0)
    until(tab, "!document.querySelector('.poster video')")
    tab.locator(".poster").first.focus()
    until(tab, "document.querySelector('.poster video')")
    tab.locator(".poster").first.click()  # one click is enough, also on what has the focus
    plays(tab)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1280])
def test_it_is_accessible_and_never_scrolls_sideways(
    address, tab_of, width, scheme, record_property
) -> None:
    for path in ("/", "/?q=green", "/?q=green&name=none*", "/login"):
        tab = tab_of(f"{address}{path}", width=width, scheme=scheme)
        for summary in tab.locator("summary").all():
            summary.click()
        check_page(tab, width, record_property)
    tab = tab_of(f"{address}/?q=green", width=width, scheme=scheme)
    tab.locator(".poster").first.click()
    plays(tab)
    check_page(tab, width, record_property)


def test_what_the_browser_cannot_play_is_shown_as_a_preview(tab_of, tmp_path) -> None:
    films = tmp_path / "films"
    films.mkdir()
    Movie(frames=100, codec="libx265", options={"x265-params": "log-level=error"}).write(
        films / "new.mp4"
    )
    Index.open(tmp_path / "index", Embedder(Palette()), create=True).add(films)
    with running(tmp_path / "index", tmp_path / "cache") as address:
        tab = tab_of(f"{address}/?q=black")
        tab.locator(".poster").first.click()
        plays(tab)
        assert "preview" in tab.locator("#inside video").get_attribute("src")
        status = tab.locator("#inside .status").inner_text()
        assert status.startswith("Shown as a preview")
        tab_of.leave(tab)
    assert [path.suffix for path in (tmp_path / "cache").glob("*.mp4")] == [".mp4"]


def test_a_file_that_only_seems_playable_falls_back_to_a_preview(tab_of, tmp_path) -> None:
    """No codec's name tells everything; the browser does."""
    films = tmp_path / "films"
    films.mkdir()
    Movie(frames=100, codec="mpeg4", options={}).write(films / "old.mp4")
    Index.open(tmp_path / "index", Embedder(Palette()), create=True).add(films)
    store = Index.open(tmp_path / "index").store
    (row,) = store.files()
    store.commit([], [replace(row, codec="h264")])
    with running(tmp_path / "index", tmp_path / "cache") as address:
        tab = tab_of(f"{address}/?q=black")
        tab.locator(".poster").first.click()
        until(tab, "document.querySelector('#inside video')?.src.includes('preview')")
        plays(tab)
        tab_of.leave(tab)
    tab_of.said.clear()


def test_an_empty_library_fills_while_one_watches(tab_of, tmp_path) -> None:
    write_film(tmp_path / "films" / "sun.mp4", ["yellow"] * 4)
    index = Index.open(tmp_path / "index", Embedder(Palette()), create=True).store.folder
    with running(index, tmp_path / "cache", roots=(tmp_path / "films",)) as address:
        tab = tab_of(address)
        assert tab.get_by_role("heading", name="The library is empty").is_visible()
        tab.get_by_role("button", name="Index", exact=True).click()
        told = tab.locator("#indexing p")
        until(tab, "document.querySelector('#indexing p').textContent.startsWith('1 indexed')")
        assert told.is_visible()
        tab.get_by_role("link", name="Look again").click()
        until(tab, "document.querySelectorAll('.hit').length === 1")
        tab_of.leave(tab)


def test_a_restart_is_survived(library, tab_of, tmp_path) -> None:
    with running(library[1], tmp_path) as address:
        tab = tab_of(f"{address}/?q=red")
        port = int(address.rpartition(":")[2])
        # A request that is cut off would keep its connection here: this process goes on.
        until(tab, "[...document.querySelectorAll('.poster img')].every(i => i.naturalWidth > 0)")
    tab.locator(".poster").first.click()
    until(tab, "document.querySelector('#told').textContent.includes('does not answer')")
    with running(library[1], tmp_path, port=port):
        tab.locator(".poster").first.click()
        plays(tab)
        tab.keyboard.press("Escape")
        tab.get_by_label("What to find").fill("blue")
        tab.keyboard.press("Enter")
        tab.wait_for_url(re.compile("q=blue"))
        tab_of.leave(tab)
    tab_of.said.clear()


def test_without_a_script_one_still_searches_and_watches(address, tab_of) -> None:
    tab = tab_of(address, java_script_enabled=False)
    tab.get_by_label("What to find").fill("yellow")
    tab.get_by_role("button", name="Search").click()
    tab.wait_for_url(re.compile("q=yellow"))
    tab.locator(".poster").first.click()
    tab.wait_for_url(re.compile("/watch/"))
    assert tab.locator("video").get_attribute("src").startswith("/api/videos/")
