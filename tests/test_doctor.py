"""The doctor measures; a check that cannot fail would be worse than none."""

import lancedb
import numpy as np
import pytest

from kinoscope import doctor
from kinoscope.embedder import Embedder
from kinoscope.types import Features
from tests.made_index import made_index, random_clips


@pytest.fixture(scope="module")
def embedder() -> Embedder:
    return Embedder.load()


def test_the_moving_clip_moves_and_its_reverse_is_another_clip() -> None:
    clip = doctor.moving_disc(64)
    assert (np.abs(np.diff(clip.rgb_FHWC.astype(int), axis=0)).mean(axis=(1, 2, 3)) > 1).all()
    assert not np.array_equal(clip.rgb_FHWC, clip.rgb_FHWC[::-1])


def test_concepts_is_reported_blind_to_order(embedder) -> None:
    check = doctor.order_sensitivity(embedder)
    assert check.verdict == "limit"
    assert check.value == pytest.approx(1.0, abs=1e-5)


def test_an_order_sensitive_model_is_not_called_blind(embedder, monkeypatch) -> None:
    model = type(embedder.backbone)
    honest = model.vision

    def with_time(self, frames):
        found = honest(self, frames)
        late_D = np.linspace(-1, 1, found.values_F.shape[1], dtype=np.float32)
        bright_F1 = frames.rgb_FHWC[:, :, :130].mean(axis=(1, 2, 3))[:, None] / 255
        time_F1 = np.linspace(0, 1, len(found))[:, None]
        moved = found.values_F + bright_F1 * time_F1 * late_D
        return Features(moved.astype(np.float32), found.times_F)

    monkeypatch.setattr(model, "vision", with_time)
    check = doctor.order_sensitivity(embedder)
    assert check.value < 0.999
    assert check.verdict == "ok"


def test_batch_parity_holds_and_a_drifting_model_fails(embedder, monkeypatch) -> None:
    assert doctor.batch_parity(embedder).verdict == "ok"
    honest = type(embedder).encode_query

    def drifting(self, texts):
        vectors = honest(self, texts)
        return vectors if isinstance(texts, str) else np.roll(vectors, 1, axis=-1)

    monkeypatch.setattr(type(embedder), "encode_query", drifting)
    assert doctor.batch_parity(embedder).verdict == "fail"


def test_negation_is_a_share_of_all_triples(embedder) -> None:
    check = doctor.negation_sensitivity(embedder)
    assert check.value * len(doctor.NEGATION_TRIPLES) == pytest.approx(
        round(check.value * len(doctor.NEGATION_TRIPLES))
    )
    assert check.verdict == "limit", "concepts reads a denial by its words"


def test_a_model_that_reads_a_denial_by_its_meaning_passes(embedder, monkeypatch) -> None:
    def by_meaning(self, texts):
        claims = [triple[0] for triple in doctor.NEGATION_TRIPLES]
        return np.array([[1, 0] if text in claims else [0, 1] for text in texts], np.float32)

    monkeypatch.setattr(type(embedder), "encode_query", by_meaning)
    check = doctor.negation_sensitivity(embedder)
    assert (check.value, check.verdict) == (1.0, "ok")


def test_decoding_speed_is_measured_on_a_real_file(embedder) -> None:
    check = doctor.decode_speed(embedder.sampling, seconds=4)
    assert check.verdict == "ok"
    assert check.value > 0


def test_damaged_weights_fail(monkeypatch) -> None:
    from kinoscope import weights
    from kinoscope.errors import SetupError

    def damaged() -> None:
        raise SetupError("vision.onnx is damaged")

    assert doctor.weights_intact().verdict == "ok"
    monkeypatch.setattr(weights, "verify", damaged)
    assert doctor.weights_intact().verdict == "fail"


def test_lost_clips_fail_until_the_next_run_forgets_their_files(tmp_path) -> None:
    index = made_index(tmp_path / "index", {"a": random_clips(2), "b": random_clips(2)})

    def lost() -> doctor.Check:
        checks = doctor.index_health(index.store, index.embedder)
        return next(check for check in checks if check.name == "lost clips")

    assert (lost().verdict, lost().value) == ("ok", 0)
    lancedb.connect(index.store.folder).open_table("clips").delete("true")
    assert (lost().verdict, lost().value) == ("fail", 2)
    assert "index again" in lost().words
    with index.store.writing():
        pass
    assert lost().verdict == "ok"
