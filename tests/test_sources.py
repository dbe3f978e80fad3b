"""Reading prices: what comes back equals what the file says, and what cannot be read is refused in one sentence."""

import io
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gridlab.errors import DataError
from gridlab.schema import mock_prices, validate
from gridlab.sources import (
    describe,
    parse_csv,
    parse_epf,
    parse_gridstatus,
    read_caiso,
    read_csv,
    read_epf,
    read_gridstatus,
    read_prices,
    simulate_market,
    write_parquet,
)

FREQS = ["5min", "15min", "30min", "1h"]


@pytest.fixture
def save(tmp_path):
    """Write text, bytes or a frame to a file and give its path."""

    def write(content: str | bytes | pd.DataFrame, name: str = "prices.csv") -> Path:
        path = tmp_path / name
        if isinstance(content, pd.DataFrame):
            content = content.to_csv(index=False)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    return write


def plain(prices: pd.DataFrame) -> pd.DataFrame:
    return prices.reset_index()


def rows(n: int = 48, step: str = "1h", start: str = "2024-01-01", **columns: object) -> pd.DataFrame:
    """A plain file of `n` rows with prices 0, 1, 2 ... and a hundred."""
    times = pd.date_range(start, periods=n, freq=step, tz="UTC")
    return pd.DataFrame({"time": times.strftime("%Y-%m-%dT%H:%M:%SZ"), "price": 100.0 + np.arange(n), **columns})


def refused(call: object, *words: str) -> str:
    """Whether a call is refused in one line that has the words."""
    with pytest.raises(DataError) as caught:
        call()
    message = str(caught.value)
    assert "\n" not in message
    assert [word for word in words if word not in message] == [], message
    return message


# Round trips and laws


@pytest.mark.parametrize("freq", FREQS)
def test_a_csv_of_prices_reads_back_equal(save, freq):
    prices = mock_prices(days=3, freq=freq)
    pd.testing.assert_frame_equal(read_prices(save(plain(prices))), prices)


@pytest.mark.parametrize("freq", FREQS)
def test_parquet_reads_back_equal_attrs_and_all(tmp_path, freq):
    prices = simulate_market("2024-03-30", 3, freq, rng=np.random.default_rng(0))
    prices.iloc[7, 0] = np.nan
    write_parquet(prices, tmp_path / "new" / "prices.parquet")
    back = read_prices(tmp_path / "new" / "prices.parquet")
    pd.testing.assert_frame_equal(back, prices)
    assert back.attrs == prices.attrs
    assert [file.name for file in (tmp_path / "new").iterdir()] == ["prices.parquet"]


def test_what_was_read_survives_parquet_with_its_notes(save, tmp_path):
    prices = read_prices(save(rows().drop(index=[5, 6])))
    write_parquet(prices, tmp_path / "prices.parquet")
    back = read_prices(tmp_path / "prices.parquet")
    pd.testing.assert_frame_equal(back, prices)
    assert back.attrs == prices.attrs


def test_a_parquet_file_of_others_is_read_by_its_columns(tmp_path):
    prices = mock_prices(days=2)
    prices.reset_index().rename(columns={"time": "Timestamp", "price": "LMP"}).to_parquet(tmp_path / "x.parquet")
    pd.testing.assert_frame_equal(read_prices(tmp_path / "x.parquet"), prices)
    prices.tz_localize(None).to_parquet(tmp_path / "naive.parquet")
    pd.testing.assert_frame_equal(read_prices(tmp_path / "naive.parquet"), prices)


@given(order=st.permutations(range(30)), repeated=st.lists(st.integers(0, 29), max_size=5))
def test_the_order_of_rows_and_repeated_rows_do_not_change_the_table(order, repeated):
    table = rows(30, load_forecast=np.arange(30.0) ** 2)
    table.loc[4, "price"] = np.nan
    shuffled = table.iloc[[*order, *repeated]].reset_index(drop=True)
    pd.testing.assert_frame_equal(parse_csv(shuffled), parse_csv(table))


@given(missing=st.sets(st.integers(1, 118), max_size=11), freq=st.sampled_from(FREQS))
def test_every_missing_row_comes_back_as_nan_and_no_other(missing, freq):
    table = rows(120, freq)
    prices = parse_csv(table.drop(index=sorted(missing)))
    assert set(np.flatnonzero(prices["price"].isna())) == missing
    assert len(prices) == 120
    assert prices.index.freq == pd.Timedelta(freq)
    validate(prices, "prices")


@given(tz=st.sampled_from(["America/Los_Angeles", "Europe/Berlin", "Australia/Adelaide", "Asia/Kolkata", "UTC"]),
       freq=st.sampled_from(FREQS), newest_first=st.booleans())  # fmt: skip
def test_a_clock_of_any_zone_reads_back_through_both_changes_of_the_year(tz, freq, newest_first):
    for start in ("2024-03-08", "2024-04-05", "2024-10-04", "2024-10-25", "2024-11-01"):
        prices = mock_prices(days=4, freq=freq, start=start)[["price"]]
        clock = prices.index.tz_convert(tz).tz_localize(None).strftime("%Y-%m-%d %H:%M")
        table = pd.DataFrame({"time": clock, "price": prices["price"].to_numpy()})
        table = table[::-1].reset_index(drop=True) if newest_first else table
        pd.testing.assert_frame_equal(parse_csv(table, tz=tz), prices)


def test_the_caller_s_table_is_left_as_it_was():
    table = rows(30, load_forecast=1.0)[::-1]
    before = table.copy()
    parse_csv(table)
    pd.testing.assert_frame_equal(table, before)


# Real files


def test_pjm_is_read_whole_with_sane_names(data_dir):
    prices = read_prices(data_dir / "epf" / "PJM.csv")
    pd.testing.assert_frame_equal(prices, read_epf(data_dir / "epf" / "PJM.csv"))
    assert prices.shape == (52_416, 3)
    assert prices.columns.tolist() == ["price", "system_load_forecast", "zonal_comed_load_forecast"]
    assert prices.iloc[0].tolist() == [25.464211, 85049.0, 11509.0]
    assert prices["price"].mean() == pytest.approx(30.468, abs=5e-4)
    assert prices.attrs["source"] == "PJM.csv"


def test_nord_pool_is_read_whole(data_dir):
    prices = read_prices(data_dir / "epf" / "NP.csv")
    assert prices.shape == (52_416, 3)
    assert prices.columns.tolist() == ["price", "grid_load_forecast", "wind_power_forecast"]
    assert prices["price"].mean() == pytest.approx(31.438, abs=5e-4)
    assert not prices.isna().any(axis=None)


@pytest.mark.parametrize(("file", "expected", "missing"), [("day_ahead.csv", 1464, 24), ("real_time.csv", 17568, 288)])
def test_the_day_missing_from_caiso_is_a_gap_and_named(data_dir, file, expected, missing):
    prices = read_prices(data_dir / "caiso_sp15" / file)
    assert len(prices) == expected
    assert prices["price"].isna().sum() == missing
    assert (
        f"{missing} of {expected} intervals have no price, on 2025-08-31 (UTC); they are NaN." in prices.attrs["notes"]
    )
    assert describe(prices).gap_dates == ("2025-08-31",)


def test_the_nem_s_forecast_becomes_an_input(data_dir):
    prices = read_prices(data_dir / "nem32" / "prices.csv")
    assert prices.shape == (32, 2)
    assert prices.columns.tolist() == ["price", "price_forecast"]
    assert prices.index.freq == pd.Timedelta("30min")
    assert prices["price"].iloc[0] == 177.11


def test_the_prices_of_a_compute_market_are_read_though_they_are_small(data_dir):
    prices = read_prices(data_dir / "mara" / "prices_2025-06-21.csv")
    assert prices.shape == (110, 3)
    assert prices.columns.tolist() == ["price", "hash_price", "token_price"]
    assert prices["price"].mean() == pytest.approx(1.743, abs=5e-4)
    assert any("no unit" in note for note in prices.attrs["notes"])


def test_small_prices_beside_hash_prices_are_not_taken_for_kwh():
    prices = parse_csv(rows(hash_price=1.0, token_price=2.0).assign(price=0.5))
    assert (prices["price"] == 0.5).all()


# Formats, as their services write them


OASIS_HEADER = (
    "INTERVALSTARTTIME_GMT,INTERVALENDTIME_GMT,OPR_DT,OPR_HR,OPR_INTERVAL,NODE_ID_XML,NODE_ID,NODE,MARKET_RUN_ID,"
    "LMP_TYPE,XML_DATA_ITEM,PNODE_RESMRID,GRP_TYPE,POS,{price},GROUP\n"
)


def oasis(prices: pd.DataFrame, column: str, *, node: str = "TH_SP15_GEN-APND", types: str = "LMP MCC MCE") -> str:
    """An OASIS file: rows of several components, unsorted."""
    lines = []
    for kind in types.split():
        for time, price in prices["price"].items():
            value = price if kind == "LMP" else 0.1
            start, end = (f"{t:%Y-%m-%dT%H:%M:%S}-00:00" for t in (time, time + prices.index.freq))
            lines.append(
                f"{start},{end},{time:%Y-%m-%d},1,0,{node},{node},{node},DAM,{kind},X,{node},ALL,0,{value},1\n"
            )
    return OASIS_HEADER.format(price=column) + "".join(lines[::-1])


@pytest.mark.parametrize(("column", "freq"), [("MW", "1h"), ("PRC", "15min"), ("VALUE", "5min")])
def test_oasis_prices_are_read_from_the_column_of_their_market(save, column, freq):
    prices = mock_prices(days=2, freq=freq)[["price"]]
    path = save(oasis(prices, column))
    pd.testing.assert_frame_equal(read_caiso(path), prices)
    pd.testing.assert_frame_equal(read_prices(path), prices)
    assert "The rows were not in the order of time and are sorted." in read_prices(path).attrs["notes"]


def zipped(**files: str) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, text in files.items():
            archive.writestr(name.replace("__", "."), text)
    return buffer.getvalue()


def test_a_zip_of_oasis_files_is_read_as_one_and_shared_rows_once(save):
    prices = mock_prices(days=4)[["price"]]
    archive = zipped(a__csv=oasis(prices[:50], "MW"), b__csv=oasis(prices[40:], "MW"), c__txt="licence")
    path = save(archive, "oasis.zip")
    pd.testing.assert_frame_equal(read_prices(path), prices)
    assert "Rows dropped because they repeat another exactly: 10." in read_prices(path).attrs["notes"]


def test_a_row_in_a_zip_is_named_by_its_file(save):
    bad = oasis(mock_prices(days=1), "MW", types="LMP").replace(",0,", ",0,", 1).replace("DAM,LMP,X", "DAM,LMP,X")
    bad = bad.rsplit(",", 2)[0] + ",n/k,1\n"
    path = save(zipped(day__csv=bad), "oasis.zip")
    refused(lambda: read_prices(path), "text", "line 25 of day.csv", "n/k")


def test_the_export_in_kwh_is_converted_and_says_so(save):
    prices = mock_prices(days=2)[["price"]]
    export = pd.DataFrame({"INTERVALSTARTTIME_GMT": prices.index, "Price KWH": prices["price"].to_numpy() / 1000,
                           "NODE": "TH_NP15_GEN-APND"})  # fmt: skip
    back = read_prices(save(export))
    pd.testing.assert_frame_equal(back, prices)
    assert "Prices are converted from $/kWh to $/MWh." in back.attrs["notes"]


def test_a_node_is_chosen_by_name_and_several_are_refused(save):
    one, two = mock_prices(days=2)[["price"]], mock_prices(days=2, rng=np.random.default_rng(9))[["price"]]
    text = oasis(one, "MW") + oasis(two, "MW", node="TH_NP15_GEN-APND").split("\n", 1)[1]
    path = save(text)
    refused(lambda: read_prices(path), "TH_NP15_GEN-APND, TH_SP15_GEN-APND", "node='TH_NP15_GEN-APND'")
    refused(lambda: read_prices(path, node="ZP26"), "no node 'ZP26'", "TH_NP15_GEN-APND")
    pd.testing.assert_frame_equal(read_prices(path, node="TH_NP15_GEN-APND"), two)


def test_an_export_without_a_node_is_read_as_one_place(save):
    prices = mock_prices(days=2)[["price"]]
    export = pd.DataFrame({"INTERVALSTARTTIME_GMT": prices.index, "Price KWH": prices["price"].to_numpy() / 1000})
    pd.testing.assert_frame_equal(read_prices(save(export)), prices)


def test_oasis_files_without_a_price_are_refused(save):
    prices = mock_prices(days=1)
    refused(
        lambda: read_prices(save(oasis(prices, "COST"))), "none of the price columns MW, PRC, VALUE, Price KWH", "COST"
    )
    refused(lambda: read_prices(save(oasis(prices, "MW", types="MCC MCE"))), "LMP_TYPE 'LMP'", "MCC, MCE")
    refused(lambda: read_caiso(save(rows())), "INTERVALSTARTTIME_GMT", "time, price")
    refused(lambda: read_caiso(save(oasis(prices, "MW").replace("NODE", "N")), node="X"), "no column 'NODE'", "'X'")


def gridstatus(prices: pd.DataFrame, location: str = "TH_SP15_GEN-APND") -> pd.DataFrame:
    local = prices.index.tz_convert("US/Pacific")
    return pd.DataFrame({"Time": local, "Interval Start": local, "Interval End": local + prices.index.freq,
                         "Market": "DAY_AHEAD_HOURLY", "Location": location, "Location Type": "Trading Hub",
                         "LMP": prices["price"].to_numpy(), "Energy": 1.0, "Congestion": 0.0, "Loss": 0.0})  # fmt: skip


@pytest.mark.parametrize("start", ["2024-03-09", "2024-11-02"])
@pytest.mark.parametrize("freq", ["5min", "1h"])
def test_gridstatus_is_read_through_daylight_saving_as_file_and_as_frame(save, start, freq):
    prices = mock_prices(days=3, freq=freq, start=start)[["price"]]
    table = gridstatus(prices)
    path = save(table)
    assert {time[-6:] for time in pd.read_csv(path)["Interval Start"]} == {"-07:00", "-08:00"}
    for back in (read_gridstatus(path), read_prices(path), parse_gridstatus(table)):
        pd.testing.assert_frame_equal(back, prices)


def test_the_service_s_names_are_read_too():
    prices = mock_prices(days=2)[["price"]]
    columns = {"interval_start_utc": prices.index, "location": "HB_NORTH", "lmp": prices["price"].to_numpy()}
    pd.testing.assert_frame_equal(parse_gridstatus(pd.DataFrame(columns)), prices)


def test_a_location_is_chosen_by_name_and_several_are_refused(save):
    one, two = mock_prices(days=2)[["price"]], mock_prices(days=2, rng=np.random.default_rng(9))[["price"]]
    path = save(pd.concat([gridstatus(one, "NP15"), gridstatus(two, "SP15")]))
    refused(lambda: read_prices(path), "2 locations (NP15, SP15)", "location='NP15'")
    refused(lambda: read_prices(path, location="ZP26"), "no location 'ZP26'", "NP15, SP15")
    pd.testing.assert_frame_equal(read_gridstatus(path, location="SP15"), two)


def test_a_gridstatus_file_without_prices_is_refused(save):
    path = save(gridstatus(mock_prices(days=1)).drop(columns="LMP"))
    refused(lambda: read_gridstatus(path), "no price column (LMP, lmp)", "Interval Start")


def test_an_epf_file_is_known_by_its_header_and_its_names_stay_apart():
    columns = {"Date": ["2013-01-01 00:00", "2013-01-01 01:00"], "BE price": ["1.5", "30"], "Load forecast": ["1", "2"],
               "Load foecast": ["3", "4"], "Exogenous 3": ["5", "6"]}  # fmt: skip
    names = ["price", "load_forecast", "load_2_forecast", "exogenous_3_forecast"]
    assert parse_epf(pd.DataFrame(columns)).columns.tolist() == names


def test_what_is_not_a_forecast_does_not_become_an_input_unasked(save):
    path = save("Date,Price,Volume\n2024-01-01 00:00,30,7\n2024-01-01 01:00,31,8\n")
    prices = read_prices(path)
    assert prices.columns.tolist() == ["price"]
    assert "Columns not read: Volume." in prices.attrs["notes"]


@pytest.mark.parametrize("header", ["Date\n2024-01-01\n", "time,price\n2024-01-01,3\n"])
def test_a_file_that_is_not_epf_is_refused_by_read_epf(save, header):
    refused(lambda: read_epf(save(header)), "'Date' and '... price'", "read_csv(path, time=..., price=...)")


# Plain tables


@pytest.mark.parametrize(
    ("time", "price"),
    [("timestamp", "price_mwh"), ("Datetime", "LMP"), ("date", "Energy Price"), ("timestamp_utc", "spot_price"),
     ("TIME", "Day-ahead Price [EUR/MWh]"), ("interval_start", "RRP")],
)  # fmt: skip
def test_columns_are_recognised_by_their_names(save, time, price):
    table = rows().rename(columns={"time": time, "price": price})
    assert read_prices(save(table))["price"].tolist() == rows()["price"].tolist()


def test_named_columns_win_over_recognised_ones(save):
    path = save(rows(settled=1.0, other_time=rows(start="2025-01-01")["time"]))
    assert (read_prices(path, price="settled", price_unit="$/MWh")["price"] == 1.0).all()
    assert read_prices(path, time="other_time").index[0].year == 2025
    assert read_prices(path, time="other_time", price="settled", price_unit="$/MWh").index[0].year == 2025


def test_inputs_are_renamed_and_must_be_known_a_day_ahead(save):
    path = save(rows(wind=1.0, load_forecast=2.0))
    assert read_csv(path).columns.tolist() == ["price", "load_forecast"]
    assert read_csv(path, inputs={}).columns.tolist() == ["price"]
    assert read_csv(path, inputs={"wind": "wind_forecast"}).columns.tolist() == ["price", "wind_forecast"]
    refused(lambda: read_csv(path, inputs={"wind": "wind"}), "inputs['wind']", "'_forecast'", "'wind'")
    refused(lambda: read_csv(path, inputs={"sun": "sun_forecast"}), "no column 'sun'", "wind")
    twice = {"wind": "wind_forecast", "load_forecast": "wind_forecast"}
    refused(lambda: read_csv(path, inputs=twice), "names a column twice")


def test_inputs_may_be_missing_and_it_is_said(save):
    table = rows(load_forecast=5.0)
    table.loc[[3, 4], "load_forecast"] = np.nan
    prices = read_prices(save(table))
    assert prices["load_forecast"].isna().sum() == 2
    assert "'load_forecast' is NaN in 2 intervals that have a price." in prices.attrs["notes"]


def test_formats_of_times_and_decimal_marks_may_be_given(save):
    text = "Datum;Preis\n31.12.2023 23:00;1.012,5\n01.01.2024 00:00;-12,25\n"
    path = save(text)
    refused(lambda: read_csv(path, time="Datum", price="Preis"), "line 2", "31.12.2023 23:00", "time_format=")
    german = {"time": "Datum", "price": "Preis", "time_format": "%d.%m.%Y %H:%M"}
    refused(lambda: read_csv(path, **german), "1.012,5", 'decimal=","')
    prices = read_csv(path, **german, decimal=",", tz="Europe/Berlin")
    assert prices["price"].tolist() == [1012.5, -12.25]
    assert prices.index[0] == pd.Timestamp("2023-12-31 22:00", tz="UTC")


@pytest.mark.parametrize("separator", [";", "\t", "|"])
def test_any_separator_a_byte_order_mark_and_blank_lines_are_read(save, separator):
    text = rows().to_csv(index=False, sep=separator, lineterminator="\r\n")
    path = save("\ufeff\r\n" + text.replace("02:00:00Z", "02:00:00Z", 1) + "\r\n\r\n")
    assert len(read_prices(path)) == 48


def test_lines_are_counted_as_an_editor_counts_them(save):
    text = "\n\ntime,price\n2024-01-01T00:00Z,3\n\n2024-01-01T01:00Z,x\n"
    refused(lambda: read_prices(save(text)), "line 6", "'x'")


@pytest.mark.parametrize("minutes", [30, 45])
def test_intervals_may_begin_past_the_hour_where_a_zone_s_offset_does(minutes):
    table = rows(start=f"2024-01-01 00:{minutes}")
    assert f"The intervals begin {minutes} minutes past the hour in UTC." in parse_csv(table).attrs["notes"]


def test_prices_in_kwh_are_converted_when_the_name_or_the_caller_says_so(save):
    table = rows().assign(price=lambda t: t["price"] / 1000)
    for prices in (
        read_csv(save(table), price_unit="$/kWh"),
        read_prices(save(table.rename(columns={"price": "price_kwh"}))),
    ):
        np.testing.assert_allclose(prices["price"], rows()["price"])
    assert read_csv(save(table), price_unit="$/MWh")["price"].max() < 1


# Refusals


@pytest.mark.parametrize("name", ["none.csv", "none.zip", "none.parquet"])
def test_a_missing_file_is_refused(tmp_path, name):
    refused(lambda: read_prices(tmp_path / name), "there is no file", name, "check the path")


def test_a_folder_is_refused(tmp_path):
    refused(lambda: read_prices(tmp_path), "is a folder", "name a file in it")


def test_a_file_that_cannot_be_opened_is_refused(tmp_path):
    refused(lambda: read_prices(tmp_path / ("x" * 300)), "cannot read", "File name too long")


@pytest.mark.parametrize("name", ["prices.csv", "prices.zip", "prices.parquet"])
@pytest.mark.parametrize("content", [b"", b" \n\n"])
def test_an_empty_file_is_refused(save, name, content):
    refused(lambda: read_prices(save(content, name)), f"{name} is empty")


@pytest.mark.parametrize(
    ("content", "name", "words"),
    [
        ("time,price\n", "p.csv", "p.csv has a header and no rows"),
        (b"PK\x03\x04\x00\x00\xff\xfe", "p.csv", "p.csv is not UTF-8 text"),
        ("Zeit,Preis €\n".encode("cp1252"), "p.csv", "byte 0x80 at position 11"),
        (b"time,price\n\x00\x00\n", "p.csv", "zero bytes"),
        ("<!DOCTYPE html><p>429 Too Many Requests</p>", "p.csv", "web page"),
        (b"\xef\xbb\xbf\n", "p.csv", "p.csv is empty: download or export it again"),
        (zipped(a__csv=" \n"), "p.zip", "a.csv in p.zip is empty: download or export it again"),
        ("x" * 200_000, "p.csv", "p.csv is not a table (its header: field larger than field limit (131072)): mend"),
        ("time,price\n2024-01-01," + "x" * 200_000 + "\n1,2,3\n", "p.csv", "(line 2: field larger than field limit"),
        ("time,price\n2024-01-01,3\n2024-01-02,3,4,5\n", "p.csv", "line 3"),
        (b"not a zip", "p.zip", "p.zip cannot be unpacked"),
        (zipped(INVALID_REQUEST__xml="<x/>"), "p.zip", "no CSV file (it holds INVALID_REQUEST.xml)"),
        (zipped(), "p.zip", "no CSV file (it holds nothing)"),
        (zipped(a__csv="time,price\n"), "p.zip", "a.csv in p.zip has a header and no rows"),
        (b"PAR1 not really PAR1", "p.parquet", "p.parquet is not a parquet file"),
    ],
)
def test_what_is_no_table_is_refused(save, content, name, words):
    refused(lambda: read_prices(save(content, name)), words)


def test_a_file_without_a_time_or_a_price_is_refused_with_what_it_has(save):
    path = save(rows(load=1.0).drop(columns="price"))
    refused(lambda: read_prices(path), "no column that is plainly the price (it has time, load)", "read_csv(path")
    refused(lambda: read_csv(path), "no column 'price' (it has time, load)", "price=")
    path = save(rows().drop(columns="time"))
    refused(lambda: read_prices(path), "no column that is plainly the time (it has price)")
    refused(lambda: read_csv(path), "no column 'time' (it has price)", "time=")


def test_two_columns_of_one_name_are_refused(save):
    refused(lambda: read_prices(save("time,price, price\n2024-01-01,1,2\n")), "two columns named 'price'", "rename")


def test_times_may_say_utc_in_words(save):
    table = rows().assign(time=lambda t: t["time"].str.replace("Z", " UTC"))
    pd.testing.assert_frame_equal(read_prices(save(table)), parse_csv(rows()))


def test_two_prices_in_one_file_are_refused_unless_one_is_named(save):
    path = save(rows(price_a=1.0, price_b=50.0).drop(columns="price"))
    refused(lambda: read_prices(path), "several prices (price_a, price_b)", "price='price_a'")
    assert (read_prices(path, price="price_b")["price"] == 50).all()


def test_text_in_a_price_is_refused_with_its_line(save):
    table = rows().astype({"price": object})
    table.loc[10, "price"] = "n/k"
    refused(lambda: read_prices(save(table)), "column 'price'", "line 12", "'n/k'", "leave it blank")


@pytest.mark.parametrize("value", ["inf", "-inf"])
def test_infinite_prices_are_refused(save, value):
    table = rows().astype({"price": object})
    table.loc[10, "price"] = value
    refused(lambda: read_prices(save(table)), "infinite", "line 12")


@pytest.mark.parametrize("value", ["yesterday", "2024-02-30T00:00Z", "1704067200:00Z"])
def test_a_time_that_cannot_be_read_is_refused_with_its_line(save, value):
    table = rows()
    table.loc[10, "time"] = value
    refused(lambda: read_prices(save(table)), "time", "line 12", value)


def test_a_missing_time_is_refused(save):
    table = rows()
    table.loc[10, "time"] = None
    refused(lambda: read_prices(save(table)), "has no time", "line 12")


def test_times_of_which_only_some_have_an_offset_are_refused(save):
    table = rows()
    table.loc[10, "time"] = "2024-01-01 10:00"
    refused(lambda: read_prices(save(table)), "without an offset", "line 12", "2024-01-01 10:00")


def test_duplicated_times_with_different_prices_are_refused_with_both(save):
    table = pd.concat([rows(), rows().iloc[[5]].assign(price=7.5)])
    message = refused(lambda: read_prices(save(table)), "2024-01-01 05:00 UTC", "105.0", "7.5", "line 7", "line 50")
    assert "keep one" in message


def test_duplicated_times_with_different_inputs_are_refused_too(save):
    table = rows(load_forecast=1.0)
    table = pd.concat([table, table.iloc[[5]].assign(load_forecast=2.0)])
    refused(lambda: read_prices(save(table)), "two values of 'load_forecast'", "1.0", "2.0")


def test_rows_that_repeat_exactly_are_dropped_and_counted(save):
    prices = read_prices(save(pd.concat([rows(), rows().iloc[[5]]])))
    assert len(prices) == 48
    assert "Rows dropped because they repeat another exactly: 1." in prices.attrs["notes"]


@pytest.mark.parametrize("step", ["45min", "2h", "1D", "10min", "1s"])
def test_a_step_that_is_no_market_interval_is_refused(save, step):
    minutes = f"{pd.Timedelta(step) / pd.Timedelta('1min'):g} minutes apart"
    refused(lambda: read_prices(save(rows(step=step))), minutes, "5, 15, 30 or 60 minutes", "resample")


def test_one_row_is_no_series(save):
    refused(lambda: read_prices(save(rows(1))), "one row", "2024-01-01 00:00 UTC")


def test_times_off_the_grid_are_refused(save):
    table = rows()
    table.loc[10, "time"] = "2024-01-01T10:07:00Z"
    refused(lambda: read_prices(save(table)), "leaves its 60-minute grid 1 times", "2024-01-01 10:07 UTC", "line 12")
    refused(lambda: read_prices(save(rows(start="2024-01-01 00:00:13"))), "48 times", "2024-01-01 00:00:13 UTC")
    refused(lambda: read_prices(save(rows(start="2024-01-01 00:07"))), "48 times", "2024-01-01 00:07 UTC", "line 2")


def test_gaps_above_a_tenth_are_refused_and_a_tenth_is_not(save):
    table = rows(100)
    prices = read_prices(save(table.drop(index=range(40, 50))))
    assert prices["price"].isna().sum() == 10
    refused(
        lambda: read_prices(save(table.drop(index=range(40, 51)))), "11 of 100", "2024-01-02, 2024-01-03", "a tenth"
    )
    table.loc[range(40, 51), "price"] = np.nan
    refused(lambda: read_prices(save(table)), "11 of 100")


def test_many_days_of_gaps_are_counted_rather_than_listed(save):
    prices = read_prices(save(rows(24 * 40).drop(index=range(30, 24 * 39, 24))))
    note = next(note for note in prices.attrs["notes"] if "no price" in note)
    assert "2024-01-11 and 28 more" in note


def test_a_line_with_too_many_fields_is_refused_with_its_number(save):
    refused(
        lambda: read_prices(save("\ntime,price\n2024-01-01 00:00,3\n2024-01-01 01:00,4,5\n")), "line 4 has 3 fields"
    )
    refused(
        lambda: read_prices(save("time,price\n2024-01-01 00:00,3,4\n2024-01-01 01:00,5,6\n")), "line 2 has 3 fields"
    )


def test_two_prices_at_a_time_without_a_zone_may_be_the_autumn_change_of_a_local_clock(save):
    clock = pd.date_range("2024-10-26", periods=72, freq="1h", tz="Europe/Oslo").tz_localize(None)
    path = save(pd.DataFrame({"time": clock, "price": np.arange(72.0)}))
    refused(lambda: read_prices(path), "two values of 'price'", "keep one, or name the clock with tz=")
    assert len(read_prices(path, tz="Europe/Oslo")) == 72


def test_an_index_that_pandas_wrote_without_a_name_is_read_as_the_time(save):
    prices = read_prices(
        save(rows().set_index("time").rename_axis(None).rename(columns={"price": "Real price"}).to_csv())
    )
    pd.testing.assert_frame_equal(prices, read_prices(save(rows())), check_like=True)
    refused(lambda: read_prices(save(rows().drop(columns="time").to_csv())), "has a time that cannot be read", "'0'")


def test_small_prices_that_were_said_to_be_in_mwh_are_read_back_from_our_own_file(save, tmp_path):
    prices = read_prices(save(rows().assign(price=lambda t: t["price"] / 1000)), price_unit="$/MWh")
    write_parquet(prices, tmp_path / "small.parquet")
    assert read_prices(tmp_path / "small.parquet").equals(prices)


def test_prices_plainly_in_kwh_are_refused_with_the_remedy(save):
    path = save(rows().assign(price=lambda t: t["price"] / 1000))
    refused(lambda: read_prices(path), 'price_unit="$/kWh"', "99 %")
    assert (read_prices(save(rows().assign(price=0.0)))["price"] == 0).all()


def test_a_price_column_without_numbers_is_refused(save):
    refused(lambda: read_prices(save(rows().assign(price=None))), "holds no number")


def test_unknown_units_zones_and_options_are_refused(save):
    path = save(rows())
    refused(lambda: read_csv(path, price_unit="cent"), "price_unit must be one of $/MWh, $/kWh", "'cent'")
    refused(lambda: read_csv(path, tz="Mars/Olympus"), "no time zone 'Mars/Olympus'", "America/Los_Angeles")
    refused(lambda: read_prices(path, node="X"), "is a plain table", "no option 'node'", "price_unit")
    epf = save("Date,Price,Load forecast\n2013-01-01 00:00,3,4\n2013-01-01 01:00,5,6\n")
    refused(lambda: read_prices(epf, tz="UTC"), "EPF", "no option 'tz' (it takes no options)")


def test_a_clock_that_does_not_fit_its_zone_is_refused(save):
    spring = pd.DataFrame({"time": pd.date_range("2024-03-10", periods=24, freq="1h"), "price": 30.0})
    autumn = pd.DataFrame({"time": pd.date_range("2024-11-03", periods=24, freq="1h"), "price": 30.0})
    for table in (spring, autumn):
        refused(
            lambda table=table: read_csv(save(table), tz="America/Los_Angeles"),
            "clock in America/Los_Angeles",
            'tz="UTC"',
        )
    assert len(read_csv(save(autumn), tz="UTC")) == 24


def test_write_parquet_refuses_what_read_prices_would_not_know(tmp_path):
    refused(lambda: write_parquet(mock_prices(), tmp_path / "prices.csv"), "must end in .parquet")
    refused(lambda: write_parquet(mock_prices().rename(columns={"price": "p"}), tmp_path / "p.parquet"), "'price'")
    assert list(tmp_path.iterdir()) == []


# Description


def test_a_description_counts_days_of_23_and_25_hours_in_the_market_s_zone():
    spring = describe(mock_prices(days=5, start="2024-03-08"), market_tz="America/Los_Angeles")
    autumn = describe(mock_prices(days=5, start="2024-11-01"), market_tz="America/Los_Angeles")
    assert (spring.short_dates, spring.long_dates) == (("2024-03-10",), ())
    assert (autumn.short_dates, autumn.long_dates) == ((), ("2024-11-03",))
    assert describe(mock_prices(days=5, start="2024-11-01")).long_dates == ()


@pytest.mark.parametrize("freq", FREQS)
def test_statistics_are_those_of_the_column(freq):
    prices = mock_prices(days=20, freq=freq)
    found = describe(prices).statistics.loc["price"]
    price, lag = prices["price"].to_numpy(), round(pd.Timedelta("1D") / pd.Timedelta(freq))
    assert found["mean"] == pytest.approx(price.mean())
    assert found["sd"] == pytest.approx(price.std(ddof=1))
    assert found["q95"] == pytest.approx(np.quantile(price, 0.95))
    assert found["share_negative"] == pytest.approx((price < 0).mean())
    assert found["share_spikes"] == pytest.approx((price > price.mean() + 3 * price.std(ddof=1)).mean())
    assert found["autocorrelation_24h"] == pytest.approx(np.corrcoef(price[lag:], price[:-lag])[0, 1])


def test_a_description_of_a_gap_names_its_day_and_leaves_it_out_of_the_statistics():
    prices = mock_prices(days=3)
    prices.iloc[24:30, 0] = np.nan
    found = describe(prices)
    assert (found.n_missing, found.gap_dates) == (6, ("2024-01-02",))
    assert found.statistics.loc["price", "share_missing"] == pytest.approx(6 / 72)
    assert found.statistics.loc["price", "mean"] == pytest.approx(prices["price"].mean())


def test_a_description_reads_as_a_page():
    page = str(describe(simulate_market("2024-01-01", 3, rng=np.random.default_rng(0))))
    for words in (
        "simulated market (simulated)",
        "2024-01-01 00:00 UTC",
        "60 minutes",
        "load_forecast",
        "- This market",
    ):
        assert words in page


def test_a_description_says_how_many_days_it_does_not_name():
    prices = mock_prices(days=20)
    prices.iloc[::24, 0] = np.nan
    assert describe(prices).facts.loc["days with a gap or cut", "value"].startswith("20: 2024-01-01, ")
    assert describe(prices).facts.loc["days with a gap or cut", "value"].endswith("and 10 more")


def test_a_table_too_short_or_constant_has_no_autocorrelation():
    assert np.isnan(describe(mock_prices(days=1)).statistics.loc["price", "autocorrelation_24h"])
    assert np.isnan(describe(mock_prices(days=3).assign(price=1.0)).statistics.loc["price", "autocorrelation_24h"])


def test_a_table_without_prices_is_refused():
    refused(lambda: describe(mock_prices(days=3).assign(price=np.nan)), "none of the 72 rows has a price")


@pytest.mark.parametrize(("share", "said"), [(0.05, False), (0.25, True)])
def test_a_file_of_many_zeros_is_read_and_said_to_be_odd(tmp_path, share, said):
    prices = mock_prices(days=10)[["price"]]
    prices.iloc[: round(share * len(prices)), 0] = 0.0
    prices.to_csv(tmp_path / "prices.csv")
    notes = " ".join(read_csv(tmp_path / "prices.csv").attrs["notes"])
    assert ("of the prices are exactly 0" in notes) == said
