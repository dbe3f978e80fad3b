"""Naive forecasts: a day that was."""

from typing import Any, Literal

import numpy as np

from gridlab.days import WEEKLY_DAYS, Days, Floats
from gridlab.errors import DataError
from gridlab.forecast.base import DayAheadForecaster

Rule = Literal["standard", "day", "week"]
RULES: tuple[Rule, ...] = ("standard", "day", "week")


class Naive(DayAheadForecaster):
    """
    Yesterday's prices, last week's, or the field's standard of both.

    Parameters
    ----------
    rule : {"standard", "day", "week"}
        "day" repeats the day before, "week" the day a week before; "standard" is the week on Monday, Saturday and
        Sunday and the day before otherwise [1]_.
    market_tz : str
        Time zone that says when a day begins.

    References
    ----------
    .. [1] R. Weron, "Electricity price forecasting: a review of the state-of-the-art with a look into the future,"
       Int. J. Forecasting 30(4), 2014, doi:10.1016/j.ijforecast.2014.08.008.

    Examples
    --------
    >>> from gridlab.forecast.naive import Naive
    >>> from gridlab.schema import mock_prices
    >>> y = mock_prices(days=30)["price"].tz_localize(None)
    >>> forecast = Naive("day").fit(y[:-24]).predict(fh=range(1, 25))
    >>> bool((forecast.to_numpy() == y[-48:-24].to_numpy()).all())
    True
    """

    def __init__(self, rule: Rule = "standard", *, market_tz: str = "UTC") -> None:
        self.rule = rule
        super().__init__(market_tz=market_tz)

    def _fit_model(self, history: Days) -> None:
        if self.rule not in RULES:
            raise DataError(f"rule must be one of {', '.join(RULES)}, got {self.rule!r}")

    def _predict_day(self, model: None, history: Days, inputs: Floats) -> Floats:
        tomorrow = (int(history.dates[-1].weekday()) + 1) % 7
        weekly = self.rule == "week" or (self.rule == "standard" and tomorrow in WEEKLY_DAYS)
        return np.asarray(history.price[-7 if weekly and len(history) >= 7 else -1])

    @classmethod
    def get_test_params(cls, parameter_set: str = "default") -> list[dict[str, Any]]:
        """Give sktime's tests two rules."""
        return [{}, {"rule": "day"}]
