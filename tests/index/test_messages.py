"""Messages of a decoding process: sound ones arrive, all others are nonsense, none is trusted."""

import io
import json

import numpy as np
import pytest

from kinoscope.index.messages import read_message

INFO = {
    "path": None, "declared_duration_s": None, "width": 4, "height": 2, "codec": "h264",
    "rotation": 0, "hdr": False, "fps": 25, "has_audio": True,
}  # fmt: skip
REPORT = {
    "frames_decoded": 3, "corrupt_packets": 0, "dropped_frames": 0, "end_s": 1.5,
    "ends_early": False,
}  # fmt: skip
SOUND = {
    "ready": {"kind": "ready"},
    "dying": {"kind": "dying", "reason": "RuntimeError: x"},
    "opened": {"kind": "opened", "info": INFO},
    "finished": {"kind": "finished", "report": REPORT, "cpu_s": 0.5},
    "failed": {"kind": "failed", "fault": "no_video", "message": "a.mp4 is mute", "cpu_s": 0},
}


def read(value, behind=b""):
    return read_message(io.BytesIO(json.dumps(value).encode() + b"\n" + behind))


@pytest.mark.parametrize("message", SOUND.values(), ids=SOUND)
def test_a_sound_message_arrives_as_it_is(message) -> None:
    assert read(message) == (message, None)


def test_frames_arrive_with_their_times() -> None:
    times_F, rgb_FHWC = np.array([0.5, 1.0]), np.arange(24, dtype=np.uint8).reshape(2, 2, 2, 3)
    header = {"kind": "frames", "shape": [2, 2, 2, 3]}
    message = read(header, times_F.tobytes() + rgb_FHWC.tobytes())
    assert message is not None
    assert np.array_equal(message[1].rgb_FHWC, rgb_FHWC)
    assert message[1].times_F.tolist() == [0.5, 1.0]


FINISHED, FAILED = SOUND["finished"], SOUND["failed"]
NONSENSE = [
    {}, [], None, "ready", {"kind": "other"}, {"kind": ["ready"]}, {"kind": "dying"},
    {"kind": "dying", "reason": 5},
    {"kind": "opened", "info": {}}, {"kind": "opened", "info": INFO | {"width": "4"}},
    {"kind": "opened", "info": INFO | {"width": True}}, {"kind": "opened", "info": INFO | {"a": 1}},
    {"kind": "opened", "info": INFO | {"fps": float("inf")}},
    {"kind": "opened", "info": INFO | {"declared_duration_s": -1}},
    {"kind": "finished", "report": REPORT}, FINISHED | {"cpu_s": None},
    FINISHED | {"cpu_s": 10**400}, FINISHED | {"report": []},
    FINISHED | {"report": REPORT | {"end_s": float("nan")}},
    FINISHED | {"report": REPORT | {"ends_early": 1}},
    FAILED | {"fault": "bored"}, FAILED | {"fault": []}, FAILED | {"message": None},
    {"kind": "frames", "shape": [1, 2, 3]}, {"kind": "frames", "shape": [-1, -2, 2, 3]},
    {"kind": "frames", "shape": [True, 2, 2, 3]}, {"kind": "frames", "shape": [2**40, 2, 2, 3]},
    {"kind": "frames", "shape": [2**40, 0, 2, 3]}, {"kind": "frames", "shape": [1, 2, 2, 4]},
    {"kind": "frames", "shape": "abcd"}, {"kind": "frames"},
]  # fmt: skip


@pytest.mark.parametrize("message", NONSENSE, ids=range(len(NONSENSE)))
def test_anything_else_is_nonsense(message) -> None:
    assert read(message, bytes(200)) is None


@pytest.mark.parametrize("times", [[1.0, 1.0], [2.0, 1.0], [float("nan"), 1.0]])
def test_frames_whose_times_do_not_ascend_are_nonsense(times) -> None:
    header = {"kind": "frames", "shape": [2, 1, 1, 3]}
    assert read(header, np.array(times).tobytes() + bytes(6)) is None


@pytest.mark.parametrize("content", [b"", b"\n", b"{", b"\xff\n", b'{"a":' * 2000, b"[" * 9000])
def test_what_is_no_json_is_nonsense(content) -> None:
    assert read_message(io.BytesIO(content)) is None


def test_a_message_that_breaks_off_is_nonsense() -> None:
    assert read({"kind": "frames", "shape": [2, 1, 1, 3]}, bytes(8)) is None
