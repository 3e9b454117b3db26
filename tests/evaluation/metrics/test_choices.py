"""Choices between two, among several, and answers in words."""

import numpy as np
import pytest

from kinoscope.errors import UsageError
from kinoscope.evaluation.metrics.choices import picked, right_wins, same_answer, tied_pairs


def test_the_right_one_of_two_wins_only_if_it_scores_higher():
    right_N, wrong_N = np.array([0.9, 0.5, 0.1, 0.5 + 4e-7]), np.array([0.5, 0.5, 0.5, 0.5])
    assert right_wins(right_N, wrong_N).tolist() == [1, 0, 0, 1]
    assert right_wins(right_N, wrong_N, rounding=1e-6).tolist() == [1, 0, 0, 0]
    assert tied_pairs(right_N, wrong_N, rounding=1e-6).tolist() == [0, 1, 0, 1]
    assert tied_pairs(right_N, wrong_N).tolist() == [0, 1, 0, 0]


def test_an_option_is_picked_if_it_scores_above_all_others():
    scores = [np.array([0.1, 0.9, 0.2]), np.array([0.9, 0.9]), np.array([-3.0, -4.0])]
    assert picked(scores, [1, 0, 1]).tolist() == [1, 0, 0]
    assert picked([np.ones(4)] * 3, [0, 1, 3]).sum() == 0, "a collapsed model picks nothing"
    assert picked([np.array([0.5 + 4e-7, 0.5])], [0], rounding=1e-6).tolist() == [0]


@pytest.mark.parametrize(
    ("given", "right", "same"),
    [
        ("The dog.", "dog", True),
        ("  two   dogs ", "Two dogs!", True),
        ("an apple", "apple", True),
        ("dogs", "dog", False),
        ("theatre", "atre", False),
        ("", "the", True),
    ],
)
def test_answers_are_compared_without_case_articles_and_punctuation(given, right, same):
    assert same_answer(given, right) is same


def test_senseless_choices_are_refused():
    with pytest.raises(UsageError, match="pair them"):
        right_wins(np.ones(2), np.ones(3))
    with pytest.raises(UsageError, match="not none"):
        right_wins(np.ones(0), np.ones(0))
    with pytest.raises(UsageError, match="NaN or infinite"):
        right_wins(np.array([np.nan]), np.ones(1))
    for scores, right in (([1.0], 0), ([1.0, 2.0], 2), ([1.0, 2.0], -1)):
        with pytest.raises(UsageError, match="in question 0: give two"):
            picked([np.array(scores)], [right])
    with pytest.raises(UsageError, match="NaN or infinite"):
        picked([np.array([np.inf, 1.0])], [0])
