import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gridlab import evaluate
from gridlab.errors import DataError
from gridlab.forecast import MODELS
from gridlab.schema import mock_forecast, mock_prices, quantile_column

PERCENTS = np.arange(1, 100) / 100


def published(data_dir, market):
    """Prices of a market, and the forecasts stored with the benchmark as one `forecast` table."""
    from gridlab.sources import read_epf

    prices = read_epf(data_dir / "epf" / f"{market}.csv")
    stored = pd.read_csv(data_dir / "epf" / f"Forecasts_{market}_DNN_LEAR_ensembles.csv", index_col=0, parse_dates=True)
    times = stored.index.tz_localize("UTC").rename("time")
    index = pd.MultiIndex.from_arrays([times.normalize(), times], names=["origin", "time"])
    columns = stored.columns.drop("Real price")
    return prices, pd.concat(
        {c: stored[[c]].set_axis(["mean"], axis=1).set_axis(index) for c in columns}, names=["model"]
    )


def fine_forecast(levels, days=20, seed=3):
    """A forecast with many quantiles, each off by some noise, so that some cross and some miss."""
    rng = np.random.default_rng(seed)
    mean = mock_forecast(days=days)[["mean"]]
    spread = np.quantile(rng.normal(0, 15, 2000), levels)
    values = mean.to_numpy() + spread + rng.normal(0, 2, (len(mean), len(levels)))
    return mean.join(pd.DataFrame(values, mean.index, [quantile_column(q) for q in levels]))


@given(seed=st.integers(0, 2**32 - 1))
def test_scores_equal_their_formulas_written_out(seed):
    rng = np.random.default_rng(seed)
    prices = mock_prices(days=12, rng=rng)
    forecast = mock_forecast(days=12, rng=rng).loc["2024-01-09":]
    row = evaluate.score(forecast, prices).loc["all"]
    losses = {"abs": [], "square": [], "naive": [], "smape": [], "pinball": [], "inside": []}
    for (_, time), f in forecast.iterrows():
        p = prices.loc[time, "price"]
        lag = 7 if time.weekday() in (0, 5, 6) else 1
        losses["abs"].append(abs(p - f["mean"]))
        losses["square"].append((p - f["mean"]) ** 2)
        losses["naive"].append(abs(p - prices.loc[time - pd.Timedelta(days=lag), "price"]))
        losses["smape"].append(200 * abs(p - f["mean"]) / (abs(p) + abs(f["mean"])))
        pinballs = [
            q * (p - f[c]) if p > f[c] else (q - 1) * (p - f[c]) for q, c in ((0.1, "q10"), (0.5, "q50"), (0.9, "q90"))
        ]
        losses["pinball"].append(np.mean(pinballs))
        losses["inside"].append(f["q10"] <= p <= f["q90"])
    mean = {name: np.mean(values) for name, values in losses.items()}
    assert row["mae"] == pytest.approx(mean["abs"])
    assert row["rmse"] == pytest.approx(np.sqrt(mean["square"]))
    assert row["rmae"] == pytest.approx(mean["abs"] / mean["naive"])
    assert row["smape"] == pytest.approx(mean["smape"])
    assert row["pinball"] == pytest.approx(mean["pinball"])
    assert row["crps"] == pytest.approx(2 * mean["pinball"])
    assert row["coverage_80"] == pytest.approx(mean["inside"])
    assert row["n"] == len(forecast)


def test_a_perfect_forecast_scores_zero_even_at_zero_prices():
    prices = mock_prices(days=9)
    prices.iloc[-5:, 0] = 0.0
    forecast = mock_forecast(days=9).loc["2024-01-09":].drop(columns=["q10", "q50", "q90"])
    forecast["mean"] = prices["price"].to_numpy()[-24:]
    row = evaluate.score(forecast, prices).loc["all"]
    assert (row[["mae", "rmse", "rmae", "smape"]] == 0).all()
    assert "pinball" not in row.index


def test_scores_by_model_and_hour_average_to_those_of_the_model():
    both = pd.concat(
        {"a": mock_forecast(days=20), "b": mock_forecast(days=20, rng=np.random.default_rng(9))}, names=["model"]
    )
    both = both[both.index.get_level_values("time") >= "2024-01-09"]
    prices = mock_prices(days=20)
    total = evaluate.score(both, prices)
    hourly = evaluate.score(both, prices, by="hour", market_tz="Asia/Kolkata")
    assert list(total.index) == ["a", "b"]
    assert hourly.index.names == ["model", "hour"]
    assert len(hourly) == 48
    assert hourly["mae"].groupby("model").mean().to_numpy() == pytest.approx(total["mae"].to_numpy())
    assert evaluate.score(both.loc["a"], prices, by="hour").index.name == "hour"


def test_a_forecast_of_another_period_is_refused():
    with pytest.raises(DataError, match="no time in common"):
        evaluate.score(mock_forecast(start="2020-01-01"), mock_prices())


@pytest.mark.parametrize(
    ("market", "naive_mae", "lear", "dnn"),
    [
        ("NP", 3.165, (1.738, 0.549, 0.420), (1.683, 0.532, 0.407)),
        ("PJM", 4.846, (3.013, 0.622, 0.476), (2.862, 0.591, 0.452)),
    ],
)
def test_the_published_forecasts_score_as_published(data_dir, market, naive_mae, lear, dnn):
    """Lago et al. 2021, doi:10.1016/j.apenergy.2021.116983: two test years; rMAE of both conventions."""
    prices, stored = published(data_dir, market)
    table = evaluate.score(stored, prices)[["mae", "rmae", "rmae_week"]]
    np.testing.assert_allclose(table.loc["LEAR Ensemble"], lear, rtol=0, atol=5.1e-4)
    np.testing.assert_allclose(table.loc["DNN Ensemble"], dnn, rtol=0, atol=5.1e-4)
    first = str(stored.index.get_level_values("time")[0].date())
    naive = evaluate.roll(MODELS["naive"](), prices, first_day=first, days=728, quantiles=())
    row = evaluate.score(naive, prices).loc["all"]
    assert row["mae"] == pytest.approx(naive_mae, abs=5e-4)
    assert row["rmae"] == 1.0


def test_the_relative_error_compares_the_times_that_have_a_naive():
    forecast, prices = mock_forecast(days=7), mock_prices(days=7)
    later = forecast[forecast.index.get_level_values("time") >= "2024-01-02"]
    beside = [t for t in later.index.get_level_values("time") if t.weekday() not in (0, 5, 6)]
    common = later[later.index.get_level_values("time").isin(beside)]
    assert evaluate.score(forecast, prices)["rmae"].item() == pytest.approx(
        evaluate.score(common, prices)["rmae"].item()
    )


def test_the_weekly_naive_is_measured_within_the_forecasts_own_days():
    prices, forecast = mock_prices(days=30), mock_forecast(days=30).loc["2024-01-11":"2024-01-24"]
    p = prices["price"]
    times = forecast.index.get_level_values("time")
    own = np.mean([abs(p[t] - forecast["mean"].droplevel("origin")[t]) for t in times])
    naive = np.mean([abs(p[t] - p[t - pd.Timedelta(days=7)]) for t in times if t - pd.Timedelta(days=7) in times])
    assert evaluate.score(forecast, prices)["rmae_week"].item() == pytest.approx(own / naive)
    assert np.isnan(evaluate.score(forecast.loc[:"2024-01-17"], prices)["rmae_week"].item())


@pytest.mark.parametrize("levels", [PERCENTS, (0.1, 0.5, 0.9), (0.005, 0.25, 0.3, 0.75, 0.995)], ids=len)
def test_probabilistic_scores_agree_with_scoringrules(levels):
    scoringrules = pytest.importorskip("scoringrules")
    forecast, prices = fine_forecast(levels), mock_prices(days=20)
    row = evaluate.score(forecast, prices).loc["all"]
    values, p = forecast.drop(columns="mean").to_numpy(), prices["price"].to_numpy()
    assert row["crps"] == pytest.approx(
        scoringrules.crps_quantile(p, values, np.asarray(levels), backend="numpy").mean()
    )
    losses = [scoringrules.quantile_score(p, values[:, i], q, backend="numpy") for i, q in enumerate(levels)]
    assert row["pinball"] == pytest.approx(np.mean(losses))
    pairs = [
        (i, j) for i, q in enumerate(levels) for j, r in enumerate(levels) if q < 0.5 and q + r == pytest.approx(1)
    ]
    for i, j in pairs:
        low, high, alpha = values[:, i], values[:, j], 2 * levels[i]
        share = f"{100 * (1 - alpha):g}"
        judged = scoringrules.interval_score(p, low, high, alpha, backend="numpy").mean()
        assert row[f"interval_score_{share}"] == pytest.approx(judged)
        assert row[f"width_{share}"] == pytest.approx(np.mean(high - low))
        assert row[f"coverage_{share}"] == pytest.approx(np.mean((p >= low) & (p <= high)))
    assert sum(str(name).startswith("interval_score_") for name in row.index) == len(pairs)


@pytest.mark.parametrize(
    ("levels", "over"),
    [
        (PERCENTS, 0.01),
        (np.arange(1, 10) / 10, 0.09),
        ((0.25, 0.5, 0.75), 0.22),
        ((0.1, 0.5, 0.9), -0.11),
        ((0.05, 0.5, 0.95), -0.28),
    ],
    ids=["percents", "deciles", "quartiles", "q10", "q05"],
)
def test_the_bias_of_the_crps_on_a_grid_of_quantiles_is_as_documented(levels, over):
    """A standard normal forecast that is right has an expected CRPS of 1 / sqrt(pi): Gneiting and Raftery 2007, 4.2."""
    from scipy.stats import norm

    prices = mock_prices(days=400)
    even = (np.arange(len(prices)) + 0.5) / len(prices)
    prices["price"] = norm.ppf(even)
    index = mock_forecast(days=400).index
    forecast = pd.DataFrame({"mean": 0.0, **{quantile_column(q): norm.ppf(q) for q in levels}}, index=index)
    crps = evaluate.score(forecast, prices)["crps"].item()
    assert crps * np.sqrt(np.pi) - 1 == pytest.approx(over, abs=0.006)


@pytest.mark.parametrize("by", ["hour", "weekday", "month", "year"])
def test_every_split_is_by_the_markets_clock_and_averages_to_the_whole(by):
    prices, forecast = mock_prices(days=80, start="2023-12-01"), mock_forecast(days=80, start="2023-12-01")
    zone = "America/New_York"
    table = evaluate.score(forecast, prices, by=by, market_tz=zone)
    clock = prices.index.tz_convert(zone)
    assert table.index.name == by
    assert table["n"].to_dict() == pd.Series(1, index=getattr(clock, by)).groupby(level=0).sum().to_dict()
    whole = evaluate.score(forecast, prices, market_tz=zone).loc["all"]
    for name in ("mae", "smape", "crps", "coverage_80", "interval_score_80", "width_80"):
        assert np.average(table[name], weights=table["n"]) == pytest.approx(whole[name])


def test_a_model_without_quantiles_stands_beside_one_that_has_them():
    both = pd.concat({"b": mock_forecast(), "a": mock_forecast()[["mean"]]}, names=["model"])
    table = evaluate.score(both, mock_prices())
    assert table["pinball"].isna().to_dict() == {"a": True, "b": False}
    assert table.loc["a", "mae"] == table.loc["b", "mae"]
    assert table.columns[-1] == "n"
    assert table["n"].tolist() == [168, 168]


def test_any_column_is_scored_as_the_price_is():
    prices, forecast = mock_prices(days=20), mock_forecast(days=20)
    moved = prices.rename(columns={"price": "hash_price"}).assign(price=1.0)
    pd.testing.assert_frame_equal(
        evaluate.score(forecast, moved, target="hash_price"), evaluate.score(forecast, prices), check_exact=True
    )
    pd.testing.assert_frame_equal(
        evaluate.daily_losses(forecast, moved, target="hash_price"), evaluate.daily_losses(forecast, prices)
    )


def test_the_reliability_is_the_share_of_prices_below_each_quantile():
    both = pd.concat({"a": fine_forecast(PERCENTS), "b": mock_forecast(days=20)}, names=["model"])
    prices = mock_prices(days=20)
    prices.iloc[5, 0] = np.nan
    table = evaluate.reliability(both, prices)
    assert list(table.index) == list(PERCENTS)
    assert table["b"].notna().sum() == 3
    scored = both.loc["a"][prices["price"].notna().to_numpy()]
    below = [prices["price"].dropna().to_numpy() <= scored[quantile_column(q)].to_numpy() for q in PERCENTS]
    np.testing.assert_allclose(table["a"], np.mean(below, axis=1))


def test_daily_losses_are_the_losses_of_each_time_folded_by_the_markets_day():
    prices, forecast = mock_prices(days=9), mock_forecast(days=9)
    error = prices["price"].to_numpy() - forecast["mean"].to_numpy()
    for loss, by_time in (("absolute", np.abs(error)), ("squared", error**2)):
        table = evaluate.daily_losses(forecast, prices, loss=loss)
        np.testing.assert_allclose(table.to_numpy().ravel(), by_time)
    crps = evaluate.daily_losses(forecast, prices, loss="crps")
    assert crps.to_numpy().mean() == pytest.approx(evaluate.score(forecast, prices)["crps"].item())
    hits = evaluate.daily_hits(forecast, prices)
    assert hits.to_numpy().mean() == pytest.approx(evaluate.score(forecast, prices)["coverage_80"].item())
    assert crps.index.name == "date"


def test_days_without_every_price_and_forecast_are_left_out_of_the_losses_of_all_models():
    prices, forecast = mock_prices(days=9), mock_forecast(days=9)
    prices.iloc[30, 0] = np.nan
    both = pd.concat({"a": forecast, "b": forecast.drop(index=forecast.index[100])}, names=["model"])
    table = evaluate.daily_losses(both, prices)
    assert [date.day for date in table.index] == [1, 3, 4, 6, 7, 8, 9]
    assert table.columns.names == ["model", "slot"]
    pd.testing.assert_frame_equal(table["a"], table["b"])


@pytest.mark.parametrize(("start", "hours"), [("2024-03-09", 23), ("2024-11-02", 25)])
def test_losses_of_days_of_23_and_25_hours_have_24_slots(start, hours):
    zone = "America/New_York"
    table = evaluate.daily_losses(mock_forecast(4, start=start), mock_prices(4, start=start), market_tz=zone)
    assert table.shape == (3, 24)
    assert np.isfinite(table.to_numpy()).all()
    local = mock_prices(4, start=start).index.tz_convert(zone).strftime("%Y-%m-%d")
    assert hours in pd.Series(1, index=local).groupby(level=0).sum().tolist()


TWICE = pd.concat([mock_forecast(days=2), mock_forecast(days=2)])

REFUSED = {
    "prices has no column 'hash_price'": lambda: evaluate.score(mock_forecast(), mock_prices(), target="hash_price"),
    "by must be 'all', 'hour', 'weekday', 'month' or 'year', got 'day'": lambda: evaluate.score(
        mock_forecast(), mock_prices(), by="day"
    ),
    r"forecast\['mean'\] is NaN in 168 rows": lambda: evaluate.score(
        mock_forecast().assign(mean=np.nan), mock_prices()
    ),
    r"forecast\['q50'\] is NaN in 1 rows": lambda: evaluate.score(
        mock_forecast(days=1).assign(q50=[np.nan, *range(23)]), mock_prices()
    ),
    "there is no time zone": lambda: evaluate.score(mock_forecast(), mock_prices(), market_tz="Mars/Olympus"),
    "the forecast has no quantile columns": lambda: evaluate.reliability(mock_forecast()[["mean"]], mock_prices()),
    "loss must be 'absolute', 'squared' or 'crps', got 'log'": lambda: evaluate.daily_losses(
        mock_forecast(), mock_prices(), loss="log"
    ),
    "'forecast' has no quantile columns": lambda: evaluate.daily_losses(
        mock_forecast()[["mean"]], mock_prices(), loss="crps"
    ),
    "several forecasts for 2024-01-01 00:00:00": lambda: evaluate.daily_losses(TWICE, mock_prices()),
    "no market day has a price and a forecast in every slot": lambda: evaluate.daily_losses(
        mock_forecast(days=1), mock_prices(), market_tz="America/New_York"
    ),
    "'forecast' has no interval of 0.9: it has 0.8": lambda: evaluate.daily_hits(
        mock_forecast(), mock_prices(), level=0.9
    ),
}


@pytest.mark.parametrize("message", REFUSED)
def test_what_cannot_be_scored_is_refused_in_one_sentence(message):
    with pytest.raises(DataError, match=message):
        REFUSED[message]()
