"""How a folder of sample clips comes to be, offline, from made packages."""

import io
import json
import tarfile
import zipfile
from contextlib import contextmanager

import av
import numpy as np
import pytest
from PIL import Image

from kinoscope.errors import SetupError, UsageError
from kinoscope.samples import clips, fetch, load

FOX = "A red fox runs through deep snow while the camera follows it."
GIRL = "A little girl blows bubbles that float away and pop in the air."


def workflow(text):
    return {"nodes": [{"type": "CLIPTextEncode", "widgets_values": [text]}]}


DURATIONS_MS = [40, 80, 40, 200]
GREYS = [20, 90, 160, 230]


def webp(greys=GREYS, size=(35, 48)):
    frames = [Image.new("RGB", size, (grey, grey, grey)) for grey in greys]
    stream = io.BytesIO()
    extra = {"append_images": frames[1:], "duration": DURATIONS_MS[: len(greys)]}
    frames[0].save(stream, "WEBP", save_all=True, lossless=True, **extra)
    return stream.getvalue()


def zipped(members):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return stream.getvalue()


def film_sdist():
    inner = zipped({clips._FILM_MEMBER: b"the film"})
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as archive:
        info = tarfile.TarInfo(clips._FILM_ZIP)
        info.size = len(inner)
        archive.addfile(info, io.BytesIO(inner))
    return stream.getvalue()


MEDIA = "comfyui_workflow_templates_media_video/templates/"


@pytest.fixture
def registry(monkeypatch, tmp_path):
    """Three made packages in place of the registry; the value counts downloads by name."""
    archives = {
        clips.CLIPS.name: zipped(
            {
                f"{MEDIA}fox-1.webp": webp(),
                f"{MEDIA}fox-2.webp": webp(greys=[50]),
                f"{MEDIA}girl_1.5-1.webp": webp(),
                f"{MEDIA}edit-1.webp": webp(),
                f"{MEDIA}edit-2.webp": webp(),
                f"{MEDIA}../../../../escaped-1.webp": webp(),
                f"{MEDIA}sub/deeper-1.webp": webp(),
                "/absolute-1.webp": webp(),
                f"{MEDIA}.hidden-1.webp": webp(),
                f"{MEDIA}readme.txt": b"no clip",
            }
        ),
        clips.WORKFLOWS.name: zipped(
            {
                f"comfyui_workflow_templates_json/templates/{name}.json": json.dumps(made)
                for name, made in {
                    "fox": workflow(FOX),
                    "girl_1.5": workflow(GIRL),
                    "edit": workflow(FOX),
                }.items()
            }
        ),
        clips.FILM.name: film_sdist(),
    }
    counts = dict.fromkeys(archives, 0)

    @contextmanager
    def downloaded(package):
        counts[package.name] += 1
        path = tmp_path / "archives" / package.name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(archives[package.name])
        yield path

    monkeypatch.setattr(clips, "downloaded", downloaded)
    return counts


def files(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_each_moving_clip_becomes_one_file_and_hostile_member_names_none(registry, tmp_path):
    folder = tmp_path / "deep" / "clips"
    found = fetch(folder)
    names = ["edit-1.mp4", "edit-2.mp4", "fox-1.mp4", "girl_1.5-1.mp4"]
    assert [clip.file for clip in found.clips] == sorted([*names, clips.FILM_FILE])
    assert set(files(folder)) == {*names, clips.FILM_FILE, clips.MANIFEST}
    assert not list(tmp_path.rglob("*escaped*")) and not list(tmp_path.rglob("*deeper*"))
    assert found.film.read_bytes() == b"the film"


def test_the_manifest_says_prompt_rule_source_and_licence(registry, tmp_path):
    found = fetch(tmp_path / "clips")
    prompts = {clip.file: (clip.prompt, clip.rule) for clip in found.clips}
    assert prompts["fox-1.mp4"] == (FOX, "described")
    assert prompts["girl_1.5-1.mp4"] == (GIRL, "described")
    assert prompts["edit-1.mp4"] == prompts["edit-2.mp4"] == (None, "input and output")
    assert prompts[clips.FILM_FILE] == (None, "film")
    assert [clip.file for clip in found.described] == ["fox-1.mp4", "girl_1.5-1.mp4"]
    licences = {clip.file: clip.licence for clip in found.clips}
    assert "Blender Foundation" in licences[clips.FILM_FILE] and "MIT" in licences["fox-1.mp4"]
    assert load(tmp_path / "clips") == found


def test_frames_keep_their_times_their_look_and_an_even_size(registry, tmp_path):
    found = fetch(tmp_path / "clips")
    with av.open(str(found.folder / "fox-1.mp4")) as container:
        frames = [(round(f.time * 1000), f.to_ndarray(format="rgb24")) for f in container.decode()]
        assert container.streams.video[0].codec_context.name == "h264"
        assert round(container.duration / 1000) == sum(DURATIONS_MS)
    assert [time_ms for time_ms, _ in frames] == [0, 40, 120, 160]
    assert [abs(rgb.mean() - grey) < 6 for (_, rgb), grey in zip(frames, GREYS, strict=True)]
    for (_, rgb_HWC), grey in zip(frames, GREYS, strict=True):
        assert rgb_HWC.shape == (48, 34, 3)
        assert np.abs(rgb_HWC.astype(int) - grey).max() < 8


def test_a_second_run_needs_no_download_and_changes_nothing(registry, tmp_path):
    first = fetch(tmp_path / "clips")
    before = {p.name: p.stat().st_mtime_ns for p in first.folder.iterdir()}
    assert fetch(tmp_path / "clips") == first
    assert {p.name: p.stat().st_mtime_ns for p in first.folder.iterdir()} == before
    assert set(registry.values()) == {1}


def test_two_folders_get_the_same_bytes(registry, tmp_path):
    fetch(tmp_path / "one")
    fetch(tmp_path / "two")
    assert files(tmp_path / "one") == files(tmp_path / "two")


def test_a_killed_run_leaves_no_half_file_and_the_next_one_only_does_the_rest(
    registry, tmp_path, monkeypatch
):
    folder, real, written = tmp_path / "clips", clips.transcode_webp, []

    def dies_in_the_third(data, stream):
        written.append(stream.name)
        stream.write(b"half a fi")
        if len(written) == 3:
            raise KeyboardInterrupt
        stream.seek(0)
        stream.truncate()
        real(data, stream)

    monkeypatch.setattr(clips, "transcode_webp", dies_in_the_third)
    with pytest.raises(KeyboardInterrupt):
        fetch(folder)
    assert {p.name for p in folder.glob("*.mp4")} == {"edit-1.mp4", "edit-2.mp4"}
    with pytest.raises(SetupError, match="no complete samples"):
        load(folder)

    fetch(folder)
    assert len(written) == 5, "the two finished clips were made again"
    fetch(tmp_path / "undisturbed")
    assert files(folder) == files(tmp_path / "undisturbed")


def test_a_deleted_or_truncated_clip_is_made_again(registry, tmp_path):
    folder = tmp_path / "clips"
    fetch(folder)
    before = files(folder)
    (folder / "fox-1.mp4").unlink()
    (folder / "edit-1.mp4").write_bytes(b"cut")
    assert not clips._read_manifest(folder).complete
    fetch(folder)
    assert files(folder) == before


def test_a_folder_with_other_files_is_refused_and_left_alone(registry, tmp_path):
    (tmp_path / "holiday.mp4").write_bytes(b"mine")
    with pytest.raises(UsageError, match="other files: choose a new or empty folder"):
        fetch(tmp_path)
    assert files(tmp_path) == {"holiday.mp4": b"mine"}
    with pytest.raises(UsageError, match="other files"):
        fetch(tmp_path / "holiday.mp4")
    assert set(registry.values()) == {0}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "is not ours"),
        ("[]", "is not ours"),
        ('{"clips": []}', "is not ours"),
        ('{"edition": [], "clips": []}', "another edition"),
        (
            '{"edition": [], "clips": [{"file": "../x.mp4", "size_bytes": 1, "prompt": null,'
            ' "rule": "film", "source": "", "licence": ""}]}',
            "is not ours",
        ),
    ],
)
def test_a_foreign_manifest_is_refused(registry, tmp_path, content, message):
    (tmp_path / clips.MANIFEST).write_text(content)
    for call in (fetch, load):
        with pytest.raises(UsageError, match=message):
            call(tmp_path)


def test_a_folder_that_cannot_be_written_is_one_clear_error(registry, tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(clips, "transcode_webp", full)
    with pytest.raises(SetupError, match=r"cannot write samples to .*No space left"):
        fetch(tmp_path / "clips")


def test_progress_is_told_in_words(registry, tmp_path):
    told = []
    fetch(tmp_path / "clips", told.append)
    assert told and all(isinstance(line, str) for line in told)
