"""The command: what it prints, and how its errors end."""

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import chdir
from pathlib import Path

import pandas as pd
import pytest
from click.testing import CliRunner

import gridlab
from gridlab import batch, cli, sources
from gridlab.schema import mock_prices
from notebooks import make_project, write_notebook

RECORD = {
    "tables": [
        {"title": "Other", "columns": ["x"], "index_name": None, "index": [0], "rows": [[1]]},
        {
            "title": "Profit by policy",
            "columns": ["profit [$]", "cycles"],
            "index_name": "policy",
            "index": ["idle", "lear"],
            "rows": [[0.0, 0], [12345.678, None]],
        },
    ],
    "headline": "Profit by policy",
    "verdict": ["What did it earn?", "It earned 12,346 $."],
    "simulated": True,
}


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    folder = make_project(tmp_path_factory.mktemp("project"))
    with chdir(folder):
        yield folder


def call(*arguments):
    return CliRunner().invoke(cli.main, [str(argument) for argument in arguments])


def pretend(monkeypatch, folder, status="done", error=None, record=RECORD):
    """Let `batch.run` answer with a run of that status, and return what it was called with."""
    calls = []

    def run(notebook, params, out_dir, **options):
        calls.append((notebook, params, out_dir, options))
        if record:
            (folder / "record.json").write_text(json.dumps(record))
        report = folder / "report.html" if record else None
        return batch.Run("s", "c", Path(f"{notebook}.ipynb"), params, folder, status, 1.0, error, report)

    monkeypatch.setattr(batch, "run", run)
    return calls


def test_a_run_prints_the_headline_table_the_verdict_and_where_the_report_is(project, tmp_path, monkeypatch):
    pretend(monkeypatch, tmp_path)
    answer = call("run", "good")
    assert answer.exit_code == 0
    assert answer.output.splitlines() == [
        "Simulated prices: these are not a market's.",
        "Profit by policy",
        "policy  profit [$]  cycles",
        "idle          0.00       0",
        "lear     12,345.68       -",
        "",
        "What did it earn?",
        "It earned 12,346 $.",
        f"Report: {tmp_path / 'report.html'}",
    ]


def test_an_unchanged_run_says_so(project, tmp_path, monkeypatch):
    pretend(monkeypatch, tmp_path, "unchanged")
    assert "Nothing has changed since this run; --force runs it again." in call("run", "good").output


def test_a_run_without_a_record_says_that_there_is_no_report(project, tmp_path, monkeypatch):
    pretend(monkeypatch, tmp_path, record=None)
    assert call("run", "good").output == f"No report, for the notebook wrote no record: {tmp_path}\n"


def test_a_failed_run_ends_with_one_sentence_and_status_1(project, tmp_path, monkeypatch):
    pretend(monkeypatch, tmp_path, "failed", "cell 3 (Fit) raised ValueError: no")
    answer = call("run", "good")
    assert answer.exit_code == 1
    assert answer.stdout == ""
    sentence = f"good failed: cell 3 (Fit) raised ValueError: no; its notebook and log are in {tmp_path}"
    assert answer.stderr == f"Error: {sentence}\n"


def test_what_is_typed_beats_the_params_file_and_is_read_as_the_notebook_says(project, tmp_path, monkeypatch):
    (tmp_path / "mine.yaml").write_text("notebook: good\nparams: {days: 9, share: 0.5}\ntimeout_s: 30")
    [*arguments] = ["-p", "days=4", "-p", "label=a=b", "-p", "models=[x]", "--out", tmp_path, "--force"]
    calls = pretend(monkeypatch, tmp_path)
    call("run", "good", "-f", tmp_path / "mine.yaml", *arguments)
    [(notebook, params, out, options)] = calls
    assert params == {"days": 4, "share": 0.5, "label": "a=b", "models": ["x"]}
    assert (notebook, out) == ("good", tmp_path)
    assert {name: options[name] for name in ("force", "study", "timeout_s")} == {
        "force": True,
        "study": "mine",
        "timeout_s": 30.0,
    }


@pytest.mark.parametrize(
    ("arguments", "status", "sentence"),
    [
        (["run", "godo"], 1, "there is no notebook 'godo', did you mean 'good'?"),
        (["run", "good", "-p", "dyas=3"], 1, "declares no parameter 'dyas', did you mean 'days'?"),
        (["run", "good", "-p", "days=many"], 1, "'days' must be int, got 'many' (str)"),
        (["run", "good", "-p", "models=[a"], 1, "parameter 'models' is not YAML in line 1"),
        (["run", "good", "-p", "days"], 2, "-p needs name=value, got 'days'"),
        (["run", "good", "-p", "prices_path=no.csv"], 1, "'prices_path' names no file"),
        (["run", "good", "-f", "no.yaml"], 1, "there is no params file no.yaml"),
        (["run", "good", "-f", "grid.yaml"], 1, "grid.yaml has a grid: run it with `gridlab sweep grid.yaml`"),
        (["run", "good", "--out", "pyproject.toml/x"], 1, "cannot make the folder"),
        (["run", "bare"], 1, "bare.ipynb has no cells tagged 'parameters'"),
        (["sweep", "bad.yaml"], 1, "bad.yaml is not YAML in line 2"),
        (["sweep", "grid.yaml", "--jobs", "0"], 2, "0 is not in the range x>=1"),
        (["sweep", "grid.yaml", "--dask", "nowhere"], 1, "no Dask scheduler answers at nowhere"),
        (["notebooks", "--folder", "none"], 1, "there is no folder none"),
        (["data", "none.csv"], 1, "none.csv"),
        (["dance"], 2, "No such command 'dance'"),
    ],
)
def test_bad_input_ends_with_one_sentence_and_a_status_that_is_not_0(project, arguments, status, sentence):
    (project / "grid.yaml").write_text("notebook: good\ngrid: {days: [1, 2]}")
    (project / "bad.yaml").write_text("notebook: good\nparams: [")
    bare = write_notebook(project / "bare.ipynb")
    bare.write_text(bare.read_text().replace('"tags": ["parameters"]', '"tags": []'))
    (project / "bare.ipynb").rename(project / "notebooks" / "bare.ipynb")
    answer = call(*arguments)
    (project / "notebooks" / "bare.ipynb").unlink()
    assert answer.exit_code == status
    assert sentence in answer.stderr
    assert answer.stdout == ""
    assert answer.stderr.count("\n") == 1 or status == 2
    assert isinstance(answer.exception, SystemExit)


def test_an_interrupt_ends_with_one_sentence_and_status_130(project, monkeypatch):
    def interrupt(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(batch, "run", interrupt)
    answer = call("run", "good")
    assert answer.exit_code == 130
    assert answer.stderr.startswith("Interrupted: the runs that ended are kept")


def test_a_sweep_prints_each_run_and_ends_with_status_1_where_one_failed(project, tmp_path, monkeypatch):
    (tmp_path / "s.yaml").write_text("notebook: good\ngrid: {days: [1, 2]}")
    errors = [None, None]

    def sweep(study, **_):
        folders = [tmp_path / "s" / name for name in ("one", "two")]
        states = ["failed" if error else "done" for error in errors]
        return [
            batch.Run("s", f"days={i}", study.notebook, {}, folder, state, 1.5, error, None)
            for i, (folder, state, error) in enumerate(zip(folders, states, errors, strict=True), start=1)
        ]

    monkeypatch.setattr(batch, "sweep", sweep)
    answer = call("sweep", tmp_path / "s.yaml")
    assert answer.exit_code == 0
    assert answer.stdout.splitlines() == [
        f"done            1.5 s  days=1  {tmp_path / 's' / 'one'}",
        f"done            1.5 s  days=2  {tmp_path / 's' / 'two'}",
        f"2 runs, 0 failed; the list is {tmp_path / 'index.html'}",
    ]
    errors[1] = "it was stopped"
    answer = call("sweep", tmp_path / "s.yaml")
    assert answer.exit_code == 1
    assert "1 of 2 runs failed, the first being days=2: good failed: it was stopped; its" in answer.stderr


def test_the_notebooks_are_listed_with_questions_parameters_and_problems(project, tmp_path):
    write_notebook(tmp_path / "broken.ipynb", parameters="x = 1")
    write_notebook(tmp_path / "whole.ipynb", title="# What does it earn?")
    shown = call("notebooks", "--folder", tmp_path).output
    assert "cannot be run: broken.ipynb: line 1 of the parameters cell is not of the form" in shown
    assert "whole: What does it earn?\n  days         int           3                  days to sum\n" in shown
    assert "good: Is it good?" in call("notebooks").output


def test_data_shows_what_a_price_file_is(project, tmp_path):
    prices = mock_prices(days=7)
    prices.to_csv(tmp_path / "prices.csv")
    answer = call("data", tmp_path / "prices.csv", "--time", "time", "--price", "price")
    assert answer.exit_code == 0
    assert "prices.csv" in answer.stdout


def test_data_counts_days_by_the_market_s_clock_which_is_that_of_the_times_unless_said(project, tmp_path):
    clock = pd.date_range("2024-03-29", periods=120, freq="1h", tz="Europe/Oslo").tz_localize(None)
    pd.DataFrame({"time": clock, "price": 30.0}).to_csv(tmp_path / "oslo.csv", index=False)
    assert "days under 24 hours     1: 2024-03-31" in call("data", tmp_path / "oslo.csv", "--tz", "Europe/Oslo").stdout
    utc = call("data", tmp_path / "oslo.csv", "--tz", "Europe/Oslo", "--market-tz", "UTC").stdout
    assert "days under 24 hours     none" in utc


def test_data_saves_what_it_read_so_that_a_notebook_reads_it_without_options(project, tmp_path):
    (mock_prices(days=7)[["price"]] / 1000).to_csv(tmp_path / "kwh.csv")
    refused = call("data", tmp_path / "kwh.csv", "--save", tmp_path / "kwh.parquet")
    assert (refused.exit_code, (tmp_path / "kwh.parquet").exists()) == (1, False)
    answer = call("data", tmp_path / "kwh.csv", "--price-unit", "$/kWh", "--save", tmp_path / "kwh.parquet")
    assert answer.stdout.endswith(f"Saved: {tmp_path / 'kwh.parquet'}\n")
    saved = sources.read_prices(tmp_path / "kwh.parquet")["price"]
    assert saved.to_numpy() == pytest.approx(mock_prices(days=7)["price"].to_numpy())


def test_the_version_is_printed():
    assert call("--version").output == f"gridlab {gridlab.__version__}\n"


def start_sleeping(folder):
    """A real command whose notebook sleeps, and the process id of its kernel."""
    file = folder / "pid"
    command = [
        sys.executable,
        "-m",
        "gridlab.cli",
        "run",
        "sleeps",
        "-p",
        f"label={file}",
        "--out",
        str(folder / "out"),
    ]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    until = time.monotonic() + 60
    while not (file.exists() and file.read_text()) and time.monotonic() < until:
        time.sleep(0.05)
    return process, int(file.read_text())


def test_a_real_command_stopped_from_the_keyboard_says_so_and_leaves_nothing_half_written(project, tmp_path):
    process, kernel = start_sleeping(tmp_path)
    process.send_signal(signal.SIGINT)
    shown, complaint = process.communicate(timeout=20)
    assert (process.returncode, shown) == (130, "")
    assert complaint == "Interrupted: the runs that ended are kept, and the same command goes on from there.\n"
    assert list((tmp_path / "out" / "sleeps").iterdir()) == []
    assert_gone(kernel)


def test_no_kernel_outlives_a_command_that_is_killed(project, tmp_path):
    process, kernel = start_sleeping(tmp_path)
    process.kill()
    process.communicate(timeout=20)
    assert_gone(kernel)
    [leftover] = (tmp_path / "out" / "sleeps").iterdir()
    assert leftover.suffix == ".partial"
    batch.run("quick", {}, tmp_path / "out", study="sleeps")
    assert not leftover.exists()


def test_a_run_leaves_alone_what_another_process_is_writing(project, tmp_path):
    process, _ = start_sleeping(tmp_path)
    [partial] = (tmp_path / "out" / "sleeps").iterdir()
    batch.run("quick", {}, tmp_path / "out", study="sleeps")
    assert partial.is_dir()
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=20)


def test_a_real_command_runs_a_notebook_and_prints_its_record(project, tmp_path):
    command = [sys.executable, "-m", "gridlab.cli", "run", "good", "-p", "days=1", "--out", str(tmp_path)]
    answer = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (answer.returncode, answer.stderr) == (0, "")
    assert "a # b     1,234.50" in answer.stdout
    [report] = tmp_path.glob("good/*/report.html")
    assert f"Report: {report}" in answer.stdout


def assert_gone(pid):
    for _ in range(50):
        try:
            os.kill(pid, 0)
            state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
        except (ProcessLookupError, FileNotFoundError):
            return
        if state == "Z":
            return
        time.sleep(0.1)
    raise AssertionError(f"process {pid} is still there")


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (["--site", "typo.yaml"], "did you mean 'cap_power'"),
        (["--site", "none.yaml"], "cannot be read"),
        (["--key-file", "open"], "chmod 600"),
        (["--key-file", "none"], "there is no file"),
        (["--url", "http://[::1"], "cannot be read"),
        (["--url", "http://example.org", "--key-file", "key"], "for all to read"),
        (["--url", "https://example.org"], "needs its API key"),
        (["--journal", "text.db"], "no journal"),
        (["--webhook", "http://hooks.example.com/token"], "must be https"),
    ],
)
def test_a_site_that_cannot_be_run_ends_in_one_sentence_with_no_key_in_it(tmp_path, monkeypatch, given, words):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.delenv("MARA_API_KEY", raising=False)
    key = "5f0c1a9e-3d7b-4f6a-9a51-0c2f5b8e7d46"
    for name, mode in (("key", 0o600), ("open", 0o644)):
        (tmp_path / name).write_text(key)
        (tmp_path / name).chmod(mode)
    (tmp_path / "typo.yaml").write_text("cap_powr: 5")
    (tmp_path / "text.db").write_text("no journal " * 100)
    answer = call("live", "--no-report", "--steps", 1, "--journal", "live.db", *given)
    assert answer.exit_code == 1
    assert isinstance(answer.exception, SystemExit)
    assert answer.output.splitlines()[-1].startswith("Error: ")
    assert words in answer.output
    assert key not in answer.output
    assert "/token" not in answer.output


def test_no_option_of_the_live_command_takes_a_key_and_a_webhook_may_come_from_the_environment():
    options = {parameter.name: parameter for parameter in cli.live.params}
    assert [name for name in options if "key" in name] == ["key_file"]
    assert options["webhook"].envvar == "GRIDLAB_WEBHOOK"
