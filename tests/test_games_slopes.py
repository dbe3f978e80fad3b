"""How far a MW moves the price, where the level of prices drifts."""

import numpy as np
import pytest

from gridlab.errors import DataError
from gridlab.games.price_slopes import slope_of_prices


def series(n=2000, drift=30.0):
    rng = np.random.default_rng(5)
    load = 500 + 50 * np.sin(np.arange(n) * np.pi / 12) + rng.normal(0, 10, n)
    level = drift * np.cumsum(rng.normal(0, 1, n // 100 + 1)).repeat(100)[:n]
    return 20 + 0.03 * load + level + rng.normal(0, 1, n), load - 2 * level


def test_within_blocks_the_slope_is_that_of_a_regression_with_a_level_for_each_block():
    price, load = series()
    blocks = np.eye(len(load) // 100).repeat(100, axis=0)
    fitted = np.linalg.lstsq(np.column_stack([load, blocks]), price)[0]
    found = slope_of_prices(price, load, within=100)
    assert found.slope == pytest.approx(fitted[0], rel=1e-9)
    assert abs(found.slope - 0.03) < 4 * found.standard_error
    assert slope_of_prices(price, load).slope < 0


def test_one_block_of_all_is_no_block():
    price, load = series()
    assert slope_of_prices(price, load, within=len(load)) == slope_of_prices(price, load)


@pytest.mark.parametrize("within", [1, 0, 2.5, float("nan")])
def test_blocks_without_a_mean_to_take_out_are_refused(within):
    with pytest.raises(DataError, match="within must be a whole number from 2 to 4"):
        slope_of_prices([1.0, 2.0, 4.0, 5.0], [1.0, 2.0, 3.0, 5.0], lags=0, within=within)


def test_lags_that_are_no_number_are_refused():
    with pytest.raises(DataError, match="lags must be a whole number"):
        slope_of_prices([1.0, 2.0, 4.0], [1.0, 2.0, 3.0], lags=float("nan"))
