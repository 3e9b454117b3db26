"""A library of coloured films, a model that knows colours by name, and the server around both."""

import re
import shutil
import threading
import time
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import uvicorn
from starlette.testclient import TestClient

from kinoscope.embedder import Embedder
from kinoscope.index.handle import Index
from kinoscope.samples.writing import write_video
from kinoscope.server.app import create_app
from kinoscope.server.config import ServeConfig
from kinoscope.types import Features, States

COLOURS = {
    "red": (230, 20, 20),
    "green": (20, 200, 20),
    "blue": (20, 20, 230),
    "yellow": (220, 220, 20),
    "black": (8, 8, 8),
}
FILMS = {
    "flags.mp4": ["red"] * 4 + ["green"] * 6 + ["blue"] * 8,
    "sea.mp4": ["blue"] * 10,
    "deep/forest.mp4": ["green"] * 6 + ["yellow"] * 6,
    "night.mp4": ["black"] * 5,
}
"""Colour of each second."""
BASE = "http://127.0.0.1:8000"


class Palette:
    """Vectors are colours and a constant; a text is what it names, an edit adds."""

    model, weights, prompts, head, max_tokens = "palette", "w", "p", "mean", 40
    dimension, centre_D, limits = 4, None, ()
    kinds = frozenset({"text", "video", "image", "composed"})

    def __init__(self) -> None:
        self.calls: list[int] = []
        self.hold = threading.Event()
        self.hold.set()

    def count_tokens(self, text):
        return len(text.split())

    def vision(self, frames):
        means_F3 = frames.rgb_FHWC.mean(axis=(1, 2), dtype=np.float32)
        return Features(
            np.concatenate([means_F3, np.full((len(frames), 1), 20)], 1), frames.times_F
        )

    def states(self, contents):
        assert self.hold.wait(30), "held for ever"
        self.calls.append(len(contents))
        rows = [np.sum([_said(c.text), _seen(c.clip)], axis=0) for c in contents]
        states = np.array(rows, np.float32)[:, None]
        yield list(range(len(rows))), States(states, np.ones(states.shape[:2], np.bool_))


def _said(text):
    named = [
        COLOURS[word] for word in re.findall(r"[a-z]+", (text or "").lower()) if word in COLOURS
    ]
    if not named:
        return np.array([0, 0, 0, 30 if text else 0])
    return np.array([*np.mean(named, axis=0), 20])


def _seen(clip):
    return np.zeros(4) if clip is None else clip.values_F.mean(axis=0)


def write_film(path: Path, seconds, fps: int = 8, size=(96, 128)) -> Path:
    """Each second in its colour, with a mark that moves."""
    path.parent.mkdir(parents=True, exist_ok=True)

    def pictures():
        for n in range(fps * len(seconds)):
            picture = np.full((*size, 3), COLOURS[seconds[n // fps]], np.uint8)
            left = n * 3 % (size[1] - 16)
            picture[40:56, left : left + 16] = 250
            yield picture

    write_video(path, pictures(), fps=fps)
    return path


def copied(library, folder: Path):
    """Films and index of one's own: `(videos, index folder)`."""
    videos, index = library
    shutil.copytree(videos, folder / "videos", copy_function=shutil.copy2)
    shutil.copytree(index, folder / "index")
    return folder / "videos", folder / "index"


def make_library(folder: Path):
    """The films, indexed where they are."""
    for name, seconds in FILMS.items():
        write_film(folder / "videos" / name, seconds)
    Index.open(folder / "index", Embedder(Palette()), create=True).add(folder / "videos")
    return folder / "videos", folder / "index"


@contextmanager
def served(index: Path, cache: Path, *, palette: Palette | None = None, **config):
    """A client of a server on that index."""
    embedder = Embedder(palette or Palette())
    app = create_app(Index.open(index, embedder), ServeConfig(cache=cache, **config))
    with TestClient(app, base_url=BASE, raise_server_exceptions=False) as client:
        yield client


def found(answer):
    """`[(file name, start, end)]` of a search's answer."""
    assert answer.status_code == 200, answer.text
    return [(Path(hit["path"]).name, hit["start_s"], hit["end_s"]) for hit in answer.json()["hits"]]


def id_of(client, name: str) -> str:
    """Of the film of that name."""
    rows = client.get("/api/videos").json()["videos"]
    return next(row["id"] for row in rows if row["path"].endswith(name))


def message(answer) -> str:
    """What an error says."""
    return answer.json()["error"]["message"]


@contextmanager
def running(index: Path, cache: Path, *, port: int = 0, palette: Palette | None = None, **config):
    """A server of an index of the palette's: its address."""
    embedder = Embedder(palette or Palette())
    app = create_app(Index.open(index, embedder), ServeConfig(cache=cache, **config))
    with running_app(app, port) as address:
        yield address


@contextmanager
def running_app(app, port: int = 0):
    """A server at a socket of its own: its address."""
    settings = uvicorn.Config(app, port=port, log_level="critical", timeout_graceful_shutdown=2)
    server = uvicorn.Server(settings)
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        assert thread.is_alive(), "the server did not start"
        time.sleep(0.01)
    try:
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        app.state.closing.set()
        server.should_exit = True
        thread.join(60)
        assert not thread.is_alive(), "the server did not end"
