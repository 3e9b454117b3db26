"""The feature cache: what is read equals what is computed, whatever happened in between."""

import errno
import os
import signal
import subprocess
import sys
import tarfile
import tempfile
import time
from pathlib import Path

import numpy as np
import pytest

from kinoscope.backbones.loading import load_backbone
from kinoscope.errors import KinoscopeError, MediaError, UsageError
from kinoscope.sampling import SamplingConfig
from kinoscope.training.lesson_config import LESSONS, LessonConfig
from kinoscope.training.lessons import Lessons
from kinoscope.training.sampler import Draw
from kinoscope.training.sources import FeatureCache, GeneratedSource, WebDataset, read_captions
from kinoscope.training.sources.feature_cache import Library, warmed
from kinoscope.training.world import WorldConfig
from kinoscope.types import Span
from tests.tiny import tiny
from tests.training.sources.films import SAMPLING, Eyes, film, same


@pytest.fixture
def source(tmp_path):
    for n in range(3):
        film(tmp_path / "films" / f"{n}.mp4", n)
    (tmp_path / "c.csv").write_text("video,caption\n0.mp4,x\n1.mp4,y\n2.mp4,z\n")
    return read_captions(tmp_path / "c.csv", tmp_path / "films", overlaps=())


@pytest.fixture
def cache_of(tmp_path):
    def make(eyes=None, sampling=SAMPLING, **options):
        return FeatureCache(tmp_path / "cache", eyes or Eyes(), sampling, **options)

    return make


def fresh(source, number, span=None, eyes=None):
    return (eyes or Eyes()).vision(source.frames(number, SAMPLING, span))


def test_what_is_read_equals_what_is_computed(source, cache_of):
    span = Span(1.0, 2.5)
    for eyes in (Eyes(), Eyes()):  # the second process reads
        cache = cache_of(eyes)
        for number in (2, 0, 2, 1):
            for part in (None, span):
                found = cache.features(source, number, part)
                assert same(found, fresh(source, number, part))
                found.values_F[:] = 0  # memory of its own, that may be written
        if eyes.looks:
            assert eyes.looks == 6
    assert eyes.looks == 0


def test_two_towers_and_two_samplings_do_not_mix(source, cache_of):
    other = SamplingConfig(fps=1.0, side_px=32, windows=(), clip_frames=4)
    caches = [
        cache_of(Eyes("a", 1.0)),
        cache_of(Eyes("b", 2.0)),
        cache_of(Eyes("a", 1.0), other),
        cache_of(Eyes("c", 1.0), tower="frozen"),
    ]
    first = [cache.features(source, 0) for cache in caches]
    assert len({cache.folder for cache in caches}) == 4
    assert not np.array_equal(first[0].values_F, first[1].values_F)
    for cache, found in zip(caches, first, strict=True):
        assert same(cache.features(source, 0), found)
    trained = cache_of(Eyes("d", 9.0), tower="frozen")  # the rest learned, the tower did not
    assert same(trained.features(source, 0), first[3])


def test_a_replaced_video_is_seen_anew_and_a_new_caption_is_not(source, tmp_path, cache_of):
    eyes = Eyes()
    cache = cache_of(eyes)
    before = cache.features(source, 0)
    (tmp_path / "c.csv").write_text("video,caption\n0.mp4,corrected\n")
    corrected = read_captions(tmp_path / "c.csv", tmp_path / "films", overlaps=())
    assert same(cache.features(corrected, 0), before)
    assert eyes.looks == 1
    film(tmp_path / "films" / "0.mp4", 7)
    assert same(cache.features(source, 0), fresh(source, 0))
    assert eyes.looks == 2


@pytest.mark.parametrize("workers", [1, 2])
def test_warming_decodes_in_processes_and_gives_the_same(source, cache_of, workers):
    eyes, steps = Eyes(), []
    cache = cache_of(eyes)
    items = [(0, None), (1, None), (2, None), (0, Span(1.0, 2.5))]
    cache.features(source, 1)
    kept = cache.warm(
        source, items=items, workers=workers, progress=lambda *step: steps.append(step)
    )
    assert kept == 3
    assert steps == [(1, 4), (2, 4), (3, 4), (4, 4)]
    looks = eyes.looks
    for number, span in items:
        assert same(cache.features(source, number, span), fresh(source, number, span))
    assert eyes.looks == looks
    assert cache.warm(source, items=items) == 0


def test_a_rendered_world_warms_too(cache_of):
    world = GeneratedSource("train", 5, config=WorldConfig(sprites=()))
    eyes = Eyes()
    cache = cache_of(eyes)
    assert cache.warm(world, workers=2) == 5
    for number in range(5):
        assert same(cache.features(world, number), fresh(world, number))
    assert eyes.looks == 5


def test_a_tar_warms_from_copies_that_go(tmp_path, cache_of, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "spare"))
    (tmp_path / "spare").mkdir()
    with tarfile.open(tmp_path / "s.tar", "w") as shard:
        for n in range(6):
            (tmp_path / f"{n}.txt").write_text("x")
            shard.add(film(tmp_path / f"{n}.mp4", n, 1.0), f"{n}.mp4")
            shard.add(tmp_path / f"{n}.txt", f"{n}.txt")
    source = WebDataset([tmp_path / "s.tar"], overlaps=())
    cache = cache_of()
    assert cache.warm(source, workers=2) == 6
    assert not list((tmp_path / "spare").iterdir())
    assert all(same(cache.features(source, n), fresh(source, n)) for n in range(6))
    with pytest.raises(KinoscopeError, match="raise max_bytes"):
        cache_of(Eyes("b"), max_bytes=1).warm(source, workers=2)
    assert not list((tmp_path / "spare").iterdir()), "also when a run ends early"


def test_broken_videos_are_failures_and_never_features(source, tmp_path, cache_of):
    (tmp_path / "films" / "0.mp4").write_bytes(b"no video" * 100)
    (tmp_path / "films" / "2.mp4").unlink()
    cache = cache_of()
    library = warmed(source, cache, workers=2)
    assert {key for _, key in cache.failures} == {"0.mp4", "2.mp4"}
    assert "is not a video" in cache.failures["c", "0.mp4"]
    assert len(library) == 1
    assert library.example(0).key == "1.mp4"
    assert same(library.features(0), fresh(source, 1))
    for number, fault in ((0, "not_media"), (2, "missing")):
        for _ in range(2):
            with pytest.raises(MediaError) as caught:
                cache.features(source, number)
            assert caught.value.fault == fault
    film(tmp_path / "films" / "0.mp4", 3)  # mended meanwhile
    assert same(cache.features(source, 0), fresh(source, 0))


def test_a_failed_video_is_not_decoded_twice(source, tmp_path, cache_of, monkeypatch):
    (tmp_path / "films" / "0.mp4").write_bytes(b"no video" * 100)
    cache = cache_of()
    with pytest.raises(MediaError, match="is not a video"):
        cache.features(source, 0)
    monkeypatch.setattr(source, "frames", None)
    with pytest.raises(MediaError, match="is not a video"):
        cache.features(source, 0)


def test_a_span_behind_the_end_fails_alone(source, cache_of):
    cache = cache_of()
    cache.warm(source, items=[(0, None), (0, Span(8.0, 9.0))], workers=1)
    ((_, where),) = cache.failures
    assert where == "0.mp4 Span(start_s=8.0, end_s=9.0)"
    assert len(cache.features(source, 0)) == 4


def test_pixels_are_not_kept(source, tmp_path):
    backbone, _ = load_backbone(str(tiny("qwen3_vl", tmp_path / "model")))
    cache = FeatureCache(tmp_path / "cache", backbone, SAMPLING)
    assert cache.warm(source, workers=1) == 0
    found = cache.features(source, 1)
    assert found.values_F.dtype == np.uint8
    assert same(found, backbone.vision(source.frames(1, SAMPLING)))
    assert not cache.folder.exists()


@pytest.mark.parametrize("damage", ["flip", "cut", "gone", "garbage line", "half line"])
def test_damage_is_noticed_and_mended(source, cache_of, damage):
    cache = cache_of()
    expected = [cache.features(source, number) for number in range(3)]
    data, index = cache.folder / "features.bin", cache.folder / "index.jsonl"
    lines = index.read_bytes().splitlines(keepends=True)
    if damage == "flip":
        content = bytearray(data.read_bytes())
        content[len(content) // 2] ^= 1
        data.write_bytes(content)
    elif damage == "cut":
        os.truncate(data, data.stat().st_size - 7)
    elif damage == "gone":
        data.unlink()
    elif damage == "garbage line":
        index.write_bytes(lines[0] + b'{"item": \xff\x00}\n' + lines[2])
    else:
        index.write_bytes(lines[0] + lines[1] + lines[2][:40])
    for reader in (cache_of(), cache_of(), cache):
        found = [reader.features(source, number) for number in range(3)]
        assert all(map(same, found, expected)), damage
    assert cache_of(Eyes("a")).features(source, 0).values_F.shape == (4, 4, 4, 3)
    last = Eyes()
    [cache_of(last).features(source, number) for number in range(3)]
    assert last.looks == 0, "mended for good"


def test_a_full_cache_warns_once_and_training_goes_on(source, cache_of):
    one_bytes = 4 * 8 + 4 * 4 * 4 * 3 * 2
    cache = cache_of(max_bytes=2 * one_bytes)
    cache.features(source, 0), cache.features(source, 1)
    with pytest.warns(UserWarning, match="raise max_bytes.* going on without") as warned:
        assert same(cache.features(source, 2), fresh(source, 2))
        assert same(cache.features(source, 2), fresh(source, 2))
    assert len(warned) == 1
    assert cache.size_bytes == 2 * one_bytes
    assert same(cache.features(source, 1), fresh(source, 1)), "what is kept is still read"
    with pytest.raises(KinoscopeError, match=f"have {2 * one_bytes} of at most"):
        cache_of(max_bytes=2 * one_bytes).warm(source, workers=1)


@pytest.mark.parametrize("name", ["features.bin", "index.jsonl"])
def test_a_full_disk_leaves_whole_entries(source, cache_of, monkeypatch, name):
    cache = cache_of()
    expected = cache.features(source, 0)
    opened = Path.open

    class Tight:
        def __init__(self, stream):
            self.stream = stream

        def __enter__(self):
            return self

        def __exit__(self, *_error):
            self.stream.close()

        def write(self, data):
            self.stream.write(data[: len(data) // 2])
            self.stream.flush()
            raise OSError(errno.ENOSPC, "No space left on device")

        def __getattr__(self, part):
            return getattr(self.stream, part)

    def tight(path, mode="r", *rest, **more):
        stream = opened(path, mode, *rest, **more)
        return Tight(stream) if path.name == name and mode == "r+b" else stream

    with monkeypatch.context() as patched:
        patched.setattr(Path, "open", tight)
        with pytest.warns(UserWarning, match="No space left on device"):
            assert same(cache.features(source, 1), fresh(source, 1))
        with pytest.raises(KinoscopeError, match="free or unlock the disk"):
            cache_of().warm(source, workers=1)
    later = cache_of()
    assert same(later.features(source, 0), expected)
    assert same(later.features(source, 1), fresh(source, 1))
    assert later.damaged == 0


def test_features_that_are_not_finite_are_refused(source, cache_of):
    with pytest.raises(UsageError, match="features of c 0 are not finite"):
        cache_of(Eyes(gain=np.nan)).features(source, 0)
    with pytest.raises(UsageError, match="max_bytes 0"):
        cache_of(max_bytes=0)
    with pytest.raises(UsageError, match="0 workers"):
        cache_of().warm(source, workers=0)


RENDERER = """
import sys
from pathlib import Path
from kinoscope.training.lesson_config import LESSONS, LessonConfig
from kinoscope.training.lessons import Lessons
from kinoscope.training.sampler import Draw
from kinoscope.training.sources import FeatureCache, GeneratedSource
from kinoscope.training.world import WorldConfig
from tests.training.sources.films import SAMPLING, Eyes
world = GeneratedSource("train", 10**5, config=WorldConfig(sprites=()))
cache = FeatureCache(Path(sys.argv[1]), Eyes(), SAMPLING)
if __name__ == "__main__":
    cache.warm(world, workers=2, progress=lambda done, _total: print(done, flush=True))
"""


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="lists children as Linux does")
def test_a_killed_run_takes_its_workers_along_and_is_gone_on_with(tmp_path):
    program = tmp_path / "run.py"
    program.write_text(RENDERER)
    root = str(Path(__file__).parents[3])
    run = subprocess.Popen(
        [sys.executable, str(program), str(tmp_path / "cache")],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": root},
    )
    assert run.stdout is not None
    while run.stdout.readline().strip() != b"3":
        assert run.poll() is None
    children = Path(f"/proc/{run.pid}/task/{run.pid}/children").read_text().split()
    assert len(children) >= 2
    run.send_signal(signal.SIGKILL)
    run.wait()
    run.stdout.close()
    deadline_s = time.monotonic() + 10
    while any(is_running(child) for child in children):
        assert time.monotonic() < deadline_s, "workers outlive the run"
        time.sleep(0.05)
    world = GeneratedSource("train", 3, config=WorldConfig(sprites=()))
    eyes = Eyes()
    cache = FeatureCache(tmp_path / "cache", eyes, SAMPLING)
    cache.warm(world, workers=1)
    assert eyes.looks <= 1, "in whatever order they got ready, two of three were kept"
    assert same(cache.features(world, 2), fresh(world, 2))


def is_running(child):
    """Not a zombie that nobody fetched."""
    try:
        status = Path(f"/proc/{child}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return status.rpartition(")")[2].split()[0] != "Z"


def test_an_emptied_folder_is_filled_again(source, cache_of):
    cache = cache_of()
    expected = cache.features(source, 0)
    for path in cache.folder.iterdir():
        path.unlink()
    assert same(cache.features(source, 0), expected)
    assert same(cache_of().features(source, 0), expected)


def test_a_library_is_described_by_all_that_decides_it(source, cache_of):
    cache = cache_of()
    told = {Library(source, cache).describe(), Library(source, cache, [0, 1]).describe()}
    told.add(Library(source, cache_of(sampling=SamplingConfig())).describe())
    assert len(told) == 3
    with pytest.raises(UsageError, match="no video of c gives frames"):
        Library(source, cache, [])


def test_lessons_are_given_from_a_library_of_the_world(tmp_path):
    backbone, _ = load_backbone(str(tiny("qwen3_vl", tmp_path / "model")))
    world = GeneratedSource("train", 8, config=WorldConfig(sprites=()))
    sampling = SamplingConfig(fps=2.0, side_px=None, max_pixels=56 * 56, windows=(), clip_frames=4)
    library = warmed(world, FeatureCache(tmp_path / "cache", backbone, sampling), workers=1)
    left_out = ("words", "motion", "distil")  # no pixels' own tokens, and no teacher's judgement
    shares = {lesson: 1.0 for lesson in LESSONS if lesson not in left_out}
    lessons = Lessons(backbone, library, LessonConfig(shares=shares))
    for name in lessons.parts():
        terms = lessons.losses(lessons.batch(Draw(name, 0, (0, 1))), 1)
        assert all(np.isfinite(value.item()) for value in terms.sums.values()), name
