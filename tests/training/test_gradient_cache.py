"""The gradient cache: gradients of a direct pass, with dropout, in the memory of one chunk."""

import pytest
import torch

from kinoscope.training.gather import alone
from kinoscope.training.gradient_cache import cached_rows
from kinoscope.training.losses import two_way
from tests.training.memory import LiveBytes

pytestmark = pytest.mark.usefixtures("one_torch_thread")


def encoder(width: int = 16, depth: int = 2, dropout: float = 0.3, dtype=torch.float64):
    torch.manual_seed(0)
    layers = [torch.nn.Linear(8, width)]
    for _ in range(depth):
        layers += [torch.nn.Tanh(), torch.nn.Dropout(dropout), torch.nn.Linear(width, width)]
    model = torch.nn.Sequential(*layers).to(dtype)
    return model, lambda x_BD: torch.nn.functional.normalize(model(x_BD), dim=-1)


def chunks_of(sizes, seed=1, dtype=torch.float64):
    torch.manual_seed(seed)
    return [torch.randn(size, 8, dtype=dtype) for size in sizes]


def gradients(model, encode, videos, texts, cached: bool):
    """Of the contrast of all rows, and its value, with the same random numbers either way."""
    model.zero_grad()
    torch.manual_seed(5)
    rows = [
        cached_rows(encode, chunks) if cached else torch.cat([encode(chunk) for chunk in chunks])
        for chunks in (videos, texts)
    ]
    loss = two_way(*map(alone, rows), temperature=0.1).rows_B.mean()
    loss.backward()
    return float(loss.detach()), [value.grad.clone() for value in model.parameters()]


def test_gradients_are_those_of_a_direct_pass_with_dropout_and_uneven_chunks():
    model, encode = encoder()
    videos, texts = chunks_of([3, 4, 1]), chunks_of([2, 6], seed=2)
    direct_loss, direct = gradients(model, encode, videos, texts, cached=False)
    cached_loss, cached = gradients(model, encode, videos, texts, cached=True)
    assert cached_loss == direct_loss
    for one, other in zip(direct, cached, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-12, atol=1e-14)
    # dropout did something: other random numbers give another loss
    torch.manual_seed(6)
    assert not torch.equal(encode(videos[0]), encode(videos[0]))


def test_random_numbers_go_on_after_the_backward_pass_as_after_a_direct_one():
    model, encode = encoder()
    following = []
    for cached in (False, True):
        gradients(model, encode, chunks_of([3, 4]), chunks_of([7]), cached)
        following.append(torch.rand(3))
    assert torch.equal(*following)


def test_gradients_are_right_in_mixed_precision_and_for_frozen_parts():
    model, encode = encoder(dropout=0.0, dtype=torch.float32)
    model[0].requires_grad_(False)
    chunks = chunks_of([4, 4], dtype=torch.float32)
    found = []
    for cached in (False, True):
        model.zero_grad()
        with torch.autocast("cpu", torch.bfloat16):
            rows = cached_rows(encode, chunks) if cached else torch.cat([*map(encode, chunks)])
            loss = two_way(alone(rows), alone(rows.roll(1, 0)), temperature=0.1).rows_B.mean()
        loss.backward()
        found.append([value.grad for value in model.parameters()])
    assert found[0][0] is found[1][0] is None
    for one, other in zip(found[0][2:], found[1][2:], strict=True):
        assert torch.equal(one, other)


def test_memory_grows_by_rows_alone_not_by_graphs():
    model, encode = encoder(width=64, depth=8, dtype=torch.float32)
    peaks = {}
    for count in (2, 16):
        for cached in (False, True):
            chunks = chunks_of([32] * count, dtype=torch.float32)
            model.zero_grad()
            with LiveBytes() as live:
                rows = cached_rows(encode, chunks) if cached else torch.cat([*map(encode, chunks)])
                rows.square().sum().backward()  # no scores, which would hide the graphs
            peaks[count, cached] = live.peak
    one_rows = 32 * 64 * 4
    one_graph = 8 * 3 * one_rows  # three outputs a layer
    direct, cached = ((peaks[16, way] - peaks[2, way]) / 14 for way in (False, True))
    assert direct > one_graph
    assert cached < 6 * one_rows < one_graph / 3  # each chunk, joined, squared, and gradients
