"""Values that cross module edges refuse what they must, and their arithmetic holds."""

from dataclasses import asdict

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kinoscope.errors import SpecMismatch, UsageError
from kinoscope.types import Content, EmbedderSpec, Features, Frames, Span

SPANS = st.tuples(st.integers(0, 50), st.integers(1, 50)).map(lambda p: Span(p[0], p[0] + p[1]))
SPEC = EmbedderSpec(
    model="m", weights="w", prompts="p", sampling="s", thinking="none", centring="none", dimension=3
)


@given(SPANS, SPANS)
def test_iou_is_that_of_the_seconds_in_each_span(a, b) -> None:
    seconds_a = set(range(int(a.start_s), int(a.end_s)))
    seconds_b = set(range(int(b.start_s), int(b.end_s)))
    assert a.overlap_s(b) == len(seconds_a & seconds_b)
    assert (
        a.iou(b)
        == b.iou(a)
        == pytest.approx(len(seconds_a & seconds_b) / len(seconds_a | seconds_b))
    )
    assert a.iou(a) == 1


def test_spans_that_only_touch_do_not_overlap() -> None:
    assert Span(0, 4).overlap_s(Span(4, 8)) == 0
    assert Span(1, 3).overlap_s(Span(2, 9)) == 1


@pytest.mark.parametrize("ends", [(1, 1), (2, 1), (-1, 1), (float("nan"), 1), (0, float("inf"))])
def test_an_impossible_span_is_refused(ends) -> None:
    with pytest.raises(UsageError, match="span"):
        Span(*ends)


@pytest.mark.parametrize(
    ("shape", "kind", "times"),
    [
        ((2, 4, 4), np.uint8, [0, 1]),
        ((2, 4, 4, 3), np.float32, [0, 1]),
        ((2, 4, 4, 3), np.uint8, [0]),
        ((2, 4, 4, 3), np.uint8, [1, 1]),
        ((2, 4, 4, 3), np.uint8, [0, np.nan]),
        ((2, 0, 4, 3), np.uint8, [0, 1]),
    ],
)
def test_frames_without_fitting_pixels_and_ascending_times_are_refused(shape, kind, times) -> None:
    with pytest.raises(UsageError, match=r"frames? .*|times"):
        Frames(np.zeros(shape, kind), np.array(times, np.float64))


def test_frames_print_shapes_and_times_not_pixels() -> None:
    frames = Frames(np.zeros((2, 4, 6, 3), np.uint8), np.array([0.5, 1.5]))
    assert repr(frames) == "Frames(2 x 4x6, 0.500..1.500 s)"
    assert frames.take([1]).times_F.tolist() == [1.5]


def test_a_spec_survives_json_and_any_change_is_another_fingerprint() -> None:
    assert EmbedderSpec.from_dict(asdict(SPEC)) == SPEC
    for name, value in asdict(SPEC).items():
        other = not value if isinstance(value, bool) else value * 2
        changed = EmbedderSpec.from_dict({**asdict(SPEC), name: other})
        assert (changed.fingerprint != SPEC.fingerprint) == (name != "model")
        assert (changed != SPEC) == (name != "model"), "weights say which model, not its place"
        if name == "model":
            SPEC.require_equal(changed, remedy="none needed")
            continue
        with pytest.raises(SpecMismatch, match=rf"(?s)mend it.*! {name}: "):
            SPEC.require_equal(changed, remedy="mend it")
    SPEC.require_equal(SPEC, remedy="none needed")


@pytest.mark.parametrize("damage", [{"dimension": "3"}, {"extra": 1}, {"normalised": 1}])
def test_a_spec_of_another_form_is_refused(damage) -> None:
    with pytest.raises(UsageError, match="not an embedder spec"):
        EmbedderSpec.from_dict({**asdict(SPEC), **damage})


def test_a_spec_of_the_first_version_had_no_head_but_the_mean() -> None:
    old = {name: value for name, value in asdict(SPEC).items() if name != "head"}
    assert EmbedderSpec.from_dict(old) == SPEC
    assert SPEC.head == "mean"


@pytest.mark.parametrize(
    ("parts", "kind"),
    [
        ({"text": "a dog"}, "text"),
        ({"clip": 3}, "video"),
        ({"clip": 1}, "video"),
        ({"clip": 1, "still": True}, "image"),
        ({"clip": 3, "text": "at night"}, "composed"),
        ({"clip": 1, "still": True, "text": "at night"}, "composed"),
    ],
)
def test_contents_tell_their_kind(parts, kind) -> None:
    if "clip" in parts:
        count = parts["clip"]
        parts = parts | {"clip": Features(np.zeros((count, 2)), np.arange(float(count)))}
    assert Content(**parts).kind == kind


@pytest.mark.parametrize("parts", [{}, {"text": "a", "still": True}])
def test_contents_without_anything_to_read_are_our_error(parts) -> None:
    with pytest.raises(AssertionError):
        Content(**parts)
