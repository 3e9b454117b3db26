"""Brings an index up to date by a cluster; this process alone plans the work and writes."""

from collections.abc import Callable

from kinoscope.addresses import Where
from kinoscope.embedder import Embedder
from kinoscope.index.build import bring_up_to_date
from kinoscope.index.handle import Index, expanded
from kinoscope.index.options import BuildOptions
from kinoscope.index.progress import BuildReport, Progress
from kinoscope.scale.cluster import ClusterOptions, connected, shared_out
from kinoscope.scale.crew import RayCrew
from kinoscope.scale.stages import Job, begun


def index_on_cluster(
    index: Index,
    *sources: Where,
    cluster: ClusterOptions | None = None,
    options: BuildOptions | None = None,
    progress: Callable[[Progress], None] | None = None,
    load: Callable[[], Embedder] | None = None,
) -> BuildReport:
    """`Index.add` by a Ray cluster: the same tables, the same report.

    Args:
        index: is written by this process alone, in the same steps as by `Index.add`.
        sources: folders and files that every node sees under these names; none means all watched.
        cluster: where it is and how it is shared out; by default one on this machine.
        options: as for `Index.add`, but `workers`, for which `cluster.decoders` stands.
        progress: called now and then, from this thread.
        load: makes the embedder, on any node; by default that of the index, found by its spec.

    A run that is killed, or loses nodes, goes on where it stopped: what is in the index is not
    done again. Errors are those of `Index.add`, and `SetupError` if there is no cluster or its
    nodes lack the model.
    """
    cluster, options = cluster or ClusterOptions(), options or BuildOptions()
    with connected(cluster) as ray:
        shares = shared_out(ray, cluster)
        attempts = begun(ray)
        job = Job(
            load=load or index.loader(threads=shares.model_cpus or 1),
            spec=index.spec,
            options=options,
            decoders=shares.decoders_each,
            attempts=attempts,
        )
        crew = RayCrew(ray, shares, job)
        paths = [expanded(source) for source in sources]
        try:
            return bring_up_to_date(index.store, paths, crew, options=options, progress=progress)
        finally:
            ray.kill(attempts)
