"""Addresses that act as paths, and paths that are never taken for addresses."""

import pickle
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kinoscope.addresses import FarPath, is_url, path_of

PARTS = st.lists(
    st.text("abc .#?%é:", min_size=1).filter(lambda part: part not in (".", "..")), min_size=1
)


@given(PARTS)
def test_an_address_is_told_as_it_was_given(parts) -> None:
    url = "s3://" + "/".join(["bucket", *parts])
    path = path_of(url)
    assert str(path) == path.__fspath__() == url
    assert isinstance(path, FarPath) and is_url(path)
    assert pickle.loads(pickle.dumps(path)) == path
    assert path.name == parts[-1]
    assert str(path.parents[len(parts) - 1]) == "s3://bucket"
    assert path.is_relative_to(path_of("s3://bucket"))


def test_nothing_is_there_on_this_disk(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("s3:/b").mkdir(parents=True)
    Path("s3:/b/a.mp4").write_bytes(b"x")
    path = path_of("s3://b/a.mp4")
    assert path.is_absolute() and path.absolute() == path.resolve() == path


@pytest.mark.parametrize(
    "name", ["a.mp4", "/s3://b/x", "s3:/b", "./s3://b", "C:\\x", "a b://x", ""]
)
def test_other_names_are_paths_of_this_machine(name) -> None:
    assert not is_url(name)
    assert type(path_of(name)) is type(Path(name))
    assert not is_url(Path("s3://b/x"))


def test_a_name_that_was_seen_before_is_the_same_path() -> None:
    for name in ("s3://b/a.mp4", "/films/a.mp4"):
        assert path_of(name) is path_of(name)
        assert path_of(Path(name)) == Path(name)
