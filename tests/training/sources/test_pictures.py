"""Pictures as videos: stills and camera moves, always the same, and never beyond the picture."""

import json
import pickle
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from kinoscope.errors import MediaError, UsageError
from kinoscope.sampling import SamplingConfig
from kinoscope.training.sources.feature_cache import FeatureCache, Library, warmed
from kinoscope.training.sources.joined import JoinedLibrary
from kinoscope.training.sources.pictures import DURATION_S, PictureSource
from kinoscope.types import Span
from tests.training.sources.films import SAMPLING, Eyes, same

SIZES = ((90, 60), (64, 64), (50, 120))


@pytest.fixture
def folder(tmp_path):
    """Three pictures whose red grows to the right and whose green grows downwards."""
    kept = []
    for number, (width, height) in enumerate(SIZES):
        rgb_HWC = np.full((height, width, 3), 60 * number, np.uint8)
        rgb_HWC[..., 0] = np.linspace(0, 255, width)[None]
        rgb_HWC[..., 1] = np.linspace(0, 255, height)[:, None]
        Image.fromarray(rgb_HWC).save(tmp_path / f"{number:05d}.jpg", quality=95)
        kept.append((f"package/{number}.png", f"{number:064x}"))
    (tmp_path / "pictures.json").write_text(json.dumps(kept))
    return tmp_path


def test_a_picture_gives_a_still_and_moves(folder) -> None:
    source = PictureSource(folder, takes=3)
    assert len(source) == 9 and source.overlaps == () and not len(source.problems)
    for number in range(9):
        frames = source.frames(number, SAMPLING)
        assert len(frames) == (1 if number % 3 == 0 else 4)
        assert frames.rgb_FHWC.shape[1:] == (32, 32, 3)
        assert (np.diff(frames.times_F) > 0).all() and frames.times_F[-1] < DURATION_S
        moves = float(np.abs(np.diff(frames.rgb_FHWC.astype(float), axis=0)).sum())
        assert (moves > 0) == (number % 3 > 0)


def test_a_still_shows_the_whole_picture_scaled_as_a_video_frame_is(folder) -> None:
    (rgb_HWC,) = PictureSource(folder).frames(0, SAMPLING).rgb_FHWC
    assert rgb_HWC[16, 0, 0] < 12 and rgb_HWC[16, -1, 0] > 243
    assert rgb_HWC[0, 16, 1] < 12 and rgb_HWC[-1, 16, 1] > 243


def test_a_camera_sees_what_its_view_says(folder) -> None:
    source = PictureSource(folder, takes=4)
    for number in (1, 2, 3, 7, 10):
        frames = source.frames(number, SAMPLING)
        for rgb_HWC, time_s in zip(frames.rgb_FHWC, frames.times_F, strict=True):
            left, top, right, bottom = source.view(number, float(time_s))
            assert abs(rgb_HWC[..., 0].mean() / 255 - (left + right) / 2) < 0.03
            assert abs(rgb_HWC[..., 1].mean() / 255 - (top + bottom) / 2) < 0.03


def test_a_view_stays_inside_and_sees_enough(folder) -> None:
    source = PictureSource(folder, takes=50)
    for number in range(len(source)):
        for time_s in (0.0, 0.7, DURATION_S):
            left, top, right, bottom = source.view(number, time_s)
            assert 0 <= left < right <= 1 and 0 <= top < bottom <= 1
            assert min(right - left, bottom - top) > 0.5


def test_views_depend_on_picture_and_take_alone(folder) -> None:
    source = PictureSource(folder, takes=3)
    views = {tuple(source.view(number, 0.5)) for number in range(9)}
    assert len(views) == 7, "one of all stills, and one of each move"
    assert (source.view(4, 0.5) == PictureSource(folder, takes=3).view(4, 0.5)).all()


def test_keys_name_each_video_once(folder) -> None:
    source = PictureSource(folder, takes=3)
    keys = [source.key(number) for number in range(9)]
    assert len(set(keys)) == 9
    assert [source.number_of(key) for key in keys] == list(range(9))
    with pytest.raises(UsageError, match="pictures x 3 has no video 'x': give one of its keys"):
        source.number_of("x")
    assert source.example(4).key == keys[4] and not source.example(4).captions
    assert source.file(0) is None


def test_identities_and_fingerprint_follow_the_content(folder) -> None:
    source = PictureSource(folder)
    before = [source.identity(number) for number in range(len(source))]
    assert len(set(before)) == len(before)
    kept = json.loads((folder / "pictures.json").read_text())
    kept[1][1] = "f" * 64
    (folder / "pictures.json").write_text(json.dumps(kept))
    other = PictureSource(folder)
    changed = [n for n, known in enumerate(before) if other.identity(n) != known]
    assert changed == [2, 3]
    assert other.fingerprint != source.fingerprint
    assert PictureSource(folder, takes=3).fingerprint != other.fingerprint


def test_a_span_takes_its_own_frames(folder) -> None:
    source = PictureSource(folder)
    all_s = source.frames(1, SAMPLING).times_F
    part = source.frames(1, SAMPLING, Span(0.6, 1.4))
    assert part.times_F.tolist() == [time for time in all_s if 0.6 <= time < 1.4]
    with pytest.raises(MediaError, match=r"ends at 2\.0 s: begin before, not at"):
        source.frames(1, SAMPLING, Span(2.0, 3.0))


def test_samplings_without_a_side_and_slower_than_the_video_are_served(folder) -> None:
    source = PictureSource(folder)
    slow = SamplingConfig(fps=0.1, min_frames=1, side_px=32)
    assert source.frames(1, slow).times_F.tolist() == [DURATION_S / 2]
    pixels = replace(SAMPLING, side_px=None, max_pixels=40 * 40)
    assert source.frames(1, pixels).rgb_FHWC.shape[1:3] == (40, 40)


def test_a_source_can_be_sent_to_another_process(folder) -> None:
    source = PictureSource(folder, takes=3)
    other = pickle.loads(pickle.dumps(source))
    for number in (0, 4):
        one, two = source.frames(number, SAMPLING), other.frames(number, SAMPLING)
        assert (one.rgb_FHWC == two.rgb_FHWC).all()


def test_a_damaged_or_missing_picture_is_told(folder) -> None:
    (folder / "00001.jpg").write_bytes(b"no picture at all")
    source = PictureSource(folder)
    with pytest.raises(MediaError, match="is not a picture that can be read"):
        source.frames(2, SAMPLING)
    (folder / "00001.jpg").unlink()
    with pytest.raises(MediaError):
        source.frames(2, SAMPLING)
    with pytest.raises(UsageError, match="0 takes of a picture: choose 1 or more"):
        PictureSource(folder, takes=0)


def test_joined_libraries_are_one_behind_the_other(folder, tmp_path) -> None:
    cache = FeatureCache(tmp_path / "features", Eyes(), SAMPLING)
    two, three = PictureSource(folder, takes=2), PictureSource(folder, takes=3)
    one, other = Library(two, cache, [0, 5]), Library(three, cache, [1, 4, 7])
    joined = JoinedLibrary([one, other, one])
    assert len(joined) == 7
    wanted = [*((two, n) for n in (0, 5)), *((three, n) for n in (1, 4, 7)), (two, 0), (two, 5)]
    for number, (source, own) in enumerate(wanted):
        assert joined.example(number) == source.example(own)
        assert same(joined.features(number), cache.features(source, own))
    assert joined.describe() == f"{one.describe()} + {other.describe()} + {one.describe()}"


def test_features_are_made_by_another_process_and_kept(folder, tmp_path) -> None:
    source, eyes = PictureSource(folder), Eyes()
    cache = FeatureCache(tmp_path / "features", eyes, SAMPLING)
    library = warmed(source, cache, workers=1)
    assert (len(library), eyes.looks, cache.failures) == (6, 6, {})
    for number in range(6):
        assert same(library.features(number), eyes.vision(source.frames(number, SAMPLING)))
