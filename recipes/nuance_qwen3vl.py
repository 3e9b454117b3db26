"""Nuance tuning of Qwen3-VL on GPUs, by sentences alone: `kinoscope train` reads this file.

    kinoscope setup Qwen/Qwen3-VL-8B-Instruct
    torchrun --nproc_per_node 8 -m kinoscope train recipes/nuance_qwen3vl.py --to runs/nuance
    kinoscope export runs/nuance/stage-1/model --format transformers --to nuance-qwen3vl

TARA's schedule (arXiv 2512.13511): two epochs of 20 000 triplets, 256 anchors against 512
candidates. All processes share each batch. Only its tiny form was run here, on a CPU.
"""

import os
from collections.abc import Mapping
from functools import cache

import torch

from kinoscope.backbones.loading import DEFAULT_SAMPLING, load_backbone
from kinoscope.backbones.mllm import MLLM
from kinoscope.backbones.options import LoadOptions
from kinoscope.errors import UsageError
from kinoscope.evaluation.margins import margins_of
from kinoscope.training.lora import add_lora
from kinoscope.training.nuance import NuanceConfig
from kinoscope.training.recipe import Recipe
from kinoscope.training.sources import FeatureCache
from kinoscope.training.task import LoopConfig
from kinoscope.training.teaching import Model
from kinoscope.training.triplets import Mixed, mixed
from recipes.nuance_mix import mix

MODEL = "Qwen/Qwen3-VL-8B-Instruct"
LORA = True
"""False trains the whole language model, in float32: 16 bytes a weight and its Adam."""
RANK = 16
EPOCHS, BATCH, TRIPLETS = 2, 256, 20_000


def recipe(stage: int) -> Recipe:
    """Its one stage, 1."""
    if stage != 1:
        raise UsageError(f"stage {stage}: choose 1, which begins with {MODEL}")
    return tuned(MODEL, lora=LORA)


def tuned(model: str, *, lora: bool) -> Recipe:
    """Of any checkpoint of the family, in a folder or on the hub."""
    return Recipe(
        model=lambda: loaded(model, lora=lora),
        sampling=DEFAULT_SAMPLING,
        loop=LoopConfig(
            steps=EPOCHS * TRIPLETS // BATCH,
            batch=BATCH,
            lr=2e-4 if lora else 2e-5,
            weight_decay=0.0,
            warmup=0.1,
            mixed_precision="bf16",
            validate_every=20,
            watch="text_accuracy",
        ),
        mix=mix("train"),
        nuance=NuanceConfig(),
        validate=validate,
    )


def loaded(model: str, *, lora: bool) -> MLLM:
    """On this process's own GPU; weights that learn are float32."""
    place = f"cuda:{os.environ.get('LOCAL_RANK', '0')}" if torch.cuda.is_available() else "cpu"
    options = LoadOptions(
        dtype="auto" if lora else "float32", device_map=place, batch_tokens=8192, offline=True
    )
    backbone, _sampling = load_backbone(model, options)
    if lora:
        add_lora(backbone, rank=RANK, alpha=2 * RANK)
    return backbone


def validate(model: Model, _features: FeatureCache) -> Mapping[str, float]:
    """Share of held-out triplets whose right sentence is nearer, by part; no video is needed."""
    found = margins_of(model, held_out().triplets).metrics()
    return {name: metric.value for name, metric in found.items() if "accuracy" in name}


@cache
def held_out() -> Mixed:
    """Entries and templates that the training has not."""
    return mixed(mix("validation"))
