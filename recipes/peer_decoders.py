"""Ways to take the same frames of the same videos: ours, and those of libraries and tools.

    python -m recipes.peer_decoders NAME REQUEST

REQUEST is a JSON file: `videos`, `seconds`, `threads`, and `thumbs`, a file for small pictures of
all frames. All are asked for the frame on screen at each instant of our grid, as RGB of one size.
"""

import json
import os
import subprocess
import sys
import time
from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from kinoscope.libraries import imported
from kinoscope.sampling import SamplingConfig, grid_times
from kinoscope.types import UInt8
from kinoscope.video import VideoReader
from recipes.peer_packages import processor_s

SAMPLING = SamplingConfig()
THUMB_PX = 20  # divides 260


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """A video, the instants of the grid [F] that are asked for, and how many threads decode."""

    path: Path
    times_s: tuple[float, ...]
    threads: int = 1
    side_px: int = SAMPLING.side_px or 260

    @property
    def rate(self) -> float:
        """Frames a second of the grid, whose first instant is half a step after 0."""
        return 0.5 / self.times_s[0]


Decoder = Callable[[Wanted], UInt8]
"""Returns the frame on screen at each instant as RGB [F, H, W, 3]."""


def wanted(path: Path, seconds: float, threads: int = 1) -> Wanted:
    """The grid of a video, up to `seconds` of it."""
    with VideoReader(path) as reader:
        duration_s = reader.info.declared_duration_s
    assert duration_s is not None, f"{path} does not say how long it is"
    times = []
    for time_s in grid_times(SAMPLING, duration_s):
        if time_s >= min(seconds, duration_s):
            break
        times.append(time_s)
    return Wanted(path=path, times_s=tuple(times), threads=threads)


def kinoscope(video: Wanted) -> UInt8:
    """`VideoReader`, as indexing uses it."""
    with VideoReader(video.path, side_px=video.side_px, threads=video.threads) as reader:
        return np.concatenate([part.rgb_FHWC for part in reader.sample(video.times_s)])


def pyav(video: Wanted) -> UInt8:
    """The naive twin: a loop over all frames that keeps the last one before each instant."""
    import av

    found: list[Any] = []
    with av.open(str(video.path)) as container:
        stream = container.streams.video[0]
        stream.thread_count = video.threads
        before = None
        for frame in container.decode(stream):
            while len(found) < len(video.times_s) and frame.time > video.times_s[len(found)]:
                found.append(_scaled(before or frame, video.side_px))
            if len(found) == len(video.times_s):
                break
            before = frame
        while before is not None and len(found) < len(video.times_s):
            found.append(_scaled(before, video.side_px))
    return np.stack(found)


def _scaled(frame: Any, side_px: int) -> UInt8:
    picture: UInt8 = frame.to_ndarray(width=side_px, height=side_px, format="rgb24")
    return picture


def opencv(video: Wanted) -> UInt8:
    """`grab` on to the next frame after each instant, `retrieve` only what is wanted."""
    os.environ["OPENCV_FFMPEG_CAPTURE_OPTIONS"] = f"threads;{video.threads}"
    cv2 = imported("cv2", "opencv-python-headless")
    cv2.setNumThreads(video.threads)
    capture = cv2.VideoCapture(str(video.path), cv2.CAP_FFMPEG)
    step_s = 1 / capture.get(cv2.CAP_PROP_FPS)
    found: list[UInt8] = []
    number = -1
    for time_s in video.times_s:
        # the time of a frame is known only once it is grabbed: then it is too late for the one
        # before, so that the frame is chosen by its number, as users of OpenCV do
        while number < int(time_s / step_s + 1e-6) and capture.grab():
            number += 1
        there, picture = capture.retrieve()
        if not there:
            break
        small = cv2.resize(picture, (video.side_px, video.side_px), interpolation=cv2.INTER_LINEAR)
        found.append(cv2.cvtColor(small, cv2.COLOR_BGR2RGB))
    capture.release()
    return np.stack(found)


def decord(video: Wanted) -> UInt8:
    """`get_batch` of the frames whose times it lists, scaled by itself."""
    library = imported("decord", "eva-decord")
    reader = library.VideoReader(
        str(video.path), width=video.side_px, height=video.side_px, num_threads=video.threads
    )
    starts_s = reader.get_frame_timestamp(range(len(reader)))[:, 0].tolist()
    rows = [max(0, bisect_right(starts_s, time_s) - 1) for time_s in video.times_s]
    pictures: UInt8 = reader.get_batch(rows).asnumpy()
    return pictures


def ffmpeg(video: Wanted) -> UInt8:
    """A pipe from the command line: the way of framesieve, and of who writes frames for rclip.

    Its filter `fps` gives the last frame before the middle of each step: our grid, but for a frame
    that begins right there, which is therefore moved a tenth of a millisecond ahead.
    """
    grid = f"settb=1/90000,setpts=PTS-9,fps={video.rate}:round=near"
    filters = f"{grid},scale={video.side_px}:{video.side_px}"
    command = ["ffmpeg", "-v", "error", "-nostdin", "-threads", str(video.threads)]
    command += ["-i", str(video.path), "-an", "-sn", "-vf", filters]
    command += ["-frames:v", str(len(video.times_s)), "-pix_fmt", "rgb24", "-f", "rawvideo", "-"]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True)
    return np.frombuffer(done.stdout, np.uint8).reshape(-1, video.side_px, video.side_px, 3)


DECODERS: dict[str, Decoder] = {
    "kinoscope": kinoscope,
    "pyav": pyav,
    "opencv": opencv,
    "decord": decord,
    "ffmpeg": ffmpeg,
}


def thumbs(rgb_FHWC: UInt8) -> UInt8:
    """Grey pictures of 20 x 20 [F, 400], by which frames are told apart."""
    frames, height, width, _ = rgb_FHWC.shape
    grey_FHW = rgb_FHWC.mean(axis=3)
    cells = (frames, THUMB_PX, height // THUMB_PX, THUMB_PX, width // THUMB_PX)
    small_FHW = grey_FHW.reshape(cells).mean(axis=(2, 4))
    return np.asarray(small_FHW.round(), np.uint8).reshape(frames, -1)


def same_frames(found: Sequence[UInt8], true: Sequence[UInt8], apart: float = 6.0) -> float:
    """Part of the true frames that a decoder gave in their place, `apart` grey levels off at most.

    Scalers differ by one or two levels; neighbours in a still video by less, so that a wrong frame
    counts only where it shows.
    """
    right = total = 0
    for mine, theirs in zip(found, true, strict=True):
        total += len(theirs)
        both = min(len(mine), len(theirs))
        off_F = np.abs(mine[:both].astype(int) - theirs[:both].astype(int)).mean(axis=1)
        right += int((off_F <= apart).sum())
    return right / total


def main(name: str, request: Path) -> None:
    """Decodes all videos by one way; prints what it took, after the libraries were loaded."""
    asked = json.loads(request.read_text())
    videos = [
        Wanted(path=Path(v["path"]), times_s=tuple(v["times_s"]), threads=asked["threads"])
        for v in asked["videos"]
    ]
    decode = DECODERS[name]
    decode(Wanted(path=videos[0].path, times_s=videos[0].times_s[:1]))  # loads the library
    small = []
    spent = [0.0, 0.0]
    for video in videos:
        before = time.perf_counter(), processor_s()
        pictures = decode(video)
        after = time.perf_counter(), processor_s()
        spent = [s + b - a for s, a, b in zip(spent, before, after, strict=True)]
        small.append(thumbs(pictures))
    np.savez(asked["thumbs"], *small)
    frames = sum(map(len, small))
    print(json.dumps({"frames": frames, "wall_s": spent[0], "cpu_s": spent[1]}))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
