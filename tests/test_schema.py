import re

import numpy as np
import pandas as pd
import pytest

from gridlab import schema
from gridlab.assets import Battery
from gridlab.errors import DataError
from gridlab.files import make_folder, project_path, replacing

MOCKS = {
    "prices": schema.mock_prices,
    "forecast": schema.mock_forecast,
    "schedule": schema.mock_schedule,
    "bids": schema.mock_bids,
    "flows": schema.mock_flows,
    "entries": schema.mock_entries,
}


@pytest.mark.parametrize("name", schema.TABLES)
def test_every_table_has_a_mock_that_is_valid(name):
    table = MOCKS[name]()
    assert schema.validate(table, name) is table


@pytest.mark.parametrize("name", schema.TABLES)
def test_every_column_is_missed_by_its_name(name):
    for column in schema.TABLES[name].columns:
        with pytest.raises(DataError, match=f"has no column '{column}'"):
            schema.validate(MOCKS[name]().drop(columns=column), name)


@pytest.mark.parametrize(
    ("name", "column"),
    [(name, c) for name, table in schema.TABLES.items() for c, rule in table.columns.items() if rule.kind == "number"],
)
def test_a_number_that_cannot_be_is_refused_with_its_column_and_row(name, column):
    rule = schema.TABLES[name].columns[column]
    table = MOCKS[name]()
    row = table.index[3]
    if not rule.may_be_nan:
        with pytest.raises(DataError, match=re.escape(f"{name}['{column}'] is NaN in 1 rows, the first at {row}")):
            schema.validate(_with(table, column, np.nan), name)
    if not rule.may_be_infinite:
        with pytest.raises(DataError, match=re.escape(f"{name}['{column}'] is infinite in 1 rows, the first at {row}")):
            schema.validate(_with(table, column, np.inf), name)
    with pytest.raises(DataError, match=re.escape(f"must hold numbers [{rule.unit}]")):
        schema.validate(table.assign(**{column: "dear"}), name)


def _with(table, column, value):
    changed = table.copy()
    changed.iloc[3, changed.columns.get_loc(column)] = value
    return changed


@pytest.mark.parametrize("name", ["bids", "flows", "entries"])
def test_times_and_words_of_range_tables_are_checked(name):
    table = MOCKS[name]()
    with pytest.raises(DataError, match="must hold UTC times"):
        schema.validate(table.assign(time=table["time"].dt.tz_localize(None)), name)
    text = next(c for c, rule in schema.TABLES[name].columns.items() if rule.kind == "text")
    with pytest.raises(DataError, match="is missing in 1 rows"):
        schema.validate(_with(table, text, None), name)


def test_the_index_must_be_utc_times_with_a_freq():
    prices = schema.mock_prices()
    with pytest.raises(DataError, match="must be indexed by UTC times named 'time'"):
        schema.validate(prices.tz_localize(None), "prices")
    with pytest.raises(DataError, match="has no freq"):
        schema.validate(prices.drop(prices.index[5]), "prices")
    with pytest.raises(DataError, match=r"must be indexed by \(origin, time\)"):
        schema.validate(prices.assign(mean=1.0), "forecast")
    with pytest.raises(DataError, match="has no freq"):
        schema.step_hours(pd.RangeIndex(3))


def test_a_schedule_needs_an_asset_and_a_forecast_finite_quantiles():
    with pytest.raises(DataError, match="no column that ends in '_mw'"):
        schema.validate(schema.mock_schedule().drop(columns="battery_mw"), "schedule")
    with pytest.raises(DataError, match=r"forecast\['q10'\] is NaN"):
        schema.validate(schema.mock_forecast().assign(q10=np.nan), "forecast")


def test_mock_flows_and_entries_balance():
    assert schema.mock_flows().groupby("time")["energy_mwh"].sum().abs().max() == 0
    assert schema.mock_entries()["amount"].sum() == 0


@pytest.mark.parametrize("quantile", [0, 1, -0.1, 1.5, float("nan")])
def test_a_quantile_lies_inside_0_and_1(quantile):
    with pytest.raises(DataError, match=r"quantile must be in \(0, 1\)"):
        schema.quantile_column(quantile)


@pytest.mark.parametrize("quantile", [0.01, 0.05, 0.1, 0.25, 0.5, 0.975, 0.995])
def test_a_quantile_can_be_read_back_from_its_column(quantile):
    table = pd.DataFrame(columns=[schema.quantile_column(quantile)])
    assert list(schema.quantiles_of(table).values()) == [quantile]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("power_mw", 0),
        ("power_mw", float("nan")),
        ("energy_mwh", -1),
        ("eta_charge", 0),
        ("eta_charge", 1.01),
        ("eta_discharge", float("nan")),
        ("soc_min", -0.1),
        ("soc_min", 1.0),
        ("soc_max", 1.1),
        ("degradation_cost", -1),
        ("degradation_cost", float("inf")),
    ],
)
def test_a_battery_that_cannot_be_is_refused_by_name_and_value(name, value):
    with pytest.raises(DataError, match=rf"{name} must be .*, got {value}"):
        Battery(**{"power_mw": 1.0, "energy_mwh": 2.0, name: value})


def test_a_failed_write_leaves_the_old_file_and_nothing_beside_it(tmp_path):
    path = tmp_path / "new" / "table.csv"
    with replacing(path) as temporary:
        temporary.write_text("old")
    with pytest.raises(RuntimeError), replacing(path) as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert path.read_text() == "old"
    assert list(path.parent.iterdir()) == [path]


def test_a_folder_that_cannot_be_made_or_written_is_refused(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="cannot make the folder"):
        make_folder(tmp_path / "file" / "sub")
    monkeypatch.setattr("os.access", lambda *_: False)
    with pytest.raises(DataError, match="cannot write to the folder"):
        make_folder(tmp_path)


def test_project_paths_start_at_the_checkout_wherever_one_stands(tmp_path, monkeypatch):
    (tmp_path / "notebooks").mkdir()
    (tmp_path / "pyproject.toml").write_text("")
    monkeypatch.chdir(tmp_path / "notebooks")
    assert project_path("reports/x") == tmp_path / "reports/x"
    (tmp_path / "pyproject.toml").unlink()
    assert project_path("reports/x") == tmp_path / "notebooks" / "reports/x"


def test_times_that_descend_and_what_is_no_table_are_refused():
    backwards = schema.mock_prices(days=1).iloc[::-1]
    for ask in (lambda: schema.validate(backwards, "prices"), lambda: schema.step_hours(backwards.index)):
        with pytest.raises(DataError, match=r"times descend: call .sort_index\(\)"):
            ask()
    assert schema.step_hours(backwards.sort_index().asfreq("1h").index) == 1.0
    with pytest.raises(DataError, match="bids must be a DataFrame, got list"):
        schema.validate([("A", 1.0)], "bids")
