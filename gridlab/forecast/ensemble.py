"""Several forecasters as one, their forecasts combined by what they said before."""

from collections.abc import Sequence
from typing import Any

from gridlab.errors import DataError
from gridlab.forecast import MODELS
from gridlab.forecast.base import DayAheadForecaster


class Ensemble(DayAheadForecaster):
    """
    Members whose experts are combined, and the combination calibrated, by their forecasts of days gone by.

    Each member is refitted as often as it would be alone.

    Parameters
    ----------
    members : sequence of str
        Names in `gridlab.forecast.MODELS`. A member's experts (the windows of ``lear``) each count as one.
    combination : str
        How experts become a mean: a name in `gridlab.forecast.combine.COMBINATIONS`.
    calibration : str
        How errors become quantiles: a name in `gridlab.forecast.calibrate.CALIBRATIONS`.
    market_tz : str
        Time zone that says when a day begins.

    References
    ----------
    .. [1] R. T. Clemen, "Combining forecasts: a review and annotated bibliography," Int. J. Forecasting 5(4), 1989,
       doi:10.1016/0169-2070(89)90012-5.

    Examples
    --------
    >>> import numpy as np
    >>> from gridlab.forecast.ensemble import Ensemble
    >>> from gridlab.schema import mock_prices
    >>> y = mock_prices(days=40)["price"].tz_localize(None)
    >>> both = Ensemble(("naive_day", "naive_week"), "mean").fit(y[:-24]).predict(fh=range(1, 25))
    >>> bool(np.allclose(both, (y[-48:-24].to_numpy() + y[-192:-168].to_numpy()) / 2))
    True
    """

    calibration_days = 182

    def __init__(
        self,
        members: Sequence[str] = ("lear", "gp"),
        combination: str = "average",
        calibration: str = "average",
        *,
        market_tz: str = "UTC",
    ) -> None:
        self.members = members
        self.combination = combination
        self.calibration = calibration
        super().__init__(market_tz=market_tz)

    min_history_days = 28

    def needed_days(self) -> int:
        """Those of the member that needs most."""
        return max((self.min_history_days, *(part.needed_days() for part in self.parts())))

    def parts(self) -> tuple[DayAheadForecaster, ...]:
        """The members, an ensemble among them by its own parts."""
        return tuple(part for member in self._made() for part in member.parts())

    def _made(self) -> list[Any]:
        if not self.members or isinstance(self.members, str):
            raise DataError(f"members must be a list of names of {', '.join(MODELS)}, got {self.members!r}")
        return [MODELS[name](market_tz=self.market_tz) for name in self.members]

    @classmethod
    def get_test_params(cls, parameter_set: str = "default") -> list[dict[str, Any]]:
        """Give sktime's tests members that fit quickly."""
        members = ("naive_day", "naive_week")
        return [{"members": members}, {"members": members, "combination": "mean", "calibration": "split"}]
