"""Videos in object storage: indexed as those on a disk, and kept when the storage is away."""

import os

import numpy as np
import pytest

from kinoscope import search
from kinoscope.addresses import FarPath, path_of
from kinoscope.documents import Excerpt
from kinoscope.embedder import Embedder
from kinoscope.errors import MediaError, SetupError, UsageError
from kinoscope.index import worker
from kinoscope.index.handle import Index
from kinoscope.index.identity import content_id
from kinoscope.index.scan import FoundFile, scan
from kinoscope.index.store import Store
from kinoscope.sheets import frames_at
from kinoscope.types import Span
from kinoscope.video import VideoReader, remote
from tests.index.building import changes, contents, run
from tests.index.pixels import embedder, film
from tests.made_index import Words, random_clips, row
from tests.object_storage import client, new_bucket, s3_server


@pytest.fixture(scope="module", autouse=True)
def server():
    pytest.importorskip("s3fs")
    with s3_server() as endpoint:
        yield endpoint


@pytest.fixture
def bucket() -> str:
    return new_bucket()


def put(bucket: str, key: str, content: bytes) -> str:
    client().put_object(Bucket=bucket, Key=key, Body=content)
    return f"s3://{bucket}/{key}"


def upload(bucket: str, videos, prefix: str = "films/") -> None:
    for path in sorted(videos.rglob("*.mp4")):
        put(bucket, prefix + path.relative_to(videos).as_posix(), path.read_bytes())


def found_file(url: str) -> FoundFile:
    told = remote.stat(url)
    return FoundFile(path=url, size_bytes=told.size_bytes, mtime_ns=told.modified_ns)


def test_films_are_indexed_as_from_a_disk(store, bucket, videos, tmp_path) -> None:
    (videos / "text.mp4").write_text("not a film")
    upload(bucket, videos)
    put(bucket, "films/notes.txt", b"no video")
    url = f"s3://{bucket}/films"
    report = run(store, url)
    assert changes(report) == {"indexed": 3, "quarantined": 1}
    assert [failure.path for failure in report.failures] == [f"{url}/text.mp4"]
    local = Store.create(tmp_path / "local", embedder().spec)
    run(local, videos)
    assert contents(store) == contents(local)
    assert [one.path for one in store.files()] == [
        f"{url}/{name}" for name in ("a.mp4", "b.mp4", "sub/c.mp4", "text.mp4")
    ]
    assert store.sources() == (FarPath(url),)


def test_a_second_run_follows_what_has_changed(store, bucket, videos, tmp_path) -> None:
    upload(bucket, videos)
    url = f"s3://{bucket}/films/"
    run(store, url)
    assert changes(run(store)) == {"unchanged": 3}
    put(bucket, "films/a.mp4", film(tmp_path / "new.mp4", seed=9).read_bytes())
    put(bucket, "films/moved.mp4", (videos / "b.mp4").read_bytes())
    client().delete_object(Bucket=bucket, Key="films/b.mp4")
    assert changes(run(store)) == {"indexed": 1, "moved": 1, "unchanged": 1}


def test_a_place_that_is_empty_or_away_keeps_its_videos(store, bucket, videos, monkeypatch) -> None:
    upload(bucket, videos)
    url = f"s3://{bucket}/films"
    run(store, url)
    before = contents(store)

    def refuse(url):
        raise OSError(None, "no answer")

    with monkeypatch.context() as patched:
        patched.setattr(remote, "listed", refuse)
        report = run(store)
    assert changes(report) == {"kept": 3}
    assert report.problems == (f"{url}: cannot be listed (no answer)",)
    for key in ("a.mp4", "b.mp4", "sub/c.mp4"):
        client().delete_object(Bucket=bucket, Key=f"films/{key}")
    report = run(store)
    assert changes(report) == {"kept": 3}
    assert report.problems[0] == f"{url}: nothing has that name, or one below it"
    assert contents(store) == before


def test_one_film_is_a_source_whatever_its_name(store, bucket, videos) -> None:
    url = put(bucket, "film", (videos / "a.mp4").read_bytes())
    put(bucket, "film.txt", b"no video")
    assert [file.path for file in scan([url]).files] == [url]
    assert changes(run(store, url)) == {"indexed": 1}


@pytest.mark.parametrize("key", ["a//b.mp4", "a/../b.mp4", "a/./b.mp4"])
def test_names_that_are_no_paths_are_told(bucket, key, monkeypatch) -> None:
    url = f"s3://{bucket}/{key}"
    monkeypatch.setattr(remote, "listed", lambda _url: iter([(url, remote.Stat(1, 0))]))
    found = scan([f"s3://{bucket}"])
    assert found.files == ()
    (problem,) = found.problems
    assert problem.message == f"{url}: its name has empty or dotted parts: rename it"


def test_hidden_names_are_passed_over_unless_they_are_named(bucket) -> None:
    for key in (".trash/a.mp4", "films/._b.mp4", "films/.c.mp4"):
        put(bucket, key, b"x")
    found = scan([f"s3://{bucket}"])
    assert found.files == found.problems == ()
    assert len(scan([f"s3://{bucket}/.trash"]).files) == 1


@pytest.mark.parametrize("key", ["with space.mp4", "ümlaut#1.mp4", "50%?x=1.mp4"])
def test_strange_names_are_names(store, bucket, videos, key) -> None:
    url = put(bucket, key, (videos / "a.mp4").read_bytes())
    assert changes(run(store, f"s3://{bucket}")) == {"indexed": 1}
    assert [one.path for one in store.files()] == [url]


def test_an_object_that_changes_while_it_is_read_is_told(bucket) -> None:
    url = put(bucket, "a.mp4", b"x" * 100)
    file = found_file(url)
    assert content_id(file)
    put(bucket, "a.mp4", b"y" * 3 * 2**20)
    with pytest.raises(MediaError, match="changed while it was read") as caught:
        content_id(file)
    assert caught.value.fault == "changed"
    client().delete_object(Bucket=bucket, Key="a.mp4")
    with pytest.raises(MediaError, match="vanished") as caught:
        content_id(file)
    assert caught.value.fault == "missing"


def test_an_object_without_an_end_is_read_no_further_than_its_size(bucket, monkeypatch) -> None:
    url = put(bucket, "a.mp4", b"x" * 100)
    file, pieces = found_file(url), []

    class Endless:
        def __enter__(self):
            return self

        def __exit__(self, *_error):
            pass

        def readinto(self, piece):
            pieces.append(len(piece))
            return len(piece)

    monkeypatch.setattr(remote, "open_far", lambda _url: Endless())
    content_id(file)
    assert len(pieces) == 1


def test_storage_that_fails_is_unreadable_and_not_gone(bucket, monkeypatch) -> None:
    file = found_file(put(bucket, "a.mp4", b"x"))

    def refuse(_url):
        raise PermissionError(13, "Forbidden")

    monkeypatch.setattr(remote, "stat", refuse)
    with pytest.raises(MediaError, match=r"a\.mp4 is out of reach \(Forbidden\)") as caught:
        file.check_there()
    assert caught.value.fault == "unreadable"


def test_a_reader_takes_an_address_and_never_a_text_that_looks_like_one(bucket, videos) -> None:
    url = put(bucket, "a.mp4", (videos / "a.mp4").read_bytes())
    with VideoReader(path_of(url)) as far, VideoReader(videos / "a.mp4") as near:
        pairs = zip(far.sample([0.5, 3.5]), near.sample([0.5, 3.5]), strict=True)
        assert all((one.rgb_FHWC == other.rgb_FHWC).all() for one, other in pairs)
    with remote.open_far(url) as file, pytest.raises(OSError, match="before start"):
        file.seek(-1)
    with pytest.raises(MediaError) as caught, VideoReader(url):
        pass
    assert caught.value.fault == "missing"
    with pytest.raises(MediaError, match="0 bytes"), VideoReader(path_of(put(bucket, "e", b""))):
        pass


def test_a_hit_names_the_address(tmp_path) -> None:
    index = Index.open(tmp_path / "index", Embedder(Words()), create=True)
    index.store.commit([("a", random_clips(2))], [row("s3://b/x/a.mp4", "a")])
    (hit,) = search(index, "a dog", k=1)
    assert str(hit.path) == "s3://b/x/a.mp4"
    assert index.stored("s3://b/x/a.mp4") is not None
    assert index.remove("s3://b/x/") == 1


def test_a_request_names_an_address_in_the_decoding_process(bucket, videos) -> None:
    url = put(bucket, "a.mp4", (videos / "a.mp4").read_bytes())
    request = worker.DecodeRequest(file=found_file(url), sampling=embedder().sampling)
    again = worker.decode_request(worker.encode_request(request))
    assert again == request
    info, *_frames, _report = worker.decode_file(again)
    assert os.fspath(info.path) == url


def test_other_addresses_are_refused_with_those_that_are_known(store) -> None:
    with pytest.raises(UsageError, match=r"ftp://host/a: videos are read from folders, and from"):
        run(store, "ftp://host/a")


def test_without_its_package_the_install_command_is_told(monkeypatch) -> None:
    fsspec = pytest.importorskip("fsspec")

    def absent(scheme, **_options):
        raise ImportError("Please install gcsfs")

    monkeypatch.setattr(fsspec, "filesystem", absent)
    with pytest.raises(SetupError, match=r"gs:// needs a package .*pip install 'kinoscope\[sto"):
        remote.stat("gs://bucket/a.mp4")


def test_frames_of_a_hit_are_read_where_it_lies(bucket, videos) -> None:
    far = path_of(put(bucket, "a.mp4", (videos / "a.mp4").read_bytes()))
    near = videos / "a.mp4"
    times_s = np.array([0.5, 2.5])
    pairs = zip(frames_at(far, times_s), frames_at(near, times_s), strict=True)
    assert all((one == other).all() for one, other in pairs)
    pieces = [Excerpt(path, Span(1.0, 3.0)) for path in (far, near)]
    one_D, other_D = embedder().encode_document(pieces)
    assert (one_D == other_D).all()
