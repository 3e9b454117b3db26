"""What several tests share: made videos, written once a run."""

import os
import signal
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings

from kinoscope import Embedder, Index, cli, libraries
from kinoscope.backbones import mini, mini_folder
from kinoscope.backbones.mini import untrained_mini
from kinoscope.backbones.options import LoadOptions
from kinoscope.mini_weights import MiniFiles
from kinoscope.samples import write_video
from kinoscope.sampling import SamplingConfig, Window
from tests.media import Case, make_hostile_set
from tests.movies import Movie
from tests.tiny import moving_frames
from tests.tiny_mini import Tower, as_if_trained, tiny_mini_files

settings.register_profile("no clock", deadline=None)  # a busy machine is no failure
settings.load_profile("no clock")


@pytest.fixture(scope="session", autouse=True)
def as_in_a_terminal() -> Iterator[None]:
    """Ctrl-C interrupts: a job that a shell starts in the background begins with it ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture
def run(monkeypatch, capsys):
    """Runs the command line in this process: words -> (exit code, stdout, stderr)."""

    def call(*words: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["kinoscope", *map(str, words)])
        with pytest.raises(SystemExit) as ended:
            cli.main()
            raise SystemExit(0)
        said = capsys.readouterr()
        return ended.value.code or 0, said.out, said.err

    return call


@pytest.fixture(autouse=True)
def usual_scheduling() -> Iterator[None]:
    """SVT-AV1, used by root, makes its process a real-time one, which then starves all others."""
    yield
    if hasattr(os, "sched_getscheduler") and os.sched_getscheduler(0) != os.SCHED_OTHER:
        os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))


@pytest.fixture
def no_network(monkeypatch) -> None:
    """Any connection fails the test."""

    def refuse(*arguments: object, **_named: object) -> None:
        raise AssertionError(f"a connection to {arguments}")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


@pytest.fixture(scope="session")
def one_torch_thread() -> None:
    """Models of the tests are so small that a second thread only waits for the first."""
    libraries.torch().set_num_threads(1)


@pytest.fixture(scope="session")
def hostile_set(tmp_path_factory) -> dict[str, Case]:
    """Every hostile file by name. Read only: `vanishing` and `growing` are for one test."""
    return {case.name: case for case in make_hostile_set(tmp_path_factory.mktemp("hostile"))}


@pytest.fixture
def numbered_video(tmp_path):
    """Writes a small video with numbered frames: `path, movie = numbered_video("a.mp4", fps=5)`."""

    def make(name="clip.mp4", **fields):
        movie = Movie(**fields)
        movie.write(tmp_path / name)
        return tmp_path / name, movie

    return make


@pytest.fixture(scope="session")
def video_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three short videos of moving texture, one in a folder below; tests must not change them."""
    folder = tmp_path_factory.mktemp("videos")
    (folder / "inner").mkdir()
    seconds = {"short.mp4": 2, "long.mp4": 7, "inner/third.mp4": 3}
    for seed, (name, duration_s) in enumerate(seconds.items()):
        write_video(folder / name, _moving_texture(seed, 10 * duration_s), fps=10)
    return folder


def _moving_texture(seed: int, count: int) -> Iterator[np.ndarray]:
    texture = np.random.default_rng(seed).integers(0, 255, (12, 16, 3), dtype=np.uint8)
    picture = texture.repeat(10, axis=0).repeat(10, axis=1)
    return (np.roll(picture, 3 * i, axis=1) for i in range(count))


@pytest.fixture(scope="session")
def mini_base(tmp_path_factory: pytest.TempPathFactory) -> MiniFiles:
    """Tests must not change them."""
    return tiny_mini_files(tmp_path_factory.mktemp("base"))


@pytest.fixture
def mini_set_up(
    mini_base: MiniFiles, no_network: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> MiniFiles:
    """They are the ones that are found; the user's cache stays as it is."""
    monkeypatch.setenv("KINOSCOPE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(mini, "open_session", lambda *_arguments: Tower())
    monkeypatch.setattr(mini_folder, "mini_files", lambda: mini_base)
    return mini_base


# --- a model that speaks, and a library of its


@pytest.fixture(scope="session")
def speaker(mini_base: MiniFiles) -> Embedder:
    """A tiny model that answers, at random but always the same; it reads 8 s whole."""
    windows = (Window(length_s=2.0, stride_s=2.0),)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(mini, "open_session", lambda *_arguments: Tower())
        backbone = untrained_mini(mini_base, layers=2, options=LoadOptions(batch_tokens=512))
        backbone.vision(moving_frames(1, 260, 260, 0))  # opens its tower
    sampling = SamplingConfig(fps=1.0, clip_frames=8, windows=windows)
    return Embedder(as_if_trained(backbone), sampling=sampling)


@pytest.fixture(scope="session")
def colour_films(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`short.mp4` of 6 s and `long.mp4` of 20, another colour every two seconds; do not change."""
    folder = tmp_path_factory.mktemp("colours")
    for name, seconds in {"short.mp4": 6, "long.mp4": 20}.items():
        colours = np.random.default_rng(seconds).integers(0, 256, (seconds, 3), dtype=np.uint8)
        pictures = (np.full((48, 64, 3), colours[n // 8]) for n in range(4 * seconds))
        write_video(folder / name, pictures, fps=4)
    return folder


@pytest.fixture(scope="session")
def speaking_index(
    colour_films: Path, speaker: Embedder, tmp_path_factory: pytest.TempPathFactory
) -> Index:
    """These films, indexed by that model; do not change it."""
    made = Index.open(tmp_path_factory.mktemp("speaking") / "index", speaker, create=True)
    made.add(colour_films)
    return made
