"""From what a model's experts say to a mean and bands, learning from each day that comes."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from gridlab.days import Floats
from gridlab.forecast.calibrate import CALIBRATIONS
from gridlab.forecast.combine import COMBINATIONS


class Aggregate:
    """
    A combination of experts and a calibration of its errors.

    Parameters
    ----------
    combination : str
        Name in `gridlab.forecast.combine.COMBINATIONS`.
    calibration : str
        Name in `gridlab.forecast.calibrate.CALIBRATIONS`.
    """

    def __init__(self, combination: str, calibration: str) -> None:
        self.combination: Any = COMBINATIONS[combination]()
        self.calibration: Any = CALIBRATIONS[calibration]()

    def forecast(self, experts: Floats, spread: Floats, quantiles: Sequence[float]) -> Floats:
        """
        Mean and quantiles of the day to come, shape (n_slots, 1 + n_quantiles).

        Parameters
        ----------
        experts : ndarray, shape (n_slots, n_experts)
            What each expert says of the day. [$/MWh]
        spread : ndarray, shape (n_slots,)
            Scale of the errors to expect, relative to that of other days.
        quantiles : sequence of float
            Probabilities in (0, 1).
        """
        mean = self.combination.mean(experts)
        return np.column_stack([mean, self.calibration.bands(mean, experts, quantiles, spread)])

    def observe(self, experts: Floats, spread: Floats, actual: Floats) -> None:
        """Learn from a day that came, `actual` of shape (n_slots,)."""
        self.calibration.observe(self.combination.mean(experts), experts, actual, spread)
        self.combination.observe(experts, actual)
