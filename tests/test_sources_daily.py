"""Ledgers and daily tables from files."""

import pandas as pd
import pytest

from gridlab import backtest, mpc
from gridlab.assets import Battery
from gridlab.errors import DataError
from gridlab.schema import mock_prices
from gridlab.sources import read_entries, read_returns


@pytest.fixture
def entries():
    return backtest.run(mpc.PerfectForesight(), Battery(1, 2), mock_prices(days=3), horizon=24).entries


def written(folder, text):
    path = folder / "returns.csv"
    path.write_text(text)
    return path


def test_a_ledger_comes_back_as_it_was_written_with_what_it_says_of_itself(entries, tmp_path):
    path = tmp_path / "best.parquet"
    entries.attrs["simulated"] = True
    entries.to_parquet(path)
    again = read_entries(path)
    pd.testing.assert_frame_equal(again, entries)
    assert again.attrs == entries.attrs


def test_a_ledger_that_lost_a_row_is_refused_with_the_sum(entries, tmp_path):
    path = tmp_path / "best.parquet"
    entries.drop(index=entries["amount"].idxmax()).to_parquet(path)
    with pytest.raises(DataError, match=r"sum to -?\d.*not to zero"):
        read_entries(path)


def test_what_is_no_ledger_is_refused_and_the_other_reader_named(tmp_path):
    with pytest.raises(DataError, match=r"no column 'time' \(it has day, energy\).*read_returns"):
        read_entries(written(tmp_path, "day,energy\n2024-01-01,3\n"))


def test_days_come_in_order_and_keep_the_file_s_own_clock(tmp_path):
    text = "when;energy;hash\n2024-03-02T23:00+05:00;1;2\n2024-03-01T23:00+05:00;3;4\n"
    returns = read_returns(written(tmp_path, text))
    assert returns.index.tolist() == [pd.Timestamp("2024-03-01"), pd.Timestamp("2024-03-02")]
    assert returns["energy"].tolist() == [3, 1]


def test_a_daily_table_of_parquet_reads_as_it_was(tmp_path):
    table = pd.DataFrame({"a": [1.0, 2.0]}, index=pd.date_range("2024-01-01", periods=2, name="date"))
    table.to_parquet(tmp_path / "daily.parquet")
    pd.testing.assert_frame_equal(
        read_returns(tmp_path / "daily.parquet"), table, check_freq=False, check_index_type=False
    )


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("day,energy\n2024-01-01,3\n2024-01-01,4\n", "2024-01-01 twice"),
        (
            "day,energy\n2024-01-01,\n",
            r"^an empty cell in column 'energy' of returns.csv, line 2 \(2024-01-01\), is no finite number",
        ),
        ("day,energy\n,3\n", "an empty cell in column 'day' of returns.csv, line 2, is no date"),
        ("day,energy\n2024-01-01 and more,3\n", "'2024-01-01 and more' in column 'day'"),
        ("day,energy\n2024-01-0123,3\n", "'2024-01-0123' in column 'day'"),
        ("day,energy\n2024-02-30,3\n", "'2024-02-30' in column 'day'"),
        ("day,energy\n2024-01-01T25:00,3\n", "'2024-01-01T25:00' in column 'day'"),
        ("day,energy\n2024-01-01,3 $\n", "'3 \\$' in column 'energy' of returns.csv, line 2 \\(2024-01-01\\)"),
        (
            "day,energy\n2024-01-01T07:00Z,3\n",
            "line 2, is a time in UTC within a day of the market: write the market's dates",
        ),
        ("day,energy\n2024-01-01 23:00:00+00:00,3\n", "is a time in UTC"),
        ("day,energy\n2024-01-01,much\n", "'much' in column 'energy'"),
        ("day,energy\nMonday,3\n", "'Monday' in column 'day'"),
        ("day,energy\n01/02/2024,3\n", "write it 2024-01-31"),
        ("day\n2024-01-01\n", "'day' alone"),
    ],
)
def test_what_cannot_be_read_is_refused_with_its_place(tmp_path, text, says):
    with pytest.raises(DataError, match=says):
        read_returns(written(tmp_path, text))


@pytest.mark.parametrize(
    "written_as", ["2024-03-01", "2024-03-01T00:00Z", "2024-03-01 00:00:00+00:00", " 2024-03-01 17:30"]
)
def test_a_day_may_be_written_as_midnight_in_utc_or_as_a_time_of_the_files_own_clock(tmp_path, written_as):
    returns = read_returns(written(tmp_path, f"day,energy\n{written_as},3\n"))
    assert returns.index.tolist() == [pd.Timestamp("2024-03-01")]


def test_times_in_utc_of_a_parquet_file_are_refused_and_the_markets_own_are_days(tmp_path):
    dates = pd.date_range("2024-03-09", periods=3, tz="America/Los_Angeles", name="date")  # the clock goes on
    table = pd.DataFrame({"a": [1.0, 2.0, 3.0]}, index=dates)
    table.to_parquet(tmp_path / "own.parquet")
    assert read_returns(tmp_path / "own.parquet").index.equals(dates.tz_localize(None))
    table.tz_convert("UTC").to_parquet(tmp_path / "utc.parquet")
    with pytest.raises(DataError, match=r"2024-03-09 08:00:00\+00:00' in column 'date'.*write the market's dates"):
        read_returns(tmp_path / "utc.parquet")


def test_a_column_of_times_or_of_yes_and_no_is_no_column_of_numbers(tmp_path):
    dates = pd.date_range("2024-03-09", periods=2, name="date")
    for values in (dates, [True, False]):
        pd.DataFrame({"a": values}, index=dates).to_parquet(tmp_path / "odd.parquet")
        with pytest.raises(DataError, match="is no finite number"):
            read_returns(tmp_path / "odd.parquet")
