"""Benchmarks: each fast path beside the slow, obvious one in the same run, so that ratios can be read off."""

import numpy as np
import pytest

from gridlab.sources import simulate_market


@pytest.fixture(scope="session")
def market():
    return simulate_market("2023-01-01", 800, "1h", rng=np.random.default_rng(7))
