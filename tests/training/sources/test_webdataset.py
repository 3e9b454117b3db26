"""Tar shards: their members are read where they lie; hostile ones are told and harm nothing."""

import io
import json
import pickle
import tarfile
import tempfile
from pathlib import Path

import pytest

from kinoscope.clips import read_clip
from kinoscope.errors import MediaError, UsageError
from kinoscope.training.sources import WebDataset
from kinoscope.training.sources.webdataset import expand
from kinoscope.types import Span
from tests.training.sources.films import SAMPLING, film


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    return [film(tmp_path_factory.mktemp("films") / f"{n}.mp4", n).read_bytes() for n in range(3)]


def member(name, data=b"", **fields):
    info = tarfile.TarInfo(name)
    info.size = len(data)
    for field, value in fields.items():
        setattr(info, field, value)
    return info, data


def pack(path, *members, tar_format=tarfile.PAX_FORMAT):
    with tarfile.open(path, "w", format=tar_format) as archive:
        for info, data in members:
            archive.addfile(info, io.BytesIO(data))
    return path


def told(**values):
    return json.dumps(values).encode()


def test_shards_give_their_videos_with_texts_in_order(tmp_path, clip, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "spare"))
    (tmp_path / "spare").mkdir()
    pack(
        tmp_path / "s-08.tar",
        member("d/000.mp4", clip[0]),
        member("d/000.txt", b"a dot\n"),
        member("d", type=tarfile.DIRTYPE),
    )
    pack(
        tmp_path / "s-09.tar",
        member("./001.json", told(caption=["x", "y"], detail="long", duration_s=4)),
        member("./001.MP4", clip[1]),
        member("002.txt", b"z"),
        member("002.mp4", clip[2]),
        tar_format=tarfile.GNU_FORMAT,
    )
    source = WebDataset(str(tmp_path / "s-{08..09}.tar"), overlaps=("VATEX",), strict=True)
    assert [source.key(n) for n in range(len(source))] == ["d/000", "001", "002"]
    assert source.example(0).captions == ("a dot",)
    assert source.example(1).captions == ("x", "y")
    assert source.example(1).details == ("long",)
    assert source.number_of("002") == 2
    again = pickle.loads(pickle.dumps(source))
    for number in (2, 0, 1):  # any order
        (tmp_path / "direct.mp4").write_bytes(clip[number])
        for span in (None, Span(1.0, 2.0)):
            found = again.frames(number, SAMPLING, span)
            expected = read_clip(tmp_path / "direct.mp4", SAMPLING, span)
            assert (found.rgb_FHWC == expected.rgb_FHWC).all()
    assert not list((tmp_path / "spare").iterdir()), "copies go"


def test_a_broken_video_is_a_fault_and_leaves_no_copy(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "spare"))
    (tmp_path / "spare").mkdir()
    shard = pack(tmp_path / "s.tar", member("1.mp4", b"no video" * 99), member("1.txt", b"x"))
    source = WebDataset([shard], overlaps=())
    with pytest.raises(MediaError, match=r"1\.mp4 is not a video"):
        source.frames(0, SAMPLING)
    assert not list((tmp_path / "spare").iterdir())


HOSTILE = {
    "absolute": (member("/etc/1.mp4", b"x"), "name"),
    "climbs": (member("../1.mp4", b"x"), "name"),
    "climbs inside": (member("a/../../1.mp4", b"x"), "name"),
    "link": (member("1.mp4", type=tarfile.SYMTYPE, linkname="/etc/passwd"), "member"),
    "hard link": (member("1.mp4", type=tarfile.LNKTYPE, linkname="/etc/passwd"), "member"),
    "device": (member("1.mp4", type=tarfile.CHRTYPE), "member"),
    "pipe": (member("1.mp4", type=tarfile.FIFOTYPE), "member"),
    "text alone": (member("1.txt", b"x"), "video"),
    "video alone": (member("1.mp4", b"x"), "text"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_member_is_left_out(tmp_path, clip, name):
    bad, kind = HOSTILE[name]
    shard = pack(
        tmp_path / "s.tar", member("0.mp4", clip[0]), member("0.txt", b"x"), bad,
        member("2.mp4", clip[2]), member("2.txt", b"z"),
    )  # fmt: skip
    source = WebDataset([shard], overlaps=())
    assert [source.key(n) for n in range(len(source))] == ["0", "2"]
    assert source.problems.counts == {kind: 1}
    with pytest.raises(UsageError, match=r"s\.tar"):
        WebDataset([shard], overlaps=(), strict=True)


BAD_TEXTS = {
    "caf\xe9.txt": (member("1.txt", b"caf\xe9"), "encoding"),
    "empty": (member("1.txt", b"  \n"), "text"),
    "huge": (member("1.txt", b"x" * 5_000_000), "size"),
    "long": (member("1.txt", b"x" * 70_000), "size"),
    "no object": (member("1.json", b"[1]"), "type"),
    "no json": (member("1.json", b"{"), "type"),
    "nan": (member("1.json", b'{"caption": "x", "duration_s": NaN}'), "number"),
    "a second time": (member("0.txt", b"x"), "duplicate"),
    "pickle": (member("1.pickle", b"cos\nsystem\n(S'false'\ntR."), "text"),
}


@pytest.mark.parametrize("name", BAD_TEXTS)
def test_a_bad_text_costs_its_video_alone(tmp_path, clip, name):
    bad, kind = BAD_TEXTS[name]
    shard = pack(
        tmp_path / "s.tar", member("0.mp4", clip[0]), member("0.txt", b"x"),
        member("9.mp4", clip[2]), member("9.txt", b"z"),
        member(f"{bad[0].name[0]}.mp4", clip[1]), bad,
    )  # fmt: skip
    source = WebDataset([shard], overlaps=())
    assert len(source) == 2
    assert source.problems.counts == {kind: 1}


def test_a_video_beyond_the_bound_is_left_out(tmp_path, clip):
    shard = pack(
        tmp_path / "s.tar", member("0.mp4", clip[0][:100]), member("0.txt", b"x"),
        member("1.mp4", clip[1]), member("1.txt", b"x"),
        member("2.mp4", b""), member("2.txt", b"x"),
    )  # fmt: skip
    source = WebDataset([shard], overlaps=(), max_video_bytes=100)
    assert (len(source), source.problems.counts) == (1, {"size": 2})


def test_a_shard_that_is_cut_off_anywhere_gives_what_is_whole(tmp_path, clip):
    parts = [member(f"{n}.{end}", data) for n in range(3)
             for end, data in (("mp4", clip[n]), ("txt", b"x"))]  # fmt: skip
    whole = pack(tmp_path / "whole.tar", *parts).read_bytes()
    behind = []  # where the text of each sample has been read
    place = 0
    for _info, data in parts:
        place += 512 + -(-len(data) // 512) * 512
        behind.append(place)
    for cut in sorted({*behind, *(b - 512 + 1 for b in behind), *(b - 600 for b in behind), 600}):
        shard = tmp_path / "cut.tar"
        shard.write_bytes(whole[:cut])
        good = sum(cut >= end - 511 for end in behind[1::2])  # a text of 1 byte, and padding
        if good:
            source = WebDataset([shard], overlaps=())
            assert len(source) == good, cut
            assert "member" in source.problems.counts, cut
        else:
            with pytest.raises(UsageError, match=r"no video to learn from|no tar file"):
                WebDataset([shard], overlaps=())


def test_damaged_headers_end_a_shard_and_never_hang(tmp_path, clip):
    shard = pack(
        tmp_path / "s.tar", member("0.mp4", clip[0]), member("0.txt", b"x"),
        member("1.mp4", clip[1]), member("1.txt", b"y"),
    )  # fmt: skip
    whole = shard.read_bytes()
    at = whole.index(b"1.mp4\0")

    def with_size(field):
        header = bytearray(whole[at : at + 512])
        header[124:136], header[148:156] = field, b" " * 8
        header[148:156] = b"%06o\0 " % sum(header)
        return whole[:at] + bytes(header) + whole[at + 512 :]

    negative = b"\xff" * 10 + b"\xfc\x00"  # base 256: -1024
    for content in (
        with_size(negative),
        with_size(b"\x80" + b"\xff" * 11),
        whole[:at] + b"\xaa" * 512 + whole[at + 512 :],
    ):
        shard.write_bytes(content)
        source = WebDataset([shard], overlaps=())
        assert len(source) == 1
        assert source.problems.counts == {"member": 1}


def test_a_header_that_claims_much_memory_is_refused(tmp_path):
    shard = tmp_path / "s.tar"
    info = tarfile.TarInfo("long")
    info.type, info.size = tarfile.GNUTYPE_LONGNAME, 2**33
    shard.write_bytes(info.tobuf(tarfile.GNU_FORMAT) + b"x" * 4096)
    with pytest.raises(UsageError, match="a header of 8589934592 bytes"):
        WebDataset([shard], overlaps=())


@pytest.mark.parametrize("content", [b"", b"\x1f\x8b rest", b"x" * 2000])
def test_what_is_no_tar_is_refused(tmp_path, content):
    (tmp_path / "s.tar").write_bytes(content)
    with pytest.raises(UsageError, match="no tar file"):
        WebDataset([tmp_path / "s.tar"], overlaps=())


def test_a_shard_that_changes_meanwhile_is_noticed(tmp_path, clip):
    shard = pack(tmp_path / "s.tar", member("0.mp4", clip[0]), member("0.txt", b"x"))
    source = WebDataset([shard], overlaps=())
    pack(shard, member("0.mp4", clip[1]), member("0.txt", b"longer"))
    with pytest.raises(MediaError, match="another file than at the start"):
        source.frames(0, SAMPLING)
    shard.unlink()
    with pytest.raises(MediaError, match="cannot read"):
        source.identity(0)


def test_patterns_name_shards():
    assert expand("a-{08..10}.tar") == [Path(f"a-{n}.tar") for n in ("08", "09", "10")]
    assert expand("a.tar") == [Path("a.tar")]
    assert expand(["b.tar", Path("a.tar")]) == [Path("b.tar"), Path("a.tar")]
    for wrong in ("a-{3..1}.tar", "a-{0..999999999}.tar", [], ["a.tar", "a.tar"]):
        with pytest.raises(UsageError, match="shards"):
            expand(wrong)


def test_the_fingerprint_is_of_texts_and_videos(tmp_path, clip):
    def fingerprint(video, said):
        shard = pack(tmp_path / "s.tar", member("0.mp4", video), member("0.txt", said))
        return WebDataset([shard], overlaps=()).fingerprint

    first = fingerprint(clip[0], b"x")
    assert first == fingerprint(clip[0], b"x")
    assert len({first, fingerprint(clip[0], b"y"), fingerprint(clip[0] + b"\0", b"x")}) == 3
