"""Between two models: weights on the line from a base to what it was tuned to (arXiv 2109.01903).

Part of the way may keep most of what the tuning taught and most of what the base knew. Nothing is
trained, and the new model costs what one of the two does.
"""

import math
from typing import Any

from kinoscope.backbones.mllm import MLLM
from kinoscope.errors import UsageError
from kinoscope.libraries import torch


def interpolate(base: MLLM, tuned: MLLM, share: float) -> None:
    """Overwrites `tuned` with `base + share (tuned - base)`, weight by weight.

    At 0 it is the base, at 1 it stays as it is, in both cases bit for bit; so is every weight that
    the two have in common. The sum is made in float32.

    Raises `UsageError`, `tuned` as it was, for a share outside of 0..1, models that differ in
    family, layers, shapes, prompts or the layer that is read, a quantised one, and weights that
    are not finite.
    """
    if not (math.isfinite(share) and 0 <= share <= 1):
        raise UsageError(f"share {share}: choose 0, the base, to 1, the tuned model")
    _check_alike(base, tuned)
    ours, theirs = _floats(tuned), _floats(base)
    odd = sorted(ours.keys() ^ theirs.keys())
    if odd:
        owner = tuned if odd[0] in ours else base
        raise UsageError(f"only {owner.model} has {odd[0]}: give a model and what it was tuned to")
    for name, values in ours.items():
        other = theirs[name]
        if values.shape != other.shape:
            raise UsageError(
                f"{name} is {list(other.shape)} in {base.model}, and {list(values.shape)} in"
                f" {tuned.model}: give a model and what it was tuned to"
            )
        for model, some in ((base, other), (tuned, values)):
            if not bool(torch().isfinite(some).all()):
                raise UsageError(f"{name} of {model.model} is not finite: train it again")
    with torch().no_grad():
        for name, values in ours.items():
            values.copy_(_between(theirs[name].to(values.device), values, share))


def _between(base: Any, tuned: Any, share: float) -> Any:
    """Exact at both ends, and where both are equal."""
    one, other = base.float(), tuned.float()
    return torch().lerp(one, other, share)


def _floats(backbone: MLLM) -> dict[str, Any]:
    """Weights and persistent buffers that are numbers, each once."""
    found, seen = {}, set()
    for name, values in backbone.checkpoint.model.state_dict(keep_vars=True).items():
        if values.is_floating_point() and id(values) not in seen:
            seen.add(id(values))
            found[name] = values.detach()
    return found


def _check_alike(base: MLLM, tuned: MLLM) -> None:
    for backbone in (base, tuned):
        if getattr(backbone.checkpoint.model, "is_quantized", False):
            raise UsageError(f"{backbone.model} is quantised: load it without")
    facts = {
        "family": [type(each.checkpoint.family).__name__ for each in (base, tuned)],
        "prompts": [each.checkpoint.template.name for each in (base, tuned)],
        "head": [each.head for each in (base, tuned)],
    }
    for fact, (one, other) in facts.items():
        if one != other:
            raise UsageError(
                f"{base.model} has the {fact} {one!r}, {tuned.model} {other!r}: give a model and"
                " what it was tuned to"
            )
