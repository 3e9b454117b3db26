"""The world's tasks as benchmarks: the figures of the tasks themselves, and nothing asked twice."""

from collections import Counter

import numpy as np
import pytest

from kinoscope.backbones.mllm import MLLM
from kinoscope.backbones.options import LoadOptions
from kinoscope.embedder import Embedder
from kinoscope.errors import UsageError
from kinoscope.evaluation.runner import run as runner
from kinoscope.evaluation.runner import world_benchmarks
from kinoscope.evaluation.runner.asking import Asking
from kinoscope.evaluation.runner.kept import Kept
from kinoscope.evaluation.runner.run import Wanted, evaluate
from kinoscope.evaluation.runner.world_benchmarks import benchmarks
from kinoscope.evaluation.saved import read_evaluation, save_evaluation
from kinoscope.evaluation.tasks.protocol import Options
from kinoscope.evaluation.world import answering
from kinoscope.evaluation.world.composed import composed
from kinoscope.evaluation.world.edited import edited
from kinoscope.evaluation.world.negation import negation
from kinoscope.evaluation.world.table import Measurement, System, World
from kinoscope.evaluation.world.vectors import embed_clips
from kinoscope.evaluation.world.videos import WorldVideos
from kinoscope.sampling import SamplingConfig
from kinoscope.training.sources import FeatureCache, GeneratedSource
from tests.evaluation.oracles import PLAIN
from tests.evaluation.runner.made import TOLD, Counting, embedder
from tests.tiny import tiny

COUNT = 8
NAMES = ("retrieval", "reversal", "moments", "long-text", "composed", "negation")


@pytest.fixture(autouse=True)
def plain_world(monkeypatch, tmp_path):
    monkeypatch.setattr(runner, "BENCHMARKS", benchmarks(PLAIN))
    monkeypatch.setenv("KINOSCOPE_CACHE", str(tmp_path / "cache"))


def asked(name, model, *, workers=0, **options):
    wanted = Wanted(name=f"world-{name}", options=Options(limit=COUNT, **options))
    return evaluate(wanted, Asking(model, Kept(model.spec), workers=workers), TOLD)


def plain(name, model):
    """The task as recipes run it, with nothing kept."""
    backbone = model.backbone

    def see(source):
        return WorldVideos(source, lambda n: backbone.vision(source.frames(n, model.sampling)))

    world = World(count=COUNT, chosen_on=8, guessed_from=200, config=PLAIN)
    if name == "composed":
        return composed(backbone, *(see(one) for one in edited("test", COUNT, PLAIN)))[0]
    if name == "negation":
        videos = see(world.test()).first(COUNT)
        return negation(backbone, videos, embed_clips(backbone, videos.clips()))[0]
    measurement = Measurement(System(backbone=backbone, see=see, fps=model.sampling.fps), world)
    tasks = ("reversal", "chiral") if name == "reversal" else (name.replace("-", "_"),)
    return {key: metric for task in tasks for key, metric in measurement.task(task)[0].items()}


@pytest.mark.parametrize("name", NAMES)
def test_figures_are_those_of_the_task_and_come_again_without_asking(name, tmp_path):
    first = asked(name, embedder())
    assert first.metrics == plain(name, embedder())
    assert first.vectors["embedded"] > 0 and first.values
    again = embedder()
    second = asked(name, again)
    assert isinstance(again.backbone, Counting) and again.backbone.contents == 0
    assert second.metrics == first.metrics and second.vectors["embedded"] == 0
    assert second.protocol == first.protocol and second.stem == f"world-{name}.limit-{COUNT}"
    assert read_evaluation(save_evaluation(first, tmp_path)).protocol.details["fingerprint"]


@pytest.mark.parametrize("name", ["retrieval", "reversal"])
def test_nouns_of_the_training_are_a_benchmark_of_their_own(name):
    model = embedder()
    found = asked(f"seen-{name}", model)

    def see(source):
        return WorldVideos(
            source, lambda n: model.backbone.vision(source.frames(n, model.sampling))
        )

    system = System(backbone=model.backbone, see=see, fps=model.sampling.fps)
    seen = Measurement(system, World(count=COUNT, config=PLAIN), seen=True)
    assert found.metrics == seen.task(name)[0]
    assert found.protocol.split_hash != asked(name, embedder()).protocol.split_hash


def test_the_validation_split_is_measured_on_other_videos():
    test, validation = (asked("retrieval", embedder(), split=s) for s in ("test", "validation"))
    assert validation.variant == ("validation", f"limit-{COUNT}")
    assert validation.protocol.split_hash != test.protocol.split_hash
    assert validation.values["t2v_r1"].queries[0].startswith("validation-")
    world = World(count=COUNT, config=PLAIN, split="validation")
    measured, chosen = (
        {s.key(n) for n in range(len(s))} for s in (world.test(), world.validation(8))
    )
    assert not measured & chosen, "a method is not chosen on what it is measured on"


@pytest.fixture(scope="module")
def speaker(tmp_path_factory, one_torch_thread):
    folder = tiny("qwen3_vl", tmp_path_factory.mktemp("qwen3"))
    sampling = SamplingConfig(fps=1.0, side_px=None, max_pixels=64 * 64, windows=(), clip_frames=2)
    return Embedder.load(str(folder), options=LoadOptions(offline=True), sampling=sampling)


@pytest.mark.parametrize(("name", "metric"), [("qa", "qa_accuracy"), ("matching", "matching_auc")])
def test_a_model_with_words_answers(name, metric, speaker):
    found = asked(name, speaker)
    assert 0 <= found.metrics[metric].value <= 1
    assert found.values and found.protocol.details["world"] == "world test 0..8"


@pytest.fixture
def work(monkeypatch):
    """What is asked of the model in words from now on, and how many videos are rendered."""
    done = Counter()

    def counted(name, function):
        def call(backbone, contents, *others):
            done[name] += len(contents)
            return function(backbone, contents, *others)

        return call

    frames = GeneratedSource.frames
    for name in ("log_likelihoods", "yes_margins"):
        monkeypatch.setattr(answering, name, counted(name, getattr(answering, name)))

    def rendered(source, *arguments):
        done["rendered"] += 1
        return frames(source, *arguments)

    monkeypatch.setattr(GeneratedSource, "frames", rendered)
    return done


ASKS = {"qa": "log_likelihoods", "matching": "yes_margins"}


@pytest.mark.parametrize("name", ASKS)
def test_what_was_said_in_words_is_not_asked_again(name, speaker, work) -> None:
    first = asked(name, speaker)
    count = first.vectors["embedded"]
    assert count > 0 == first.vectors["cached"]
    assert work[ASKS[name]] >= 2 * count and work["rendered"] > 0
    work.clear()
    second = asked(name, speaker)
    assert not work, "a model and a renderer were at work"
    assert second.vectors == {"embedded": 0, "cached": count}
    assert second.metrics == first.metrics and second.protocol == first.protocol
    for key, each in first.values.items():
        assert np.array_equal(each.values_Q, second.values[key].values_Q)


def test_worker_processes_look_at_videos_only_where_something_is_new(speaker, monkeypatch) -> None:
    class Begun(Exception):
        pass

    def begin(*_arguments, **_named):
        raise Begun

    first = asked("qa", speaker)
    monkeypatch.setattr(world_benchmarks, "_WORTH_WORKERS", 1)
    monkeypatch.setattr(FeatureCache, "warm", begin)
    assert asked("qa", speaker, workers=1).metrics == first.metrics
    with pytest.raises(Begun):
        asked("matching", speaker, workers=1)


@pytest.mark.parametrize("name", ASKS)
def test_another_text_model_or_precision_is_asked_anew(name, speaker, work, monkeypatch) -> None:
    count = asked(name, speaker).vectors["embedded"]
    patterns = {"qa": "choice_prompt", "matching": "MATCHES"}
    asked_first = getattr(answering, patterns[name])
    words = (
        (lambda *given: asked_first(*given) + " Say it.") if name == "qa" else asked_first + " Yes?"
    )
    for target, field, value in (
        (answering, patterns[name], words),
        (MLLM, "precision", "bfloat16"),
        (MLLM, "weights", "others"),
    ):
        work.clear()
        with monkeypatch.context() as patched:
            patched.setattr(target, field, value)
            found = asked(name, speaker)
        assert found.vectors == {"embedded": count, "cached": 0}, field
        assert work[ASKS[name]] >= 2 * count, field
    assert asked(name, speaker).vectors == {"embedded": 0, "cached": count}


def test_one_question_that_is_other_is_asked_alone(speaker, work, monkeypatch) -> None:
    first = asked("qa", speaker)
    prompt, seen = answering.choice_prompt, []

    def other(question, options):
        seen.append(question)
        return prompt(question + "?" * (len(seen) == 1), options)

    monkeypatch.setattr(answering, "choice_prompt", other)
    work.clear()
    found = asked("qa", speaker)
    assert found.vectors == {"embedded": 1, "cached": first.vectors["embedded"] - 1}
    assert 2 <= work["log_likelihoods"] <= 5 and work["rendered"] == 1


def test_damaged_scores_are_asked_anew(speaker, work) -> None:
    first = asked("matching", speaker)
    (data,) = Kept(speaker.spec).folder.glob("features.bin")
    content = bytearray(data.read_bytes())
    content[-1] ^= 255
    data.write_bytes(content)
    found = asked("matching", speaker)
    assert found.vectors["embedded"] == 1 and found.metrics == first.metrics


def test_a_kill_loses_at_most_a_group_of_questions(speaker, work, monkeypatch) -> None:
    monkeypatch.setattr(answering, "_GROUP", 3)
    likelihoods, calls = answering.log_likelihoods, []

    def interrupted(*given):
        calls.append(given)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return likelihoods(*given)

    with monkeypatch.context() as patched:
        patched.setattr(answering, "log_likelihoods", interrupted)
        with pytest.raises(KeyboardInterrupt):
            asked("qa", speaker)
    assert asked("qa", speaker).vectors["cached"] == 6


def test_a_model_without_words_is_told_so():
    with pytest.raises(UsageError, match="the colours model answers nothing in words: world-qa"):
        asked("qa", embedder())
