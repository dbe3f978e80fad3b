"""The mean of several forecasters."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from gridlab.days import Days, Floats
from gridlab.errors import DataError
from gridlab.forecast import MODELS
from gridlab.forecast.base import DayAheadForecaster


class Mean(DayAheadForecaster):
    """
    The plain mean of some members, which is hard to beat and needs no fitting [1]_.

    Parameters
    ----------
    members : sequence of str
        Names in `gridlab.forecast.MODELS`.
    market_tz : str
        Time zone that says when a day begins.

    References
    ----------
    .. [1] R. T. Clemen, "Combining forecasts: a review and annotated bibliography," Int. J. Forecasting 5(4), 1989,
       doi:10.1016/0169-2070(89)90012-5.

    Examples
    --------
    >>> from gridlab.schema import mock_prices
    >>> y = mock_prices(days=40)["price"].tz_localize(None)
    >>> both = Mean(("naive_day", "naive_week")).fit(y[:-24]).predict(fh=range(1, 25))
    >>> bool(np.allclose(both, (y[-48:-24].to_numpy() + y[-192:-168].to_numpy()) / 2))
    True
    """

    min_history_days = 28

    def __init__(self, members: Sequence[str] = ("lear", "wavelet"), *, market_tz: str = "UTC") -> None:
        self.members = members
        super().__init__(market_tz=market_tz)

    def _fit_model(self, history: Days) -> list[tuple[Any, Any]]:
        unknown = [name for name in self.members if name not in MODELS]
        if unknown or not self.members:
            raise DataError(f"members must be names of {', '.join(MODELS)}, got {list(self.members)}")
        makers = [MODELS[name](market_tz=self.market_tz) for name in self.members]
        return [(member, member._fit_model(history)) for member in makers]

    def _predict_day(self, model: list[tuple[Any, Any]], history: Days, inputs: Floats) -> Floats:
        return np.asarray(np.mean([member._predict_day(fit, history, inputs) for member, fit in model], axis=0))

    @classmethod
    def get_test_params(cls, parameter_set: str = "default") -> dict[str, Any]:
        """Give sktime's tests members that fit quickly."""
        return {"members": ("naive_day", "naive_week")}
