"""Whether `mini` fails on new videos or on new words: validation videos told in two ways.

    python -m recipes.wordings [MODEL] [--before FOLDER]

Videos of the training and of the validation, each told in wordings of the training and in those of
the validation: R@1 and R@10 among 200. MODEL is `mini`, a folder with it, or a stage of its
training; `--before` is the folder of an earlier training, measured beside it.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import get_args

import torch

from kinoscope.backbones.mini import SAMPLING
from kinoscope.backbones.mllm import MLLM
from kinoscope.evaluation.metrics import mean_with_interval, recall_at
from kinoscope.evaluation.results import Metric, save_result
from kinoscope.evaluation.world.retrieval import own_ranks
from kinoscope.evaluation.world.vectors import embed_clips, embed_texts
from kinoscope.evaluation.world.videos import WorldVideos
from kinoscope.packages import cache_folder
from kinoscope.training.sources import FeatureCache, GeneratedSource
from kinoscope.training.world import Split
from kinoscope.training.world.captions import caption
from recipes.measuring import load_model, told_of
from recipes.mini import tower

VIDEOS = 200
SPLITS = [split for split in get_args(Split) if split != "test"]


def main(arguments: Sequence[str] | None = None) -> None:
    """Measures one model or two and saves `results/wordings.json`."""
    parser = argparse.ArgumentParser(prog="python -m recipes.wordings")
    parser.add_argument("model", nargs="?", default="mini")
    parser.add_argument("--before", type=Path)
    asked = parser.parse_args(arguments)
    models = {"": asked.model} | ({"before_": str(asked.before)} if asked.before else {})
    metrics: dict[str, Metric] = {}
    details: dict[str, object] = {"gallery": VIDEOS}
    for prefix, name in models.items():
        backbone = load_model(name)
        details[f"{prefix}model"] = told_of(name, backbone)
        metrics |= {prefix + each: metric for each, metric in recalls(backbone).items()}
    for name, metric in metrics.items():
        low, value, high = metric.interval
        print(f"{name:>50} {value:.3f} [{low:.3f}, {high:.3f}]")
    save_result("wordings", metrics, details=details)


def recalls(backbone: MLLM) -> dict[str, Metric]:
    """R@1 and R@10, by split of the videos and split of the wordings."""
    cache = FeatureCache(cache_folder() / "features", backbone, SAMPLING, tower=tower(backbone))
    found: dict[str, Metric] = {}
    for shown in SPLITS:
        videos = WorldVideos.of(GeneratedSource(shown, VIDEOS), cache, VIDEOS)
        with torch.inference_mode():
            videos_ND = embed_clips(backbone, videos.clips())
            for told in SPLITS:
                texts = (caption(scene, split=told) for scene in videos.scenes())
                ranks = own_ranks(embed_texts(backbone, texts), videos_ND)
                for k in (1, 10):
                    metric = mean_with_interval(recall_at(k, ranks), videos.keys)
                    found[f"{shown}_videos_{told}_words_r{k}"] = metric
    return found


if __name__ == "__main__":
    main()
