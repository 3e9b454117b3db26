"""An index in object storage: the tables of a folder, and what is said where there is no lock."""

from pathlib import Path

import numpy as np
import pytest

from kinoscope import search
from kinoscope.addresses import is_url
from kinoscope.embedder import Embedder
from kinoscope.errors import IndexFault, UsageError
from kinoscope.index import bucket
from kinoscope.index.bucket import Bucket
from kinoscope.index.handle import Index, is_index
from kinoscope.index.repair import damaged_videos, repair
from kinoscope.index.store import Store
from tests.index.building import changes, contents, table
from tests.index.building import run as index_run
from tests.index.pixels import embedder
from tests.made_index import Words, failed, random_clips, row, spec
from tests.object_storage import client, new_bucket, s3_server


@pytest.fixture(scope="module", autouse=True)
def server():
    with s3_server() as endpoint:
        yield endpoint


@pytest.fixture
def url(monkeypatch, tmp_path) -> str:
    monkeypatch.setenv("KINOSCOPE_CACHE", str(tmp_path / "cache"))
    return f"s3://{new_bucket()}/library/index"


def test_a_bucket_holds_what_a_folder_holds(url, videos, tmp_path) -> None:
    (videos / "text.mp4").write_text("not a film")
    local = Store.create(tmp_path / "local", embedder().spec)
    far = Store.create(url, embedder().spec)
    for store in (local, far):
        assert changes(index_run(store, videos)) == {"indexed": 3, "quarantined": 1}
    far = Store.open(url)
    assert table(far, videos) == table(local, videos)
    assert contents(far) == contents(local)
    assert far.sources() == local.sources() == (videos,)
    (videos / "a.mp4").unlink()
    (videos / "b.mp4").rename(videos / "d.mp4")
    assert changes(index_run(far)) == changes(index_run(local))
    far.compact()
    assert contents(Store.open(url)) == contents(local)
    assert damaged_videos(far) == set()


def test_a_search_ranks_as_on_a_folder(url, tmp_path) -> None:
    videos = {name: random_clips(4, seed) for seed, name in enumerate("abcd")}
    rows = [row(f"/films/{name}.mp4", name) for name in videos]
    found = []
    for where in (tmp_path / "local", url):
        index = Index.open(where, Embedder(Words()), create=True)
        index.store.commit(list(videos.items()), rows)
        hits = search(Index.open(where, Embedder(Words())), "a dog", k=5)
        found.append([(hit.path, hit.span, hit.score) for hit in hits])
    assert found[0] == found[1] and len(found[0]) == 5
    assert list((tmp_path / "cache" / "buckets").glob("*/derived/*/names.json"))


def test_search_arrays_of_two_buckets_are_kept_apart(url) -> None:
    other = Bucket(f"{url}-2")
    assert Bucket(url).folder == Bucket(url + "/").folder != other.folder


def test_what_is_watched_and_forgotten(url) -> None:
    index = Index.open(url, Embedder(Words()), create=True)
    index.store.commit([("a", random_clips(2))], [row("/films/a.mp4", "a"), failed("/x")])
    index.store.add_sources([Path("/films"), Path("/more")])
    index.store.add_sources([Path("/films")])
    assert index.store.sources() == (Path("/films"), Path("/more"))
    assert index.remove("/films") == 1
    assert index.store.sources() == (Path("/more"),)
    facts = index.describe()
    assert (facts["folder"], facts["files"], facts["clips"]) == (url, 1, 0)
    assert "size_mb" not in facts


def test_a_kill_between_clips_and_files_leaves_the_video_absent(url) -> None:
    store = Store.create(url, spec())
    with store.writing():
        store.commit([("a", random_clips(2))], [row("/a", "a")])
        store.commit([("b", random_clips(2))], [])
        assert Store.open(url).count_orphans() == 1
        assert set(Store.open(url).clips().video_ids) == {"a"}
    with Store.open(url).writing():
        pass
    assert Store.open(url).count_orphans() == 0


def test_a_creation_that_was_killed_is_done_again(url) -> None:
    Store.create(url, spec())
    Bucket(url).connect().drop_table(bucket.ABOUT)
    assert not is_index(url)
    with pytest.raises(IndexFault, match=r"no index at s3://.*create it"):
        Store.open(url)
    store = Store.create(url, spec())
    store.commit([("a", random_clips(2))], [row("/a", "a")])
    assert len(Store.open(url).clips()) == 3
    with pytest.raises(IndexFault, match="is an index already"):
        Store.create(url, spec())


def test_a_writer_is_told_of_another_and_nothing_is_lost(url) -> None:
    store, rival = Store.create(url, spec()), Store.open(url)
    with store.writing():
        store.commit([("a", random_clips(2))], [row("/a", "a")])
        rival.commit([("b", random_clips(2))], [row("/b", "b")])
        with pytest.raises(IndexFault, match=r"another process writes to s3://.*end one"):
            store.commit([("c", random_clips(2))], [row("/c", "c")])
    again = Store.open(url)
    again.commit([("c", random_clips(2))], [row("/c", "c")])
    assert [one.path for one in again.files()] == ["/a", "/b", "/c"]
    assert set(again.clips().video_ids) == {"a", "b", "c"}


def test_that_there_is_no_lock_is_said(url, caplog) -> None:
    store = Store.create(url, spec())
    with store.writing(), store.writing():
        store.commit([], [failed("/x")])
    said = [record.getMessage() for record in caplog.records]
    assert said == [f"{url} has no lock: let no other process write to it meanwhile"]


def test_damage_is_told_with_a_remedy(url) -> None:
    store = Store.create(url, spec())
    store.place._write("kinoscope.json", {"format": 3})
    with pytest.raises(IndexFault, match=r"\(kinoscope.json\) is damaged .*earlier versions"):
        Store.open(url)
    store.place._write("sources.json", ["relative"])
    with pytest.raises(IndexFault, match=r"\(sources.json\) is damaged"):
        store.sources()


def test_a_lost_object_is_damage(url) -> None:
    store = Store.create(url, spec())
    store.commit([("a", random_clips(2))], [row("/a", "a")])
    name, _, prefix = url.removeprefix("s3://").partition("/")
    listed = client().list_objects_v2(Bucket=name, Prefix=f"{prefix}/clips.lance/data")
    for found in listed["Contents"]:
        client().delete_object(Bucket=name, Key=found["Key"])
    with pytest.raises(IndexFault, match=r"index at s3://.* is damaged"):
        Store.open(url).clips()


def test_a_bucket_that_is_not_there_is_told_with_what_to_look_at() -> None:
    with pytest.raises(IndexFault, match=r"cannot use s3://absent/x .*credentials in the env"):
        Store.open("s3://absent/x")


@pytest.mark.parametrize(
    "wrong", ["ftp://host/x", "s3://", "s3:///x", "s3://b/x?versionId=1", "s3://b/a b"]
)
def test_an_address_of_something_else_is_refused(wrong) -> None:
    assert is_url(wrong)
    with pytest.raises(UsageError, match=r"is no place for an index: name a folder, or s3://"):
        Store.open(wrong)


@pytest.mark.parametrize("name", ["index", "/a/index", "s3:index", "a://b", "C:/index"])
def test_a_folder_is_no_address(name) -> None:
    assert not is_url(name)
    assert not is_url(Path("s3://b/x"))


def test_mending_is_for_folders(url) -> None:
    with pytest.raises(UsageError, match=r"only an index on a disk is mended"):
        next(repair(url))


def test_commands_take_an_address(url, run) -> None:
    index = Index.open(url, Embedder(Words()), create=True)
    index.store.commit([("a", random_clips(2))], [row("/films/a.mp4", "a")])
    code, said, _ = run("info", "--index", url)
    assert code == 0 and url in said
    code, _, said = run("remove", "/films/a.mp4", "--index", url)
    assert code == 0 and said.endswith("forgot 1 files\n")
    np.testing.assert_equal(len(Store.open(url).files()), 0)
