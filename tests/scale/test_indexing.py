"""An index made by a local Ray: the tables and reports of one machine, whatever is killed."""

import json
import shutil
from dataclasses import replace
from functools import partial

import numpy as np
import pytest

from kinoscope.errors import SetupError, SpecMismatch
from kinoscope.index.build import bring_up_to_date
from kinoscope.index.handle import Index
from kinoscope.index.options import BuildOptions
from kinoscope.index.store import Store
from kinoscope.scale.cluster import ClusterOptions, connected, shared_out
from kinoscope.scale.crew import RayCrew
from kinoscope.scale.indexing import index_on_cluster
from kinoscope.scale.stages import Job, begun
from tests.index import building
from tests.index.building import changes, contents, table
from tests.index.pixels import SECONDS, embedder, touch
from tests.object_storage import new_bucket, s3_server
from tests.scale import deadly

pytest.importorskip("ray")
pytestmark = pytest.mark.filterwarnings("ignore")  # Ray's own

SMALL = ClusterOptions(cpus=2)


@pytest.fixture(scope="module")
def ray_here():
    """One Ray for all these tests: it takes long to begin."""
    with connected(SMALL) as ray:
        yield ray


@pytest.fixture
def index(store, ray_here):
    return Index(store, embedder())


def add(index, *sources, progress=None, **options):
    return index_on_cluster(
        index,
        *sources,
        options=BuildOptions(**options),
        progress=progress,
        load=embedder,
    )


def add_deadly(ray, store, *sources, load=embedder):
    """With decoders of `deadly`."""
    options = BuildOptions()
    shares = shared_out(ray, SMALL)
    job = Job(
        load=load,
        spec=store.spec,
        options=options,
        decoders=shares.decoders_each,
        attempts=begun(ray),
        decode=deadly.decode,
    )
    return bring_up_to_date(store, sources, RayCrew(ray, shares, job), options=options)


def rows(store):
    """All rows of files, but for the time of writing."""
    return [replace(row, changed_at=0.0) for row in store.files()]


def test_a_cluster_makes_the_tables_and_the_report_of_one_machine(index, videos, tmp_path) -> None:
    shutil.copy2(videos / "a.mp4", videos / "copy.mp4")
    (videos / "text.mp4").write_text("not a film")
    local = Store.create(tmp_path / "local", embedder().spec)
    wanted, told = building.run(local, videos), []
    found = add(index, videos, progress=told.append)
    assert changes(found) == changes(wanted) == {"indexed": 3, "duplicates": 1, "quarantined": 1}
    assert found.frames == wanted.frames > 0
    assert found.failures == wanted.failures
    assert found.video_s == wanted.video_s == 3 * SECONDS
    assert rows(index.store) == rows(local)
    ours, theirs = index.store.clips(), local.clips()
    assert ours.clip_ids == theirs.clip_ids
    np.testing.assert_allclose(ours.vectors_ND, theirs.vectors_ND, rtol=0, atol=1e-6)
    assert {one.stage for one in told} == {"identify", "decode"}
    assert (told[-1].files_done, told[-1].files_total) == (4, 4)
    assert found.stages["decode"].cpu_s > 0 and found.stages["vision"].cpu_s > 0


def test_a_second_run_does_what_has_changed_and_no_more(index, videos) -> None:
    add(index, videos)
    before = contents(index.store)
    (videos / "a.mp4").rename(videos / "moved.mp4")
    (videos / "b.mp4").unlink()
    touch(videos / "sub" / "c.mp4")
    assert changes(add(index)) == {"moved": 1, "removed": 1, "refreshed": 1}
    after = contents(index.store)
    assert after.items() <= before.items() and len(after) < len(before)


def test_a_run_that_is_interrupted_goes_on_where_it_stopped(index, videos) -> None:
    def stop(progress):
        if progress.stage == "decode" and progress.files_done:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        add(index, videos, progress=stop, commit_videos=1)
    done = len(index.store.files())
    assert 1 <= done < 3
    report = add(index)
    assert changes(report) == {"indexed": 3 - done, "unchanged": done}


def test_a_film_that_crashes_its_process_costs_itself_alone(index, ray_here, videos) -> None:
    shutil.copy2(videos / "a.mp4", videos / "segfault.mp4")
    (videos / "segfault.mp4").open("ab").write(b"1")
    report = add_deadly(ray_here, index.store, videos)
    assert changes(report) == {"indexed": 3, "quarantined": 1}
    (failure,) = report.failures
    assert failure.fault == "crashed"
    assert failure.message.endswith("segfault.mp4 ended its decoding process (signal SIGSEGV)")


def test_a_film_that_ends_its_actor_is_tried_again_but_not_for_ever(
    index, ray_here, videos
) -> None:
    shutil.copy2(videos / "a.mp4", videos / "murderous.mp4")
    (videos / "murderous.mp4").open("ab").write(b"1")
    report = add_deadly(ray_here, index.store, videos)
    assert changes(report) == {"indexed": 3, "quarantined": 1}
    (failure,) = report.failures
    assert failure.fault == "crashed"
    assert failure.message.endswith("murderous.mp4 ended the process that looked at it, 3 times")


def test_a_model_that_dies_is_replaced_and_nothing_is_lost(index, videos, tmp_path) -> None:
    note = tmp_path / "die"
    note.touch()
    load = partial(deadly.mortal, note)
    report = index_on_cluster(index, videos, load=load)
    assert not note.exists()
    assert changes(report) == {"indexed": 3}
    assert set(table(index.store, videos)) == {"a.mp4", "b.mp4", "sub/c.mp4"}


def test_a_node_with_another_model_ends_the_run_with_both_specs(index, videos) -> None:
    with pytest.raises(SpecMismatch, match=r"the same model on every node"):
        index_on_cluster(index, videos, load=deadly.other)
    assert index.store.files() == []


def test_a_node_without_the_model_ends_the_run_with_the_remedy(index, videos) -> None:
    with pytest.raises(SetupError, match=r"pixels, cannot be loaded"):
        index_on_cluster(index, videos)


def test_the_command_indexes_by_ray_into_a_bucket(
    ray_here, run, video_folder, tmp_path, monkeypatch
) -> None:
    with s3_server():
        url = f"s3://{new_bucket()}/index"
        words = ("index", video_folder, "--cluster", "--workers", 1, "--index", url, "--json")
        code, said, _ = run(*words)
        assert (code, json.loads(said)["indexed"]) == (0, 3)
        code, said, _ = run(*words)
        assert (code, json.loads(said)["unchanged"]) == (0, 3)
        code, said, _ = run("search", "a carpet", "-k", 1, "--json", "--index", url)
        assert code == 0 and str(video_folder) in json.loads(said)["path"]
