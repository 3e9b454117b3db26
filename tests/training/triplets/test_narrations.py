"""Ego4D's narrations: pairs of one action on one thing, and the verb turned round."""

import json

import pytest

from kinoscope.errors import UsageError
from kinoscope.training.triplets import read_ego4d
from kinoscope.training.triplets.matching import find, turned_round


@pytest.fixture
def ego4d_of(tmp_path):
    def read(*videos, **options):
        document = {
            "videos": {
                f"uid{n}": {
                    "status": "complete",
                    "narration_pass_1": {
                        "narrations": [
                            {"timestamp_sec": 1.5, "narration_text": text} for text in texts
                        ],
                        "summaries": [{"summary_text": "#Summary C cooks"}],
                    },
                    "narration_pass_2": {"narrations": []},
                }
                for n, texts in enumerate(videos)
            }
        }
        path = tmp_path / "narration.json"
        path.write_text(json.dumps(document))
        return read_ego4d(path, **options)

    return read


def test_two_narrations_of_one_action_and_the_verb_turned_round(ego4d_of) -> None:
    source = ego4d_of(
        ["#C C picks up a cup", "#C C walks around", "#O man X picks up a cup"],
        ["#C C picks the cup", "#C C opens a drawer with the left hand", "#C C looks around"],
    )
    made = {one.anchor: one for one in source.of("time", 10)}
    assert made["A person picks up a cup."].positive == "A person picks the cup."
    assert made["A person picks up a cup."].negative == "A person puts down a cup."
    assert made["A person picks up a cup."].why == "opposite action: pick up / put down"
    assert source.overlaps == ("Ego4D", "EgoCVR")
    assert not len(source.problems)


def test_other_things_and_other_places_are_no_positives(ego4d_of) -> None:
    source = ego4d_of(
        [
            "#C C picks up a cup from the table",
            "#C C picks up the cup from the floor",
            "#C C picks the cup from the table",
            "#C C picks up a spoon from the table",
        ]
    )
    pairs = {(one.anchor, one.positive) for one in source.of("time", 10)}
    alike = ("A person picks up a cup from the table.", "A person picks the cup from the table.")
    assert pairs == {alike, alike[::-1]}
    wrong = {one.negative for one in source.of("time", 10)}
    assert wrong == {
        "A person puts down a cup on the table.",
        "A person drops the cup on the table.",
    }


def test_what_is_done_in_every_video_does_not_crowd_out_the_rest(ego4d_of) -> None:
    nouns = ["big", "small", "red", "blue", "old", "new", "wet", "dry", "cold", "hot"]
    narrations = [f"#C C opens the {noun} door" for noun in nouns]
    assert len(ego4d_of(narrations).of("time", 100)) > 5
    assert len(ego4d_of(narrations, most_alike=2).of("time", 100)) == 2
    with pytest.raises(UsageError, match="0 triplets of one action: choose 1 or more"):
        ego4d_of(narrations, most_alike=0)


def test_unfit_narrations_are_told_and_counted(ego4d_of) -> None:
    good = ["#C C picks up a cup", "#C C picks the cup"]
    source = ego4d_of([*good, "#C C picks up #unsure", "", 3, "#C C picks " + "x" * 2000])
    assert source.problems.counts == {"text": 2, "type": 1, "size": 1}
    assert next(iter(source.problems)).where == "uid0 narration_pass_1 2"
    with pytest.raises(UsageError, match="the annotator was unsure"):
        ego4d_of([*good, "#C C picks up #unsure"], strict=True)


@pytest.mark.parametrize("document", ["[]", '{"videos": []}', "3"])
def test_another_layout_is_refused(tmp_path, document) -> None:
    path = tmp_path / "narration.json"
    path.write_text(document)
    with pytest.raises(UsageError, match=r"give Ego4D's narration\.json"):
        read_ego4d(path)


def test_a_file_without_opposites_is_refused(ego4d_of) -> None:
    with pytest.raises(UsageError, match="no triplet that can be used: none left out"):
        ego4d_of(["#C C looks around"])


@pytest.mark.parametrize(
    ("said", "opposite"),
    [
        ("A person picks up a cup.", "A person puts down a cup."),
        ("A person picks the big red cup up.", "A person puts the big red cup down."),
        ("A person is taking off his shoes.", "A person is putting on his shoes."),
        ("A person takes a knife from the drawer.", "A person puts a knife in the drawer."),
        ("A person takes a knife from the table.", "A person puts a knife on the table."),
        ("A person takes a knife out of the pot.", "A person puts a knife into the pot."),
        ("A person closes the fridge.", "A person opens the fridge."),
        ("A person removes the lid from the pot.", "A person places the lid on the pot."),
        ("The door is opened.", "The door is closed."),
        ("A person turns on the tap.", "A person turns off the tap."),
        ("A person unfolds the cloth.", "A person folds the cloth."),
        ("A person climbs the ladder.", "A person descends the ladder."),
    ],
)
def test_a_verb_is_turned_round_in_its_own_form(said, opposite) -> None:
    found = find(said)
    assert found is not None
    assert turned_round(found) == opposite
    again = find(opposite)
    assert again is not None and found.opposed(again)


@pytest.mark.parametrize(
    "said",
    ["A man walks.", "The cover is red.", "A light in the dark.", "He turns around.", "", "..."],
)
def test_sentences_without_such_a_verb_are_left_alone(said) -> None:
    assert find(said) is None
