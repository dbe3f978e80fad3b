"""Grids of runs, on this machine and on Dask workers."""

import json
import os
import signal
import threading
import time
from contextlib import chdir, suppress
from pathlib import Path

import dask
import pytest

from gridlab import batch
from gridlab.batch import process, sweeps
from gridlab.errors import DataError, MissingExtraError, RunError
from notebooks import make_project

GRID = {"days": [3, 13], "label": ["a"]}


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    folder = make_project(tmp_path_factory.mktemp("project"))
    with chdir(folder):
        yield folder


@pytest.fixture(scope="module")
def study(project):
    return batch.Study("grid", project / "notebooks" / "quick.ipynb", {"share": 0.5}, GRID)


@pytest.fixture(scope="module")
def seen():
    return []


@pytest.fixture(scope="module")
def here(study, seen):
    return batch.sweep(study, jobs=2, on_progress=seen.append)


@pytest.fixture(scope="module")
def cluster(project):
    """A scheduler and two worker processes; a task that kills its worker is given up at once."""
    from distributed import LocalCluster

    settings = {"distributed.scheduler.allowed-failures": 0, "distributed.worker.memory.terminate": False}
    with (
        dask.config.set(settings),
        LocalCluster(
            n_workers=2, threads_per_worker=1, processes=True, host="127.0.0.1", dashboard_address="127.0.0.1:0"
        ) as cluster,
    ):
        yield cluster


def result(run):
    path = run.folder / "result.json"
    return json.loads(path.read_text()) if path.exists() else None


def outcome(run):
    return run.case, run.params, run.status, run.error, result(run)


def test_a_sweep_runs_the_grid_and_one_failure_does_not_stop_the_others(here, seen, project):
    assert [run.case for run in here] == ["days=3,label=a", "days=13,label=a"]
    assert [run.status for run in here] == ["done", "failed"]
    assert result(here[0]) == [3, 0.5, "a", ["naive", "lear"]]
    assert "no model for 13 days" in here[1].error
    assert {run.case: run for run in seen} == {run.case: run for run in here}
    assert sorted((project / "reports" / "grid").iterdir()) == sorted(run.folder for run in here)


def test_a_sweep_is_resumed_without_the_runs_that_stand(here, study, monkeypatch):
    tried = []
    monkeypatch.setattr(process, "work", lambda job, **_: (tried.append(job["parameters"]["days"]) or "no", 1))
    again = batch.sweep(study)
    assert [run.status for run in again] == ["unchanged", "failed"]
    assert tried == [13]
    assert again[0].folder == here[0].folder


def test_a_sweep_on_dask_equals_the_local_one(here, study, cluster, tmp_path):
    seen = []
    there = batch.sweep(study, dask=cluster.scheduler_address, out_dir=tmp_path, on_progress=seen.append)
    assert [outcome(run) for run in there] == [outcome(run) for run in here]
    assert {run.case for run in seen} == {run.case for run in there}
    assert sorted((tmp_path / "grid").iterdir()) == sorted(run.folder for run in there)
    assert (tmp_path / "index.html").is_file()


def test_a_dask_worker_that_dies_is_a_failed_run_and_the_others_go_on(project, cluster, tmp_path):
    from distributed import Client

    study = batch.Study("deaths", project / "notebooks" / "kills_dask.ipynb", grid={"days": [13, 3]})
    with Client(cluster, set_as_default=False) as client:
        runs = batch.sweep(study, dask=client, out_dir=tmp_path)
        assert client.status == "running", "a client that is given stays open"
    assert [run.status for run in runs] == ["failed", "done"]
    assert runs[0].error.startswith("the Dask worker that ran it died: see")
    assert sorted((tmp_path / "deaths").iterdir()) == sorted(run.folder for run in runs), "nothing half-written"
    assert "**This run failed:**" in (runs[0].folder / "notebook.ipynb").read_text()


def test_an_interrupt_on_dask_stops_the_workers_processes(project, cluster, tmp_path):
    study = batch.Study("sleeps", project / "notebooks" / "sleeps.ipynb", {"label": str(tmp_path / "pid")})
    interrupt_when(tmp_path / "pid")
    with pytest.raises(KeyboardInterrupt):
        batch.sweep(study, dask=cluster.scheduler_address, out_dir=tmp_path / "out")
    pid = int((tmp_path / "pid").read_text())
    assert eventually(lambda: is_gone(pid))
    assert eventually(lambda: not list((tmp_path / "out" / "sleeps").iterdir()))


def test_an_interrupt_stops_the_processes_and_keeps_the_runs_that_ended(project, tmp_path):
    done = batch.Study("mixed", project / "notebooks" / "quick.ipynb", grid={"label": ["a"]})
    [kept] = batch.sweep(done, out_dir=tmp_path)
    pids = [str(tmp_path / name) for name in "abc"]
    study = batch.Study("mixed", project / "notebooks" / "sleeps.ipynb", grid={"label": pids})
    interrupt_when(tmp_path / "a", tmp_path / "b")
    with pytest.raises(KeyboardInterrupt):
        batch.sweep(study, jobs=2, out_dir=tmp_path)
    assert eventually(lambda: all(is_gone(int(Path(path).read_text())) for path in pids[:2]))
    assert not Path(pids[2]).exists(), "nothing was begun after the interrupt"
    assert list((tmp_path / "mixed").iterdir()) == [kept.folder]


def test_a_sweep_without_workers_waits_a_while_and_says_so(study, tmp_path, monkeypatch):
    from distributed import LocalCluster

    monkeypatch.setattr(sweeps, "NO_WORKER_S", 0.5)
    with LocalCluster(n_workers=0, processes=True, host="127.0.0.1", dashboard_address="127.0.0.1:0") as empty:
        runs = batch.sweep(study, dask=empty.scheduler_address, out_dir=tmp_path)
    assert {run.error for run in runs} == {"there has been no Dask worker for 0.5 s: start some"}


def test_a_scheduler_that_goes_away_ends_the_sweep_with_one_sentence(study, tmp_path):
    from distributed import LocalCluster

    def close(cluster):
        time.sleep(2)
        cluster.close()

    with LocalCluster(n_workers=0, processes=True, host="127.0.0.1", dashboard_address="127.0.0.1:0") as cluster:
        threading.Thread(target=close, args=(cluster,)).start()
        with pytest.raises(RunError, match="the Dask scheduler was lost: start one, and the same call goes on"):
            batch.sweep(study, dask=cluster.scheduler_address, out_dir=tmp_path)


def test_what_a_dask_worker_cannot_run_is_a_failed_run_with_the_reason(study, tmp_path):
    from gridlab.batch.cases import prepare

    class Future:
        status = "error"

        def exception(self):
            return OSError("no space left")

    run = sweeps._outcome(Future(), prepare(study, tmp_path)[0])
    assert run.error == "its Dask worker could not run it (OSError: no space left)"


def test_a_scheduler_that_does_not_answer_is_refused(study, tmp_path):
    with pytest.raises(RunError, match="no Dask scheduler answers at nowhere: start one"):
        batch.sweep(study, dask="nowhere", out_dir=tmp_path)


def test_dask_that_is_not_installed_is_named_with_its_extra(study, tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "distributed", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'gridlab\[distributed\]'"):
        batch.sweep(study, dask="tcp://127.0.0.1:1", out_dir=tmp_path)


def test_a_sweep_takes_a_params_file_and_at_least_one_job(project, tmp_path):
    path = tmp_path / "study.yaml"
    path.write_text("notebook: quick\ngrid: {days: [3]}")
    with pytest.raises(DataError, match="jobs must be at least 1, got 0"):
        batch.sweep(path, jobs=0)
    with pytest.raises(DataError, match="'days' must be int, got 'x'"):
        batch.sweep(batch.Study("s", project / "notebooks" / "quick.ipynb", grid={"days": [3, "x"]}))


def interrupt_when(*files):
    """Interrupt the main thread when files are there, as Ctrl-C does."""

    def watch():
        assert eventually(lambda: all(file.exists() and file.read_text() for file in files), seconds=60)
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=watch, daemon=True).start()


def eventually(holds, seconds=10):
    until = time.monotonic() + seconds
    while not holds() and time.monotonic() < until:
        time.sleep(0.05)
    return holds()


def is_gone(pid):
    with suppress(FileNotFoundError, ProcessLookupError):
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z"
    return True
