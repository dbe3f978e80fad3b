"""A plot refuses a time zone that is none, wherever it reads one."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from gridlab import plots
from gridlab.errors import DataError
from gridlab.schema import mock_forecast, mock_prices, mock_schedule, mock_times

PRICES = mock_prices(days=7)
PROFIT = pd.DataFrame({"idle": np.zeros(9)}, index=pd.date_range("2024-03-01", periods=9, name="day"))
CASES = {
    "prices": lambda **tz: plots.plot_prices(PRICES, **tz),
    "prices, long": lambda **tz: plots.plot_prices(mock_prices(days=70), **tz),
    "daily shape": lambda **tz: plots.plot_daily_shape(PRICES, **tz),
    "dispatch": lambda **tz: plots.plot_dispatch(mock_schedule(days=7), PRICES, **tz),
    "fan": lambda **tz: plots.plot_forecast_fan(mock_forecast(), PRICES, **tz),
    "fan from a day on": lambda **tz: plots.plot_forecast_fan(mock_forecast(), PRICES, first_day="2024-01-02", **tz),
    "error by hour": lambda **tz: plots.plot_error_by_hour(pd.DataFrame({"naive": np.ones(24)}), **tz),
    "paths": lambda **tz: plots.plot_paths(np.ones((3, 24)), mock_times(1), **tz),
    "cumulative": lambda **tz: plots.plot_cumulative_profit(PROFIT, **tz),
}


@pytest.mark.parametrize("case", CASES)
def test_a_zone_that_is_none_is_refused_with_an_example_of_one(case):
    with pytest.raises(DataError, match="there is no time zone 'Mars/Olympus': use an IANA name such as"):
        CASES[case](market_tz="Mars/Olympus")
    plt.close("all")
