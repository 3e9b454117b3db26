"""An index made by a multimodal LLM: found again by its spec, wherever its folder lies now."""

import json
import shutil
import subprocess
import sys

import numpy as np
import pytest

from kinoscope import Embedder, Index, search
from kinoscope.backbones.options import LoadOptions
from kinoscope.backbones.remote import parity
from kinoscope.errors import SetupError, SpecMismatch
from kinoscope.index.build import BuildOptions
from tests.backbones.fake_server import serving
from tests.tiny import tiny


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    return tiny("qwen3_vl", tmp_path_factory.mktemp("model") / "tiny")


@pytest.fixture(scope="module")
def embedder(checkpoint):
    return Embedder.load(str(checkpoint))


@pytest.fixture(scope="module")
def folder(tmp_path_factory, video_folder, embedder):
    """An index of three videos; tests must not change it."""
    folder = tmp_path_factory.mktemp("library") / "index"
    index = Index.open(folder, embedder, create=True)
    report = index.add(video_folder, options=BuildOptions(workers=2))
    assert report.indexed == 3 and not report.failures
    return folder


def test_stored_vectors_are_those_of_the_files_alone(folder, embedder, video_folder):
    stored = Index.open(folder, embedder).store.clips()
    found = {}
    for row in Index.open(folder, embedder).files():
        alone = embedder.encode_video(row.path)
        keep = [n for n, video in enumerate(stored.video_ids) if video == row.video_id]
        order = np.lexsort((stored.end_s_N[keep], stored.start_s_N[keep]))
        spans = [(stored.start_s_N[keep][n], stored.end_s_N[keep][n]) for n in order]
        assert set(spans) == {(s.start_s, s.end_s) for s in alone.spans}
        for n in keep:
            span = (stored.start_s_N[n], stored.end_s_N[n])
            twins = [
                v for s, v in zip(alone.spans, alone.vectors_ND, strict=True)
                if (s.start_s, s.end_s) == span
            ]  # fmt: skip
            assert max(float(stored.vectors_ND[n] @ twin) for twin in twins) >= 0.9999
        found[row.path] = len(keep)
    assert sorted(found.values()) == [2, 2, 4]


def test_the_index_finds_its_model_by_itself(folder, embedder):
    by_itself = Index.open(folder)
    assert by_itself.embedder.spec == embedder.spec
    hits = search(by_itself, "a door opens", k=3)
    again = search(Index.open(folder, embedder), "a door opens", k=3)
    assert [(hit.path, hit.span) for hit in hits] == [(hit.path, hit.span) for hit in again]


def test_a_model_that_moved_is_named_and_then_used(folder, embedder, checkpoint, tmp_path):
    moved = tmp_path / "moved"
    shutil.copytree(folder, moved)
    manifest = json.loads((moved / "kinoscope.json").read_text())
    manifest["spec"]["model"] = str(tmp_path / "was here")
    (moved / "kinoscope.json").write_text(json.dumps(manifest))
    with pytest.raises(SetupError, match=r"was here, cannot be loaded .*--model"):
        _ = Index.open(moved).embedder
    assert len(search(Index.open(moved, model=str(checkpoint)), "a door", k=2)) == 2


def test_another_model_is_a_mismatch(folder, tmp_path):
    other = tiny("qwen3_vl", tmp_path / "other", seed=1)
    with pytest.raises(SpecMismatch, match="! weights"):
        search(Index.open(folder, model=str(other)), "a door", k=2)


def test_the_layer_of_an_index_is_taken_from_its_spec(checkpoint, video_folder, tmp_path):
    middle = Embedder.load(str(checkpoint), options=LoadOptions(layer=2), truncate_dim=32)
    assert middle.spec.head == "last of layer 2"
    index = Index.open(tmp_path / "index", middle, create=True)
    index.add(video_folder / "short.mp4")
    again = Index.open(tmp_path / "index")
    assert again.embedder.spec == middle.spec
    assert len(search(again, "a door", k=1)) == 1


def test_a_rounding_is_part_of_the_spec_and_taken_from_it(checkpoint, embedder, tmp_path):
    rounded = Embedder.load(str(checkpoint), options=LoadOptions(dtype="bfloat16"))
    assert rounded.spec != embedder.spec
    assert rounded.spec.weights == f"{embedder.spec.weights} bfloat16"
    Index.open(tmp_path / "index", rounded, create=True)
    assert Index.open(tmp_path / "index").embedder.spec == rounded.spec


def run(*words):
    command = [sys.executable, "-m", "kinoscope", *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True)


def test_a_served_model_indexes_and_searches_by_its_address(embedder, video_folder, tmp_path):
    with serving(embedder.backbone) as server:
        remote = Embedder.load(f"{server.url}/v1#tiny")
        assert parity(remote, embedder) >= 0.9999
        index = Index.open(tmp_path / "index", remote, create=True)
        assert index.add(video_folder / "short.mp4").indexed == 1
        hits = search(Index.open(tmp_path / "index"), "a door opens", k=1)
        assert hits[0].path.name == "short.mp4"
    with pytest.raises(SetupError, match="the model of this index, http"):
        search(Index.open(tmp_path / "index"), "a door opens")


def test_two_commands_index_and_search_with_a_checkpoint(checkpoint, video_folder, tmp_path):
    place = ("--index", tmp_path / "i")
    made = run("index", video_folder / "short.mp4", "--model", checkpoint, "--policy", "keyframe",
               "--option", "attention=eager", *place)  # fmt: skip
    assert made.returncode == 0, made.stderr
    assert "keyframe 2fps min8 460800px/frame 8frames 4s/2s" in made.stderr
    found = run("search", "a door", "--json", *place)
    assert found.returncode == 0, found.stderr
    assert json.loads(found.stdout.splitlines()[0])["path"].endswith("short.mp4")


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--option", "dtype"], "--option 'dtype': write NAME=VALUE"),
        (["--option", "depth=3"], "option 'depth' is unknown: choose adapter, attention"),
        (["--option", "layer=two"], "layer 'two': give a whole number"),
        (["--option", "layer=9"], "layer 9: choose 1..4"),
        (["--option", "template=two"], "template 'two' is unknown: choose one word or instruction"),
    ],
)
def test_a_wrong_option_is_one_sentence_and_makes_no_index(
    checkpoint, video_folder, tmp_path, words, sentence
):
    done = run("index", video_folder, "--model", checkpoint, "--index", tmp_path / "i", *words)
    assert done.returncode == 2, done.stderr
    assert sentence in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "i").exists()
