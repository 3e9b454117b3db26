"""LoRA: changes nothing at first, moves alone with the projector, merges into a plain model."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from kinoscope.backbones.loading import DEFAULT_SAMPLING, load_backbone
from kinoscope.backbones.mini import untrained_mini
from kinoscope.backbones.options import LoadOptions
from kinoscope.embedder import Embedder
from kinoscope.errors import UsageError
from kinoscope.training.lesson_config import STAGES, LessonConfig
from kinoscope.training.lessons import Lessons
from kinoscope.training.loop import train
from kinoscope.training.lora import TARGETS, add_lora, merge_lora, name_beside_lora
from kinoscope.training.recipe import run, stage_folder
from kinoscope.training.task import LoopConfig
from kinoscope.training.teaching import embed
from kinoscope.types import Content
from kinoscope.weights import SIDE_PX
from tests.tiny import FAMILIES, moving_frames, tiny
from tests.tiny_mini import as_if_trained
from tests.training.learning import equal
from tests.training.lesson_films import Films
from tests.training.tiny_recipes import FROZEN, LOOP, SAMPLING, tiny_recipe, weights

pytestmark = pytest.mark.usefixtures("one_torch_thread")
SIZES = {"mini": (SIDE_PX, SIDE_PX)}
PROJECTORS = {"mini": "connector", "qwen2_vl": "merger"}


@pytest.fixture
def make(tmp_path_factory, mini_set_up):
    """A tiny model of a family."""

    def build(family: str, **options):
        if family == "mini":
            return as_if_trained(untrained_mini(mini_set_up, layers=2))
        folder = tmp_path_factory.mktemp("tiny") / family
        return load_backbone(str(tiny(family, folder)), LoadOptions(**options))[0]

    return build


def vectors(backbone, family: str) -> np.ndarray:
    """Unit rows, of a text, a clip, and both."""
    clip = backbone.vision(moving_frames(4, *SIZES.get(family, (56, 84)), 1))
    contents = [
        Content(text="a fox runs"),
        Content(clip=clip),
        Content(clip=clip, text="at night"),
    ]
    backbone.checkpoint.model.eval()
    with torch.inference_mode():
        return embed(backbone, contents).numpy()


def with_strong_adapter(backbone) -> None:
    """As after a long training."""
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for name, values in backbone.checkpoint.model.named_parameters():
            if "lora_" in name:
                values.add_(0.2 * torch.randn(values.shape, generator=generator))


@pytest.mark.parametrize("family", ["mini", *FAMILIES])
def test_it_changes_nothing_at_first_and_merges_without_a_trace(make, family) -> None:
    backbone = make(family)
    bare, plain = vectors(backbone, family), weights(backbone)
    add_lora(backbone, rank=4, alpha=8)
    assert (vectors(backbone, family) == bare).all()
    names = [name for name in weights(backbone) if "lora_" in name]
    decoder = backbone.checkpoint.family.decoder(backbone.checkpoint.model.model)
    assert len(names) == 2 * len(TARGETS) * len(decoder.layers)
    assert not any("vision" in name or "visual" in name or "connector" in name for name in names)
    learns = {n for n, v in backbone.checkpoint.model.named_parameters() if v.requires_grad}
    assert learns == set(names)
    with_strong_adapter(backbone)
    worn = vectors(backbone, family)
    assert np.abs(worn - bare).max() > 1e-3
    merge_lora(backbone)
    assert np.abs(vectors(backbone, family) - worn).max() < 1e-5
    assert weights(backbone).keys() == plain.keys()
    moved = {name for name, values in weights(backbone).items() if (values != plain[name]).any()}
    assert moved == {n for n in plain if any(f".{target}.weight" in n for target in TARGETS)} - {
        name for name in plain if "vision" in name or "visual" in name
    }


@pytest.mark.parametrize("family", PROJECTORS)
def test_adapter_and_projector_learn_alone_and_the_model_is_saved_plain(
    make, family, tmp_path
) -> None:
    backbone = make(family)
    add_lora(backbone, rank=4)
    before = weights(backbone)
    config = LessonConfig(
        shares=STAGES[1], trained=("lora_", PROJECTORS[family]), frozen=FROZEN, temperature=0.2
    )
    lessons = Lessons(backbone, Films(backbone, size_px=SIZES.get(family, (56, 84))), config)
    train(lessons, LoopConfig(steps=4, batch=3, lr=3e-3), tmp_path / "run")
    changed = {name for name, values in weights(backbone).items() if (values != before[name]).any()}
    assert changed == {n for n in before if "lora_" in n or PROJECTORS[family] in n}
    worn = vectors(backbone, family)
    merge_lora(backbone)
    sampling = SAMPLING if family == "mini" else DEFAULT_SAMPLING
    Embedder(backbone, sampling=sampling).save(tmp_path / "saved")
    again, _ = load_backbone(str(tmp_path / "saved"))
    assert not any("lora" in name or "base_layer" in name for name in weights(again))
    off = np.abs(vectors(again, family) - worn).max()
    assert off < (2e-3 if family == "mini" else 1e-5)  # mini is kept in float16


def test_it_begins_the_same_each_time_and_leaves_the_random_numbers_alone(make) -> None:
    found = []
    for seed in (1, 2):
        backbone = make("mini")
        torch.manual_seed(seed)
        add_lora(backbone)
        found.append((weights(backbone), torch.rand(1)))
        torch.manual_seed(seed)
        assert torch.rand(1) == found[-1][1]
    assert equal(found[0][0], found[1][0])


def test_it_is_float32_beside_weights_of_sixteen_bits(make) -> None:
    backbone = make("qwen2_vl", dtype="bfloat16")
    bare = vectors(backbone, "qwen2_vl")
    add_lora(backbone)
    kinds = {name: values.dtype for name, values in weights(backbone).items() if "lora_" in name}
    assert set(kinds.values()) == {torch.float32}
    assert (vectors(backbone, "qwen2_vl") == bare).all()
    merge_lora(backbone)
    assert {values.dtype for values in weights(backbone).values()} == {torch.bfloat16}


@pytest.mark.parametrize(
    ("choices", "sentence"),
    [
        ({"rank": 0}, "rank 0, alpha 32: choose 1 or more"),
        ({"alpha": -1}, "rank 16, alpha -1"),
        ({"targets": ("q_proj", "connector")}, "targets connector of the LoRA: mini has down_proj"),
        ({"targets": ()}, "targets nothing of the LoRA"),
    ],
)
def test_what_the_model_cannot_wear_is_refused_and_it_stays_as_it_is(
    make, choices, sentence
) -> None:
    backbone = make("mini")
    with pytest.raises(UsageError, match=sentence):
        add_lora(backbone, **choices)
    assert not any("lora_" in name for name in weights(backbone))
    assert all(values.requires_grad for values in backbone.checkpoint.model.parameters())


def test_two_adapters_and_broken_ones_are_refused_and_none_merges_to_nothing(make) -> None:
    backbone = make("mini")
    plain = weights(backbone)
    merge_lora(backbone)
    assert equal(weights(backbone), plain)
    add_lora(backbone, targets=("q_proj",))
    with pytest.raises(UsageError, match="mini has a LoRA already: merge it first"):
        add_lora(backbone, targets=("v_proj",))
    with torch.no_grad():
        next(v for n, v in backbone.checkpoint.model.named_parameters() if "lora_B" in n).fill_(
            torch.nan
        )
    with pytest.raises(UsageError, match=r"the LoRA at 0\.self_attn\.q_proj is not finite: train"):
        merge_lora(backbone)


def test_names_change_only_where_an_adapter_stands() -> None:
    known = {"a.q_proj.base_layer.weight", "a.q_proj.lora_A.default.weight", "a.norm.weight", "w"}
    wanted = {
        "a.q_proj.weight": "a.q_proj.base_layer.weight",
        "a.norm.weight": "a.norm.weight",
        "a.q_proj.lora_A.default.weight": "a.q_proj.lora_A.default.weight",
        "b.weight": "b.weight",
        "w": "w",
    }
    assert {name: name_beside_lora(name, known) for name in wanted} == wanted


def test_a_stage_with_lora_goes_on_from_one_without_and_from_one_with(
    mini_set_up, tmp_path
) -> None:
    """The last stage has the base of the first, and the adapter and connector of the second."""

    def recipe(stage: int, **changes):
        def worn():
            backbone = untrained_mini(mini_set_up, layers=2)
            if stage > 1:
                add_lora(backbone, rank=2)
            began.clear()
            models.append(backbone)
            return backbone

        def source():
            began.update(weights(models[-1]))
            return made.source()

        trained = ("lora_", "connector") if stage > 1 else ()
        made = tiny_recipe(mini_set_up, tmp_path / "features", 1, trained=trained)
        return replace(made, model=worn, source=source, loop=replace(LOOP, **changes))

    models: list = []
    began: dict = {}
    first = weights(run(recipe(1), tmp_path, 1)[1])
    _, found = run(recipe(2), tmp_path, 2)
    assert equal({n.replace(".base_layer", ""): v for n, v in began.items() if "lora" not in n},
                 first)  # fmt: skip
    second = weights(found)
    assert second.keys() == first.keys(), "merged"
    still = ("embed_tokens", "norm")
    assert all(
        (values != first[name]).any() != any(word in name and "connector" not in name
                                             for word in still)
        for name, values in second.items()
    )  # fmt: skip
    report, found = run(recipe(3, steps=1, lr=1e-12), tmp_path, 3)
    for name, values in weights(found).items():
        torch.testing.assert_close(values, second[name], rtol=0, atol=1e-6)
    assert any("lora_B" in name and values.any() for name, values in began.items())
    Embedder(found, sampling=SAMPLING).save(stage_folder(tmp_path, 3) / "model")
    assert report.ended == "finished"
    plain = tiny_recipe(mini_set_up, tmp_path / "features", 1)
    with pytest.raises(UsageError, match=r"has model.*lora_A.*, which this model has not: load t"):
        run(plain, tmp_path, 4)


def test_a_lora_that_is_not_merged_is_not_saved(mini_set_up, tmp_path) -> None:
    backbone = untrained_mini(mini_set_up, layers=2)
    add_lora(backbone, rank=2)
    with pytest.raises(UsageError, match="wears a LoRA: merge it"):
        Embedder(backbone, sampling=SAMPLING).save(tmp_path / "model")
    assert not (tmp_path / "model").exists()
