"""The matcher: margins one by one, priors, shared clips, and hits ranked anew."""

import json
from dataclasses import replace

import numpy as np
import pytest

from kinoscope.backbones import mini
from kinoscope.backbones.mini import untrained_mini
from kinoscope.backbones.options import LoadOptions
from kinoscope.calibration import Calibration, sigmoid
from kinoscope.clips import read_clip
from kinoscope.embedder import Embedder
from kinoscope.errors import MediaError, UsageError
from kinoscope.libraries import torch
from kinoscope.matcher import Matcher, yes_margins
from kinoscope.prompts import CHAT, MATCHES
from kinoscope.samples import write_video
from kinoscope.sampling import SamplingConfig, Window
from kinoscope.types import Content, Hit, Span
from tests.test_moments import Colours
from tests.tiny import moving_frames
from tests.tiny_mini import Tower, as_if_trained, tiny_mini_files

TEXTS = ("a fox runs to the left", "a door", "a fox runs to the left", "two balls fall, then stop")
SAMPLING = SamplingConfig(fps=1.0, clip_frames=4, windows=(Window(length_s=2.0, stride_s=2.0),))


@pytest.fixture(scope="module")
def embedder(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(mini, "open_session", lambda *_arguments: Tower())
        files = tiny_mini_files(tmp_path_factory.mktemp("mini"))
        backbone = untrained_mini(files, layers=2, options=LoadOptions(batch_tokens=512))
        yield Embedder(as_if_trained(backbone), sampling=SAMPLING)


@pytest.fixture(scope="module")
def clips(embedder):
    return [embedder.vision(moving_frames(3, 260, 260, n)) for n in range(2)]


def alone(backbone, content) -> float:
    """By the whole logit matrix, of one question."""
    tokenizer = backbone.checkpoint.family.processor.tokenizer
    yes, no = (tokenizer(w, add_special_tokens=False)["input_ids"][0] for w in ("yes", "no"))
    with torch().inference_mode():
        logits_V = backbone.checkpoint.model(**backbone.prepare(content, CHAT)).logits[0, -1]
    return float(logits_V[yes] - logits_V[no])


def test_margins_and_priors_are_those_of_asking_one_by_one(embedder, clips) -> None:
    asked = [clips[0], clips[0], clips[1], clips[0]]
    shown_N, priors_N = Matcher(embedder).margins(asked, TEXTS)
    for clip, text, shown, prior in zip(asked, TEXTS, shown_N, priors_N, strict=True):
        question = MATCHES.format(text=text)
        with_clip, without = Content(clip=clip, text=question), Content(text=question)
        assert shown == pytest.approx(alone(embedder.backbone, with_clip), abs=1e-3)
        assert prior == pytest.approx(alone(embedder.backbone, without), abs=1e-3)
    half = Calibration(model=embedder.backbone.weights, prior=0.5)
    odds_N = Matcher(embedder, half).log_odds(asked, TEXTS)
    np.testing.assert_allclose(odds_N, shown_N - 0.5 * priors_N, atol=1e-3)
    assert len(set(np.round(odds_N, 4))) > 1, "texts and clips make a difference"


def test_a_clip_is_read_once_for_all_its_texts(embedder, clips) -> None:
    seen: list[object] = []
    connector = embedder.backbone.checkpoint.model.model.connector
    handle = connector.register_forward_hook(lambda _m, given, _out: seen.extend(given[2]))
    asked = [MATCHES.format(text=text) for text in TEXTS]
    yes_margins(
        embedder.backbone, [Content(clip=clips[n % 2], text=t) for n, t in enumerate(asked)]
    )
    handle.remove()
    assert len(seen) == 2


def test_texts_and_clips_come_in_pairs_and_texts_say_something(embedder, clips) -> None:
    with pytest.raises(UsageError, match="2 texts on 1 clips"):
        Matcher(embedder).margins(clips[:1], ["a", "b"])
    with pytest.raises(UsageError, match="text is empty"):
        Matcher(embedder).margins(clips[:1], [" "])


def test_only_a_model_that_speaks_matches() -> None:
    with pytest.raises(UsageError, match="the colours model gives vectors, no words"):
        Matcher(Embedder(Colours()))


def test_a_calibration_of_other_weights_is_refused(embedder) -> None:
    with pytest.raises(UsageError, match="calibration is for the weights others"):
        Matcher(embedder, Calibration(model="others"))


# --- hits


@pytest.fixture(scope="module")
def film(tmp_path_factory):
    """Eight seconds at 4 frames a second, another colour every two."""
    path = tmp_path_factory.mktemp("film") / "film.mp4"
    colours = np.random.default_rng(4).integers(0, 256, (4, 3), dtype=np.uint8)
    write_video(path, (np.full((48, 64, 3), colours[n // 8]) for n in range(32)), fps=4)
    return path


@pytest.fixture
def hits(film):
    return [
        Hit(rank=n + 1, path=film, span=Span(2.0 * n, 2.0 * n + 2), score=0.4 - n / 10, cosine=0.5)
        for n in range(4)
    ]


def calibrated(embedder, **fields) -> Matcher:
    return Matcher(embedder, Calibration(model=embedder.backbone.weights, **fields))


def test_hits_are_ranked_by_what_the_model_says_of_their_own_frames(embedder, hits) -> None:
    matcher = calibrated(embedder, fusion=0.0, temperature=2.0)
    found = matcher.rerank(hits, "a door", top=3)
    clips = [embedder.features({"video": hit.path}) for hit in hits[:1]]
    assert len(clips[0]) == 4, "the whole film, not a hit of it"
    odds = {hit.span: matcher.log_odds([embedder.features(excerpt(hit))], ["a door"])[0]
            for hit in hits[:3]}  # fmt: skip
    expected = sorted(odds, key=lambda span: -odds[span])
    assert [hit.span for hit in found[:3]] == expected
    for hit in found[:3]:
        assert hit.probability == pytest.approx(sigmoid(odds[hit.span] / 2.0), abs=1e-3)
    assert found[3] == hits[3]
    assert [hit.rank for hit in found] == [1, 2, 3, 4]
    assert {(hit.span, hit.score) for hit in found} == {(hit.span, hit.score) for hit in hits}


def excerpt(hit: Hit):
    from kinoscope.documents import Excerpt

    return Excerpt(hit.path, hit.span)


def test_with_retrieval_alone_the_order_stays(embedder, hits) -> None:
    found = calibrated(embedder, fusion=1.0).rerank(hits, "a door", top=9)
    assert [hit.span for hit in found] == [hit.span for hit in hits]
    assert Matcher(embedder).rerank([], "a door", top=2) == []
    plain = Matcher(embedder).rerank(hits, "a door", top=2)
    assert all(hit.probability is None for hit in plain), "uncalibrated there is no probability"
    with pytest.raises(UsageError, match="rerank 0"):
        Matcher(embedder).rerank(hits, "a door", top=0)
    away = [replace(hits[0], path=hits[0].path.with_name("gone.mp4"))]
    with pytest.raises(MediaError, match="does not exist"):
        Matcher(embedder).rerank(away, "a door", top=1)


def test_no_good_match_is_an_answer(embedder, hits) -> None:
    found = calibrated(embedder, threshold=1.0).rerank(hits, "a door", top=4)
    assert calibrated(embedder, threshold=1.0).good(found) == []
    least = sorted(hit.probability for hit in found)[2]
    good = calibrated(embedder, threshold=least).good(found)
    assert len(good) == 2
    assert [hit.rank for hit in good] == [1, 2]
    assert min(hit.probability for hit in good) >= least
    with pytest.raises(UsageError, match="without a calibration"):
        Matcher(embedder).good(found)


# --- the command


@pytest.mark.parametrize(
    ("words", "code", "sentence"),
    [
        (["a dog", "--sure"], 2, "are of --rerank N"),
        (["a dog", "--calibration", "x.json"], 2, "are of --rerank N"),
        (["a dog", "--rerank", "0"], 2, "--rerank 0"),
        (["a dog", "--rerank", "3", "--sure"], 2, "name a file with --calibration"),
        (["a dog", "--rerank", "3", "--calibration", "none.json"], 2, "none.json does not exist"),
    ],
)
def test_options_that_do_not_go_together_are_named(run, tmp_path, words, code, sentence) -> None:
    got, out, err = run("search", *words, "--index", tmp_path / "never opened")
    assert (got, out) == (code, "")
    assert sentence in err
    assert len(err.splitlines()) == 1


def test_the_command_ranks_anew_and_says_how_probable(
    run, film, tmp_path, monkeypatch, mini_set_up
) -> None:
    from kinoscope.index.handle import Index

    backbone = as_if_trained(untrained_mini(mini_set_up, layers=2, options=LoadOptions()))
    made = Embedder(backbone, sampling=SAMPLING)
    index = Index.open(tmp_path / "index", made, create=True)
    (tmp_path / "films").mkdir()
    (tmp_path / "films" / "film.mp4").write_bytes(film.read_bytes())
    index.add(tmp_path / "films")
    monkeypatch.setattr(Index, "embedder", made)
    file = tmp_path / "c.json"
    Calibration(model=backbone.weights, threshold=0.0).write(file)
    words = ["a door", "--rerank", 4, "--index", tmp_path / "index", "-k", 2]
    code, out, err = run("search", *words, "--calibration", file, "--sure", "--json")
    assert (code, err) == (0, "")
    rows = [json.loads(line) for line in out.splitlines()]
    assert [row["rank"] for row in rows] == [1, 2]
    assert all(0 < row["probability"] < 1 for row in rows)
    assert "%" in run("search", *words, "--calibration", file)[1]
    assert "%" not in run("search", *words)[1]
    Calibration(model=backbone.weights, threshold=1.0).write(file)
    code, out, err = run("search", *words, "--calibration", file, "--sure")
    assert (code, out) == (0, "")
    assert "nothing matches" in err
    code, _, err = run("search", "--like", tmp_path / "films" / "film.mp4", *words[1:])
    assert (code, "give one to look for" in err) == (2, True)


def test_what_hits_show_may_be_read_elsewhere(embedder, hits) -> None:
    shown = {hit.span: read_clip(hit.path, SAMPLING, hit.span) for hit in hits}
    gone = [replace(hit, path=hit.path.with_name("gone.mp4")) for hit in hits]
    matcher = calibrated(embedder, fusion=0.0)
    found = matcher.rerank(gone, "a door", top=4, read=lambda hit: shown[hit.span])
    own = matcher.rerank(hits, "a door", top=4)
    assert [hit.span for hit in found] == [hit.span for hit in own]
    probabilities = [hit.probability for hit in own]
    assert [hit.probability for hit in found] == pytest.approx(probabilities, abs=1e-5)
