from typing import ClassVar

import numpy as np
import pandas as pd
import pytest
from sktime.forecasting.naive import NaiveForecaster

from gridlab import evaluate
from gridlab.errors import DataError
from gridlab.forecast import MODELS
from gridlab.forecast.naive import Naive
from gridlab.schema import mock_prices, validate

PRICES = mock_prices(days=40)


def test_roll_gives_a_valid_table_with_a_row_for_each_interval_and_midnight_as_origin():
    forecast = evaluate.roll(MODELS["naive"](), PRICES, first_day="2024-02-01", days=3, quantiles=(0.05, 0.5, 0.95))
    validate(forecast, "forecast")
    assert list(forecast.columns) == ["mean", "q05", "q50", "q95"]
    assert forecast.index.get_level_values("time").equals(PRICES["2024-02-01":"2024-02-03"].index)
    assert (forecast.index.get_level_values("origin") == PRICES["2024-02-01":"2024-02-03"].index.normalize()).all()


@pytest.mark.parametrize("name", ["naive", "wavelet"])
def test_the_number_of_processes_changes_nothing(name):
    forecaster = MODELS["arima"](window_days=7) if name == "arima" else MODELS[name]()
    one, two = (evaluate.roll(forecaster, PRICES, first_day="2024-01-30", days=8, n_jobs=jobs) for jobs in (1, 2))
    pd.testing.assert_frame_equal(one, two, check_exact=True)


def test_a_forecaster_is_left_as_it_was():
    forecaster = MODELS["naive"]()
    evaluate.roll(forecaster, PRICES, first_day="2024-02-01", days=1)
    assert not forecaster.is_fitted


def test_any_sktime_forecaster_drops_in():
    seasonal = NaiveForecaster(sp=24)
    forecast = evaluate.roll(seasonal, PRICES, first_day="2024-02-01", days=2, quantiles=(0.1, 0.9))
    ours = evaluate.roll(MODELS["naive_day"](), PRICES, first_day="2024-02-01", days=2, quantiles=(0.1, 0.9))
    assert (forecast["mean"] == ours["mean"]).all()
    assert (forecast["q10"] < forecast["mean"]).all()


def test_an_sktime_forecaster_sees_inputs_closed_gaps_and_the_markets_days():
    from sklearn.linear_model import LinearRegression
    from sktime.forecasting.compose import YfromX

    gappy = mock_prices(days=34, start="2024-02-08")
    gappy.iloc[24 * 20 : 24 * 21, 0] = np.nan
    zone = "America/Los_Angeles"
    forecast = evaluate.roll(
        YfromX(LinearRegression()), gappy, first_day="2024-03-09", days=2, quantiles=(), market_tz=zone
    )
    assert forecast.groupby("origin").size().tolist() == [24, 23]
    load = gappy["load_forecast"].reindex(forecast.index.get_level_values("time"))
    assert np.corrcoef(load, forecast["mean"])[0, 1] == pytest.approx(1.0, abs=0.02)


def test_an_sktime_forecaster_without_quantiles_is_refused_with_the_remedy():
    from sktime.forecasting.trend import TrendForecaster

    with pytest.raises(DataError, match="TrendForecaster gives no quantiles: wrap it in sktime's ConformalIntervals"):
        evaluate.roll(TrendForecaster(), PRICES, first_day="2024-02-01", days=1)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"first_day": "2031-01-01"}, r"1 days from 2031-01-01 do not lie in the data \(2024-01-01 to 2024-02-09\)"),
        ({"first_day": "2024-02-09", "days": 2}, "2 days from 2024-02-09 do not lie in the data"),
        ({"days": 0}, "days must be at least 1, got 0"),
        ({"n_jobs": 0}, "n_jobs must be at least 1, got 0"),
        ({"first_day": ""}, "first_day must be a date such as 2024-03-01, got ''"),
        ({"first_day": "2024-02-01T00:00Z"}, "first_day must be a date such as"),
        ({"first_day": "soon"}, "first_day must be a date such as 2024-03-01, got 'soon'"),
        ({"first_day": "2024-01-03"}, "Naive needs 21 whole days of history, got 2 before 2024-01-03"),
        ({"quantiles": (0.5, 0.1)}, r"quantiles must rise, got \[0.5, 0.1\]"),
        ({"quantiles": (0.5, 0.5)}, "quantiles must rise"),
        ({"quantiles": (0.0, 0.5)}, r"quantile must be in \(0, 1\), got 0.0"),
        ({"market_tz": "Europe/Oslo"}, "the forecaster's market_tz is UTC, not Europe/Oslo"),
    ],
)
def test_what_roll_cannot_do_it_refuses_in_a_sentence(change, message):
    with pytest.raises(DataError, match=message):
        evaluate.roll(MODELS["naive"](), PRICES, **{"first_day": "2024-02-01", "days": 1, **change})


def test_days_that_a_gap_touches_are_left_out_and_only_gaps_are_refused():
    gappy = PRICES.copy()
    gappy.iloc[24 * 32 + 5, 0] = np.nan
    forecast = evaluate.roll(MODELS["naive"](), gappy, first_day="2024-02-01", days=3)
    assert [d.day for d in forecast.index.unique("origin")] == [1, 3]
    with pytest.raises(DataError, match="a gap touches each of the 1 days from 2024-02-02"):
        evaluate.roll(MODELS["naive"](), gappy, first_day="2024-02-02", days=1)


def test_the_last_days_leave_out_a_gap_at_the_end_and_keep_the_history_asked_for():
    assert evaluate.last_days(PRICES, 7) == ("2024-02-03", 7)
    gappy = PRICES.copy()
    gappy.iloc[-30:, 0] = np.nan
    assert evaluate.last_days(gappy, 7) == ("2024-02-01", 7)
    assert evaluate.last_days(PRICES, 56, history_days=39) == ("2024-02-09", 1)
    with pytest.raises(DataError, match="the prices have 40 whole days of 40, 41 are needed"):
        evaluate.last_days(PRICES, 1, history_days=40)
    for days in (0, -3):
        with pytest.raises(DataError, match=f"days must be at least 1, got {days}"):
            evaluate.last_days(PRICES, days)
    everyday = PRICES.copy()
    everyday.iloc[12::24, 0] = np.nan
    with pytest.raises(DataError, match="0 whole days of 40, 29 are needed: give a longer file, or fill its gaps"):
        evaluate.last_days(everyday, 7)


@pytest.mark.parametrize("market", ["NP", "PJM"])
def test_lear_beats_the_naive_by_a_quarter_in_the_last_autumn_before_the_test_years(data_dir, market):
    from gridlab.sources import read_epf

    prices = read_epf(data_dir / "epf" / f"{market}.csv")
    forecast = evaluate.roll(MODELS["lear"](), prices, first_day="2016-09-01", days=28)
    assert evaluate.score(forecast, prices).loc["all", "rmae"] < 0.75


def test_several_forecasters_are_rolled_as_each_alone_and_none_is_refused():
    both = evaluate.roll_many(
        {"a": MODELS["naive_day"](), "b": MODELS["naive_week"]()}, PRICES, first_day="2024-02-01", days=1
    )
    alone = evaluate.roll(MODELS["naive_week"](), PRICES, first_day="2024-02-01", days=1)
    pd.testing.assert_frame_equal(both.loc["b"], alone)
    with pytest.raises(DataError, match="there is no forecaster to roll"):
        evaluate.roll_many({}, PRICES, first_day="2024-02-01", days=1)


def test_a_day_whose_input_was_not_published_is_left_out_and_the_others_are_forecast():
    holed = PRICES.copy()
    holed.loc["2024-02-05", "load_forecast"] = np.nan
    forecast = evaluate.roll(MODELS["wavelet"](), holed, first_day="2024-02-04", days=4)
    assert [d.day for d in forecast.index.unique("origin")] == [4, 6, 7]
    assert np.isfinite(forecast.to_numpy()).all()


class Moody(Naive):
    """A naive forecaster that fails on some dates and says how often it was asked."""

    refit_days = 2
    asked: ClassVar[list] = []

    def __init__(self, bad: tuple = (), rule: str = "day", *, market_tz: str = "UTC"):
        self.bad = bad
        super().__init__(rule, market_tz=market_tz)

    def _predict_day(self, model, history, inputs):
        date = str((history.dates[-1] + pd.Timedelta(days=1)).date())
        self.asked.append(date)
        if date in self.bad:
            raise ArithmeticError(f"no solution on {date}")
        return super()._predict_day(model, history, inputs)


def test_a_day_on_which_a_model_fails_is_filled_by_the_naive_and_named_and_the_rest_is_as_if_nothing_had_happened():
    period = {"first_day": "2024-02-01", "days": 6}
    whole = evaluate.roll(Moody(), PRICES, **period)
    broken = evaluate.roll(Moody(bad=("2024-02-04",)), PRICES, **period)
    failed = evaluate.failures(broken)
    assert failed["date"].dt.strftime("%Y-%m-%d").tolist() == ["2024-02-03", "2024-02-04"]  # they share a fit
    assert set(failed["part"]) == {"Moody"}
    assert set(failed["reason"]) == {"ArithmeticError: no solution on 2024-02-04"}
    naive = evaluate.roll(MODELS["naive"](), PRICES, **period)
    day = slice("2024-02-03", "2024-02-04")
    of_day = broken["mean"].droplevel("origin").loc[day]
    assert (of_day == naive["mean"].droplevel("origin").loc[day]).all()
    before = slice("2024-02-01", "2024-02-02")
    assert (broken.droplevel("origin").loc[before] == whole.droplevel("origin").loc[before]).all(axis=None)
    assert np.isfinite(broken.to_numpy()).all()
    both = evaluate.roll_many({"a": Moody(), "b": Moody(bad=("2024-02-04",))}, PRICES, **period)
    assert evaluate.failures(both)["model"].tolist() == ["b", "b"]


def test_a_model_that_fails_on_every_day_says_why():
    dates = tuple(str(date.date()) for date in pd.date_range("2024-01-01", "2024-03-01"))
    with pytest.raises(ArithmeticError, match="no solution on 2024-01"):
        evaluate.roll(Moody(bad=dates), PRICES, first_day="2024-02-01", days=3)


def test_a_member_that_fails_leaves_the_day_to_the_others(monkeypatch):
    forecaster = MODELS["mean"](members=("naive_day", "naive_week"))
    good, bad = forecaster.parts()

    def fail(model, history, inputs):
        if history.dates[-1] == pd.Timestamp("2024-02-02"):
            raise ArithmeticError("no")
        return Naive("week")._predict_day(model, history, inputs)

    bad._predict_day = fail
    monkeypatch.setattr(type(forecaster), "parts", lambda self: (good, bad))
    forecast = evaluate.roll(forecaster, PRICES, first_day="2024-02-03", days=1)
    day = evaluate.roll(MODELS["naive_day"](), PRICES, first_day="2024-02-03", days=1)
    assert forecast["mean"].to_numpy() == pytest.approx(day["mean"].to_numpy())
    assert len(evaluate.failures(forecast)) == 1


def test_a_run_that_was_interrupted_goes_on_from_its_store_and_ends_the_same(tmp_path):
    period = {"first_day": "2024-02-01", "days": 6}
    alone = evaluate.roll(Moody(), PRICES, **period)
    evaluate.roll(Moody(), PRICES, first_day="2024-02-01", days=4, store=tmp_path)
    Moody.asked.clear()
    resumed = evaluate.roll(Moody(), PRICES, **period, store=tmp_path)
    assert Moody.asked == ["2024-02-05", "2024-02-06"]
    pd.testing.assert_frame_equal(resumed, alone, check_exact=True)
    Moody.asked.clear()
    evaluate.roll(Moody(), PRICES.assign(price=PRICES["price"] + 1), **period, store=tmp_path)
    assert len(Moody.asked) > 6  # other prices, nothing to reuse


def test_a_dask_cluster_gives_what_one_process_gives():
    from distributed import Client, LocalCluster

    period = {"first_day": "2024-02-01", "days": 4}
    threads = {"n_workers": 1, "threads_per_worker": 2, "processes": False, "dashboard_address": None}
    with LocalCluster(**threads) as cluster, Client(cluster) as client:
        there = evaluate.roll(MODELS["wavelet"](), PRICES, **period, client=client)
    pd.testing.assert_frame_equal(there, evaluate.roll(MODELS["wavelet"](), PRICES, **period), check_exact=True)


def test_a_progress_bar_counts_the_fits(capsys):
    evaluate.roll(MODELS["naive"](), PRICES, first_day="2024-02-01", days=3, progress=True)
    assert "4/4" in capsys.readouterr().err  # one fit for the days held out, and one a day


def test_another_column_is_forecast_by_the_same_call_with_a_sigma():
    table = PRICES.assign(hash_price=PRICES["price"].to_numpy()[::-1] / 100 + 1)
    forecast = evaluate.roll(MODELS["naive_day"](), table, first_day="2024-02-01", days=2, target="hash_price")
    assert (forecast["mean"].to_numpy() == table["hash_price"].loc["2024-01-31":"2024-02-01"].to_numpy()).all()
    assert evaluate.score(forecast, table, target="hash_price")["mae"].item() < 1
    assert ((evaluate.sigma(forecast) > 0) & (evaluate.sigma(forecast) < 1)).all()
    with pytest.raises(DataError, match="there is no column 'token_price' to forecast: choose one of price, load"):
        evaluate.roll(MODELS["naive_day"](), table, first_day="2024-02-01", days=2, target="token_price")


def test_sigma_is_the_standard_deviation_of_a_normal_forecast_and_needs_quantiles_around_the_median():
    z = {"q05": -1.6448536, "q10": -1.2815516, "q50": 0.0, "q90": 1.2815516, "q95": 1.6448536}
    index = evaluate.roll(MODELS["naive"](), PRICES, first_day="2024-02-01", days=1).index
    forecast = pd.DataFrame({"mean": 10.0, **{name: 10 + 3 * score for name, score in z.items()}}, index=index)
    assert evaluate.sigma(forecast).to_numpy() == pytest.approx(3.0, abs=1e-6)
    assert evaluate.sigma(forecast[["mean", "q50", "q05", "q95"]]).to_numpy() == pytest.approx(3.0, abs=1e-6)
    narrow = pd.DataFrame({"mean": 10.0, "q30": 10 - 3 * 0.5244005, "q70": 10 + 3 * 0.5244005}, index=index)
    assert evaluate.sigma(narrow).to_numpy() == pytest.approx(3.0, abs=1e-6)
    with pytest.raises(DataError, match="sigma needs quantiles below and above the median"):
        evaluate.sigma(forecast[["mean", "q50", "q90"]])
