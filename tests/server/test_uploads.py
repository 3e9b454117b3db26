"""Uploads: hostile until decoded by a process apart, bounded in every way, and gone in the end."""

import io
import os
import random
import signal
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from kinoscope.errors import MediaError
from kinoscope.index.decoding import WorkerLimits
from kinoscope.index.worker import decode_file
from kinoscope.sampling import SamplingConfig
from kinoscope.server import decoders as decoding
from kinoscope.server.config import ServeLimits
from kinoscope.server.decoders import Decoders
from kinoscope.server.faults import Absent, Busy
from kinoscope.server.uploads import Uploads
from tests.server.made import COLOURS, message, served, write_film

LIMITS = ServeLimits(upload_s=20, upload_bytes=10**6, uploads_bytes=10**5, uploads_kept_s=1000)


@pytest.fixture(scope="module")
def decoders():
    made = Decoders(1, WorkerLimits(stall_s=20, base_s=20), busy_s=30)
    yield made
    made.close()


@pytest.fixture
def uploads(decoders, tmp_path):
    (tmp_path / "uploads").mkdir()
    return Uploads(tmp_path / "uploads", decoders, LIMITS)


def film(tmp_path, seconds, name="film.mp4") -> io.BytesIO:
    return io.BytesIO(write_film(tmp_path / name, seconds).read_bytes())


def picture(colour="red", form="PNG", size=(40, 30)) -> io.BytesIO:
    written = io.BytesIO()
    Image.new("RGB", size, COLOURS[colour]).save(written, form)
    written.seek(0)
    return written


@pytest.mark.parametrize("form", ["PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP"])
def test_pictures_are_known_by_their_bytes(uploads, form) -> None:
    upload = uploads.add(picture(form=form))
    assert upload.duration_s is None and uploads.get(upload.id) == upload


def test_every_hostile_file_is_refused_or_gives_frames(client, hostile_set) -> None:
    """Each is one sentence or an upload; none is a fault of ours, and none tells where it lay."""
    for case in hostile_set.values():
        if case.name in ("vanishing.mp4", "growing.mp4") or not case.path.is_file():
            continue
        if not os.access(case.path, os.R_OK):
            continue
        answer = client.post("/api/uploads", files={"file": case.path.read_bytes()})
        assert answer.status_code in (201, 422), (case.name, answer.text)
        if answer.status_code == 422:
            assert str(Path("/tmp")) not in message(answer), message(answer)


def test_random_damage_never_reaches_the_server(client, tmp_path) -> None:
    good = {"film": film(tmp_path, ["red"] * 2).read(), "picture": picture().read()}
    chance = random.Random(5)
    for number in range(24):
        content = bytearray(good["film" if number % 2 else "picture"])
        for _ in range(chance.randrange(1, 40)):
            content[chance.randrange(len(content))] = chance.randrange(256)
        cut = content[: chance.randrange(len(content))] if number % 3 == 0 else content
        answer = client.post("/api/uploads", files={"file": bytes(cut)})
        assert answer.status_code in (201, 422), answer.text
    assert client.get("/health").status_code == 200


def test_what_is_too_long_too_large_or_empty_is_refused(uploads, tmp_path) -> None:
    with pytest.raises(MediaError, match="over 20 s"):
        uploads.add(film(tmp_path, ["red"] * 25))
    with pytest.raises(MediaError, match="over 1000000 bytes"):
        uploads.add(io.BytesIO(b"x" * (10**6 + 1)))
    with pytest.raises(MediaError, match="0 bytes"):
        uploads.add(io.BytesIO())
    with pytest.raises(MediaError, match="the upload has pictures of 9000x10 pixels"):
        uploads.add(picture(size=(9000, 10)))
    assert not list(uploads._folder.iterdir()), "what is refused is not kept"


def test_a_picture_that_claims_a_bomb_ends_its_own_process(decoders, tmp_path) -> None:
    bomb = tmp_path / "bomb.png"
    content = bytearray(picture().read())
    content[16:24] = (60_000).to_bytes(4, "big") * 2
    bomb.write_bytes(content)
    with pytest.raises(MediaError):
        decoders.shown(bomb, SamplingConfig(), most_s=10)


def test_the_oldest_go_where_there_is_no_room(uploads) -> None:
    kept = []
    for number in range(6):
        noise = np.random.default_rng(number).integers(0, 255, (100, 100, 3), np.uint8)
        written = io.BytesIO()
        Image.fromarray(noise).save(written, "PNG")
        written.seek(0)
        kept.append(uploads.add(written))
    with pytest.raises(Absent, match="upload it again"):
        uploads.get(kept[0].id)
    assert uploads.get(kept[-1].id) == kept[-1]
    assert sum(p.stat().st_size for p in uploads._folder.iterdir()) <= 10**5


def test_an_upload_is_let_go_in_time(decoders, tmp_path) -> None:
    kept = Uploads(tmp_path, decoders, ServeLimits(uploads_kept_s=0.05))
    upload = kept.add(picture())
    time.sleep(0.1)
    with pytest.raises(Absent):
        kept.get(upload.id)
    assert not upload.path.exists()


def test_nothing_of_uploads_is_left_when_the_server_ends(library, tmp_path) -> None:
    with served(library[1], tmp_path) as client:
        client.post("/api/uploads", files={"file": picture().read()})
        folder = client.app.state.service.uploads._folder
        assert len(list(folder.iterdir())) == 1
        assert folder.stat().st_mode & 0o077 == 0, "nobody else looks inside"
    assert not folder.exists()


def misbehaving(request):
    """A decoder that does what the name of a file says."""
    name = Path(request.file.path).stem
    if name == "crash":
        os.kill(os.getpid(), signal.SIGSEGV)
    if name == "hang":
        time.sleep(3600)
    if name == "hungry":
        yield bytearray(2**34)
    yield from decode_file(request)


def test_a_crash_a_hang_and_a_memory_bomb_cost_one_request_each(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(decoding, "decode_any", misbehaving)
    limits = WorkerLimits(stall_s=3, base_s=6, factor=0, memory_bytes=2**30)
    decoders = Decoders(1, limits, busy_s=60)
    for name, fault in (("crash", "crashed"), ("hungry", "too_large"), ("hang", "timeout")):
        path = write_film(tmp_path / f"{name}.mp4", ["red"])
        with pytest.raises(MediaError) as told:
            decoders.shown(path, SamplingConfig(), most_s=10)
        assert told.value.fault == fault
    good = write_film(tmp_path / "good.mp4", ["red"])
    shown = decoders.shown(good, SamplingConfig(), most_s=10)
    assert not shown.still and np.allclose(
        shown.frames.rgb_FHWC.mean((0, 1, 2)), (236, 40, 40), atol=25
    )
    decoders.close()


def test_who_waits_too_long_for_a_process_is_told_to_come_back(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(decoding, "decode_any", misbehaving)
    decoders = Decoders(1, WorkerLimits(stall_s=60, base_s=60), busy_s=0.05)
    good, other = (write_film(tmp_path / f"{n}.mp4", ["red"] * 4) for n in "ab")
    events = decoders.events(decoding.request_for(good, SamplingConfig()))
    next(events)
    with pytest.raises(Busy, match="come back"):
        decoders.shown(other, SamplingConfig(), most_s=10)
    events.close()
    assert len(decoders.shown(other, SamplingConfig(), most_s=10).frames) == 4
    decoders.close()
