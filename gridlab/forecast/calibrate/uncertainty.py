"""Further measures of uncertainty: how far experts disagree, and past errors drawn again."""

import numpy as np

from gridlab.days import Floats
from gridlab.errors import DataError


def disagreement(experts: Floats) -> Floats:
    """
    Standard deviation between the experts in each slot.

    Parameters
    ----------
    experts : ndarray, shape (n_slots, n_experts)
        Forecasts; NaN where an expert has none. [$/MWh]

    Returns
    -------
    ndarray, shape (n_slots,)
        0 where fewer than two have a forecast. [$/MWh]

    Examples
    --------
    >>> disagreement(np.array([[10.0, 14.0, np.nan], [5.0, np.nan, np.nan]])).tolist()
    [2.0, 0.0]
    """
    present = ~np.isnan(experts)
    n_present = np.maximum(present.sum(axis=1), 1)
    centre = np.where(present, experts, 0.0).sum(axis=1) / n_present
    square = np.where(present, (experts - centre[:, None]) ** 2, 0.0).sum(axis=1)
    return np.asarray(np.sqrt(square / n_present))


def bootstrap_errors(
    errors: Floats, *, n_paths: int, n_days: int = 1, block_days: int = 7, rng: np.random.Generator
) -> Floats:
    """
    Paths of errors: blocks of consecutive days drawn from the past with replacement, the slots of a day together.

    Added to a forecast they are paths of prices whose slots and days go together as errors did.

    Parameters
    ----------
    errors : ndarray, shape (n_past_days, n_slots)
        Actual minus forecast. [$/MWh]
    n_paths, n_days : int
        Paths, and days in each.
    block_days : int
        Days drawn together; the last past day is followed by the first. [d]
    rng : Generator
        Of the draws.

    Returns
    -------
    ndarray, shape (n_paths, n_days, n_slots)
        [$/MWh]

    Raises
    ------
    DataError
        If there are no errors, or some are NaN.

    References
    ----------
    .. [1] D. N. Politis and J. P. Romano, "A circular block-resampling procedure for stationary data," in Exploring
       the Limits of Bootstrap, Wiley, 1992.

    Examples
    --------
    >>> errors = np.array([[1.0, 2.0], [-1.0, -3.0]])
    >>> bootstrap_errors(errors, n_paths=3, rng=np.random.default_rng(0))[:, 0].tolist()
    [[-1.0, -3.0], [-1.0, -3.0], [-1.0, -3.0]]
    """
    if not len(errors) or np.isnan(errors).any():
        raise DataError(f"errors need whole days without NaN, got {len(errors)} days: leave out days with gaps")
    n_blocks = -(-n_days // block_days)
    first = rng.integers(len(errors), size=(n_paths, n_blocks, 1))
    drawn = (first + np.arange(block_days)).reshape(n_paths, -1)[:, :n_days] % len(errors)
    return np.asarray(errors[drawn])
