"""The crew of a run on a cluster: Ray Data pipelines whose ends meet in this process."""

import logging
from collections import deque
from collections.abc import Generator, Mapping, Sequence
from contextlib import closing
from functools import partial
from itertools import chain
from typing import Any

from kinoscope.errors import MediaError, SetupError
from kinoscope.index.crew import Outcome, UnderWay, Unwatched, Watched, timed
from kinoscope.index.films import Film
from kinoscope.index.identity import ReadLimits
from kinoscope.index.progress import Stopwatch
from kinoscope.index.scan import FoundFile
from kinoscope.scale.cluster import Shares
from kinoscope.scale.stages import Identified, Job, Refused, Told, Watcher, identified

_SLICES = 4
"""Slices of work a decoding process, so that the model is loaded seldom."""

_BLOCKS_A_CPU = 4  # of files to be identified: small enough that none is left with a long rest


class RayCrew:
    """Nodes of a cluster: tasks identify files; actors decode them, others hold the model.

    All of them see the same files under the same names. A node, actor or task that is lost is
    replaced, and what it had in work is done again; what it gave is here already.
    """

    def __init__(self, ray: Any, shares: Shares, job: Job) -> None:
        self._ray, self._shares, self._job = ray, shares, job
        self.width = _SLICES * shares.models * shares.decoders_each
        _quieten(ray)

    def identify(
        self, files: Sequence[FoundFile]
    ) -> Generator[tuple[FoundFile, str | MediaError], None, None]:
        """See `Crew.identify`."""
        if not files:
            return
        blocks = min(len(files), _BLOCKS_A_CPU * max(1, self._shares.cpus))
        dataset = self._ray.data.from_items(
            [{"file": file} for file in files], override_num_blocks=blocks
        )
        dataset = dataset.map(partial(_identify_row, limits=self._job.options.read_limits))
        with closing(self._results(dataset, "found")) as results:
            for found in results:
                assert isinstance(found, Identified), found
                yield found.file, found.answer

    def watch(
        self, films: deque[Film], stopwatch: Stopwatch
    ) -> Generator[Outcome | UnderWay, None, None]:
        """See `Crew.watch`."""
        while films:
            part = {film.files[0].path: film for film in films}
            films.clear()
            told = self._told(list(part.values()))
            with closing(timed(told, stopwatch)) as results:
                for one in results:
                    stopwatch.add_cpu("decode", one.decode_s)
                    stopwatch.add_cpu("vision", one.vision_s)
                    yield _outcome(part.pop(one.path), one)
                    yield UnderWay()
            assert not part, f"no word of {min(part)}"

    def _told(self, films: Sequence[Film]) -> Generator[Told, None, None]:
        each = self._shares.decoders_each
        strategy = self._ray.data.ActorPoolStrategy(
            size=min(self._shares.models, len(films)),
            max_concurrent_calls_per_actor=each,
            max_tasks_in_flight_per_actor=2 * each,
            enable_true_multi_threading=True,
        )
        # a film a block, largest first: what came of each is here as soon as it is known
        dataset = self._ray.data.from_items(
            [{"film": film} for film in films], override_num_blocks=len(films)
        )
        dataset = dataset.map(
            Watcher,
            fn_constructor_args=(self._job,),
            compute=strategy,
            num_cpus=self._shares.model_cpus,
            num_gpus=self._shares.model_gpus,
        )
        with closing(self._results(dataset, "told")) as results:
            for told in results:
                assert isinstance(told, Told), told
                yield told

    def _results(self, dataset: Any, column: str) -> Generator[Any, None, None]:
        """What a pipeline gives, in any order, each as soon as it is there.

        Closed, it ends the pipeline and gives its processors back.
        """
        try:
            with closing(iter(dataset.iter_batches(batch_size=None, prefetch_batches=0))) as found:
                for one in chain.from_iterable(batch[column].tolist() for batch in found):
                    if isinstance(one, Refused):
                        raise one.error
                    yield one
        except self._ray.exceptions.RayError as error:
            if isinstance(error, self._ray.exceptions.RayTaskError):
                raise
            reason = str(error).strip().splitlines()[0]
            raise SetupError(f"the cluster gave up ({reason}): run again to go on") from error


def _identify_row(
    row: Mapping[str, FoundFile], limits: ReadLimits
) -> dict[str, Identified | Refused]:
    return {"found": identified(row["file"], limits)}


def _outcome(film: Film, told: Told) -> Outcome:
    if told.fault is not None:
        return Unwatched(film, told.fault, told.message)
    assert told.clips is not None and told.report is not None, told.path
    film.info, film.seen_frames = told.info, told.frames
    return Watched(film, told.clips, told.report)


def _quieten(ray: Any) -> None:
    """This process has its own progress, and tells of trouble in its own words."""
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = context.print_on_execution_start = False
    for name in ("ray.data", "ray.air"):
        logging.getLogger(name).setLevel(logging.ERROR)
