"""What a scan means for the rows: every rule by example, and all together against a naive twin."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kinoscope.index.plan import plan, settle, slices
from kinoscope.index.scan import Found, FoundFile
from tests.made_index import failed, row

NOW_S = 100.0


def file(path, mtime_ns=5 * 10**9, size_bytes=10):
    return FoundFile(path=path, size_bytes=size_bytes, mtime_ns=mtime_ns)


def found(*files, sources=("/v",), unseen=()):
    return Found(sources=frozenset(sources), files=files, unseen=frozenset(unseen))


def decide(seen, rows, contents=None, retry=False):
    """Plan and settlement in one; a content is by default what the file's own row says."""
    planned = plan(seen, rows, retry=retry)
    contents = {r.path: r.video_id for r in rows if r.video_id} | (contents or {})
    contents = {f.path: contents[f.path] for f in planned.to_identify if f.path in contents}
    return planned, settle(planned, contents, rows, now_s=NOW_S)


def paths(items):
    return [item.path for item in items]


# --- the plan: by path, size and time


def test_a_file_as_it_was_is_unchanged():
    planned = plan(found(file("/v/a.mp4")), [row("/v/a.mp4")])
    assert paths(planned.unchanged) == ["/v/a.mp4"]
    assert planned.to_identify == planned.gone == planned.kept == ()


@pytest.mark.parametrize("change", [{"size_bytes": 11}, {"mtime_ns": 6}, {"mtime_ns": 0}])
def test_a_new_or_touched_file_is_identified(change):
    touched = file("/v/a.mp4", **change)
    planned = plan(found(touched, file("/v/b.mp4")), [row("/v/a.mp4")])
    assert paths(planned.to_identify) == ["/v/a.mp4", "/v/b.mp4"]


def test_a_file_that_is_gone_is_told_from_one_that_cannot_be_seen():
    rows = [row("/v/a.mp4"), row("/v/disk/b.mp4"), row("/v/disk/c/d.mp4"), row("/w/e.mp4")]
    planned = plan(found(unseen=["/v/disk"]), rows)
    assert paths(planned.gone) == ["/v/a.mp4"]
    assert paths(planned.kept) == ["/v/disk/b.mp4", "/v/disk/c/d.mp4"]


def test_an_absent_source_keeps_all_its_rows():
    planned = plan(found(unseen=["/v"]), [row("/v/a.mp4"), row("/v/b.mp4")])
    assert (planned.gone, len(planned.kept)) == ((), 2)


def test_rows_outside_of_the_sources_are_not_judged():
    planned = plan(found(sources=["/v/sub", "/v/x.mp4"]), [row("/v/a.mp4"), row("/v/subway.mp4")])
    assert planned == plan(found(), [])


def test_a_source_at_the_root_covers_everything():
    assert paths(plan(found(sources=["/"]), [row("/a.mp4")]).gone) == ["/a.mp4"]


@pytest.mark.parametrize(
    ("video_id", "touched", "retry", "due"),
    [
        ("v", False, False, False),
        ("v", True, False, True),
        ("v", False, True, True),
        ("", False, False, True),  # could not be read: perhaps it can now
    ],
)
def test_a_file_in_quarantine_waits_for_a_change_or_for_retry(video_id, touched, retry, due):
    seen = found(file("/v/a.mp4", mtime_ns=6 if touched else 5 * 10**9))
    planned = plan(seen, [failed("/v/a.mp4", video_id)], retry=retry)
    assert (paths(planned.to_identify), paths(planned.unchanged)) == (
        (["/v/a.mp4"], []) if due else ([], ["/v/a.mp4"])
    )


def test_retry_leaves_indexed_files_alone():
    assert plan(found(file("/v/a.mp4")), [row("/v/a.mp4")], retry=True).to_identify == ()


# --- the settlement: by content


def test_a_new_content_is_decoded_once_however_many_files_have_it():
    seen = found(file("/v/a.mp4"), file("/v/b.mp4"), file("/v/c.mp4"))
    _, settled = decide(seen, [], {"/v/a.mp4": "x", "/v/b.mp4": "y", "/v/c.mp4": "x"})
    assert {k: paths(v) for k, v in settled.to_decode.items()} == {
        "x": ["/v/a.mp4", "/v/c.mp4"],
        "y": ["/v/b.mp4"],
    }
    assert settled.rows == ()


def test_a_touched_file_with_the_same_content_only_gets_its_new_time():
    old = row("/v/a.mp4", "x", duration_s=9.0, codec="h264")
    _, settled = decide(found(file("/v/a.mp4", mtime_ns=6)), [old])
    assert settled.rows == settled.refreshed == (replace(old, mtime_ns=6, changed_at=NOW_S),)
    assert not settled.to_decode and not settled.left


def test_a_moved_file_takes_its_row_along():
    old = row("/v/old.mp4", "x", duration_s=9.0)
    _, settled = decide(found(file("/v/new.mp4", mtime_ns=6)), [old], {"/v/new.mp4": "x"})
    moved = replace(old, path="/v/new.mp4", mtime_ns=6, changed_at=NOW_S)
    assert settled.rows == settled.moved == (moved,)
    assert settled.left == ("/v/old.mp4",)
    assert not settled.to_decode


def test_a_copy_gets_a_row_of_its_own_and_the_first_path_stays():
    seen = found(file("/v/a.mp4"), file("/v/b.mp4"))
    planned, settled = decide(seen, [row("/v/a.mp4", "x")], {"/v/b.mp4": "x"})
    assert paths(planned.unchanged) == ["/v/a.mp4"]
    assert [(r.path, r.video_id) for r in settled.copied] == [("/v/b.mp4", "x")]
    assert not settled.left and not settled.to_decode


def test_a_file_moves_to_one_place_and_is_copied_to_the_others():
    seen = found(file("/v/b.mp4"), file("/v/c.mp4"))
    _, settled = decide(seen, [row("/v/a.mp4", "x")], {"/v/b.mp4": "x", "/v/c.mp4": "x"})
    assert (paths(settled.moved), paths(settled.copied)) == (["/v/b.mp4"], ["/v/c.mp4"])


def test_content_of_an_unreachable_or_foreign_row_is_copied_not_moved():
    rows = [row("/v/disk/a.mp4", "x"), row("/w/b.mp4", "y")]
    seen = found(file("/v/a.mp4"), file("/v/b.mp4"), unseen=["/v/disk"])
    _, settled = decide(seen, rows, {"/v/a.mp4": "x", "/v/b.mp4": "y"})
    assert paths(settled.copied) == ["/v/a.mp4", "/v/b.mp4"]
    assert settled.left == ()


def test_two_files_that_change_places_need_no_decoding():
    rows = [row("/v/a.mp4", "x", mtime_ns=1), row("/v/b.mp4", "y", mtime_ns=2)]
    seen = found(file("/v/a.mp4", mtime_ns=2), file("/v/b.mp4", mtime_ns=1))
    _, settled = decide(seen, rows, {"/v/a.mp4": "y", "/v/b.mp4": "x"})
    assert {r.path: r.video_id for r in settled.rows} == {"/v/a.mp4": "y", "/v/b.mp4": "x"}
    assert not settled.to_decode and not settled.left


def test_a_changed_file_is_decoded_again():
    seen = found(file("/v/a.mp4", size_bytes=11))
    _, settled = decide(seen, [row("/v/a.mp4", "x")], {"/v/a.mp4": "z"})
    assert list(settled.to_decode) == ["z"]
    assert settled.rows == settled.left == ()


def test_quarantined_content_lends_no_vectors():
    seen = found(file("/v/a.mp4"), file("/v/b.mp4"))
    _, settled = decide(seen, [failed("/v/a.mp4", "x")], {"/v/b.mp4": "x"})
    assert paths(settled.to_decode["x"]) == ["/v/b.mp4"]


def test_a_touched_file_in_quarantine_is_decoded_again_though_its_content_is_the_same():
    _, settled = decide(found(file("/v/a.mp4", mtime_ns=6)), [failed("/v/a.mp4", "x")])
    assert paths(settled.to_decode["x"]) == ["/v/a.mp4"]


def test_a_file_that_could_not_be_read_is_settled_elsewhere():
    _, settled = decide(found(file("/v/a.mp4")), [])
    assert settled.rows == () and not settled.to_decode


# --- all rules together

PATHS = ("/v/a.mp4", "/v/b.mp4", "/v/c.mp4", "/v/disk/d.mp4", "/w/e.mp4")
CONTENTS = ("x", "y", "z")


@st.composite
def libraries(draw):
    """Rows before, files now (with their true contents), whether the disk is away, and `retry`."""
    rows = []
    for path in draw(st.sets(st.sampled_from(PATHS))):
        video_id, mtime_ns = draw(st.sampled_from(CONTENTS)), draw(st.integers(1, 2))
        kind = draw(st.sampled_from([row, row, failed]))
        rows.append(kind(path, video_id, mtime_ns=mtime_ns))
    away = draw(st.booleans())
    now = {}
    for path in draw(st.sets(st.sampled_from(PATHS[:4]))):
        if not (away and path.startswith("/v/disk")):
            now[path] = (draw(st.sampled_from(CONTENTS)), draw(st.integers(1, 2)))
    return sorted(rows, key=lambda r: r.path), now, away, draw(st.booleans())


def believed(rows, now):
    """Content by path as a scan can know it: same time and size means same content."""
    old = {r.path: r for r in rows}
    return {
        path: old[path].video_id if path in old and old[path].mtime_ns == mtime_ns else video_id
        for path, (video_id, mtime_ns) in now.items()
    }


def naive_table(rows, now, away, retry):
    """Path -> (content, state or `decode`) after a run, one path at a time, without a plan."""
    known = {r.video_id for r in rows if r.state == "indexed"}
    content = believed(rows, now)
    table = {}
    for old in rows:
        hidden = old.path.startswith("/w") or (away and old.path.startswith("/v/disk"))
        if hidden:
            table[old.path] = (old.video_id, old.state)
    for path in now:
        old = next((r for r in rows if r.path == path), None)
        as_it_was = old is not None and old.mtime_ns == now[path][1]
        if as_it_was and old.state == "failed" and not retry:
            table[path] = (old.video_id, "failed")
        elif content[path] in known:
            table[path] = (content[path], "indexed")
        else:
            table[path] = (content[path], "decode")
    return table


@given(libraries())
def test_plan_and_settlement_lead_to_the_table_of_the_naive_twin(library):
    rows, now, away, retry = library
    files = [file(path, mtime_ns=mtime_ns) for path, (_, mtime_ns) in sorted(now.items())]
    seen = found(*files, unseen=["/v/disk"] if away else [])
    planned, settled = decide(seen, rows, believed(rows, now), retry)
    table = {r.path: (r.video_id, r.state) for r in rows}
    table |= {r.path: (r.video_id, r.state) for r in settled.rows}
    table |= {f.path: (v, "decode") for v, group in settled.to_decode.items() for f in group}
    for old in planned.gone:
        del table[old.path]
    assert table == naive_table(rows, now, away, retry)
    assert all(r.mtime_ns == now[r.path][1] for r in settled.rows)
    assert len(settled.moved) == len(settled.left)
    assert set(settled.left) <= set(paths(planned.gone))
    listed = paths([*planned.unchanged, *planned.to_identify])
    assert sorted(listed) == sorted(now)


@given(libraries(), st.integers(1, 3))
def test_slices_lead_to_the_table_and_counts_of_one_settlement(library, most_files):
    rows, now, away, retry = library
    files = [file(path, mtime_ns=mtime_ns) for path, (_, mtime_ns) in sorted(now.items())]
    seen = found(*files, unseen=["/v/disk"] if away else [])
    planned, whole = decide(seen, rows, believed(rows, now), retry)
    known, written, moved, refreshed = list(rows), {}, 0, 0
    for part in slices(planned.to_identify, most_files, 10**9):
        contents = {f.path: believed(rows, now)[f.path] for f in part}
        now_planned = replace(planned, to_identify=tuple(part))
        settled = settle(now_planned, contents, known, now_s=NOW_S)
        decoded = [row(f.path, v) for v, group in settled.to_decode.items() for f in group]
        known += [*settled.rows, *decoded]
        written |= {r.path: r.video_id for r in (*settled.rows, *decoded)}
        moved, refreshed = moved + len(settled.moved), refreshed + len(settled.refreshed)
        gone = tuple(r for r in planned.gone if r.path not in settled.left)
        planned = replace(planned, gone=gone)
    expected = {r.path: r.video_id for r in whole.rows}
    expected |= {f.path: v for v, group in whole.to_decode.items() for f in group}
    assert (written, moved, refreshed) == (expected, len(whole.moved), len(whole.refreshed))


def test_slices_are_bounded_and_a_huge_file_comes_last():
    sizes = {"huge": 100, "a": 6, "b": 5, "c": 5, "d": 1, "e": 1, "f": 1}
    files = [file(f"/v/{name}", size_bytes=size) for name, size in sizes.items()]
    cut = [[f.path[3:] for f in part] for part in slices(files, 3, 10)]
    assert cut == [["a"], ["b", "c"], ["d", "e", "f"], ["huge"]]
    assert slices([], 3, 10) == [[]]
