"""How the `concepts` model was chosen: variants compared on still pictures, never on the clips.

The stills come from two packages of the same family as the sample clips, with the prompts that made
them; prompts of sample clips are left out. Only this set may decide between variants.
"""

import json
import re
from collections import Counter
from io import BytesIO
from pathlib import Path

import numpy as np

from kinoscope.embedder import Embedder
from kinoscope.evaluation.metrics import auroc, mean_with_interval, ranks, recall_at
from kinoscope.evaluation.results import Metric, save_result
from kinoscope.packages import Package, downloaded, member_names, read_member
from kinoscope.samples import CLIPS, WORKFLOWS, choose_prompts
from kinoscope.types import Float32, Frames, UInt8
from kinoscope.weights import SIDE_PX

STILLS = (
    Package(
        name="comfyui-workflow-templates-media-image",
        version="0.3.160",
        sha256="d4a5c5541c7088f6adb1c7da41f5d7c1c14a037eda6a61cd8b4b76c251faaa93",
    ),
    Package(
        name="comfyui-workflow-templates-media-api",
        version="0.3.84",
        sha256="c2d6a5999ac39e4f37f47ae231c92557defe5addb2cc6ab5c11410b4d5a2910a",
    ),
)
MEMBER = re.compile(r"\w+/templates/(?P<name>[\w.]+)-(?P<take>\d)\.webp")


def main() -> None:
    """Measures each way of using a mean and saves `results/concepts_choices.json`."""
    embedder = Embedder.load()
    prompts, pictures = described_stills(SIDE_PX)
    queries_QD = embedder.encode_query(prompts)
    stills_ND = np.stack([picture_vector(embedder, picture) for picture in pictures])
    metrics: dict[str, Metric] = {}
    for name, scores_QN in variants(queries_QD, stills_ND, reference_text_mean(embedder)):
        metrics |= measure(name, scores_QN)
    save_result("concepts_choices", metrics, details={"set": "stills", "items": len(prompts)})


def described_stills(side_px: int) -> tuple[list[str], list[UInt8]]:
    """Prompts and RGB pictures [side_px, side_px, 3], by the rules of the sample clips."""
    found: dict[str, UInt8] = {}
    with downloaded(WORKFLOWS) as workflows, downloaded(CLIPS) as clips:
        moving = chosen(Counter(takes_in(member_names(clips))), workflows)
        for package in STILLS:
            with downloaded(package) as archive:
                members = member_names(archive)
                prompts = chosen(Counter(takes_in(members)), workflows)
                for member in members:
                    named = MEMBER.fullmatch(member)
                    prompt = prompts.get(named["name"]) if named else None
                    if prompt and prompt not in moving.values():
                        found.setdefault(
                            prompt, read_picture(read_member(archive, member), side_px)
                        )
    return list(found), list(found.values())


def takes_in(members: list[str]) -> list[str]:
    """Workflow names, one for each picture of theirs."""
    return [named["name"] for named in map(MEMBER.fullmatch, members) if named]


def chosen(takes: Counter[str], workflows: Path) -> dict[str, str]:
    """Prompts of the workflows that have one."""
    present = set(member_names(workflows))
    texts = {
        name: json.loads(read_member(workflows, member))
        for name in takes
        if (member := f"comfyui_workflow_templates_json/templates/{name}.json") in present
    }
    picked = choose_prompts(takes, texts)
    return {name: prompt for name, (prompt, _rule) in picked.items() if prompt is not None}


def read_picture(data: bytes, side_px: int) -> UInt8:
    """First frame, scaled to a square like a frame of video."""
    from PIL import Image

    with Image.open(BytesIO(data)) as image:
        return np.asarray(image.convert("RGB").resize((side_px, side_px), Image.Resampling.BICUBIC))


def picture_vector(embedder: Embedder, picture: UInt8) -> Float32:
    """Unit vector [D] of one still."""
    vector_D: Float32 = embedder.encode_video(Frames(picture[None], np.zeros(1))).vectors_ND[0]
    return vector_D


def reference_text_mean(embedder: Embedder) -> Float32:
    """Mean vector [D] of neutral sentences: what queries have in common."""
    subjects = ("a person", "an animal", "a vehicle", "a building", "food", "a landscape", "a tool")
    places = ("indoors", "outdoors", "at night", "in a city", "by the sea", "in a forest")
    texts = [f"{subject} {place}" for subject in subjects for place in places]
    return np.asarray(embedder.encode_query(texts).mean(axis=0), np.float32)


def variants(
    queries_QD: Float32, stills_ND: Float32, text_mean_D: Float32
) -> list[tuple[str, Float32]]:
    """(name, scores [Q, N]) of each way to use the library's mean."""
    mean_D = stills_ND.mean(axis=0)
    plain_QN = queries_QD @ stills_ND.T
    centred_ND = unit(stills_ND - mean_D)
    return [
        ("cosine", plain_QN),
        ("cosine_minus_mean", plain_QN - (queries_QD @ mean_D)[:, None]),
        ("both_centred_by_library", unit(queries_QD - mean_D) @ centred_ND.T),
        ("each_centred_by_its_own", unit(queries_QD - text_mean_D) @ centred_ND.T),
        ("library_centred_only", queries_QD @ centred_ND.T),
    ]


def unit(rows_ND: Float32) -> Float32:
    """Rows of unit length."""
    return np.asarray(rows_ND / np.linalg.norm(rows_ND, axis=1, keepdims=True), np.float32)


def measure(name: str, scores_QN: Float32) -> dict[str, Metric]:
    """R@1, R@5, R@10 within queries and AUROC across queries."""
    count = len(scores_QN)
    found = ranks(scores_QN, [[q] for q in range(count)])
    right = np.eye(count, dtype=bool)
    across = auroc(scores_QN[right], scores_QN[~right])
    recalls = {
        f"{name}_r{k}": mean_with_interval(recall_at(k, found), range(count)) for k in (1, 5, 10)
    }
    return recalls | {f"{name}_auroc": Metric(value=across, n=count * count)}


if __name__ == "__main__":
    main()
