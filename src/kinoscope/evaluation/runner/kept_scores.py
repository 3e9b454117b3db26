"""Numbers that a model gives in words, kept: what was asked before needs no model and no video."""

from collections.abc import Sequence

from kinoscope.evaluation.runner.asking import Asking
from kinoscope.evaluation.runner.kept import item
from kinoscope.evaluation.world.answering import Ask, Query, groups
from kinoscope.types import Float64


class KeptScores:
    """The `Scores` of a task: those that were given before are read, the rest is asked in groups.

    A kill loses at most a group. Counts and seconds are those of `asking`.
    """

    def __init__(self, asking: Asking) -> None:
        """What is kept is known by the embedder's spec, and by each query's name."""
        self._asking = asking

    def __call__(self, queries: Sequence[Query], ask: Ask) -> list[Float64]:
        """Numbers of all queries, in their order."""
        kept, names = self._asking.kept, [item(*query.name) for query in queries]
        found, places = self._asking.split(names, lambda n: kept.scores(names[n], queries[n].count))
        for group in groups(places):
            with self._asking.phase("answers"):
                given = ask(group)
            for place, scores_K in zip(group, given, strict=True):
                found[names[place]] = scores_K
                kept.keep_scores(names[place], scores_K)
                self._asking.count("answers", len(places))
        return [found[name] for name in names]
