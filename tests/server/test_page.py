"""The page without a script: what it shows, what it escapes, and the search box."""

import re
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kinoscope.embedder import Embedder
from kinoscope.index.handle import Index
from kinoscope.server.box import read_box
from kinoscope.server.guard import COOKIE
from tests.server.made import Palette, id_of, served, write_film

EVIL = "\"><script>alert(1)</script>'{{7*7}}"
TOKEN = "a-long-enough-token-for-tests"


@pytest.mark.parametrize(
    ("text", "wanted", "avoided"),
    [
        ("a park", "a park", ()),
        ("a park -dog", "a park", ("dog",)),
        ('a park -dog -"red car" at night', "a park at night", ("dog", "red car")),
        ("-dog -dog", None, ("dog",)),
        ("a t-shirt - and - more", "a t-shirt - and - more", ()),
        ('say "hello there"', 'say "hello there"', ()),
        ("--dog", "--dog", ()),
        ('-""', None, ()),
        ("  ", None, ()),
    ],
)
def test_words_behind_a_minus_are_avoided(text, wanted, avoided) -> None:
    assert read_box(text) == (wanted, avoided)


@given(st.lists(st.from_regex(r"[a-z]{1,6}(-[a-z]{1,3})?", fullmatch=True), max_size=8), st.data())
def test_no_word_is_lost(words, data) -> None:
    signs = data.draw(st.lists(st.booleans(), min_size=len(words), max_size=len(words)))
    text = " ".join(("-" if sign else "") + w for w, sign in zip(words, signs, strict=True))
    wanted, avoided = read_box(text)
    plain = [word for word, sign in zip(words, signs, strict=True) if not sign]
    assert (wanted or "").split() == plain
    assert list(avoided) == list(
        dict.fromkeys(word for word, sign in zip(words, signs, strict=True) if sign)
    )


class Tags(HTMLParser):
    """All elements of a page, and that they are closed in order."""

    VOID = frozenset({"meta", "link", "input", "img", "br"})

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found, self.open = [], []
        self.feed(page)
        assert not self.open, self.open

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag, tag


def page_of(client, path, status=200):
    answer = client.get(path)
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"].startswith("text/html")
    tags = Tags(answer.text).found
    scripts = [attrs for tag, attrs in tags if tag == "script"]
    assert all(list(attrs) == ["src", "defer"] for attrs in scripts), "no script inside the page"
    assert not [
        attrs for _, attrs in tags if any(n.startswith("on") or n == "style" for n in attrs)
    ]
    return answer.text, tags


def test_hits_are_links_that_work_without_a_script(client) -> None:
    page, tags = page_of(client, "/?q=green")
    posters = [attrs["href"] for tag, attrs in tags if attrs.get("class") == "poster"]
    assert posters and "flags.mp4" in page
    page, tags = page_of(client, posters[0])
    video = next(attrs for tag, attrs in tags if tag == "video")
    assert re.search(r"/media#t=[\d.]+,[\d.]+$", video["src"])
    assert client.get(video["src"].partition("#")[0]).status_code == 200
    assert any(attrs.get("class") == "strip" for _, attrs in tags)


def test_what_is_asked_is_escaped_everywhere(client, library) -> None:
    video = id_of(client, "sea.mp4")
    for path in (
        "/?q={}", "/?q=red&like=" + video + "&edit={}", "/?q=red&name={}", "/?q=red&folder={}",
        "/?q=red&since={}", "/?q=red&least={}", "/?q=red&like={}", f"/watch/{video}?q={{}}",
    ):  # fmt: skip
        answer = client.get(path.format(EVIL.replace("#", "")))
        assert "<script>alert" not in answer.text and "49" not in re.findall(r"'(\d+)", answer.text)
        Tags(answer.text)


def test_names_of_files_are_escaped(tmp_path) -> None:
    write_film(tmp_path / "films" / '<img src=x onerror="alert(1)">.mp4', ["red"] * 3)
    (tmp_path / "films" / "<b>broken.mp4").write_bytes(b"nothing")
    Index.open(tmp_path / "index", Embedder(Palette()), create=True).add(tmp_path / "films")
    with served(tmp_path / "index", tmp_path / "cache") as client:
        video = id_of(client, '(1)">.mp4')
        for path in ("/", "/?q=red", f"/watch/{video}?q=red"):
            page, _ = page_of(client, path)
            assert "<img src=x" not in page and "&lt;img src=x" in page
        assert "&lt;b&gt;broken.mp4" in page_of(client, "/")[0]


def test_mistakes_are_told_on_the_page(client) -> None:
    for path, status, told in (
        ("/?q=red&since=soon", 400, "is no date"),
        ("/?q=red&least=long", 400, "is no number of seconds"),
        ("/?q=red&least=9&most=3", 400, "nothing is between"),
        ("/?like=" + "0" * 32, 404, "search again"),
        ("/?like=nonsense", 400, "write the id of a video"),
        ("/?q=red -red", 400, "nothing can be both"),
        (f"/watch/{'0' * 32}", 404, "search again"),
    ):
        page, tags = page_of(client, path, status)
        assert told in page
        assert any(attrs.get("role") == "alert" for _, attrs in tags)


def test_an_edit_an_example_and_filters_are_asked_for(client) -> None:
    piece = f"{id_of(client, 'flags.mp4')}@4-10"
    plain, _ = page_of(client, f"/?like={piece}&name=f*")
    assert "forest.mp4" in plain and "sea.mp4" not in plain
    edited, tags = page_of(client, f"/?like={piece}&edit=red")
    edit = next(attrs for tag, attrs in tags if attrs.get("name") == "edit")
    assert edit["value"] == "red" and "disabled" not in edit
    assert edited != plain
    without = [
        attrs["href"] for _, attrs in tags if attrs.get("aria-label", "").startswith("Without")
    ]
    assert without == ["/?"]


def test_nothing_matches_and_an_empty_library_say_what_to_do(client, tmp_path) -> None:
    page, _ = page_of(client, "/?q=red&name=none*")
    assert "Nothing matches." in page and "Search without filters" in page
    index = Index.open(tmp_path / "index", Embedder(Palette()), create=True).store.folder
    with served(index, tmp_path / "cache") as empty:
        page, _ = page_of(empty, "/")
        assert "The library is empty" in page and "kinoscope index" in page
        assert "Nothing matches." in page_of(empty, "/?q=red")[0]


def test_what_looks_the_same_is_folded(tmp_path) -> None:
    for name in ("a", "b", "c"):
        write_film(tmp_path / "films" / f"{name}.mp4", ["red"] * 4, fps=8 + "abc".index(name))
    write_film(tmp_path / "films" / "other.mp4", ["blue"] * 4)
    Index.open(tmp_path / "index", Embedder(Palette()), create=True).add(tmp_path / "films")
    with served(tmp_path / "index", tmp_path / "cache") as client:
        page, tags = page_of(client, "/?q=red")
        assert "2 that look the same" in page
        _, apart = page_of(client, "/?q=red&apart=true")
    counts = [sum(a.get("class") == "poster" for _, a in each) for each in (tags, apart)]
    assert counts == [2, 4]


def test_a_browser_shows_the_token_once(library, tmp_path) -> None:
    with served(library[1], tmp_path, host="0.0.0.0", token=TOKEN) as client:
        assert client.get("/?q=red", follow_redirects=False).headers["location"] == "/login"
        page_of(client, "/login")
        wrong = client.post("/login", data={"token": "x" * 20})
        assert wrong.status_code == 401 and "That is not the token" in wrong.text
        right = client.post("/login", data={"token": TOKEN}, follow_redirects=False)
        assert right.status_code == 303
        cookie = right.headers["set-cookie"]
        assert cookie.startswith(COOKIE) and TOKEN not in cookie
        assert "HttpOnly" in cookie and "SameSite=strict" in cookie
        page_of(client, "/?q=red")
        assert client.get("/api/videos").status_code == 200
        foreign = client.post(
            "/login", data={"token": TOKEN}, headers={"Origin": "http://x.example"}
        )
        assert foreign.status_code == 403


def test_only_its_own_files_are_static(client) -> None:
    for name, kind in (("page.js", "text/javascript"), ("page.css", "text/css")):
        answer = client.get(f"/static/{name}")
        assert answer.status_code == 200 and answer.headers["content-type"].startswith(kind)
    for name in ("app.py", "..%2fapp.py", "home.html", "%00"):
        assert client.get(f"/static/{name}").status_code == 404
