"""Models of these tests are tiny."""

import pytest


@pytest.fixture(scope="session", autouse=True)
def _small_models(one_torch_thread: None) -> None:
    """One thread does their work faster than two."""
