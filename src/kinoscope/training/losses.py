"""The losses that training adds up: contrast, next token, matching, localisation.

Each gives one value a row, or a sum over tokens, so that means over batches of several forward
passes and processes stay right. Scores are computed in float32, or float64 for such inputs, also
under mixed precision: a cosine of three digits, divided by a temperature, would be noise.
"""

from collections.abc import Hashable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import torch
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from kinoscope.errors import UsageError
from kinoscope.training.gather import Rows
from kinoscope.types import Span

IGNORED = -100
"""The label of a token that no loss asks for."""

NEGATIVE_BELOW_IOU, POSITIVE_FROM_IOU = 0.2, 0.7
"""Windows between the two are neither right nor wrong."""

_UNIT = 0.02  # how far from 1 a row may be: bfloat16 keeps three digits


class NotFinite(UsageError):
    """NaN or infinity where a loss needs numbers."""


@dataclass(frozen=True, eq=False)
class TwoWay:
    """Both directions of a contrast, one value a pair [B]."""

    video_to_text_B: Any
    text_to_video_B: Any

    @property
    def rows_B(self) -> Any:
        """Their mean, a pair at a time."""
        return (self.video_to_text_B + self.text_to_video_B) / 2


def info_nce(
    anchors_BD: Any,
    candidates_ND: Any,
    positives_B: Any,
    *,
    temperature: Any,
    hard_BHD: Any = None,
    false_BN: Any = None,
) -> Any:
    """-log of the positive's share, exp(s_ip / t) / sum_j exp(s_ij / t), for each anchor [B].

    Args:
        anchors_BD: unit rows.
        candidates_ND: unit rows, the positives among them.
        positives_B: place of each anchor's positive among the candidates.
        temperature: t, a positive number or a tensor that is learned.
        hard_BHD: unit rows that only their own anchor is told apart from.
        false_BN: true where a candidate is no negative of the anchor, such as an equal text; it
            then does not count at all. The positive itself may be marked.

    Raises `NotFinite` for NaN or infinity, `UsageError` for a temperature that is not positive.
    """
    _check_temperature(temperature)
    _check_unit(anchors=anchors_BD, candidates=candidates_ND, hard=hard_BHD)
    with _full_precision(anchors_BD):
        anchors_BD = _wide(anchors_BD)
        scores_BN = anchors_BD @ _wide(candidates_ND).T
        if false_BN is not None:
            places_N = torch.arange(len(candidates_ND), device=positives_B.device)
            hidden_BN = false_BN & (places_N != positives_B[:, None])
            scores_BN = scores_BN.masked_fill(hidden_BN, -torch.inf)  # 0 would be a fair score
        if hard_BHD is not None:
            hard_BH = torch.einsum("bd,bhd->bh", anchors_BD, _wide(hard_BHD))
            scores_BN = torch.cat([scores_BN, hard_BH], dim=1)
        return functional.cross_entropy(scores_BN / temperature, positives_B, reduction="none")


def two_way(
    video: Rows,
    text: Rows,
    *,
    temperature: Any,
    hard_text: Any = None,
    hard_video: Any = None,
    same_BN: Any = None,
) -> TwoWay:
    """InfoNCE from each video to all texts, and from each text to all videos.

    Args:
        video: unit rows, video i belonging to text i.
        text: as many unit rows, from the same processes.
        temperature: see `info_nce`.
        hard_text: texts that fit no video [C, D], or not this one [B, H, D].
        hard_video: likewise videos that fit no text, or not this one.
        same_BN: true where own item i and item j of all processes are no negatives of each other.
    """
    assert len(video) == len(text) and video.first == text.first, (video, text)
    assert len(video.all_ND) == len(text.all_ND), (video, text)
    directions = []
    for anchors, others, hard in ((video, text, hard_text), (text, video, hard_video)):
        shared = None if hard is None or hard.ndim == 3 else hard
        rows_B = info_nce(
            anchors.own_BD,
            others.all_ND if shared is None else torch.cat([others.all_ND, shared]),
            others.places_B,
            temperature=temperature,
            hard_BHD=hard if shared is None else None,
            false_BN=_widened(same_BN, 0 if shared is None else len(shared)),
        )
        directions.append(rows_B)
    return TwoWay(*directions)


def distilled(
    video: Rows,
    text: Rows,
    *,
    video_to_text_BN: Any,
    text_to_video_BN: Any,
    temperature: Any,
    teacher_temperature: float,
) -> TwoWay:
    """Cross-entropy of a student's shares under a teacher's, both ways: similarities are learned.

    -sum_j q_ij log p_ij with p_ij = exp(s_ij / t) / sum_k exp(s_ik / t) of the student's cosines,
    and q_ij likewise of the teacher's scores at its own temperature. At best it is the entropy of
    q; with all of q on the pair itself it is `two_way`. The teacher gets no gradient.

    Args:
        video: unit rows of the student.
        text: as many unit rows, from the same processes.
        video_to_text_BN: the teacher's scores of own videos with the texts of all processes.
        text_to_video_BN: likewise of own texts with all videos.
        temperature: see `info_nce`.
        teacher_temperature: that of the teacher; the smaller, the nearer to single positives.

    Raises `NotFinite` for NaN or infinity, `UsageError` for a temperature that is not positive.
    """
    assert len(video) == len(text) and video.first == text.first, (video, text)
    _check_temperature(temperature)
    _check_temperature(teacher_temperature)
    _check_unit(video=video.all_ND, text=text.all_ND)
    _check_finite(video_to_text=video_to_text_BN, text_to_video=text_to_video_BN)
    directions = []
    for anchors, others, scores_BN in (
        (video, text, video_to_text_BN),
        (text, video, text_to_video_BN),
    ):
        with _full_precision(anchors.own_BD):
            logits_BN = _wide(anchors.own_BD) @ _wide(others.all_ND).T / temperature
            shares_BN = (scores_BN.detach().to(logits_BN.dtype) / teacher_temperature).softmax(1)
            directions.append(functional.cross_entropy(logits_BN, shares_BN, reduction="none"))
    return TwoWay(*directions)


def triplets(anchors_BD: Any, positives: Rows, negatives: Rows, *, temperature: Any) -> Any:
    """TARA's contrast [B], in one direction: one hard negative each, all of the pool as negatives.

    -log( exp(z_i . p_i / t) / sum_j [ exp(z_i . p_j / t) + exp(z_i . n_j / t) ] ), over unit rows
    (arXiv 2512.13511, the training loss).
    """
    assert len(anchors_BD) == len(positives) == len(negatives), (positives, negatives)
    pool_ND = torch.cat([positives.all_ND, negatives.all_ND])
    return info_nce(anchors_BD, pool_ND, positives.places_B, temperature=temperature)


def kept(student: Rows, teacher: Rows, *, temperature: float) -> Any:
    """How far a student's similarities are from those of its teacher, for each own row [B].

    KL(q_i, p_i) in nats, over all other rows j of all processes, p_ij = exp(s_ij / t) / sum_k
    exp(s_ik / t) of the student's cosines and q_ij of the teacher's: 0 where they are equal. The
    row itself, always alike, does not count; the teacher gets no gradient.

    Args:
        student, teacher: unit rows of the same items, of the same processes; their widths may
            differ.
        temperature: t, of both.

    Raises `UsageError` for fewer than two rows, or a temperature that is not positive;
    `NotFinite` for NaN or infinity.
    """
    assert len(student) == len(teacher) and student.first == teacher.first, (student, teacher)
    _check_temperature(temperature)
    _check_unit(student=student.all_ND, teacher=teacher.all_ND)
    if len(student.all_ND) < 2:
        raise UsageError("one caption has no similarities to keep: raise batch")
    with _full_precision(student.own_BD):
        logs = [_log_shares_of_others(rows, temperature) for rows in (student, teacher)]
        wanted_BN = logs[1].detach().to(logs[0].dtype)
        return functional.kl_div(logs[0], wanted_BN, reduction="none", log_target=True).sum(dim=1)


def _log_shares_of_others(rows: Rows, temperature: float) -> Any:
    """Log of each other row's share [B, N - 1], each row's own place left out."""
    scores_BN = _wide(rows.own_BD) @ _wide(rows.all_ND).T / temperature
    own_BN = functional.one_hot(rows.places_B, len(rows.all_ND)).bool()
    return scores_BN[~own_BN].reshape(len(rows), -1).log_softmax(dim=1)


def next_token(
    states_BTD: Any,
    head_VD: Any,
    labels_BT: Any,
    *,
    chunk: int = 1024,
    softcap: float | None = None,
) -> Any:
    """Sum over real tokens of the cross-entropy of each token given those before it, a scalar.

    Logits exist for `chunk` tokens at a time, and again in the backward pass. Divide by
    `next_token_count`, summed over all batches of a step and all processes.

    Args:
        states_BTD: of the last layer; state t predicts token t + 1.
        head_VD: rows of the LM head.
        labels_BT: the tokens themselves, not shifted; `IGNORED` where a token is not asked for.
        chunk: most tokens whose logits are in memory.
        softcap: c, where the model bounds its logits x to c tanh(x / c).

    Raises `NotFinite` if the sum is.
    """
    asked_BT = labels_BT[:, 1:] != IGNORED
    states_ND, labels_N = states_BTD[:, :-1][asked_BT], labels_BT[:, 1:][asked_BT]
    total = states_ND[:0].sum().to(_width(states_ND))  # zero, yet with a gradient

    def part(some_ND: Any, some_N: Any) -> Any:
        logits_NV = _capped((some_ND @ head_VD.T.to(some_ND.dtype)).to(total.dtype), softcap)
        return functional.cross_entropy(logits_NV, some_N, reduction="sum")

    for some_ND, some_N in zip(states_ND.split(chunk), labels_N.split(chunk), strict=True):
        if len(some_N):
            total = total + checkpoint(
                part, some_ND, some_N, use_reentrant=False, preserve_rng_state=False
            )
    _check_finite(next_token=total)
    return total


def next_token_count(labels_BT: Any) -> int:
    """Over how many tokens `next_token` sums: the first of a row has nothing before it."""
    return int((labels_BT[:, 1:] != IGNORED).sum())


def matching(
    states_BD: Any,
    answers_2D: Any,
    fits_B: Any,
    *,
    softcap: float | None = None,
    temperature: float = 1.0,
) -> Any:
    """Binary cross-entropy [B] of whether video and text fit, from logit(yes) - logit(no).

    Args:
        states_BD: the state behind the question, of the last layer.
        answers_2D: the LM head's rows of `yes` and `no`, in this order.
        fits_B: true where they fit.
        softcap: see `next_token`.
        temperature: divides the difference. Small states move it by many units: above 1, the loss
            does not swing with each step.
    """
    assert len(answers_2D) == 2, answers_2D.shape
    _check_finite(states=states_BD, answers=answers_2D)
    with _full_precision(states_BD):
        logits_B2 = _capped(_wide(states_BD) @ _wide(answers_2D).T, softcap)
        margins_B = (logits_B2[:, 0] - logits_B2[:, 1]) / temperature
        return functional.binary_cross_entropy_with_logits(
            margins_B, fits_B.to(margins_B.dtype), reduction="none"
        )


def localisation(queries_QD: Any, windows_ND: Any, labels_QN: Any, *, temperature: Any) -> Any:
    """Contrast of each query with windows of its own video [Q].

    The mean over right windows p of -log( exp(s_p / t) / [ exp(s_p / t) + sum over wrong windows ]
    ): right windows do not compete. 0 for a query without a wrong window.

    Args:
        queries_QD: unit rows.
        windows_ND: unit rows of windows of all the videos.
        labels_QN: of `window_labels`: 1 right, -1 wrong, 0 ignored.
        temperature: see `info_nce`.

    Raises `UsageError` for a query without a right window.
    """
    _check_temperature(temperature)
    _check_unit(queries=queries_QD, windows=windows_ND)
    right_QN, wrong_QN = labels_QN > 0, labels_QN < 0
    if not bool(right_QN.any(dim=1).all()):
        lost = int((~right_QN.any(dim=1)).nonzero()[0])
        raise UsageError(
            f"query {lost} has no window of IoU {POSITIVE_FROM_IOU} or more: add its own span"
        )
    with _full_precision(queries_QD):
        scores_QN = _wide(queries_QD) @ _wide(windows_ND).T / temperature
        # right windows stand in too, at a floor that no sum feels: a row of -inf has no gradient
        floor = torch.finfo(scores_QN.dtype).min
        wrong_Q1 = scores_QN.masked_fill(~wrong_QN, floor).logsumexp(dim=1, keepdim=True)
        losses_QN = functional.softplus(wrong_Q1 - scores_QN)
        return (losses_QN * right_QN).sum(dim=1) / right_QN.sum(dim=1)


def window_labels(
    moments: Sequence[tuple[Hashable, Span]], windows: Sequence[tuple[Hashable, Span]]
) -> Any:
    """Which windows answer which moments, int8 [Q, N]: 1 right, -1 wrong, 0 ignored.

    Both are (video, span). A window of the same video is wrong below an IoU of 0.2, right from 0.7;
    one between, or of another video, is ignored.
    """
    labels = [[_label(moment, window) for window in windows] for moment in moments]
    return torch.tensor(labels, dtype=torch.int8).reshape(len(moments), len(windows))


def _label(moment: tuple[Hashable, Span], window: tuple[Hashable, Span]) -> int:
    if moment[0] != window[0]:
        return 0
    iou = moment[1].iou(window[1])
    return 1 if iou >= POSITIVE_FROM_IOU else -1 if iou < NEGATIVE_BELOW_IOU else 0


def _widened(same_BN: Any, more: int) -> Any:
    """Marks for `more` candidates behind, none of them false."""
    return None if same_BN is None else functional.pad(same_BN, (0, more))


def _capped(logits: Any, softcap: float | None) -> Any:
    return logits if softcap is None else softcap * torch.tanh(logits / softcap)


def _width(tensor: Any) -> Any:
    return torch.float64 if tensor.dtype == torch.float64 else torch.float32


def _wide(tensor: Any) -> Any:
    return tensor.to(_width(tensor))


def _full_precision(tensor: Any) -> AbstractContextManager[None]:
    found: AbstractContextManager[None] = torch.autocast(tensor.device.type, enabled=False)
    return found


def _check_temperature(temperature: Any) -> None:
    learned = isinstance(temperature, torch.Tensor)
    value = float(temperature.detach() if learned else temperature)
    if not 0 < value < float("inf"):
        raise UsageError(f"temperature {value}: give a positive number, such as 0.05")


def _check_finite(**tensors: Any) -> None:
    for name, tensor in tensors.items():
        if not bool(torch.isfinite(tensor).all()):
            rows = f" {list(tensor.shape)}" if tensor.ndim else ""
            raise NotFinite(
                f"{name}{rows} is not finite: lower the learning rate, or look at these inputs"
            )


def _check_unit(**tensors: Any) -> None:
    """Unit length, and thereby finite."""
    for name, tensor in tensors.items():
        if tensor is None:
            continue
        _check_finite(**{name: tensor})
        lengths = torch.linalg.vector_norm(tensor.detach().float(), dim=-1)
        assert bool(((lengths - 1).abs() < _UNIT).all()), f"{name} are not unit rows"
