"""Parameters, params files and single runs of notebooks."""

import json
import os
import shutil
import time
from contextlib import chdir
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gridlab import batch
from gridlab.batch import bars, cases, declared, manifest, process, runner, worker
from gridlab.batch.plain_yaml import read_yaml
from gridlab.batch.studies import Study
from gridlab.errors import DataError
from notebooks import make_project, write_notebook


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A project that is the current folder."""
    folder = make_project(tmp_path_factory.mktemp("project"))
    with chdir(folder):
        yield folder


@pytest.fixture(scope="module")
def progress():
    return []


@pytest.fixture(scope="module")
def good(project, progress):
    return batch.run("good", {"days": 2, "label": 'ünïcode "quoted" {days} \\'}, on_progress=progress.append)


@pytest.fixture(scope="module")
def failed(project):
    return batch.run("quick", {"days": 13})


def read(path):
    return json.loads(path.read_text(encoding="utf-8"))


def sources(run):
    return ["".join(cell["source"]) for cell in read(run.folder / "notebook.ipynb")["cells"]]


# --- parameters ---------------------------------------------------------------------------------------------------


def test_parameters_are_read_with_type_default_and_help_where_papermill_misreads_them(project):
    found = {parameter.name: parameter for parameter in batch.parameters("good")}
    assert list(found) == ["days", "share", "label", "models", "prices_path", "out_dir"]
    assert found["share"] == batch.Parameter("share", "float | None", None, "a share # of it")
    assert found["label"] == batch.Parameter("label", "str", "a # b", "what it is called")
    assert found["models"].default == ["naive", "lear"]
    assert found["models"].help == ""


def test_a_default_over_several_lines_has_the_help_of_its_last_line(tmp_path):
    path = write_notebook(tmp_path / "n.ipynb", parameters="x: list[int] = [  # not this\n    1,\n    -2,\n]  # this")
    assert batch.parameters(path) == [batch.Parameter("x", "list[int]", [1, -2], "this")]


@pytest.mark.parametrize(
    ("source", "complaint"),
    [
        ("days = 3", "line 1 of the parameters cell is not of the form"),
        ("days: int", "is not of the form"),
        ("import os", "is not of the form"),
        ("days: int = (", "not Python in line 1"),
        ("start: date = '2024-01-01'", "'start' has the type date: use str"),
        ("x: dict[int, str] = {}", r"'x' has the type dict\[int, str\]"),
        ("x: int = True", r"'x' must be int, got 'True' \(bool\)"),
        ("x: list = (1, 2)", "'x' must be list, got .* which JSON changes"),
        ("x: dict = {1: 2}", "which JSON changes"),
        ("x: float = 1e999", "which JSON cannot hold"),
        ("x: float = float('inf')", r"got the expression float\('inf'\)"),
    ],
)
def test_a_parameters_cell_of_another_form_is_refused_with_its_line_or_name(tmp_path, source, complaint):
    path = write_notebook(tmp_path / "n.ipynb", parameters=source)
    with pytest.raises(DataError, match=complaint):
        batch.parameters(path)


def test_a_notebook_without_one_parameters_cell_is_refused(tmp_path):
    path = write_notebook(tmp_path / "n.ipynb")
    content = read(path)
    path.write_text(json.dumps({**content, "cells": content["cells"][:1]}))
    with pytest.raises(DataError, match="has no cells tagged 'parameters': tag the one"):
        batch.parameters(path)
    path.write_text(json.dumps({**content, "cells": content["cells"] * 2}))
    with pytest.raises(DataError, match="has 2 cells tagged"):
        batch.parameters(path)


def test_a_file_that_is_no_notebook_is_refused(tmp_path):
    path = tmp_path / "n.ipynb"
    path.write_text("not json")
    with pytest.raises(DataError, match="is not a notebook of format 4"):
        batch.parameters(path)


def test_a_missing_notebook_is_refused_with_those_there_are(project):
    with pytest.raises(DataError, match=r"no notebook 'godo', did you mean 'good'\? the notebooks are dies_once, good"):
        batch.run("godo")
    with pytest.raises(DataError, match=r"no notebook 'notebooks/none.ipynb'"):
        batch.run("notebooks/none.ipynb")


def test_outside_of_a_checkout_the_refusal_says_where_to_call_from(tmp_path):
    with chdir(tmp_path), pytest.raises(DataError, match=r"there are no notebooks in .*: call from the checkout"):
        batch.run("backtest")


KINDS = st.recursive(
    st.sampled_from(["int", "float", "str", "bool", "None"]),
    lambda kinds: st.one_of(
        kinds.map("list[{}]".format), kinds.map("dict[str, {}]".format), st.tuples(kinds, kinds).map(" | ".join)
    ),
    max_leaves=4,
)
PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda values: st.lists(values, max_size=3) | st.dictionaries(st.text(), values, max_size=3),
    max_leaves=6,
)


def fits(value, kind):
    """The obvious judge: split the type's text."""
    depth, parts = 0, [""]
    for letter in kind.replace(" ", ""):
        depth += (letter == "[") - (letter == "]")
        if letter == "|" and not depth:
            parts.append("")
        else:
            parts[-1] += letter
    if len(parts) > 1:
        return any(fits(value, part) for part in parts)
    if kind.startswith("list["):
        return isinstance(value, list) and all(fits(one, kind[5:-1]) for one in value)
    if kind.startswith("dict["):
        return isinstance(value, dict) and all(fits(one, kind[10:-1].strip()) for one in value.values())
    types = {"int": (int,), "float": (int, float), "str": (str,), "bool": (bool,), "None": (type(None),)}
    return type(value) in types[kind]


@given(kind=KINDS, value=PLAIN)
def test_a_value_is_taken_as_it_is_if_and_only_if_it_is_of_the_declared_type(kind, value):
    parameter = batch.Parameter("x", kind, None, "")
    if fits(value, kind):
        assert declared._checked(parameter, value, "n") == value
    else:
        with pytest.raises(DataError, match="parameter 'x' must be"):
            declared._checked(parameter, value, "n")


@given(value=st.text(st.characters(exclude_categories=["Cs"])))
def test_text_typed_for_a_text_parameter_is_that_text(value):
    assert batch.parse(value, batch.Parameter("x", "str", "", "")) == value


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        ("int", "7", 7),
        ("float", "1e3", 1000.0),
        ("float | None", "null", None),
        ("str | None", "null", None),
        ("str | None", "none", "none"),
        ("bool", "true", True),
        ("list[str]", "[NO, 2024-03-01, 12:30]", ["NO", "2024-03-01", "12:30"]),
        ("dict[str, float]", "{a: 1.5}", {"a": 1.5}),
        ("list[str | int]", "[a, 1]", ["a", 1]),
    ],
)
def test_what_is_typed_is_read_as_the_type_says(kind, text, value):
    assert batch.parse(text, batch.Parameter("x", kind, None, "")) == value


@pytest.mark.parametrize(
    ("params", "complaint"),
    [
        ({"dyas": 3}, "good.ipynb declares no parameter 'dyas', did you mean 'days'\\? the parameters are days, share"),
        ({"days": "many"}, r"'days' must be int, got 'many' \(str\)"),
        ({"days": True}, "'days' must be int, got 'True'"),
        ({"days": np.int64(3)}, r"got '3' \(int64\), which JSON cannot hold"),
        ({"share": float("nan")}, "which JSON cannot hold"),
        ({"models": ("a",)}, "which JSON changes"),
        ({"prices_path": "no.csv"}, "'prices_path' names no file .*no.csv: correct the path"),
        ({"out_dir": "x"}, "out_dir is set by the run itself"),
    ],
)
def test_params_that_the_notebook_does_not_declare_so_are_refused_before_anything_runs(project, params, complaint):
    with pytest.raises(DataError, match=complaint):
        batch.run("good", params, "reports/refused")
    assert not (project / "reports" / "refused").exists()


def test_a_notebook_that_takes_no_out_dir_is_refused(tmp_path):
    path = write_notebook(tmp_path / "n.ipynb", parameters="days: int = 3")
    with pytest.raises(DataError, match="declares no parameter out_dir: add"):
        batch.run(path)


def test_a_file_given_is_taken_from_the_current_folder_and_a_default_from_the_project(project):
    (project / "below").mkdir()
    (project / "below" / "given.csv").touch()
    (project / "default.csv").touch()
    cell = 'a_path: str = "default.csv"\nb_path: str = ""\nout_dir: str = ""'
    path = write_notebook(project / "below" / "paths.ipynb", parameters=cell)
    with chdir(project / "below"):
        found = declared.resolve(path, {"b_path": "given.csv"})
    assert found == {"a_path": str(project / "default.csv"), "b_path": str(project / "below" / "given.csv")}


def test_notebooks_are_listed_with_their_questions_and_a_broken_one_says_what_is_wrong(project, tmp_path):
    listed = {notebook.name: notebook for notebook in batch.notebooks()}
    assert listed["good"].question == "Is it good?"
    assert listed["good"].parameters == tuple(batch.parameters("good"))
    write_notebook(tmp_path / "bad.ipynb", parameters="x = 1")
    [bad] = batch.notebooks(tmp_path)
    assert bad.parameters == ()
    assert "not of the form" in bad.problem
    with pytest.raises(DataError, match="there is no folder"):
        batch.notebooks(tmp_path / "none")


# --- params files -------------------------------------------------------------------------------------------------


def test_yaml_is_read_by_the_rules_of_version_1_2():
    text = "[2024-03-01, NO, yes, 12:30, 010, 1e-3, 5, -2.5, .5, 1., true, ~, null]"
    expected = ["2024-03-01", "NO", "yes", "12:30", "010", 1e-3, 5, -2.5, 0.5, 1.0, True, None, None]
    assert read_yaml(text, "here") == expected


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("notebook: good\nparams: [1\nx: 2", "study.yaml is not YAML in line 3"),
        ("notebook: good\nparams:\n  days: 1\n  days: 2", "in line 4 .*'days' stands twice"),
        ("notebook: good\x07", "characters that YAML does not allow"),
        ("- 1", "must hold the keys notebook, params, grid, timeout_s, got list"),
        ("notebok: good", "has the key 'notebok': the keys are"),
        ("params: {days: 1}", "names no notebook: add"),
        ("notebook: 5", "notebook must be a name or a path, got 5"),
        ("notebook: good\nparams: 3", "params must map names to values, got 3"),
        ("notebook: good\ngrid: [1]", "grid must map names to values"),
        ("notebook: good\ngrid: {days: 3}", "the grid's 'days' must be a list of values, got 3"),
        ("notebook: good\ngrid: {days: []}", "must be a list of values"),
        ("notebook: good\ngrid: {days: [1, 1]}", "the grid's 'days' has 1 twice"),
        ("notebook: good\ngrid: {days: [1]}\nparams: {days: 1}", "'days' is in both params and grid"),
        ("notebook: good\ngrid: {days: [1, many]}", "'days' must be int, got 'many'"),
        ("notebook: good\nparams: {dyas: 1}", "no parameter 'dyas'"),
        ("notebook: good\ntimeout_s: soon", "timeout_s must be a number of seconds, got 'soon'"),
        ("notebook: good\ntimeout_s: 0", "timeout_s must be above 0 s, got 0"),
    ],
)
def test_a_params_file_that_does_not_match_its_notebook_is_refused(project, tmp_path, text, complaint):
    path = tmp_path / "study.yaml"
    path.write_text(text)
    with pytest.raises(DataError, match=complaint):
        batch.load_study(path)


def test_a_params_file_must_be_there_and_be_text(tmp_path):
    with pytest.raises(DataError, match="there is no params file"):
        batch.load_study(tmp_path / "none.yaml")
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DataError, match="is not text"):
        batch.load_study(tmp_path / "binary.yaml")


def test_a_params_file_serves_the_notebook_it_names_or_the_one_asked_for(project, tmp_path):
    path = tmp_path / "study.yaml"
    path.write_text("notebook: good\nparams: {days: 1}\ngrid: {label: [a, b], share: [0.5]}\ntimeout_s: 60")
    study = batch.load_study(path)
    assert study == Study("study", study.notebook, {"days": 1}, {"label": ["a", "b"], "share": [0.5]}, 60.0)
    assert study.points == [{"label": "a", "share": 0.5}, {"label": "b", "share": 0.5}]
    with pytest.raises(DataError, match="is for the notebook good, not for quick"):
        batch.load_study(path, "quick")
    path.write_text("params: {days: 1}")
    assert batch.load_study(path, "quick").notebook == project / "notebooks" / "quick.ipynb"


# --- a run ----------------------------------------------------------------------------------------------------------


def test_a_run_leaves_its_notebook_record_report_manifest_and_log(good, project):
    assert (good.status, good.error) == ("done", None)
    assert good.folder.parent == project / "reports" / "good"
    assert {path.name for path in good.folder.iterdir()} >= {
        "notebook.ipynb",
        "record.json",
        "report.html",
        "manifest.json",
        "run.log",
    }
    assert good.report == good.folder / "report.html"
    assert good.record["metrics"] == {"profit [$]": 2469.0}
    assert (project / "reports" / "index.html").is_file()
    assert list(good.folder.parent.iterdir()) == [good.folder]


def test_parameters_arrive_in_the_notebook_as_they_were_given(good):
    assert good.record["tables"][0]["index"] == ["idle", 'ünïcode "quoted" {days} \\']


def test_the_notebook_that_is_kept_names_the_folder_that_it_lies_in(good):
    text = (good.folder / "notebook.ipynb").read_text(encoding="utf-8")
    assert ".partial" not in text
    assert good.folder.name in text


def test_the_manifest_says_what_ran_with_what_and_how_long(good):
    told = read(good.folder / "manifest.json")
    assert told["parameters"] == good.params
    assert told["parameters"]["days"] == 2
    assert (told["status"], told["seed"], told["attempts"], told["data"]) == ("done", None, 1, {})
    assert (told["git_commit"], told["git_dirty"]) == (None, None)
    assert told["hash"][:8] == good.folder.name[-8:]
    assert told["packages"]["papermill"]
    assert [cell["name"] for cell in told["cells"]] == [
        "days: int = 3  # days to sum",
        "Parameters",
        "Write the record",
    ]
    assert sum(cell["duration_s"] for cell in told["cells"]) < told["duration_s"] == good.duration_s


def test_progress_names_each_cell_as_it_begins(good, progress):
    assert [cell.number for cell in progress] == [1, 2, 3, 4]
    assert progress[-1] == batch.Cell(4, 4, "Write the record")


def test_the_same_run_is_not_done_twice(good, project):
    again = batch.run(project / "notebooks" / "good.ipynb", {**good.params, "days": 2})
    assert again == replace(good, status="unchanged", case=again.case)


def test_a_run_is_done_again_where_parameters_data_or_code_have_changed(project, tmp_path, monkeypatch):
    notebook = write_notebook(tmp_path / "n.ipynb", "x = 1")
    prices = tmp_path / "prices.csv"
    prices.write_text("1")

    def found(**params):
        [case] = cases.prepare(Study("n", notebook, {"prices_path": str(prices), **params}), tmp_path)
        return case.hash

    first = found()
    assert found(days=3) == first, "the default, written out"
    assert found(days=4) != first
    assert found(share=1) == found(share=1.0) != first
    prices.write_text("2")
    assert found() != first
    prices.write_text("1")
    assert found() == first
    write_notebook(notebook, "x = 2")
    assert found() != first
    write_notebook(notebook, "x = 1")
    assert found() == first
    package = shutil.copytree(Path(manifest.gridlab.__file__).parent, tmp_path / "gridlab")
    monkeypatch.setattr(manifest.gridlab, "__file__", str(package / "__init__.py"))
    assert found() == first
    (package / "errors.py").write_text("changed")
    assert found() != first


def test_outputs_in_a_notebook_are_not_code_and_a_data_file_may_move(project, tmp_path):
    notebook = write_notebook(tmp_path / "n.ipynb", "x = 1")
    before = manifest.code_fingerprint(notebook)
    content = read(notebook)
    content["cells"][2] |= {"execution_count": 7, "source": ["x = ", "1"]}
    notebook.write_text(json.dumps(content))
    assert manifest.code_fingerprint(notebook) == before


def test_without_a_record_there_is_no_report(project):
    run = batch.run("quick", {"label": "alone"})
    assert run.status == "done"
    assert read(run.folder / "result.json") == [3, None, "alone", ["naive", "lear"]]
    assert (run.report, run.record) == (None, None)
    assert "no record.json, and so no report" in (run.folder / "run.log").read_text()


def test_a_forced_run_is_a_second_one(project, tmp_path, monkeypatch):
    monkeypatch.setattr(process, "work", lambda job, **_: (shutil.copy(job["notebook"], job["output"]), (None, 1))[1])
    runs = [batch.run("quick", out_dir=tmp_path, force=force) for force in (False, False, True)]
    assert [run.status for run in runs] == ["done", "unchanged", "done"]
    assert sorted((tmp_path / "quick").iterdir()) == [runs[0].folder, runs[2].folder]


def test_a_run_never_takes_the_folder_of_another(project, tmp_path):
    [case] = cases.prepare(Study("s", project / "notebooks" / "quick.ipynb"), tmp_path)
    now = runner.datetime(2026, 1, 31, 23, 59, 59, tzinfo=runner.UTC)
    names = [runner._claim(case, now).name for _ in range(2)]
    assert names == [f"20260131T235959Z-defaults-{case.hash[:8]}", f"20260201T000000Z-defaults-{case.hash[:8]}"]


def test_a_case_is_named_by_its_values_in_letters_that_a_file_name_may_have():
    assert cases._name({"days": 3, "models": ["a", "b"], "prices_path": "/x/y z.csv"}) == "days=3,models=a+b,prices=y_z"
    assert cases._name({}) == "defaults"
    assert len(cases._name({"label": "x" * 500})) == 60


def test_git_is_asked_for_the_commit_and_what_differs_from_it(tmp_path, monkeypatch):
    identity = {f"GIT_{who}_{what}": "x" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    for name, value in identity.items():
        monkeypatch.setenv(name, value)
    (tmp_path / "file").touch()
    os.system(f"cd {tmp_path} && git init -q && git add file && git commit -qm one")
    told = manifest.environment(tmp_path / "n.ipynb")
    assert len(told["git_commit"]) == 40
    assert told["git_dirty"] is False
    (tmp_path / "other").touch()
    assert manifest.environment(tmp_path / "n.ipynb")["git_dirty"] is True
    monkeypatch.setenv("PATH", "")
    assert manifest.environment(tmp_path / "n.ipynb")["git_commit"] is None


# --- failures -------------------------------------------------------------------------------------------------------


def test_a_failed_run_is_kept_with_its_notebook_and_says_so(failed):
    assert failed.status == "failed"
    assert failed.error == "cell 3 (import json) raised ValueError: no model for 13 days: choose fewer"
    assert failed.folder.name.endswith("-failed")
    assert sources(failed)[0] == f"**This run failed:** {failed.error}"
    told = read(failed.folder / "manifest.json")
    assert (told["status"], told["error"], told["report"]) == ("failed", failed.error, None)
    assert [cell["status"] for cell in told["cells"]] == ["completed", "completed", "failed"]
    assert told["attempts"] == 1, "a model's error is never tried again"


def test_a_failed_run_does_not_stand_for_another(project, failed):
    [case] = cases.prepare(Study("quick", project / "notebooks" / "quick.ipynb", {"days": 13}), "reports")
    assert runner._standing(case) is None


def test_a_kernel_that_dies_is_tried_again(project, tmp_path):
    run = batch.run("dies_once", {"label": str(tmp_path / "flag")})
    assert run.status == "done"
    assert read(run.folder / "manifest.json")["attempts"] == 2


def test_a_kernel_that_always_dies_is_given_up_with_the_cell_and_what_to_look_at(project, tmp_path):
    path = write_notebook(tmp_path / "dies.ipynb", "# Fit\nimport os\nos._exit(1)")
    run = batch.run(path)
    assert run.error == (
        "its kernel died in cell 4 of 4 (Fit): see run.log, and whether its memory is enough, then run it again"
    )
    assert read(run.folder / "manifest.json")["attempts"] == process.ATTEMPTS


def test_a_process_that_ends_before_its_first_cell_is_told_by_its_exit_status():
    child = process._Child(SimpleNamespace(returncode=3))
    assert process._death("its process died", child).startswith("its process died, with exit status 3: see run.log")


def test_a_worker_that_dies_is_a_failed_run(project):
    run = batch.run("kills_parent")
    assert run.error == (
        "its process died in cell 4 of 4 (import os, signal), killed by SIGKILL: see run.log, and whether its memory "
        "is enough, then run it again"
    )
    assert sources(run)[0].startswith("**This run failed:** its process died")


def test_a_run_that_takes_too_long_is_killed_with_its_kernel(project, tmp_path):
    run = batch.run("sleeps", {"label": str(tmp_path / "pid")}, timeout_s=6)
    assert run.error == "it was stopped after its time limit of 6 s: raise timeout_s, or ask for less"
    assert run.duration_s < 10
    assert_gone(int((tmp_path / "pid").read_text()))


def assert_gone(pid):
    for _ in range(50):
        status = Path(f"/proc/{pid}/stat")
        if not status.exists() or status.read_text().rsplit(")", 1)[1].split()[0] == "Z":
            return
        time.sleep(0.1)
    raise AssertionError(f"process {pid} is still there")


def test_a_report_that_cannot_be_made_is_a_failed_run_with_the_reason(project, tmp_path, monkeypatch):
    def work(job, **_):
        shutil.copy(job["notebook"], job["output"])
        Path(job["output"]).with_name("record.json").write_text("{}")
        return None, 1

    monkeypatch.setattr(process, "work", work)
    run = batch.run("quick", out_dir=tmp_path)
    assert run.status == "failed"
    assert run.error.startswith("the report could not be made from record.json (DataError: ")
    assert "Traceback" in (run.folder / "run.log").read_text()


def test_a_notebook_cut_short_while_it_was_written_is_replaced_by_the_one_that_was_asked_for(
    project, tmp_path, monkeypatch
):
    def work(job, **_):
        Path(job["output"]).write_text('{"cells": [')
        return "it was stopped", 1

    monkeypatch.setattr(process, "work", work)
    run = batch.run("quick", out_dir=tmp_path)
    assert sources(run)[:2] == ["**This run failed:** it was stopped", "Words.\n# Is it quick?"]


def test_an_interrupt_leaves_nothing_half_written(project, tmp_path):
    def interrupt(cell):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        batch.run("quick", out_dir=tmp_path, on_progress=interrupt)
    assert list((tmp_path / "quick").iterdir()) == []


def test_an_output_folder_that_cannot_be_written_is_refused(project, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match=r"cannot make the folder .*: choose another"):
        batch.run("quick", out_dir=tmp_path / "file" / "below")


def test_a_bar_names_the_cell_and_counts_the_runs_that_failed(good, failed, monkeypatch, capsys):
    monkeypatch.setattr(bars, "_is_quiet", lambda: False)
    with batch.cell_bar("good") as on_progress:
        on_progress(batch.Cell(3, 9, "Fit the models"))
    with batch.run_bar("grid", 2) as on_progress:
        on_progress(good)
        on_progress(failed)
    shown = capsys.readouterr().err
    assert "2/9" in shown
    assert "Fit the models" in shown
    assert "2/2" in shown
    assert "1 failed" in shown


def test_a_bar_is_quiet_in_ci_and_where_nobody_looks(monkeypatch):
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    for value, quiet in {"true": True, "1": True, "": False, "false": False}.items():
        monkeypatch.setenv("CI", value)
        assert bars._is_quiet() is quiet


# --- the worker -------------------------------------------------------------------------------------------------------


def test_only_failures_of_the_machinery_are_tried_again():
    assert worker._is_ours(RuntimeError("Kernel didn't respond in 60 seconds"))
    assert worker._is_ours(OSError("Address already in use (addr='tcp://127.0.0.1:5')"))
    assert not worker._is_ours(ValueError("no model"))


def test_a_cell_is_called_by_its_first_heading_or_comment_or_line():
    assert declared.cell_name("\n# %% Read\nx = 1") == "Read"
    assert declared.cell_name("## Prices\nwords") == "Prices"
    assert declared.cell_name("x = 1") == "x = 1"
    assert declared.cell_name("") == ""
