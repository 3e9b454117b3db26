"""What each lesson costs: named terms of a multimodal LLM, with gradient."""

from collections.abc import Callable
from typing import Any

import torch

from kinoscope.backbones.mllm import MLLM
from kinoscope.backbones.session import last_states
from kinoscope.prompts import ANSWERS, CHAT, MATCHES
from kinoscope.training.gather import gather_objects, gathered
from kinoscope.training.lesson_batches import Edited, Pairs, Sides, Wordings
from kinoscope.training.losses import distilled, localisation, matching, two_way
from kinoscope.training.teaching import Model, embed, teach
from kinoscope.training.thoughts import Thoughts
from kinoscope.training.words import Vocabulary, word_loss
from kinoscope.types import Content, Features


class LessonLosses:
    """Sums of each lesson's terms over its items."""

    def __init__(
        self,
        backbone: MLLM,
        temperature: Callable[[], Any],
        vocabulary: Vocabulary | None = None,
        *,
        match_temperature: float = 1.0,
        thoughts: Thoughts | None = None,
    ) -> None:
        """`temperature` is asked for at each contrast, since it is learned; that of `match` not.

        With `thoughts`, vectors are those of one thought, and contrast is `thinking`.
        """
        self._backbone, self._temperature = backbone, temperature
        self._thoughts = thoughts
        self._model: Model = backbone if thoughts is None else thoughts.thinker
        self._match_temperature = match_temperature
        self._vocabulary = vocabulary
        tokenizer = backbone.checkpoint.family.processor.tokenizer
        words = [tokenizer(word, add_special_tokens=False)["input_ids"] for word in ANSWERS]
        self._answers_2 = torch.tensor([ids[0] for ids in words])

    def words(self, clips: list[Features], texts: list[str]) -> Any:
        """Words of captions out of pixels alone: only the connector runs."""
        assert self._vocabulary is not None
        tokenizer = self._backbone.checkpoint.family.processor.tokenizer
        return self._said(clips, self._vocabulary.targets(texts, tokenizer))

    def motion(self, clips: list[Features], told: list[Sides]) -> Any:
        """Words that tell clips from the same ones played backwards, which stand behind them."""
        assert self._vocabulary is not None
        tokenizer = self._backbone.checkpoint.family.processor.tokenizer
        known = [self._vocabulary.opposed(*sides, tokenizer) for sides in told]
        targets_2BV = torch.stack([targets_2V for targets_2V, _ in known], dim=1)
        among_BV = torch.stack([among_V for _, among_V in known])
        return self._said(clips, targets_2BV.flatten(0, 1), among_BV.repeat(2, 1))

    def _said(self, clips: list[Features], targets_BV: Any, among_BV: Any = None) -> Any:
        assert self._vocabulary is not None
        family, core = self._backbone.checkpoint.family, self._backbone.checkpoint.model.model
        tokens = family.pixel_tokens(core, clips)
        device = tokens[0].device
        rows_VD = self._backbone.embed_tokens(self._vocabulary.ids_V.to(device))
        among_BV = None if among_BV is None else among_BV.to(device)
        return word_loss(tokens, rows_VD, targets_BV.to(device), among_BV).sum()

    def contrast(self, batch: Pairs) -> Any:
        """Two-way InfoNCE, each video also against its own wrong text; a text is read once."""
        video_BD = self._of_clips(batch.clips)
        text_BD, hard_BD = self._read_once(batch.texts, batch.hard)
        found = two_way(
            gathered(video_BD),
            gathered(text_BD),
            temperature=self._temperature(),
            hard_text=hard_BD[:, None] if batch.hard else None,
            same_BN=_equal([(text,) for text in batch.texts]).to(video_BD.device),
        )
        return found.rows_B.sum()

    def wordings(self, batch: Wordings) -> Any:
        """Two-way InfoNCE of texts alone; a wrong text is no match for any."""
        text_BD, other_BD, hard_HD = self._read_once(batch.texts, batch.others, batch.hard)
        hard = gathered(hard_HD).all_ND
        found = two_way(
            gathered(text_BD),
            gathered(other_BD),
            temperature=self._temperature(),
            hard_text=hard,
            hard_video=hard,
            same_BN=_equal(list(zip(batch.texts, batch.others, strict=True))).to(text_BD.device),
        )
        return found.rows_B.sum()

    def _read_once(self, *several: list[str]) -> Any:
        """Vectors of lists of texts, each [B, D]."""
        texts = [text for some in several for text in some]
        places = {text: place for place, text in enumerate(dict.fromkeys(texts))}
        text_ND = self._of_texts(list(places))[[places[text] for text in texts]]
        return text_ND.split([len(some) for some in several])

    def thinking(self, batch: Pairs, step: int) -> dict[str, Any]:
        """`THINKING_TERMS`: the same contrast after each step; `step` is that of the run."""
        assert self._thoughts is not None
        return self._thoughts.terms(
            batch,
            step,
            temperature=self._temperature(),
            same_BN=_equal([(text,) for text in batch.texts]),
        )

    def distil(
        self, clips: list[Features], texts: list[str], videos_BD: Any, texts_BD: Any, heat: float
    ) -> Any:
        """Similarities of a teacher, whose vectors are given, at its temperature `heat`."""
        video, text = gathered(self._of_clips(clips)), gathered(self._of_texts(texts))
        device = video.own_BD.device
        taught_video, taught_text = (
            gathered(torch.from_numpy(rows_BD).to(device)) for rows_BD in (videos_BD, texts_BD)
        )
        found = distilled(
            video,
            text,
            video_to_text_BN=taught_video.own_BD @ taught_text.all_ND.T,
            text_to_video_BN=taught_text.own_BD @ taught_video.all_ND.T,
            temperature=self._temperature(),
            teacher_temperature=heat,
        )
        return found.rows_B.sum()

    def caption(self, batch: Pairs) -> Any:
        """Next-token loss of the captions that are said."""
        clips = batch.clips[: len(batch.said)]
        total, _ = teach(
            self._backbone, [Content(clip=clip, text=batch.asked) for clip in clips], batch.said
        )
        return total

    def answer(self, clips: list[Features], asked: list[str], answers: list[str]) -> Any:
        """Next-token loss of answers."""
        shown = [Content(clip=clip, text=text) for clip, text in zip(clips, asked, strict=True)]
        total, _ = teach(self._backbone, shown, answers)
        return total

    def match(self, clips: list[Features], texts: list[str], fits: list[bool]) -> Any:
        """Cross-entropy of yes against no; texts on one clip share its reading."""
        shown = [
            Content(clip=clip, text=MATCHES.format(text=text))
            for clip, text in zip(clips, texts, strict=True)
        ]
        answers_2D = self._backbone.head_rows(self._answers_2)
        config = self._backbone.checkpoint.model.config.get_text_config()
        softcap = getattr(config, "final_logit_softcapping", None)
        rows = []
        for order, batch in self._backbone.batches(shown, CHAT, share=True):
            states_BD = last_states(self._backbone.hidden(batch), batch["attention_mask"])
            fits_B = torch.tensor([fits[row] for row in order], device=states_BD.device)
            rows.append(
                matching(
                    states_BD,
                    answers_2D,
                    fits_B,
                    softcap=softcap,
                    temperature=self._match_temperature,
                )
            )
        return torch.cat(rows).sum()

    def locate(self, cut: list[Features], texts: list[str], labels_QN: Any) -> Any:
        """Contrast of each text with windows of its own video."""
        windows_ND, queries_QD = self._of_clips(cut), self._of_texts(texts)
        labels_QN = labels_QN.to(queries_QD.device)
        return localisation(
            queries_QD, windows_ND, labels_QN, temperature=self._temperature()
        ).sum()

    def compose(self, batch: Edited) -> Any:
        """Two-way InfoNCE of clips with an edit and texts of what comes of it.

        Each is also told apart from the text of the clip as it was.
        """
        shown = zip(batch.clips, batch.edits, strict=True)
        query_BD = embed(
            self._model, [Content(clip=clip, text=edit, role="query") for clip, edit in shown]
        )
        text_BD, before_BD = self._read_once(batch.texts, batch.before)
        found = two_way(
            gathered(query_BD),
            gathered(text_BD),
            temperature=self._temperature(),
            hard_text=before_BD[:, None],
            same_BN=_equal([(text,) for text in batch.texts]).to(query_BD.device),
        )
        return found.rows_B.sum()

    def _of_clips(self, clips: list[Features]) -> Any:
        return embed(self._model, [Content(clip=clip) for clip in clips])

    def _of_texts(self, texts: list[str]) -> Any:
        return embed(self._model, [Content(text=text, role="query") for text in texts])


def _equal(told: list[tuple[str, ...]]) -> Any:
    """True where own row i and row j of all processes share a text [B, N]: no negatives."""
    everywhere = [texts for some in gather_objects(told) for texts in some]
    return torch.tensor([[bool({*mine} & {*other}) for other in everywhere] for mine in told])
