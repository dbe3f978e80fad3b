import json
import re
import subprocess
import sys
import tomllib

import nbformat
import numpy as np
import pandas as pd
import pytest
import yaml
from conftest import PROJECT

from gridlab import batch
from gridlab.schema import mock_prices
from gridlab.sources import simulate_bids

NOTEBOOKS = sorted((PROJECT / "notebooks").glob("*.ipynb"))
STUDIES = sorted((PROJECT / "params").glob("*.yaml"))
TAG = "nbval-check-output"
STAGES = ("schema", "days", "features", "forecast", "evaluate", "scenarios", "mpc", "bids", "auctions", "dispatch")
STAGES += ("ledger", "backtest", "risk", "games", "portfolio", "programme", "plots", "report", "batch")
STAGES += ("cli", "sources", "live", "live.dashboard")


@pytest.fixture(scope="module", params=NOTEBOOKS, ids=lambda path: path.stem)
def notebook(request):
    return request.param


def modules_after(statement):
    code = f"{statement}; import sys; print(*sys.modules)"
    return set(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split())


def code_cells(path):
    return [cell for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]


def test_every_notebook_asks_a_question_and_declares_parameters_with_help(notebook):
    (listed,) = [n for n in batch.notebooks(notebook.parent) if n.path == notebook]
    assert listed.problem is None
    assert listed.question.endswith("?")
    assert all(p.help for p in listed.parameters)
    assert {"prices_path", "market_tz", "days", "seed", "out_dir"} <= {p.name for p in listed.parameters}


def test_tagged_cells_hold_stored_outputs_that_nbval_can_compare_and_others_hold_none(notebook):
    tagged = [cell for cell in code_cells(notebook) if TAG in cell.metadata.get("tags", [])]
    assert tagged
    for cell in tagged:
        assert cell.execution_count is not None
        assert any("text/plain" in output.get("data", {}) for output in cell.outputs)
    assert not any(cell.outputs for cell in code_cells(notebook) if cell not in tagged)


def test_cells_show_one_thing_and_the_last_writes_the_record(notebook):
    cells = code_cells(notebook)
    assert cells[-1].source.rstrip().endswith("report.write(record, out_dir)")
    assert sum("report.write(" in cell.source for cell in cells) == 1
    assert not any(re.search(r"^\s*def \w+\(.*\n(.*\n){12,}", cell.source, re.M) for cell in cells)


def test_every_notebook_runs_in_batch_and_leaves_a_report(notebook, tmp_path):
    study = batch.load_study(PROJECT / "params" / "smoke.yaml", notebook)
    names = {parameter.name for parameter in batch.parameters(notebook)}
    least = {"models": ["naive", "wavelet"], "steps": 24, "hours": 2}
    small = {name: value for name, value in least.items() if name in names}
    run = batch.run(notebook, {**study.params, **small}, tmp_path)
    assert run.error is None
    page = run.report.read_text(encoding="utf-8")
    assert "Simulated" in page or "SIMULATED" in page
    assert json.loads((run.folder / "manifest.json").read_text())["status"] == "done"
    assert {"notebook.ipynb", "report.html", "record.json", "manifest.json", "run.log"} <= {
        path.name for path in run.folder.iterdir()
    }


def test_the_risk_notebook_reads_a_ledger_that_a_run_left_and_any_table_of_returns(tmp_path):
    played = batch.run("backtest", {"days": 30, "models": ["naive"], "n_jobs": 1}, tmp_path)
    ledger_path = played.folder / "ledger" / "mpc-naive.parquet"
    of_ledger = batch.run("06_risk", {"ledger_path": str(ledger_path)}, tmp_path)
    assert of_ledger.error is None
    assert "SIMULATED" in of_ledger.report.read_text(encoding="utf-8")
    rng, path = np.random.default_rng(0), tmp_path / "returns.csv"
    days = pd.date_range("2024-01-01", periods=120, name="date")
    pd.DataFrame(rng.normal(5, [1, 9, 20], (120, 3)), index=days, columns=["a", "b", "c"]).to_csv(path)
    of_table = batch.run("06_risk", {"returns_path": str(path), "loss_limit": 9.0, "capital": 1e4}, tmp_path)
    assert of_table.error is None
    titles = {table["title"] for table in of_table.record["tables"]}
    assert {"Size", "Rules that split power"} <= titles
    earnings = next(table for table in of_table.record["tables"] if table["title"] == "Earnings")
    assert "Sharpe ratio a year [-]" in earnings["index"]
    assert "SIMULATED" not in of_table.report.read_text(encoding="utf-8")


def test_the_auction_notebook_reads_a_market_of_two_sides_with_its_true_values(tmp_path):
    bids = simulate_bids(mock_prices(days=1, freq="15min"), n_bidders=4, n_segments=2, rng=np.random.default_rng(1))
    bids = bids.assign(service="energy", value=bids["price"], price=0.9 * bids["price"])
    offers = bids[bids["bidder"].str.startswith("mining")].iloc[::-1]  # the cheapest first
    wants = bids[~bids["bidder"].str.startswith("mining")].assign(quantity_mw=lambda rows: -rows["quantity_mw"])
    pd.concat([offers, wants]).to_csv(tmp_path / "two_sides.csv", index=False)
    run = batch.run("07_auction", {"bids_path": str(tmp_path / "two_sides.csv"), "rounds": 50}, tmp_path)
    assert run.error is None
    assert "SIMULATED" not in run.report.read_text(encoding="utf-8")
    of_lies = next(table for table in run.record["tables"] if table["title"].startswith("Greatest gain"))
    assert max(row[of_lies["columns"].index("vcg")] for row in of_lies["rows"]) == 0
    assert "nan" not in json.dumps(run.record["verdict"])


@pytest.mark.parametrize("path", STUDIES, ids=lambda path: path.stem)
def test_every_params_file_fits_its_notebook(path):
    names_none = "notebook" not in yaml.safe_load(path.read_text())
    study = batch.load_study(path, "backtest" if names_none else None)
    assert study.notebook in NOTEBOOKS


def test_the_environment_file_adds_nothing_to_what_pyproject_says():
    environment = yaml.safe_load((PROJECT / "environment.yml").read_text())
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]
    python, pip, nested = environment["dependencies"]
    assert python == "python" + project["requires-python"]
    assert pip == "pip"
    assert nested == {"pip": ["-e .[test]"]}
    assert "test" in project["optional-dependencies"]


def test_the_lock_pins_every_dependency_with_hashes_and_no_address():
    lock = (PROJECT / "requirements.lock").read_text()
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]
    optional = {name: extra for name, extra in project["optional-dependencies"].items() if name != "deep"}  # too large
    extras = [d for extra in optional.values() for d in extra]
    names = {re.split(r"[<>=\[]", d)[0].lower() for d in [*project["dependencies"], *extras]} - {"gridlab"}
    pinned = set(re.findall(r"^([a-z0-9_.-]+)==", lock, re.M))
    assert names <= pinned
    assert "torch" not in pinned
    assert "://" not in lock
    assert len(re.findall(r"^[a-z0-9_.-]+==", lock, re.M)) <= lock.count("--hash=sha256:")


def test_importing_the_package_loads_no_stage():
    assert modules_after("import gridlab") & {"numpy", "pandas", *(f"gridlab.{stage}" for stage in STAGES)} == set()


@pytest.mark.parametrize("stage", STAGES)
def test_importing_a_stage_loads_no_heavy_package(stage):
    heavy = {
        "sktime",
        "cvxpy",
        "numba",
        "papermill",
        "matplotlib",
        "sklearn",
        "statsmodels",
        "pmdarima",
        "dask",
        "arch",
    }
    assert modules_after(f"import gridlab.{stage}") & heavy == set()
