"""What keeps similarities: against a naive twin, at awkward sizes, with processes' shares."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from kinoscope.errors import UsageError
from kinoscope.training.gather import Rows, alone
from kinoscope.training.losses import NotFinite, kept

pytestmark = pytest.mark.usefixtures("one_torch_thread")


def unit(rows: int, width: int, seed: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    found = torch.randn(rows, width, generator=generator, dtype=torch.float64)
    return torch.nn.functional.normalize(found, dim=1)


def naive(student_ND, teacher_ND, temperature: float) -> list[float]:
    """Plain sums over all other rows."""
    count, found = len(student_ND), []
    for i in range(count):
        others = [j for j in range(count) if j != i]
        shares = []
        for rows_ND in (student_ND, teacher_ND):
            scores = [math.exp(float(rows_ND[i] @ rows_ND[j]) / temperature) for j in others]
            shares.append([score / sum(scores) for score in scores])
        p, q = shares
        found.append(sum(qj * math.log(qj / pj) for pj, qj in zip(p, q, strict=True)))
    return found


@given(
    count=st.integers(2, 9),
    widths=st.tuples(st.integers(1, 5), st.integers(1, 5)),
    temperature=st.sampled_from([0.05, 0.3, 2.0]),
    seed=st.integers(0, 99),
)
def test_it_is_the_divergence_of_a_naive_twin(count, widths, temperature, seed) -> None:
    student_ND, teacher_ND = unit(count, widths[0], seed), unit(count, widths[1], seed + 1)
    found_N = kept(alone(student_ND), alone(teacher_ND), temperature=temperature)
    wanted = naive(student_ND, teacher_ND, temperature)
    assert found_N.tolist() == pytest.approx(wanted, rel=1e-6, abs=1e-9)
    assert float(found_N.min()) > -1e-9
    turned_DD = torch.linalg.qr(unit(widths[0], widths[0], seed + 2)).Q  # similarities stay
    same_N = kept(alone(student_ND @ turned_DD), alone(student_ND), temperature=temperature)
    assert same_N.tolist() == pytest.approx([0.0] * count, abs=1e-9)


def test_equal_rows_tie_without_trouble() -> None:
    rows_ND = unit(1, 3, 0).repeat(4, 1)
    assert kept(alone(rows_ND), alone(unit(4, 3, 1)), temperature=0.1).tolist() == pytest.approx(
        naive(rows_ND, unit(4, 3, 1), 0.1)
    )


def test_shares_of_processes_are_rows_of_the_whole_and_the_teacher_has_no_gradient() -> None:
    student_ND, teacher_ND = unit(7, 4, 2).requires_grad_(), unit(7, 5, 3).requires_grad_()
    whole_N = kept(alone(student_ND), alone(teacher_ND), temperature=0.2)
    parts = [
        kept(
            *(Rows(rows[first:behind], rows, first) for rows in (student_ND, teacher_ND)),
            temperature=0.2,
        )
        for first, behind in ((0, 3), (3, 7))
    ]
    torch.testing.assert_close(torch.cat(parts), whole_N)
    whole_N.sum().backward()
    assert student_ND.grad.abs().max() > 0 and teacher_ND.grad is None


def test_what_has_no_answer_is_refused() -> None:
    rows_ND = unit(3, 4, 0)
    with pytest.raises(UsageError, match="one caption has no similarities to keep: raise batch"):
        kept(alone(rows_ND[:1]), alone(rows_ND[:1]), temperature=0.1)
    with pytest.raises(UsageError, match=r"temperature 0\.0: give a positive number"):
        kept(alone(rows_ND), alone(rows_ND), temperature=0.0)
    with pytest.raises(NotFinite, match=r"student .* is not finite"):
        kept(alone(rows_ND * torch.nan), alone(rows_ND), temperature=0.1)
