"""Bids from files and made here."""

import numpy as np
import pandas as pd
import pytest

from gridlab.errors import DataError
from gridlab.schema import mock_prices, validate
from gridlab.sources import read_bids, simulate_bids

TEXT = "time,bidder,service,quantity_mw,price,value\n"


def written(folder, text):
    path = folder / "bids.csv"
    path.write_text(text)
    return path


def test_bids_come_in_the_order_of_the_file_with_the_columns_that_are_theirs_alone(tmp_path):
    bids = read_bids(written(tmp_path, TEXT + "2024-01-01T02:00+02:00,B,mining,1,5,\n2024-01-01T00:00Z,A,x,2,inf,7\n"))
    assert bids["time"].tolist() == [pd.Timestamp("2024-01-01", tz="UTC")] * 2
    assert bids["bidder"].tolist() == ["B", "A"]
    assert bids["price"].tolist() == [5, np.inf]
    assert bids["value"].isna().tolist() == [True, False]


def test_a_table_that_was_written_reads_as_it_was(tmp_path):
    bids = simulate_bids(mock_prices(days=1), rng=np.random.default_rng(3))
    bids.to_csv(tmp_path / "bids.csv", index=False)
    bids.to_parquet(tmp_path / "bids.parquet")
    for name in ("bids.csv", "bids.parquet"):
        pd.testing.assert_frame_equal(read_bids(tmp_path / name), bids)
    assert read_bids(tmp_path / "bids.parquet").attrs["simulated"]


@pytest.mark.parametrize(
    ("row", "says"),
    [
        (
            "2024-01-01 00:00,A,x,1,5,",
            "'2024-01-01 00:00' in column 'time' of bids.csv, line 2, is no time with its offset",
        ),
        ("2024-01-01,A,x,1,5,", "line 2, is no time with its offset"),
        ("2024-01-01T00:00Z,,x,1,5,", "in column 'bidder' of bids.csv, line 2, names nobody"),
        ("2024-01-01T00:00Z,A,x,one,5,", "'one' in column 'quantity_mw' of bids.csv, line 2, is no number"),
        ("2024-01-01T00:00Z,A,x,1,,", "in column 'price' of bids.csv, line 2, is no number"),
        ("2024-01-01T00:00Z,A,x,inf,5,", "quantity_mw.* is infinite"),
    ],
)
def test_what_is_no_bid_is_refused_with_its_line(tmp_path, row, says):
    with pytest.raises(DataError, match=says):
        read_bids(written(tmp_path, TEXT + row + "\n"))


def test_a_file_that_lacks_a_column_is_refused(tmp_path):
    with pytest.raises(DataError, match=r"bids.csv has no column 'price' \(it has time, bidder, quantity_mw\)"):
        read_bids(written(tmp_path, "time,bidder,quantity_mw\n2024-01-01T00:00Z,A,1\n"))


def test_bids_made_here_are_marginal_values_in_order_and_fall_as_energy_becomes_dear():
    prices = mock_prices(days=1).assign(price=np.linspace(-50, 400, 24))
    bids = validate(simulate_bids(prices, n_bidders=7, n_segments=3, total_mw=9, rng=np.random.default_rng(0)), "bids")
    steps = bids.groupby(["time", "bidder"], sort=False)["price"].diff().dropna()
    assert (steps <= 0).all()
    assert (bids["quantity_mw"] > 0).all()
    assert bids.groupby("time")["quantity_mw"].sum().to_numpy() == pytest.approx(9)
    mining = bids[bids["service"] == "mining"].groupby("time")["price"].mean()
    assert mining.diff().dropna().to_numpy() == pytest.approx(-np.diff(prices["price"]), abs=0.02)


def test_bids_for_prices_with_a_gap_or_of_nobody_are_refused():
    prices, rng = mock_prices(days=1), np.random.default_rng(0)
    with pytest.raises(DataError, match="prices has no price at 2024-01-01 03:00"):
        simulate_bids(prices.assign(price=prices["price"].where(prices.index.hour != 3)), rng=rng)
    with pytest.raises(DataError, match="n_bidders must be above 0"):
        simulate_bids(prices, n_bidders=0, rng=rng)
