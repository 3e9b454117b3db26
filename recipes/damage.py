"""What bytes damaged at random inside a file do to the frames that are shown: a survey by codec.

A decoder cannot see all damage: a picture may come out smeared, or show an older one, and nobody is
told. Each frame carries a number with a check, so that here it is seen: how many shown frames have
another frame's number, how many have none, for the reader and for a plain loop over PyAV.
"""

import tempfile
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

import av
import numpy as np

from kinoscope.errors import MediaError
from kinoscope.evaluation.results import Metric, save_result
from kinoscope.types import UInt8
from kinoscope.video import VideoReader
from tests.media import INDEX_FIRST, TOLERANCE_S, bytes_of, with_junk
from tests.movies import AV1, MPEG2, MPEG4, UNREADABLE, VP9, X264, X265, Movie, read_number

FRAMES = 250
HITS = 5
WIDTHS = (16, 200)
SEEDS = range(1000, 1008)
KINDS = {
    "h264.mp4": ("libx264", X264, INDEX_FIRST),
    "h264.mkv": ("libx264", X264, {}),
    "h264.ts": ("libx264", X264, {}),
    "hevc.mp4": ("libx265", X265, INDEX_FIRST),
    "av1.mp4": ("libsvtav1", AV1, INDEX_FIRST),
    "vp9.webm": ("libvpx-vp9", VP9, {}),
    "mpeg4.mp4": ("mpeg4", MPEG4, INDEX_FIRST),
    "mpeg2.mpg": ("mpeg2video", MPEG2, {}),
}
Shown = Iterable[tuple[float, UInt8]]
"""Times in seconds, pictures [H, W, C]."""


def main() -> None:
    """Damages every kind of file in the same way and saves `results/damage.json`."""
    totals: dict[str, Counter[str]] = {"reader": Counter(), "plain": Counter()}
    kinds: dict[str, dict[str, dict[str, int]]] = {}
    with tempfile.TemporaryDirectory(prefix="kinoscope-") as folder:
        for name in KINDS:
            found = survey(Path(folder) / name)
            for way, counts in found.items():
                totals[way] += counts
            kinds[name] = {way: dict(counts) for way, counts in found.items()}
            print(name, kinds[name])
    metrics = {}
    for way, counts in totals.items():
        shown = counts["shown"]
        for what in ("another", "unreadable"):
            metrics[f"{way}_{what}"] = Metric(value=counts[what] / shown, n=shown)
        metrics[f"{way}_kept"] = Metric(value=shown / counts["made"], n=counts["made"])
    save_result("damage", metrics, details={"hits": HITS, "widths": list(WIDTHS), "kinds": kinds})


def survey(path: Path) -> dict[str, Counter[str]]:
    """Counts of frames by way of reading, over all widths and seeds; undamaged, all are right."""
    codec, options, muxer = KINDS[path.name]
    movie = Movie(frames=FRAMES, codec=codec, options=options, muxer=muxer)
    content = bytes_of(movie, path)
    path.write_bytes(content)
    whole = count(movie, by_reader(path, movie))
    assert whole["another"] == whole["unreadable"] == 0, f"{path.name} is wrong undamaged: {whole}"
    totals: dict[str, Counter[str]] = {"reader": Counter(), "plain": Counter()}
    for width in WIDTHS:
        for seed in SEEDS:
            path.write_bytes(with_junk(content, HITS, width, seed))
            totals["reader"] += count(movie, by_reader(path, movie))
            totals["plain"] += count(movie, by_plain_loop(path))
    return totals


def count(movie: Movie, shown: Shown) -> Counter[str]:
    """Frames made and shown, and of the shown those with another's number or with none."""
    times = [time_s for time_s, _ in movie.shown]
    counts = Counter(made=len(times))
    for time_s, rgb_HWC in shown:
        at = bisect_right(times, time_s + TOLERANCE_S) - 1
        number = int(read_number(rgb_HWC))
        counts["shown"] += 1
        counts["unreadable"] += number == UNREADABLE
        counts["another"] += number not in (UNREADABLE, movie.shown[max(at, 0)][1])
    return counts


def by_reader(path: Path, movie: Movie) -> Iterator[tuple[float, UInt8]]:
    """Every frame that `VideoReader` gives; none from a file that it refuses."""
    try:
        with VideoReader(path) as reader:
            for frames in reader.sample(time_s + 0.001 for time_s, _ in movie.shown):
                yield from zip(frames.times_F.tolist(), frames.rgb_FHWC, strict=True)
    except MediaError:
        return


def by_plain_loop(path: Path) -> Iterator[tuple[float, UInt8]]:
    """Every frame of the usual loop over PyAV, errors passed over."""
    with av.open(str(path)) as container:
        packets = container.demux(video=0)
        zero_s = (container.start_time or 0) / 1_000_000
        while True:
            try:
                packet = next(packets, None)
                if packet is None:
                    return
                for frame in packet.decode():
                    if isinstance(frame, av.VideoFrame) and frame.time is not None:
                        small = frame.reformat(260, 260, "rgb24").to_ndarray()
                        yield frame.time - zero_s, np.asarray(small, np.uint8)
            except av.FFmpegError:
                continue


if __name__ == "__main__":
    main()
