"""A short form of the fuzzing; and that it would notice a crash."""

import random

import pytest

from kinoscope.errors import IndexFault, UsageError
from kinoscope.index.manifest import disk_faults
from recipes import fuzz_index, fuzz_media
from recipes.fuzz import metrics
from recipes.fuzz_mutations import damaged_media, mutant
from recipes.fuzz_parsers import Parser, replay, tried, workplace
from recipes.fuzz_targets import parsers

PARSERS = parsers()


@pytest.fixture(scope="module")
def folder():
    with workplace() as place:
        yield place


@pytest.mark.parametrize("name", PARSERS)
def test_every_parser_takes_its_seeds_and_takes_or_refuses_their_mutants(name, folder) -> None:
    parser = PARSERS[name]
    for seed in parser.seeds:
        parser.read(seed, folder)
    assert replay(parser, 120, 7, folder) == {}


def test_mutated_media_cost_themselves_only() -> None:
    outcomes = fuzz_media.batch(fuzz_media.seeds(), 0, 60)
    assert sum(outcomes.values()) == 60
    assert fuzz_media.outside(outcomes) == {}
    assert outcomes["decoded"] > 5, "some survive, else nothing is decoded"
    assert outcomes["decoded"] < 55, "some do not, else nothing is damaged"


def test_damaged_indexes_are_opened_refused_or_mended() -> None:
    outcomes = fuzz_index.batch(0, 10)
    assert sum(outcomes.values()) == 10
    assert fuzz_media.outside(outcomes) == {}
    assert outcomes["mended"] > 0


def test_a_panic_of_the_tables_is_damage_with_a_remedy(tmp_path) -> None:
    class RustPanic(Exception):
        """As LanceDB has it, which does not export it."""

    wanted = pytest.raises(IndexFault, match=r"is damaged .*kinoscope doctor --repair")
    with wanted, disk_faults(tmp_path):
        raise RustPanic("rust future panicked")


def test_an_exception_that_is_no_refusal_is_a_crash(folder) -> None:
    def careless(content: bytes, _folder: object) -> None:
        if content.startswith(b"no"):
            raise UsageError("refused")
        [][len(content)]

    parser = Parser(seeds=(b"no",), read=careless)
    assert tried(parser, b"no matter", folder) is None
    crash = tried(parser, b"yes", folder)
    assert crash is not None
    assert crash.what.startswith("IndexError in ")
    assert crash.content == b"yes"
    assert list(replay(parser, 50, 1, folder)), "mutants differ from the seed"


def test_mutants_are_many_and_the_same_for_a_seed() -> None:
    seeds = [b'{"a": [1, 2, {"b": "c"}]}', b"x,y\n1,2\n"]
    for make in (mutant, damaged_media):
        one, other = (
            [make(seeds, chance) for _ in range(300)]
            for chance in (random.Random(5), random.Random(5))
        )
        assert one == other
        assert len(set(one)) > 150


def test_figures_count_what_went_wrong() -> None:
    found = {
        "a": {"mutants": 10, "crashes": {}, "hangs": 0},
        "b": {"mutants": 5, "crashes": {"KeyError": "x"}, "hangs": 1},
    }
    outcomes = fuzz_media.Counter({"decoded": 3, "crashed": 1, "outside: hang": 2, "outside: x": 1})
    indexes = fuzz_media.Counter({"mended": 4, "outside: y": 1})
    values = {name: metric.value for name, metric in metrics(found, outcomes, indexes).items()}
    assert values == {
        "parsers": 2, "mutants": 24, "media": 4, "indexes": 5, "crashes": 3, "hangs": 3,
        "workers_crashed": 1, "workers_given_up": 0,
    }  # fmt: skip
