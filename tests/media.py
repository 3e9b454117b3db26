"""Makes a folder of hostile videos, each with what a reader must make of it.

`make_hostile_set(folder)` writes it; `check_numbers(case, frames)` counts the wrong frames.
"""

import os
from bisect import bisect_right
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from kinoscope.errors import MediaFault
from kinoscope.types import Frames
from kinoscope.video import DecodeReport, VideoReader
from tests.movies import AV1, MPEG2, MPEG4, VP9, WMV2, X264, X265, Movie, read_number, silence

TOLERANCE_S = 0.0015  # Matroska and ASF keep times to the millisecond


@dataclass(frozen=True)
class Case:
    """One file and what is right to make of it.

    Attributes:
        name: the file's name.
        path: where it is.
        fault: the `MediaError` it must end in; None if it must give frames.
        shown: time and number of each frame, ascending.
        whole: whether all of `shown` can be had; a damaged file may lack some.
        midway: does to the file what must happen after it was opened, before it is read.
    """

    name: str
    path: Path
    fault: MediaFault | None = None
    shown: tuple[tuple[float, int], ...] = ()
    whole: bool = True
    midway: Callable[[], None] | None = None


def check_numbers(case: Case, frames: Frames) -> int:
    """How many frames do not show the number that belongs to their time."""
    times = [time_s for time_s, _ in case.shown]
    wrong = 0
    for time_s, rgb_HWC in zip(frames.times_F, frames.rgb_FHWC, strict=True):
        at = bisect_right(times, time_s + TOLERANCE_S) - 1
        right = at >= 0 and abs(times[at] - time_s) <= TOLERANCE_S
        wrong += not right or read_number(rgb_HWC) != case.shown[at][1]
    return wrong


def numbers_at(
    path: Path, times_s: Iterable[float], **options
) -> tuple[list[tuple[float, int]], DecodeReport]:
    """Time and number of each frame that a `VideoReader` samples, and its report."""
    with VideoReader(path, **options) as reader:
        pairs = [
            (float(time_s), read_number(rgb_HWC))
            for frames in reader.sample(times_s)
            for time_s, rgb_HWC in zip(frames.times_F, frames.rgb_FHWC, strict=True)
        ]
        return pairs, reader.report


UNEVEN = tuple(np.cumsum([0] + [20, 40, 100, 33, 500, 17, 1000] * 6).tolist())
FRAGMENTED = {"movflags": "frag_keyframe+empty_moov+default_base_moof"}
INDEX_FIRST = {"movflags": "faststart"}

GOOD: dict[str, Movie] = {
    "plain.mp4": Movie(),
    "capitals.MP4": Movie(),
    "Ünïcödé 日本 🎬.mp4": Movie(),
    "-rf.mp4": Movie(),
    "file:colon.mp4": Movie(),
    "concat:a|b.mp4": Movie(),
    "100%d of 10%.mp4": Movie(),
    "plain.mkv": Movie(),
    "plain.flv": Movie(),
    "uneven.mp4": Movie(ticks=UNEVEN),
    "uneven.mkv": Movie(ticks=UNEVEN),
    "slides.mp4": Movie(ticks=(0, 7000, 9000, 30000)),
    "rotated_90.mp4": Movie(rotation=90),
    "rotated_180.mp4": Movie(rotation=180),
    "rotated_270.mov": Movie(rotation=270),
    "anamorphic.mp4": Movie(width=96, aspect=Fraction(2)),
    "edited.mp4": Movie(first_tick=-30, zero_tick=0, muxer={"avoid_negative_ts": "disabled"}),
    "sound_first.mp4": Movie(first_tick=10, zero_tick=0, audio_s=3),
    "starts_at_40s.ts": Movie(first_tick=1000),
    "open_gop.ts": Movie(options={**X264, "x264-params": "open-gop=1"}),
    "refreshed.ts": Movie(options={**X264, "x264-params": "intra-refresh=1"}),
    "fragmented.mp4": Movie(muxer=FRAGMENTED),
    "live.webm": Movie(codec="libvpx-vp9", options=VP9, muxer={"live": "1"}),
    "av1.mp4": Movie(codec="libsvtav1", options=AV1),
    "hevc.mp4": Movie(codec="libx265", options=X265),
    "mpeg4.avi": Movie(codec="mpeg4", options=MPEG4),
    "mpeg2.mpg": Movie(codec="mpeg2video", options=MPEG2),
    "wmv2.wmv": Movie(codec="wmv2", options=WMV2),
    "hdr.mp4": Movie(transfer=16),
    "one_frame.mp4": Movie(frames=1),
    "fifth_of_a_second.mp4": Movie(frames=5),
}


def make_hostile_set(folder: Path) -> list[Case]:
    """Writes every file into `folder`, some 50; takes a few seconds."""
    folder.mkdir(parents=True, exist_ok=True)
    cases = []
    for name, movie in GOOD.items():
        movie.write(folder / name)
        cases.append(Case(name, folder / name, shown=movie.shown))
    for name, make in MAKERS.items():
        cases.append(make(folder / name))
    if os.geteuid():  # root may read everything
        cases.append(_forbidden(folder / "forbidden.mp4"))
    return cases


def bytes_of(movie: Movie, like: Path) -> bytes:
    """The file that a movie makes in the container of `like`."""
    scratch = like.with_name(f"scratch{like.suffix}")
    movie.write(scratch)
    content = scratch.read_bytes()
    scratch.unlink()
    return content


def with_junk(content: bytes, hits: int, width: int = 200, seed: int = 7) -> bytes:
    """Puts random bytes over a few places of the later part of a file."""
    random = np.random.default_rng(seed)
    damaged = bytearray(content)
    for at in random.integers(len(content) // 5, len(content) * 9 // 10, hits):
        damaged[at : at + width] = random.bytes(width)
    return bytes(damaged)


def with_losses(stream: bytes, losses: int) -> bytes:
    """Takes some of its 188-byte packets out of a transport stream, as bad reception does."""
    count = len(stream) // 188
    lost = np.random.default_rng(7).integers(count // 5, count * 9 // 10, losses).tolist()
    return b"".join(stream[i * 188 : (i + 1) * 188] for i in range(count) if i not in lost)


def _truncated(path: Path) -> Case:
    movie = Movie(frames=150, muxer=INDEX_FIRST)
    content = bytes_of(movie, path)
    path.write_bytes(content[: len(content) * 6 // 10])
    return Case(path.name, path, shown=movie.shown, whole=False)


def _junk_inside(codec: str, options: Mapping[str, str]) -> Callable[[Path], Case]:
    def make(path: Path) -> Case:
        movie = Movie(frames=250, codec=codec, options=options, muxer=INDEX_FIRST)
        path.write_bytes(with_junk(bytes_of(movie, path), hits=5))
        return Case(path.name, path, shown=movie.shown, whole=False)

    return make


def _badly_received(codec: str, options: Mapping[str, str]) -> Callable[[Path], Case]:
    def make(path: Path) -> Case:
        movie = Movie(frames=250, codec=codec, options=options)
        path.write_bytes(with_losses(bytes_of(movie, path), losses=5))
        return Case(path.name, path, shown=movie.shown, whole=False)

    return make


def _begins_midway(path: Path) -> Case:
    """A recording that starts ten frames into a film: until the next keyframe nothing is whole."""
    movie = Movie(options={**X264, "bf": "0"})
    film = path.with_name("whole.ts")
    movie.write(film)
    with av.open(str(film)) as source, av.open(str(path), "w") as copy:
        stream = copy.add_stream_from_template(source.streams.video[0])
        for packet in list(source.demux(video=0))[10:]:
            if packet.size:
                packet.stream = stream
                copy.mux(packet)
    film.unlink()
    shown = tuple((time_s - 0.4, number) for time_s, number in movie.shown if number >= 10)
    return Case(path.name, path, shown=shown, whole=False)


def _index_missing(path: Path) -> Case:
    content = bytes_of(Movie(), path)
    path.write_bytes(content[: content.rindex(b"moov") - 4])
    return Case(path.name, path, "not_media")


def _holding(content: bytes, fault: MediaFault) -> Callable[[Path], Case]:
    def make(path: Path) -> Case:
        path.write_bytes(content)
        return Case(path.name, path, fault)

    return make


def _playlist(path: Path) -> Case:
    """Names a good neighbour, which must not be shown in its place."""
    neighbour = path.with_name("plain.mp4").absolute()
    hls = "#EXTM3U\n#EXT-X-TARGETDURATION:3\n#EXTINF:3,\n{}\n#EXT-X-ENDLIST\n"
    script = hls if path.stem == "playlist" else "ffconcat version 1.0\nfile '{}'\n"
    path.write_text(script.format(neighbour))
    return Case(path.name, path, "not_media")


def _audio_only(path: Path) -> Case:
    _write_song(path, cover=False)
    return Case(path.name, path, "no_video")


def _audio_with_cover(path: Path) -> Case:
    _write_song(path, cover=True)
    return Case(path.name, path, "no_video")


def _write_song(path: Path, cover: bool) -> None:
    with av.open(str(path), "w") as container:
        sound = container.add_stream("aac", rate=48000)
        picture = container.add_stream("mjpeg", rate=1) if cover else None
        if picture is not None:
            picture.width, picture.height, picture.pix_fmt = 64, 64, "yuvj420p"
            picture.disposition = av.stream.Disposition.attached_pic
            container.mux(picture.encode(av.VideoFrame(64, 64, "yuvj420p")))
            container.mux(picture.encode(None))
        for frame in silence(2.0):
            container.mux(sound.encode(frame))
        container.mux(sound.encode(None))


def _picture(path: Path) -> Case:
    with av.open(str(path), "w", format="mjpeg") as container:
        stream = container.add_stream("mjpeg", rate=1)
        stream.width, stream.height, stream.pix_fmt = 64, 64, "yuvj420p"
        container.mux(stream.encode(av.VideoFrame(64, 64, "yuvj420p")))
        container.mux(stream.encode(None))
    return Case(path.name, path, "not_media")


def _too_wide(path: Path) -> Case:
    Movie(frames=2, width=8448, height=32).write(path)
    return Case(path.name, path, "too_large")


def _no_keyframe(path: Path) -> Case:
    """All packets of the film's pictures are noise of the right length."""
    content = bytearray(bytes_of(Movie(muxer=INDEX_FIRST), path))
    at = content.index(b"mdat") + 4
    content[at:] = np.random.default_rng(3).bytes(len(content) - at)
    path.write_bytes(content)
    return Case(path.name, path, "no_frames")


def _link_loop(path: Path) -> Case:
    path.symlink_to(path.name)
    return Case(path.name, path, "unreadable")


def _dangling(path: Path) -> Case:
    path.symlink_to("nowhere.mp4")
    return Case(path.name, path, "missing")


def _forbidden(path: Path) -> Case:
    Movie().write(path)
    path.chmod(0)
    return Case(path.name, path, "unreadable")


def _vanishing(path: Path) -> Case:
    movie = Movie()
    movie.write(path)
    return Case(path.name, path, "missing", movie.shown, midway=path.unlink)


def _growing(path: Path) -> Case:
    movie = Movie(muxer=FRAGMENTED)
    movie.write(path)

    def grow() -> None:
        with path.open("ab") as file:
            file.write(b"more")

    return Case(path.name, path, "changed", movie.shown, midway=grow)


_RANDOM = np.random.default_rng(1).bytes(30_000)
_TEXT = b"Once upon a time there was a file that was no video at all.\n" * 200

MAKERS: dict[str, Callable[[Path], Case]] = {
    "truncated.mp4": _truncated,
    "junk_inside.mp4": _junk_inside("libx264", X264),
    "junk_inside_mpeg4.mp4": _junk_inside("mpeg4", MPEG4),
    "badly_received.ts": _badly_received("libx264", X264),
    "badly_received_mpeg2.ts": _badly_received("mpeg2video", MPEG2),
    "badly_received_hevc.ts": _badly_received("libx265", X265),
    "begins_midway.ts": _begins_midway,
    "index_missing.mp4": _index_missing,
    "zero_bytes.mp4": _holding(b"", "empty"),
    "one_byte.mp4": _holding(b"\0", "not_media"),
    "random_bytes.mp4": _holding(_RANDOM, "not_media"),
    "text.mp4": _holding(_TEXT, "not_media"),
    "playlist.mp4": _playlist,
    "concat_script.mp4": _playlist,
    "picture.mp4": _picture,
    "audio_only.mp4": _audio_only,
    "audio_with_cover.mp4": _audio_with_cover,
    "noise_for_pictures.mp4": _no_keyframe,
    "too_wide.mp4": _too_wide,
    "link_loop.mp4": _link_loop,
    "dangling_link.mp4": _dangling,
    "vanishing.mp4": _vanishing,
    "growing.mp4": _growing,
}
NAMES = [*GOOD, *MAKERS]
