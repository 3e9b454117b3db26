"""Media over HTTP: indexed videos alone, in ranges, as they were indexed; posters; previews."""

import io
import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from starlette.testclient import TestClient

from kinoscope.embedder import Embedder
from kinoscope.errors import MediaError
from kinoscope.index.handle import Index
from kinoscope.index.scan import FoundFile
from kinoscope.server.app import create_app
from kinoscope.server.cache import Cache
from kinoscope.server.config import ServeConfig
from kinoscope.types import Span
from kinoscope.video import VideoReader
from tests.movies import Movie
from tests.server.made import COLOURS, Palette, copied, id_of, message, served


def media(client, name, suffix="media", **headers):
    return client.get(f"/api/videos/{id_of(client, name)}/{suffix}", headers=headers)


def test_a_file_is_served_whole_and_in_ranges(client, library) -> None:
    content = (library[0] / "sea.mp4").read_bytes()
    whole = media(client, "sea.mp4")
    assert whole.content == content and whole.headers["content-type"] == "video/mp4"
    for asked, piece in (
        ("bytes=0-0", content[:1]),
        ("bytes=100-199", content[100:200]),
        ("bytes=-7", content[-7:]),
        (f"bytes={len(content) - 3}-", content[-3:]),
    ):
        part = media(client, "sea.mp4", Range=asked)
        assert part.status_code == 206 and part.content == piece
    assert media(client, "sea.mp4", Range=f"bytes={len(content)}-").status_code == 416


@pytest.mark.parametrize(
    "name",
    ["0" * 32, "..", "../../etc/passwd", "%2e%2e%2f", "sea.mp4", "/etc/passwd", "x" * 5000, "\0"],
)
def test_nothing_is_served_by_a_name(client, name) -> None:
    for suffix in ("media", "poster", "preview?start=0&end=1"):
        answer = client.get(f"/api/videos/{name.replace(chr(0), '%00')}/{suffix}")
        assert answer.status_code in (404, 422)
        assert "root:" not in answer.text


def test_a_file_that_is_exchanged_before_it_is_decoded_is_refused(library, tmp_path) -> None:
    videos, index = copied(library, tmp_path)
    film, other = videos / "sea.mp4", videos / "night.mp4"
    status = film.stat()
    found = FoundFile(path=str(film), size_bytes=status.st_size, mtime_ns=status.st_mtime_ns)
    app = create_app(Index.open(index, Embedder(Palette())), ServeConfig(cache=tmp_path / "cache"))
    with TestClient(app):
        decoders = app.state.service.pictures.decoders
        assert decoders.still(found, 1.0, 100)
        other.replace(film)
        for decode in (
            lambda: decoders.still(found, 1.0, 100),
            lambda: app.state.service.references.stretch(found, Span(0, 2)),
        ):
            with pytest.raises(MediaError, match="changed"):
                decode()


def test_a_file_that_was_exchanged_is_not_served(library, tmp_path) -> None:
    videos, index = copied(library, tmp_path)
    shutil.rmtree(index)
    Index.open(index, Embedder(Palette()), create=True).add(videos)
    secret = tmp_path / "secret.txt"
    secret.write_text("the secret")
    with served(index, tmp_path / "cache") as client:
        name = id_of(client, "sea.mp4")
        film = videos / "sea.mp4"
        film.unlink()
        gone = client.get(f"/api/videos/{name}/media")
        assert gone.status_code == 404 and "index again" in message(gone)
        film.symlink_to(secret)
        for suffix in ("media", "poster", "preview?start=0&end=1"):
            answer = client.get(f"/api/videos/{name}/{suffix}")
            assert answer.status_code == 404 and "secret" not in answer.text
        film.unlink()
        os.mkfifo(film)
        assert client.get(f"/api/videos/{name}/media").status_code == 404


def test_no_answer_leaves_a_file_open(client) -> None:
    for _ in range(5):
        media(client, "sea.mp4", Range="bytes=0-9")
        media(client, "sea.mp4", suffix="poster?at=1")
        media(client, "sea.mp4", Range="bytes=99999999-")
    names = [
        str(entry.readlink()) for entry in Path("/proc/self/fd").iterdir() if entry.is_symlink()
    ]
    assert not [name for name in names if name.endswith((".mp4", ".jpg"))]


def shown(jpeg: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(jpeg)).convert("RGB"))[:20].mean(axis=(0, 1))


def test_a_poster_shows_its_instant(client) -> None:
    for at_s, colour in ((0, "red"), (3.9, "red"), (4.5, "green"), (12, "blue"), (1e6, "blue")):
        answer = media(client, "flags.mp4", suffix=f"poster?at={at_s}")
        assert answer.headers["content-type"] == "image/jpeg"
        assert np.allclose(shown(answer.content), COLOURS[colour], atol=30), (at_s, colour)
    wrong = media(client, "flags.mp4", suffix="poster?at=-1")
    assert wrong.status_code == 422


def test_a_preview_is_the_span_as_h264(client, tmp_path) -> None:
    answer = media(client, "flags.mp4", suffix="preview?start=3&end=6")
    (tmp_path / "preview.mp4").write_bytes(answer.content)
    with VideoReader(tmp_path / "preview.mp4", side_px=8) as reader:
        (frames,) = reader.sample([0.5, 1.5, 2.5])
        assert reader.info.codec == "h264" and reader.report.end_s == pytest.approx(3, abs=0.1)
    colours = frames.rgb_FHWC[:, 0].mean(axis=1)
    for rgb, colour in zip(colours, ("red", "green", "green"), strict=True):
        assert np.allclose(rgb, COLOURS[colour], atol=40)
    again = media(client, "flags.mp4", suffix="preview?start=3&end=6", Range="bytes=0-9")
    assert again.status_code == 206 and again.content == answer.content[:10]
    for wrong in ("start=3&end=3", "start=99&end=100", "start=0&end=500", "start=x&end=1"):
        assert media(client, "flags.mp4", suffix=f"preview?{wrong}").status_code in (400, 422)


def test_hevc_is_told_unplayable_and_has_a_preview(tmp_path) -> None:
    films = tmp_path / "films"
    films.mkdir()
    Movie(codec="libx265", options={"x265-params": "log-level=error"}).write(films / "new.mp4")
    Movie(codec="libvpx-vp9", options={"deadline": "realtime"}).write(films / "open.webm")
    index = Index.open(tmp_path / "index", Embedder(Palette()), create=True)
    index.add(films)
    with served(tmp_path / "index", tmp_path / "cache") as client:
        rows = {Path(r["path"]).name: r for r in client.get("/api/videos").json()["videos"]}
        assert {name: row["playable"] for name, row in rows.items()} == {
            "new.mp4": False, "open.webm": True,
        }  # fmt: skip
        answer = media(client, "new.mp4", suffix="preview?start=0.5&end=2")
    (tmp_path / "preview.mp4").write_bytes(answer.content)
    with VideoReader(tmp_path / "preview.mp4") as reader:
        assert reader.info.codec == "h264"


def opened(cache: Cache, name: str, content: bytes) -> bytes:
    descriptor = cache.opened(name, lambda path: path.write_bytes(content))
    with os.fdopen(descriptor, "rb") as stream:
        return stream.read()


def test_what_is_kept_is_made_once_and_the_longest_unused_goes(tmp_path) -> None:
    cache = Cache(tmp_path / "kept", most_bytes=250, drafts=tmp_path)
    with ThreadPoolExecutor(8) as threads:
        made = list(threads.map(lambda n: opened(cache, "a", bytes([n]) * 100), range(8)))
    assert len(set(made)) == 1, "one of them made it for all"
    opened(cache, "b", b"b" * 100)
    os.utime(tmp_path / "kept" / "a", (5, 5))
    os.utime(tmp_path / "kept" / "b", (4, 4))
    assert opened(cache, "a", b"new") == made[0]
    opened(cache, "c", b"c" * 100)
    assert {path.name for path in (tmp_path / "kept").iterdir()} == {"a", "c"}
    assert [path.name for path in tmp_path.iterdir()] == ["kept"]


def test_what_fails_leaves_nothing(tmp_path) -> None:
    cache = Cache(tmp_path / "kept", most_bytes=100, drafts=tmp_path)

    def fails(path):
        path.write_bytes(b"half")
        raise RuntimeError("half done")

    with pytest.raises(RuntimeError, match="half done"):
        cache.opened("a", fails)
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]
    assert opened(cache, "a", b"whole") == b"whole"
