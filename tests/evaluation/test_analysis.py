"""`kinoscope analyze`: figures of two models, plots, the user's own videos, mistakes."""

import json
from dataclasses import asdict
from functools import partial

import numpy as np
import pytest
import torch

from kinoscope import Embedder, cli
from kinoscope.backbones.mini import untrained_mini
from kinoscope.backbones.mini_folder import save_mini
from kinoscope.errors import UsageError
from kinoscope.evaluation.analysis import Analysis, analysed, draw_margins
from kinoscope.evaluation.metrics import recall_at
from kinoscope.evaluation.space import space_of
from kinoscope.evaluation.world.retrieval import own_ranks
from kinoscope.training.loop import train
from kinoscope.training.sources import FeatureCache, GeneratedSource, read_captions
from kinoscope.training.task import LoopConfig
from kinoscope.training.triplets import mixed
from kinoscope.training.world import WorldConfig
from tests.evaluation.test_space import unit
from tests.tiny_mini import as_if_trained
from tests.training.learning import Tiny
from tests.training.tiny_nuance import COUNTS, MIX
from tests.training.tiny_recipes import SAMPLING, videos

pytestmark = pytest.mark.usefixtures("one_torch_thread")

MIX_FILE = """
'''A mix.'''
from tests.training.tiny_nuance import MIX

def mix(split):
    assert split == "test"
    return MIX
"""


@pytest.fixture
def two_models(mini_set_up, tmp_path):
    """Folders of a model and of one that was tuned."""
    names = []
    for number, name in enumerate(("before", "after")):
        backbone = as_if_trained(untrained_mini(mini_set_up, layers=2))
        with torch.no_grad():
            for key, values in backbone.checkpoint.model.named_parameters():
                if "layers" in key:
                    values.mul_(1 + 0.3 * number)
        save_mini(backbone, SAMPLING, tmp_path / name, form="float16")
        names.append(str(tmp_path / name))
    return names


@pytest.fixture
def small_world(monkeypatch):
    """Of shapes alone, of two seconds."""
    from kinoscope.training import sources

    made = partial(GeneratedSource, config=WorldConfig(sprites=(), duration_s=2.0))
    monkeypatch.setattr(sources, "GeneratedSource", made)


def test_two_models_are_compared_in_figures_and_pictures(
    run, two_models, small_world, tmp_path
) -> None:
    file = tmp_path / "mix.py"
    file.write_text(MIX_FILE)
    words = ("analyze", *two_models, "--count", 4, "--mix", file)
    code, out, err = run(*words, "--json", "--to", tmp_path / "out")
    assert code == 0, err
    one, other = (json.loads(line) for line in out.splitlines())
    assert [one["model"], other["model"]] == two_models and one["videos"] == 4
    wanted = {"t2v_r1", "t2v_r10", "gap", "alignment", "video_uniformity", "text_rank"}
    parts = {f"{part}_{what}" for part in COUNTS for what in ("accuracy", "margin")}
    assert wanted | parts | {"text_accuracy"} <= one["metrics"].keys()
    assert one["metrics"]["gap"]["value"] != other["metrics"]["gap"]["value"]
    saved = json.loads((tmp_path / "out" / "analysis.json").read_text())
    assert saved == {each["model"]: each["metrics"] for each in (one, other)}
    for name in ("space.png", "margins.png"):
        assert (tmp_path / "out" / name).read_bytes().startswith(b"\x89PNG")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "analysis.json", "margins.png", "space.png"
    ]  # fmt: skip
    assert err.splitlines()[-1].startswith("analysis.json, space.png, margins.png in ")
    code, out, err = run(*words[:5], "--to", tmp_path / "plain")
    assert code == 0, err
    (gap_line,) = [line for line in out.splitlines() if line.startswith("gap ")]
    assert [float(cell) for cell in gap_line.split()[1:]] == pytest.approx(
        [one["metrics"]["gap"]["value"], other["metrics"]["gap"]["value"]], abs=1e-3
    )
    assert not (tmp_path / "plain" / "margins.png").exists()


def test_figures_are_those_of_vectors_that_users_get(two_models, mini_set_up, tmp_path) -> None:
    embedder, source = Embedder.load(two_models[1]), videos()
    cache = FeatureCache(tmp_path / "features", embedder.backbone, embedder.sampling)
    found = analysed("it", embedder.backbone, source, cache, count=3, triplets=mixed(MIX).triplets)
    assert found.keys == tuple(source.key(n) for n in range(3))
    clips_ND = embedder.encode_document([source.frames(n, embedder.sampling) for n in range(3)])
    texts_ND = embedder.encode_query([source.example(n).captions[0] for n in range(3)])
    metrics = {name: metric.value for name, metric in found.metrics().items()}
    for name, value in asdict(space_of(clips_ND, texts_ND)).items():
        assert metrics[name] == pytest.approx(value, abs=1e-3), name
    assert metrics["t2v_r1"] == recall_at(1, own_ranks(texts_ND, clips_ND)).mean()


def test_own_videos_are_measured_and_broken_ones_left_out_and_told(
    run, two_models, video_folder, tmp_path
) -> None:
    names = ["short.mp4", "long.mp4", "inner/third.mp4", "broken.mp4"]
    folder = tmp_path / "videos"
    folder.mkdir()
    for name in names[:3]:
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes((video_folder / name).read_bytes())
    (folder / "broken.mp4").write_bytes(b"no video")
    table = tmp_path / "mine.csv"
    table.write_text("video,caption\n" + "".join(f"{name},a film of {name}\n" for name in names))
    words = ("analyze", two_models[0], "--captions", table, "--videos", folder, "--json")
    code, out, err = run(*words)
    assert code == 0, err
    assert json.loads(out)["videos"] == 3
    assert "1 videos give no frames; broken.mp4: " in err
    (folder / "long.mp4").write_bytes(b"no video")
    code, out, err = run(*words)
    assert (code, out) == (2, "")
    assert "mine has 2 videos with a caption and frames: 3 are needed" in err
    source = read_captions(table, folder, overlaps=())
    assert len(source) == 4


def test_the_validations_of_a_training_become_curves(run, tmp_path) -> None:
    config = LoopConfig(steps=6, batch=5, validate_every=2, lr=0.01)
    train(Tiny(scores=[0.5, 0.7, 0.25]), config, tmp_path / "run")
    code, out, err = run("analyze", "--run", tmp_path / "run", "--json", "--to", tmp_path / "out")
    assert code == 0, err
    assert json.loads(out) == {"figure": "score", "steps": [[2, 0.5], [4, 0.7], [6, 0.25]]}
    assert (tmp_path / "out" / "curves.png").read_bytes().startswith(b"\x89PNG")
    code, out, err = run("analyze", "--run", tmp_path / "run")
    told = "score 0.500 at first, 0.250 at last, 0.250 to 0.700"
    assert (code, " ".join(out.split())) == (0, told)
    train(Tiny(), LoopConfig(steps=1, batch=5), tmp_path / "plain")
    for words, sentence in (
        (["--run", tmp_path / "plain"], "plain was never validated: give its recipe a validate"),
        (["--run", tmp_path], "has no journal.jsonl: name the folder of a training run"),
        (["mini", "--run", tmp_path], "beside mini: give a training, or models"),
        ([], "0 models: give 1 to 6 different ones"),
    ):
        code, out, err = run("analyze", *words)
        assert (code, out) == (2, "") and sentence in err
    blocked = tmp_path / "file"
    blocked.write_text("")
    code, out, err = run("analyze", "--run", tmp_path / "run", "--to", blocked / "below")
    assert code == 6 and "cannot write in" in err


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["a", "a"], "2 models: give 1 to 6 different ones"),
        (list("abcdefg"), "7 models: give 1 to 6 different ones"),
        (["mini", "--count", "0"], "--count 0: choose 1 or more"),
        (["mini", "--captions", "x.csv"], "--captions and --videos go together: give both"),
        (["mini", "--captions", "x.txt", "--videos", "."], "x.txt is neither .csv nor .jsonl"),
        (["mini", "--mix", "absent.py"], "absent.py is no mix: name a Python file with a function"),
    ],
)
def test_a_mistake_is_one_sentence(run, words, sentence, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    code, out, err = run("analyze", *words)
    assert (code, out) == (2, "")
    assert err.startswith(f"kinoscope: {sentence}") and len(err.splitlines()) == 1


def test_margins_are_drawn_of_models_that_have_some_and_a_full_disk_is_told(tmp_path) -> None:
    one = Analysis(name="x", keys=("a", "b"), videos_ND=unit(2, 3, 0), texts_ND=unit(2, 3, 1))
    with pytest.raises(UsageError, match="x has no margins: analyse it with triplets"):
        draw_margins([one], tmp_path / "margins.png")
    assert not list(tmp_path.iterdir())
    assert repr(one).startswith("Analysis(name='x'") and "array" not in repr(one)
    assert np.isfinite(one.metrics()["gap"].value)
    assert cli.analysis.analyze.__doc__
