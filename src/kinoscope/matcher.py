"""Whether a text describes a clip, asked of a multimodal LLM: its yes against its no.

One row of the head each, no generation. A clip that several texts ask about is read once.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from kinoscope.backbones.likelihood import require_speaker
from kinoscope.backbones.mllm import MLLM
from kinoscope.backbones.session import last_states
from kinoscope.calibration import Calibration, fused
from kinoscope.documents import Document, Excerpt, checked_text
from kinoscope.embedder import Embedder
from kinoscope.errors import UsageError
from kinoscope.libraries import torch
from kinoscope.prompts import ANSWERS, CHAT, MATCHES
from kinoscope.types import Content, Features, Float64, Hit

Read = Callable[[Hit], Document]
"""What a hit shows, as `Embedder.features` takes it."""


def yes_margins(backbone: MLLM, contents: Sequence[Content]) -> Float64:
    """Logit of yes minus that of no behind each question [N], in float32, whatever the batches.

    Contents with the same clip object share its reading, see `MLLM.batches`.
    Raises `UsageError` for a model without a language-model head.
    """
    require_speaker(backbone)
    tokenizer = backbone.checkpoint.family.processor.tokenizer
    ids = [tokenizer(word, add_special_tokens=False)["input_ids"][0] for word in ANSWERS]
    config = backbone.checkpoint.model.config.get_text_config()
    softcap = getattr(config, "final_logit_softcapping", None)
    margins_N = np.full(len(contents), np.nan)
    with torch().inference_mode():
        rows_2D = backbone.head_rows(torch().tensor(ids)).float()
        for numbers, batch in backbone.batches(contents, CHAT, share=True):
            states_BD = last_states(backbone.hidden(batch, last=True), batch["attention_mask"])
            with torch().autocast(states_BD.device.type, enabled=False):
                logits_B2 = states_BD.float() @ rows_2D.T
                if softcap is not None:
                    logits_B2 = softcap * torch().tanh(logits_B2 / softcap)
                margins_N[numbers] = (logits_B2[:, 0] - logits_B2[:, 1]).cpu().numpy()
    assert np.isfinite(margins_N).all(), "a question without a margin"
    return margins_N


class Matcher:
    """Scores texts on clips, and ranks hits anew.

    >>> matcher = Matcher(embedder)
    >>> matcher.log_odds([clip, clip], ["a door opens", "a door closes"])
    """

    def __init__(self, embedder: Embedder, calibration: Calibration | None = None) -> None:
        """Without a calibration there are no probabilities, for they would be none.

        Raises `UsageError` for a model that gives no words, or a calibration of other weights.
        """
        self._embedder, self._backbone = embedder, require_speaker(embedder.backbone)
        if calibration is not None and calibration.model != self._backbone.weights:
            raise UsageError(
                f"the calibration is for the weights {calibration.model[:16]}, not"
                f" {self._backbone.weights[:16]} of {self._backbone.model}: make one for these"
            )
        self.calibration = calibration or Calibration(model=self._backbone.weights)
        self.calibrated = calibration is not None

    def margins(self, clips: Sequence[Features], texts: Sequence[str]) -> tuple[Float64, Float64]:
        """The margin of yes for each text on its clip [N], and for the text with no video [N].

        The second is the prior: what the model would say of such a text whatever it saw.
        Raises `UsageError` unless there are as many texts as clips.
        """
        if len(clips) != len(texts):
            raise UsageError(f"{len(texts)} texts on {len(clips)} clips: give one each")
        asked = [MATCHES.format(text=checked_text(text)) for text in texts]
        shown_N = yes_margins(
            self._backbone,
            [Content(clip=clip, text=text) for clip, text in zip(clips, asked, strict=True)],
        )
        unique = list(dict.fromkeys(asked))
        priors = yes_margins(self._backbone, [Content(text=text) for text in unique])
        known = dict(zip(unique, priors, strict=True))
        return shown_N, np.array([known[text] for text in asked], np.float64)

    def log_odds(self, clips: Sequence[Features], texts: Sequence[str]) -> Float64:
        """Margins less the calibration's share of the prior [N]: above 0 is nearer to yes."""
        shown_N, priors_N = self.margins(clips, texts)
        return shown_N - self.calibration.prior * priors_N

    def rerank(
        self, hits: Sequence[Hit], text: str, *, top: int, read: Read | None = None
    ) -> list[Hit]:
        """The first `top` hits in the order of fused scores, each with its probability; then the
        others as they were. Cosines and scores stay those of the search. `read` gives what a hit
        shows; by default its stretch of the file is decoded here.

        Raises `MediaError` for a video that is away, `UsageError` for `top` below 1.
        """
        if top < 1:
            raise UsageError(f"rerank {top}: re-rank at least 1 hit")
        first, others = hits[:top], hits[top:]
        if not first:
            return []
        shown = [Excerpt(hit.path, hit.span) if read is None else read(hit) for hit in first]
        clips = [self._embedder.features(each) for each in shown]
        odds_K = self.log_odds(clips, [text] * len(clips))
        scores_K = np.array([hit.score for hit in first])
        worth_K = fused(scores_K, odds_K, self.calibration.fusion)
        order_K = np.argsort(-worth_K, kind="stable")
        chances_K = self.calibration.probabilities(odds_K)
        known = [float(chance) if self.calibrated else None for chance in chances_K]
        ranked = [replace(first[place], probability=known[place]) for place in order_K]
        return [replace(hit, rank=rank) for rank, hit in enumerate([*ranked, *others], start=1)]

    def good(self, hits: Sequence[Hit]) -> list[Hit]:
        """The hits whose match is probable enough to be shown, ranked anew; maybe none.

        Raises `UsageError` without a calibration.
        """
        if not self.calibrated:
            raise UsageError("without a calibration nothing is known to be a good match: give one")
        least = self.calibration.threshold
        kept = [hit for hit in hits if hit.probability is not None and hit.probability >= least]
        return [replace(hit, rank=rank) for rank, hit in enumerate(kept, start=1)]
