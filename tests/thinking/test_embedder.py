"""Embedders, indexes and commands of a model that thinks: steps and reasons go with the vectors."""

import json

import numpy as np
import pytest

from kinoscope import Embedder, Index, search
from kinoscope.backbones import mini_folder
from kinoscope.backbones.mini import SAMPLING
from kinoscope.errors import SetupError, SpecMismatch, UsageError
from kinoscope.index.build import BuildOptions
from kinoscope.interop.sentence_transformers import export
from kinoscope.thinking.saved import save_learned
from tests.backbones.fake_server import serving
from tests.thinking.test_saved import learned

RULE = "fixed:2,halt:3"
TEXTS = ["a door opens", "a fox"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory, checkpoint, embedder_of):
    return embedder_of(checkpoint("qwen2_5_vl"), tmp_path_factory.mktemp("thinks") / "model")


@pytest.fixture(scope="module")
def embedder_of():
    """Writes a model that has learned to think."""

    def write(source, folder):
        embedder = Embedder.load(str(source))
        thinker = learned(embedder.backbone, RULE)
        Embedder(embedder.backbone, sampling=embedder.sampling, thinker=thinker).save(folder)
        return folder

    return write


@pytest.fixture(scope="module")
def embedder(folder):
    return Embedder.load(str(folder))


@pytest.fixture(scope="module")
def index_folder(tmp_path_factory, embedder, video_folder):
    """An index of two videos; tests must not change it."""
    folder = tmp_path_factory.mktemp("library") / "index"
    index = Index.open(folder, embedder, create=True)
    for name in ("short.mp4", "inner/third.mp4"):
        index.add(video_folder / name, options=BuildOptions(workers=1))
    return folder


def test_the_spec_says_how_a_model_thinks(embedder, folder):
    spec = embedder.spec
    assert spec.thinks and spec.head == "kv-former of thoughts"
    rules, learned_part = spec.thinking.rsplit("; ", 1)
    assert rules == "query latent, fixed at 2; document latent, halt at 0.5, at most 3"
    assert learned_part.startswith("learned ")
    assert not Embedder.load(str(folder), thinking="none").spec.thinks


def test_every_call_thinks(embedder, video_folder):
    video = video_folder / "short.mp4"
    thoughts = {
        "query": embedder.think(TEXTS, "query"),
        "document": embedder.think([video]),
        "composed": embedder.think([{"video": video, "text": "at night"}], "query"),
    }
    vectors = {
        "query": embedder.encode_query(TEXTS),
        "document": embedder.encode_document([video]),
        "composed": embedder.encode_composed(video, "at night")[None],
    }
    for name, found in thoughts.items():
        wanted = np.stack([thought.vector_D for thought in found])
        assert ((wanted * vectors[name]).sum(axis=1) >= 0.9999).all()
    assert {thought.steps for thought in thoughts["query"]} == {2}
    assert {thought.reason for thought in thoughts["document"]} <= {"halt", "cap"}


def test_windows_of_a_video_come_with_steps_and_reasons(embedder, video_folder):
    found = embedder.encode_video(video_folder / "long.mp4")
    (whole,) = embedder.think(video_folder / "long.mp4")
    assert len(found.steps) == len(found.reasons) == len(found.vectors_ND) > 2
    assert (found.steps[0], found.reasons[0]) == (whole.steps, whole.reason)
    assert float(found.vectors_ND[0] @ whole.vector_D) >= 0.9999
    plain = Embedder(embedder.backbone, sampling=embedder.sampling)
    assert plain.encode_video(video_folder / "short.mp4").steps == ()


def test_vectors_are_cut_after_thinking(embedder):
    short = Embedder(
        embedder.backbone, sampling=embedder.sampling, thinker=embedder.thinker, truncate_dim=16
    )
    whole_ND, cut_ND = embedder.encode_query(TEXTS), short.encode_query(TEXTS)
    wanted_ND = whole_ND[:, :16] / np.linalg.norm(whole_ND[:, :16], axis=1, keepdims=True)
    np.testing.assert_allclose(cut_ND, wanted_ND, atol=1e-5)


def test_models_that_cannot_think_say_so(folder):
    plain = Embedder.load(str(folder), thinking="none")
    with pytest.raises(UsageError, match="takes no steps: load it with a thinking"):
        plain.think("a door opens")
    with (
        serving(plain.backbone) as server,
        pytest.raises(UsageError, match="without a language model's steps, so it cannot think"),
    ):
        Embedder.load(f"{server.url}/v1#tiny", thinking="fixed:2")
    with pytest.raises(UsageError, match="the model concepts gives vectors without a language"):
        Embedder.load("concepts", thinking="fixed:2")


def test_sentence_transformers_has_no_form_for_it(embedder, tmp_path):
    with pytest.raises(UsageError, match="thinks, which sentence-transformers does not"):
        export(embedder, tmp_path / "out")


def test_an_index_keeps_steps_and_reasons(index_folder, embedder, video_folder):
    index = Index.open(index_folder)
    assert index.embedder.spec == embedder.spec == index.spec
    clips = index.store.clips()
    alone = {r.video_id: embedder.encode_video(r.path) for r in index.files()}
    for n, video in enumerate(clips.video_ids):
        spans = [(span.start_s, scale) for span, scale in zip(
            alone[video].spans, alone[video].scales, strict=True)]  # fmt: skip
        twin = spans.index((clips.start_s_N[n], clips.scales[n]))
        assert clips.steps_N[n] == alone[video].steps[twin]
        assert clips.reasons[n] == alone[video].reasons[twin]
    facts = index.describe()
    assert facts["thinking"] == embedder.spec.thinking
    assert sum(facts["steps"].values()) == sum(facts["reasons"].values()) == len(clips)
    for hit in search(index, "a door opens", k=3):
        assert 1 <= hit.steps <= 3 and hit.reason in ("halt", "cap")


def test_an_index_of_thoughts_alone_has_columns_for_them(index_folder, embedder, tmp_path):
    kept = json.loads((index_folder / "kinoscope.json").read_text())["format"]
    plain = Embedder(embedder.backbone, sampling=embedder.sampling)
    index = Index.open(tmp_path / "index", plain, create=True)
    assert json.loads((tmp_path / "index" / "kinoscope.json").read_text())["format"] == kept
    assert "steps" in Index.open(index_folder, embedder).store._table("clips").schema.names
    assert "steps" not in index.store._table("clips").schema.names
    assert "steps" not in index.describe()


def test_an_index_and_another_thinking_do_not_mix(index_folder, folder):
    for thinking in ("none", "fixed:2"):
        with pytest.raises(SpecMismatch, match="! thinking"):
            search(Index.open(index_folder, thinking=thinking), "a door")


def test_an_index_without_learned_thinking_finds_its_rules_by_itself(
    checkpoint, video_folder, tmp_path
):
    made = Embedder.load(str(checkpoint("qwen2_5_vl")), thinking="none,converged=0.25:3")
    index = Index.open(tmp_path / "index", made, create=True)
    index.add(video_folder / "short.mp4", options=BuildOptions(workers=1))
    assert search(Index.open(tmp_path / "index"), "a door")[0].steps >= 1
    assert Index.open(tmp_path / "index").embedder.spec == made.spec


@pytest.fixture
def saved_mini(tiny_mini, mini_set_up, tmp_path):
    """A small model whose folder holds what it learned."""
    mini_folder.save_mini(tiny_mini, SAMPLING, tmp_path / "mini")
    save_learned(learned(tiny_mini, RULE), tmp_path / "mini")
    return tmp_path / "mini"


def test_embed_explains_how_a_vector_came_about(run, saved_mini, video_folder):
    video = video_folder / "short.mp4"
    code, out, err = run("embed", video, "--explain", "--model", saved_mini)
    assert code == 0, err
    title, first, *_, last = out.splitlines()
    assert title.split() == ["step", "halting", "cosine"]
    assert first.split()[0] == "1" and first.split()[2] == "-"
    assert last.split()[1:3] == ["steps,", "then"]
    _, out, _ = run("embed", video, "--explain", "--json", "--model", saved_mini)
    told = json.loads(out)
    assert len(told["curve"]) == told["steps"] and told["reason"] in ("halt", "cap")
    assert told["curve"][0]["cosine"] is None and 0 < told["curve"][0]["halting"] < 1


def test_embed_prints_the_vector_of_a_file(run, saved_mini, video_folder):
    video = video_folder / "short.mp4"
    embedder = Embedder.load(str(saved_mini))
    code, out, err = run("embed", video, "--model", saved_mini, "--json")
    assert code == 0, err
    vector = np.array(json.loads(out)["vector"])
    assert float(vector @ embedder.encode_document(video)) >= 0.9999
    _, other, _ = run("embed", video, "--model", saved_mini, "--thinking", "none")
    assert float(np.array(json.loads(other)) @ vector) < 0.9999


def test_commands_index_and_search_with_thinking(run, saved_mini, video_folder, tmp_path):
    place = ("--index", tmp_path / "i")
    words = ("--thinking", "latent:converged=0.3", "--max-steps", "2")
    code, _, err = run("index", video_folder / "short.mp4", "--model", saved_mini, *words, *place)
    assert code == 0, err
    _, out, _ = run("search", "a door", "--json", *place)
    hit = json.loads(out.splitlines()[0])
    assert hit["steps"] in (1, 2) and hit["reason"] in ("converged", "cap")
    _, out, _ = run("info", *place)
    assert "thinking  latent, converged to 0.3, at most 2; learned " in out
    assert run("search", "a door", "--thinking", "none", *place)[0] == 5


@pytest.mark.parametrize(
    ("words", "code", "sentence"),
    [
        (["--max-steps", "3"], 2, "--max-steps 3: say which steps with --thinking"),
        (["--thinking", "bored"], 2, "thinking rule 'bored': choose eos"),
        (["--thinking", "fixed", "--max-steps", "0"], 2, "thinking max_steps 0"),
        (["--thinking", "none"], 2, "takes no steps: load it with a thinking"),
        (["--thinking", "fixed", "--option", "layer=1"], 2, "last of layer 1"),
    ],
)
def test_a_mistake_is_one_sentence(run, saved_mini, video_folder, words, code, sentence):
    found, _, err = run(
        "embed", video_folder / "short.mp4", "--explain", "--model", saved_mini, *words
    )
    assert (found, "Traceback" in err) == (code, False), err
    assert sentence in err


def test_a_model_of_an_index_that_lost_its_thinking_is_named(index_folder, checkpoint):
    with pytest.raises(SetupError, match="has no trained halting"):
        _ = Index.open(index_folder, model=str(checkpoint("qwen2_5_vl"))).embedder
