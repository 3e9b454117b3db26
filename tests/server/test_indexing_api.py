"""Indexing over HTTP: below the roots alone, told as it goes, while searches go on."""

import json
import threading
import time

import numpy as np
import pytest

from kinoscope.embedder import Embedder
from kinoscope.errors import IndexFault
from kinoscope.index.handle import Index
from kinoscope.index.store import Store
from kinoscope.server.library import Library
from tests.made_index import made_index, random_clips
from tests.made_index import row as file_row
from tests.server.made import Palette, found, id_of, message, served, write_film


@pytest.fixture
def root(tmp_path):
    folder = tmp_path / "root"
    write_film(folder / "new" / "sun.mp4", ["yellow"] * 6)
    write_film(folder / "new" / "sky.mp4", ["blue"] * 6)
    return folder


@pytest.fixture
def empty(tmp_path):
    return Index.open(tmp_path / "index", Embedder(Palette()), create=True).store.folder


def finished(client):
    """The status once no run is at work."""
    for _ in range(600):
        status = client.get("/api/indexing").json()
        if status["state"] != "running":
            return status
        time.sleep(0.05)
    raise AssertionError("the run goes on and on")


def until(test):
    for _ in range(600):
        if test():
            return
        time.sleep(0.05)
    raise AssertionError("it never came to be")


def test_a_folder_below_a_root_is_indexed_and_then_found(root, empty, tmp_path) -> None:
    with served(empty, tmp_path / "cache", roots=(root,)) as client:
        assert client.get("/api/indexing").json()["state"] == "idle"
        answer = client.post("/api/videos", json={"folder": str(root / "new")})
        assert answer.status_code == 202 and answer.json()["state"] == "running"
        status = finished(client)
        assert status["state"] == "done" and status["message"].startswith("2 indexed")
        until(lambda: found(client.post("/api/search", json={"text": "yellow", "k": 1})))
        first = found(client.post("/api/search", json={"text": "yellow", "k": 1}))
        assert first[0][0] == "sun.mp4"
        library = client.get("/api/videos").json()
        assert library["total"] == 2 and library["folders"] == [str(root / "new")]
        assert library["roots"] == [str(root)]
        write_film(root / "new" / "lawn.mp4", ["green"] * 3)
        assert client.post("/api/videos", json={}).status_code == 202
        assert finished(client)["message"].startswith("1 indexed, 2 unchanged")


@pytest.mark.parametrize(
    "name", ["..", "../other", "/etc", "/", "link", "none", "new/sun.mp4", "\0"]
)
def test_no_other_folder_is(root, empty, tmp_path, name) -> None:
    (tmp_path / "other").mkdir()
    (root / "link").symlink_to(tmp_path / "other")
    with served(empty, tmp_path / "cache", roots=(root,)) as client:
        answer = client.post("/api/videos", json={"folder": str(root / name)})
        assert answer.status_code == 403
        assert message(answer).endswith(
            "is no folder below those that this server was started with"
        )
        relative = client.post("/api/videos", json={"folder": "new"})
        assert relative.status_code == 403
    with served(empty, tmp_path / "cache") as client:
        answer = client.post("/api/videos", json={})
        assert answer.status_code == 403 and "--root FOLDER" in message(answer)


def test_links_that_lead_out_are_not_followed(root, empty, tmp_path) -> None:
    secret = write_film(tmp_path / "private" / "secret.mp4", ["red"] * 2)
    (root / "new" / "in.mp4").symlink_to(secret)
    (root / "new" / "folder").symlink_to(secret.parent)
    (root / "new" / "inside.mp4").symlink_to(root / "new" / "sun.mp4")
    with served(empty, tmp_path / "cache", roots=(root,)) as client:
        client.post("/api/videos", json={"folder": str(root / "new")})
        status = finished(client)
        assert status["message"].count("leads out of the folders") == 2
        names = {
            row["path"].rpartition("/")[2] for row in client.get("/api/videos").json()["videos"]
        }
        assert "secret.mp4" not in names and "in.mp4" not in names


def test_progress_comes_as_events(root, empty, tmp_path, monkeypatch) -> None:
    """Read from the generator: a test client would wait for the end of the stream."""
    import asyncio

    from starlette.requests import Request

    from kinoscope.server.api import _events

    seen, add = threading.Event(), Index.add

    def held(*arguments, **options):
        assert seen.wait(60), "nobody was told that it runs"
        return add(*arguments, **options)

    monkeypatch.setattr(Index, "add", held)  # else it may be done before anybody looks
    with served(empty, tmp_path / "cache", roots=(root,)) as client:
        app = client.app

        async def listened():
            async def receive():
                await asyncio.sleep(3600)

            request = Request({"type": "http", "app": app, "headers": []}, receive)
            told = []
            async for event in _events(request):
                assert event.startswith("data: ") and event.endswith("\n\n")
                told.append(json.loads(event[6:]))
                if len(told) == 1:
                    app.state.service.indexing.start(root / "new")
                if told[-1]["state"] == "running":
                    seen.set()
                if told[-1]["state"] == "done" and told[-1]["index"] != told[0]["index"]:
                    break
            return told

        told = asyncio.run(asyncio.wait_for(listened(), 60))
        assert told[0]["state"] == "idle" and told[-1]["message"].startswith("2 indexed")
        assert told[-1]["index"] != told[0]["index"], "the new state of the index is told, too"
        assert told[1]["state"] == "running"


def test_one_run_at_a_time_and_it_can_be_stopped(root, empty, tmp_path) -> None:
    palette = Palette()
    with served(empty, tmp_path / "cache", palette=palette, roots=(root,)) as client:
        palette.hold.clear()
        client.post("/api/videos", json={"folder": str(root / "new")})
        until(lambda: client.get("/api/indexing").json()["stage"] == "decode")
        again = client.post("/api/videos", json={})
        assert again.status_code == 409 and "at work already" in message(again)
        assert client.delete(f"/api/videos/{'0' * 32}").status_code == 404
        client.delete("/api/indexing")
        palette.hold.set()
        status = finished(client)
        assert status["state"] in ("stopped", "done")


def test_a_run_that_fails_says_why(root, empty, tmp_path) -> None:
    with served(empty, tmp_path / "cache", roots=(root,)) as client:
        with Store.open(empty).writing():
            client.post("/api/videos", json={"folder": str(root / "new")})
            status = finished(client)
        assert status["state"] == "failed" and "another process is indexing" in status["message"]


def test_a_video_is_forgotten_and_its_file_stays(root, empty, tmp_path) -> None:
    Index.open(empty, Embedder(Palette())).add(root)
    with served(empty, tmp_path / "cache") as client:
        name = id_of(client, "sun.mp4")
        assert client.delete(f"/api/videos/{name}").json() == {"removed": 1}
        assert client.delete(f"/api/videos/{name}").status_code == 404
        assert client.get(f"/api/videos/{name}/media").status_code == 404
        assert {n for n, *_ in found(client.post("/api/search", json={"text": "yellow"}))} == {
            "sky.mp4"
        }
    assert (root / "new" / "sun.mp4").exists()


def test_searches_go_on_while_another_process_writes(tmp_path) -> None:
    """No answer fails, none mixes two states, and the newest state is served in the end."""
    index = made_index(tmp_path / "index", {f"v{n}": random_clips(4, n) for n in range(3)})
    library, stop, faults, seen = Library(index, look_every_s=0.01), threading.Event(), [], set()

    def ask():
        while not stop.is_set():
            snapshot = library.now
            catalog = snapshot.derived().catalog
            if set(catalog.paths) != set(snapshot.id_of):
                faults.append((catalog.paths, snapshot.id_of))
            seen.add(len(catalog.paths))

    asking = threading.Thread(target=ask)
    asking.start()
    writer = Store.open(tmp_path / "index")
    for number in range(3, 12):
        videos = [(f"v{number}", random_clips(4, number))]
        writer.commit(videos, [file_row(f"/films/v{number}.mp4", f"v{number}")])
        if number % 3 == 2:
            until(lambda number=number: number + 1 in seen)
    stop.set()
    asking.join()
    library.close()
    assert not faults and {6, 9, 12} <= seen
    assert np.isfinite(library.now.clips_of("v11").vectors_ND).all()


def test_a_damaged_index_is_served_as_it_was(tmp_path) -> None:
    index = made_index(tmp_path / "index", {"v": random_clips(4)})
    library = Library(index, look_every_s=0.01)
    manifest = tmp_path / "index" / "kinoscope.json"
    content = manifest.read_text()
    manifest.write_text("damaged")
    until(lambda: library.trouble)
    assert "damaged" in library.trouble and len(library.now.by_id) == 1
    with pytest.raises(IndexFault):
        library.refresh()
    manifest.write_text(content)
    until(lambda: not library.trouble)
    library.close()
