"""The forecasting benchmark is one command for any market: here one of its own, with all that a market may do."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from gridlab import report
from gridlab.schema import mock_prices

SCRIPT = Path(__file__).parents[1] / "benchmarks" / "epf.py"


@pytest.fixture(scope="module")
def epf():
    spec = importlib.util.spec_from_file_location("epf", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_an_unknown_market_with_spikes_and_a_constant_input_is_forecast_scored_and_set_beside_stored_forecasts(
    epf, tmp_path
):
    prices = mock_prices(days=120).assign(wind_forecast=7.0)
    prices.iloc[24 * 90 + 18, 0] = 100 * prices["price"].median()
    prices.tz_localize(None).to_csv(tmp_path / "Somewhere.csv")
    stored = prices["price"] + np.random.default_rng(0).normal(0, 3, len(prices))
    table = stored.tz_localize(None).to_frame("Oracle 1").assign(**{"Oracle ensemble": stored.to_numpy() + 1})
    table.to_csv(tmp_path / "Forecasts_Somewhere_oracles.csv")
    options = ["--days", "20", "--models", "naive,lear", "--jobs", "1", "--out", str(tmp_path / "out")]
    outcome = CliRunner().invoke(epf.main, [str(tmp_path / "Somewhere.csv"), *options], catch_exceptions=False)
    assert outcome.exit_code == 0
    record = report.load(tmp_path / "out" / "Somewhere")
    scores = next(table for table in record["tables"] if table["title"] == "Scores")
    assert set(scores["index"]) == {
        "naive",
        "lear",
        "Oracle 1 (published)",
        "Oracle ensemble (published)",
        "mean of 1 published",
    }
    assert scores["index"][-1] in ("naive", "lear")  # the oracles have seen the prices
    assert "20 days from 2024-04-10" in record["verdict"][-1]
    assert (tmp_path / "out" / "Somewhere" / "report.html").is_file()
