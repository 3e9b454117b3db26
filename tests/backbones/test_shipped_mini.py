"""The trained `mini` that comes with the package: whole, small, and better than chance.

Needs the base files (`kinoscope setup mini`); videos are rendered here, of shapes and props alone.
"""

import json
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import kinoscope
from kinoscope import Embedder
from kinoscope.backbones.mini import SAMPLING
from kinoscope.backbones.mini_folder import SHIPPED
from kinoscope.evaluation.metrics import recall_at
from kinoscope.evaluation.results import load_result
from kinoscope.evaluation.world import reversal
from kinoscope.evaluation.world.retrieval import own_ranks
from kinoscope.packages import sha256_of
from kinoscope.training.sources import GeneratedSource
from kinoscope.training.world import WorldConfig
from kinoscope.types import Frames

ROOT = Path(__file__).parents[2]
MOST_BYTES, MOST_PARAMETERS = 40 * 2**20, 150_000_000
VIDEOS = 14
WORLD = GeneratedSource("test", VIDEOS, config=WorldConfig(sprites=()))


@pytest.fixture(scope="module")
def embedder() -> Embedder:
    return Embedder.load("mini")


@pytest.fixture(scope="module")
def films() -> list[Frames]:
    return [WORLD.frames(number, SAMPLING) for number in range(VIDEOS)]


@pytest.fixture(scope="module")
def films_ND(embedder, films) -> np.ndarray:
    return embedder.encode_document(films)


def backwards(film: Frames) -> Frames:
    times_F = film.times_F[0] + film.times_F[-1] - film.times_F[::-1]
    return Frames(film.rgb_FHWC[::-1].copy(), np.ascontiguousarray(times_F))


def test_its_folder_is_small_and_the_package_takes_all_of_it() -> None:
    files = [path for path in SHIPPED.rglob("*") if path.is_file()]
    assert {path.name for path in files} == {"config.json", "learned.safetensors", "mini.json"}
    assert sum(path.stat().st_size for path in files) <= MOST_BYTES
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())
    patterns = settings["tool"]["setuptools"]["package-data"]["kinoscope"]
    package = Path(kinoscope.__file__).parent
    taken = {path for pattern in patterns for path in package.glob(pattern)}
    assert taken >= set(files)


def test_its_weights_are_those_that_were_saved() -> None:
    settings = json.loads((SHIPPED / "mini.json").read_text())
    assert settings["learned"] == sha256_of(SHIPPED / "learned.safetensors")
    assert settings["form"] == "int8"


def test_its_spec_says_all_that_decides_a_vector(embedder) -> None:
    spec = embedder.spec
    assert (spec.model, spec.dimension, spec.head) == ("mini", 576, "last")
    assert (spec.sampling, spec.centring) == (SAMPLING.describe(), "none")
    assert re.fullmatch(r"[0-9a-f]{64}", spec.weights)
    assert re.fullmatch(r"[0-9a-f]{64} transformers \d+\.\d+", spec.prompts)


def test_its_parameters_are_as_many_as_its_card_says(embedder) -> None:
    network = embedder.backbone.checkpoint.model
    parts = {
        "connector": network.model.connector,
        "language model": network.model.layers,
        "word embeddings, frozen": network.model.embed_tokens,
    }
    page = (ROOT / "docs" / "mini.md").read_text()
    for name, part in parts.items():
        count = sum(values.numel() for values in part.parameters())
        assert re.search(rf"^\| {name} \|.*\| {count / 1e6:.1f} million \|", page, re.M), name
    assert sum(values.numel() for values in network.parameters()) <= MOST_PARAMETERS


@pytest.mark.parametrize("name", ["world_mini", "samples_mini"])
def test_its_published_figures_were_measured_on_these_weights(embedder, name) -> None:
    measured = load_result(name, folder=ROOT / "results").details["model"]
    assert measured["weights"] == embedder.spec.weights, f"run python -m recipes.{name}"


def test_videos_it_has_never_seen_are_found_by_their_captions(embedder, films_ND) -> None:
    captions = [WORLD.example(number).captions[0] for number in range(VIDEOS)]
    found = own_ranks(embedder.encode_query(captions), films_ND)
    assert recall_at(1, found).mean() >= 0.4, "chance is 0.07"
    assert found.mean() <= 4, "chance is 7.5"


def test_a_film_played_backwards_is_another_film(embedder, films, films_ND) -> None:
    turned_ND = embedder.encode_document([backwards(film) for film in films])
    told = {n: reversal.told_both_ways(WORLD.example(n)) for n in range(VIDEOS)}
    rows = [n for n, pair in told.items() if pair is not None]
    assert len(rows) >= VIDEOS // 2
    cosines_N = (films_ND[rows] * turned_ND[rows]).sum(axis=1)
    assert cosines_N.max() < 0.9999
    assert cosines_N.mean() < 0.99
    texts = [embedder.encode_query([told[n][way] for n in rows]) for way in (0, 1)]
    choices = reversal.choose(
        reversal.BothWays(forward_ND=films_ND[rows], backward_ND=turned_ND[rows]),
        reversal.BothWays(forward_ND=texts[0], backward_ND=texts[1]),
    )
    assert (choices.t2v_N + choices.v2t_N).mean() / 2 > 0.55, "chance is 0.5"


def test_a_text_has_one_unit_vector_alone_and_among_others(embedder) -> None:
    texts = ["A red door opens.", "no", "Two blue circles move to the left, then they stop. " * 4]
    together_ND = embedder.encode_query(texts)
    assert np.abs(np.linalg.norm(together_ND, axis=1) - 1).max() < 1e-5
    alone_ND = np.stack([embedder.encode_query(text) for text in texts])
    assert (together_ND * alone_ND).sum(axis=1).min() >= 0.99999


def control_words(text: str) -> Iterator[str]:
    return (found[0] for found in re.finditer(r"<\|?[a-z_]+\|?>", text))


def test_it_says_captions_and_answers(embedder, films) -> None:
    caption = embedder.caption(films[0], max_new_tokens=40)
    assert len(caption.split()) >= 3
    assert not list(control_words(caption))
    question = WORLD.example(0).questions[0]
    assert embedder.answer(films[0], question.question).strip()
    assert (
        embedder.answer(films[0], question.question, options=question.options) in question.options
    )
