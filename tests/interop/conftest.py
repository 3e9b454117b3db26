"""Models of these tests are so small that a second thread only waits for the first."""

from collections.abc import Iterator

import pytest

from kinoscope import libraries


@pytest.fixture(scope="package", autouse=True)
def one_thread() -> Iterator[None]:
    torch = libraries.torch()
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
