"""A few figures on held-out scenes within seconds, for validation while a model is trained."""

from dataclasses import replace

from kinoscope.backbones.mllm import MLLM
from kinoscope.evaluation.metrics import recall_at
from kinoscope.evaluation.world.retrieval import own_ranks
from kinoscope.evaluation.world.reversal import (
    BothWays,
    choose,
    played_backwards,
    told_both_ways,
)
from kinoscope.evaluation.world.vectors import embed_clips, embed_texts
from kinoscope.evaluation.world.videos import WorldVideos
from kinoscope.thinking.thinker import Thinker
from kinoscope.training.sources import FeatureCache, GeneratedSource

_BATCH_TOKENS = 2048
"""Small batches hold less padding, and the caches of a CPU hold them."""


def quick(
    model: MLLM | Thinker, source: GeneratedSource, cache: FeatureCache, *, count: int = 200
) -> dict[str, float]:
    """`t2v_r1`, `t2v_r10` and `reversal` on the first `count` videos of a source.

    Retrieval: wording 0 of each video among so many videos, a tie counting against it. Reversal:
    the mean of both directions over the first half of the videos, those whose wording 0 tells them
    from their reversal; a tie counts one half. Fewer videos count where the source has fewer.
    """
    if isinstance(model, Thinker):
        backbone = _in_small_batches(model.backbone)
        model = Thinker(backbone, model.thinking, model.pooling, model.halting)
    else:
        model = _in_small_batches(model)
    videos = WorldVideos.of(source, cache, count)
    examples = list(videos.examples())
    texts_ND = embed_texts(model, (example.captions[0] for example in examples))
    videos_ND = embed_clips(model, videos.clips())
    found = own_ranks(texts_ND, videos_ND)
    pairs = [told_both_ways(example) for example in examples[: max(2, len(examples) // 2)]]
    turned = {number: pair[1] for number, pair in enumerate(pairs) if pair is not None}
    measured = {
        "t2v_r1": float(recall_at(1, found).mean()),
        "t2v_r10": float(recall_at(10, found).mean()),
    }
    if turned:
        backward = (played_backwards(videos.clip(n), videos.duration_s(n)) for n in turned)
        chosen = choose(
            BothWays(forward_ND=videos_ND[list(turned)], backward_ND=embed_clips(model, backward)),
            BothWays(
                forward_ND=texts_ND[list(turned)],
                backward_ND=embed_texts(model, turned.values()),
            ),
        )
        measured["reversal"] = float((chosen.t2v_N + chosen.v2t_N).mean() / 2)
    return measured


def _in_small_batches(backbone: MLLM) -> MLLM:
    tokens = min(_BATCH_TOKENS, backbone.options.batch_tokens)
    return MLLM(backbone.checkpoint, replace(backbone.options, batch_tokens=tokens))
