"""One run of a notebook: its folder is written under a partial name, and renamed when it is whole."""

import fcntl
import itertools
import json
import os
import shutil
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal

from gridlab.batch import manifest, process
from gridlab.batch.cases import Case, prepare
from gridlab.batch.declared import OUT_DIR, find, parameters
from gridlab.batch.process import Cell
from gridlab.batch.studies import TIMEOUT_S, Study
from gridlab.files import make_folder

LOG = "run.log"
Status = Literal["done", "failed", "unchanged"]


@dataclass(frozen=True)
class Run:
    """
    One run of a notebook.

    Parameters
    ----------
    study, case : str
        What it belongs to, and its name there.
    notebook : Path
        The notebook that was run.
    params : mapping
        Every parameter's value.
    folder : Path
        Where the notebook, the record, the report and the manifest lie.
    status : str
        "done", "failed", or "unchanged" when an earlier run with the same parameters, data and code stands for it.
    duration_s : float
        Wall-clock time. [s]
    error : str or None
        Why it failed, in one sentence.
    report : Path or None
        The page; None when it failed or the notebook wrote no record.
    """

    study: str
    case: str
    notebook: Path
    params: Mapping[str, Any]
    folder: Path
    status: Status
    duration_s: float
    error: str | None
    report: Path | None

    @property
    def record(self) -> dict[str, Any] | None:
        """What the notebook's last cell recorded; None when it recorded nothing."""
        path = self.folder / "record.json"
        return dict(json.loads(path.read_text(encoding="utf-8"))) if path.is_file() else None


def run(
    notebook: str | Path,
    params: Mapping[str, Any] | None = None,
    out_dir: str | Path = "reports",
    *,
    study: str | None = None,
    force: bool = False,
    timeout_s: float = TIMEOUT_S,
    on_progress: Callable[[Cell], None] | None = None,
) -> Run:
    """
    Run a notebook in a process of its own and keep what it made.

    Parameters
    ----------
    notebook : str or Path
        A path, or the bare name of a notebook in the project's ``notebooks``.
    params : mapping, optional
        Values for the parameters that it declares; the others keep their defaults.
    out_dir : str or Path
        The folder of all reports, taken from the project's root when relative.
    study : str, optional
        The folder below it; the notebook's name when omitted.
    force : bool
        Run even where a run with the same parameters, data and code stands.
    timeout_s : float
        Wall-clock limit. [s]
    on_progress : callable, optional
        Called with each `Cell` that begins.

    Returns
    -------
    Run
        With status "failed" and the reason when the notebook failed: its folder is kept, its name ends in ``-failed``.

    Raises
    ------
    DataError
        If the notebook is missing or its parameters cannot be read; a value given is not declared, of the wrong type or
        names no file; or the folder cannot be written.

    Examples
    --------
    >>> run("backtest", {"dyas": 7})  # doctest: +SKIP
    Traceback (most recent call last):
    gridlab.errors.DataError: backtest.ipynb declares no parameter 'dyas', did you mean 'days'? ...
    """
    path = find(notebook)
    [case] = prepare(Study(study or path.stem, path, params or {}, {}, timeout_s), out_dir, force=force)
    clear_leftovers(case.parent)
    done = execute(case, on_progress)
    refresh_index(case.out_dir)
    return done


def execute(case: Case, on_cell: Callable[[Cell], None] | None = None) -> Run:
    """
    Do one run, in this process or a Dask worker, unless it stands already.

    Raises
    ------
    Stopped
        If its sweep was stopped; nothing is left of it then.
    """
    found = None if case.force else _standing(case)
    if found is not None:
        return found
    started = datetime.now(UTC)
    final = _claim(case, started)
    partial = _partial(final, case)
    try:
        with _locked(partial / LOG):
            error, attempts = process.work(
                _job(case, partial),
                log=partial / LOG,
                timeout_s=case.timeout_s,
                token=case.token,
                on_cell=on_cell or (lambda cell: None),
            )
            return _conclude(case, final, started, error, attempts)
    finally:
        if partial.exists():
            shutil.rmtree(partial)


def lost(case: Case, error: str) -> Run:
    """The failed run of a case whose worker never answered; what it left half-written is removed."""
    for leftover in case.parent.glob(f".*-{case.hash[:8]}.{case.token}.partial"):
        shutil.rmtree(leftover)
    started = datetime.now(UTC)
    return _conclude(case, _claim(case, started), started, error, attempts=0)


def clear_leftovers(folder: Path) -> None:
    """Remove the half-written folders of runs whose process is gone, as one that was killed leaves them."""
    for log in folder.glob(f".*.partial/{LOG}"):
        if not _is_locked(log):
            shutil.rmtree(log.parent, ignore_errors=True)  # another command may be removing it too


def refresh_index(out_dir: Path) -> None:
    """Write the page that lists the runs."""
    from gridlab import report

    report.index(out_dir)


def _standing(case: Case) -> Run | None:
    """The newest whole run with the same hash."""
    for folder in sorted(case.parent.glob(f"[0-9]*-{case.hash[:8]}"), reverse=True):
        path = folder / "manifest.json"
        told = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
        if told.get("hash") == case.hash:
            return _as_run(case, folder, told, "unchanged")
    return None


def _claim(case: Case, started: datetime) -> Path:
    """The folder that a run will have: the partial one is made now; a name that is taken is given a later second."""
    parent = make_folder(case.parent)
    stamps = (f"{started + timedelta(seconds=later):%Y%m%dT%H%M%SZ}" for later in itertools.count())
    names = (parent / f"{stamp}-{case.name}-{case.hash[:8]}" for stamp in stamps)
    final = next(
        name for name in names if not (name.exists() or _failed(name).exists() or _partial(name, case).exists())
    )
    _partial(final, case).mkdir()
    return final


@contextmanager
def _locked(log: Path) -> Iterator[None]:
    """Hold a lock on a run's log, which ends with the block or with this process, however it dies."""
    with log.open("ab") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _is_locked(log: Path) -> bool:
    """Whether a process still works on the run; a log that has just been renamed with its folder counts as one."""
    try:
        with log.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, FileNotFoundError):
        return True
    return False


def _partial(final: Path, case: Case) -> Path:
    return final.with_name(f".{final.name}.{case.token}.partial")


def _failed(final: Path) -> Path:
    return final.with_name(f"{final.name}-failed")


def _job(case: Case, partial: Path) -> dict[str, Any]:
    values = {**case.params, OUT_DIR: str(partial)}
    return {
        "notebook": str(case.notebook),
        "output": str(partial / "notebook.ipynb"),
        "parameters": {parameter.name: values[parameter.name] for parameter in parameters(case.notebook)},
        "cwd": str(case.cwd),
    }


def _conclude(case: Case, final: Path, started: datetime, error: str | None, attempts: int) -> Run:
    """Write the manifest and the report, mark a failure as one, and give the folder its name."""
    partial = _partial(final, case)
    notebook = partial / "notebook.ipynb"
    if error is not None and not _is_whole(notebook):
        shutil.copy(case.notebook, notebook)
    told = _manifest(case, partial, started, attempts)
    error = _report(partial, told) if error is None else error
    if error is not None:
        told |= {"status": "failed", "error": " ".join(error.split())[:1000], "report": None}
        final = _failed(final)
        _mark(notebook, told["error"])
    notebook.write_text(notebook.read_text(encoding="utf-8").replace(partial.name, final.name), encoding="utf-8")
    (partial / "manifest.json").write_text(json.dumps(told, indent=2), encoding="utf-8")
    partial.rename(final)
    return _as_run(case, final, told, told["status"])


def _as_run(case: Case, folder: Path, told: Mapping[str, Any], status: Status) -> Run:
    report = folder / told["report"] if told["report"] else None
    duration_s, error = told["duration_s"], told["error"]
    return Run(case.study, case.name, case.notebook, case.params, folder, status, duration_s, error, report)


def _is_whole(notebook: Path) -> bool:
    """Whether papermill had begun to write it, and was not killed while it did."""
    try:
        return bool(json.loads(notebook.read_text(encoding="utf-8"))["cells"])
    except (FileNotFoundError, ValueError):
        return False


def _manifest(case: Case, partial: Path, started: datetime, attempts: int) -> dict[str, Any]:
    return {
        "study": case.study,
        "case": case.name,
        "notebook": os.path.relpath(case.notebook, case.cwd),
        "status": "done",
        "error": None,
        "started": started.isoformat(timespec="seconds"),
        "duration_s": round((datetime.now(UTC) - started).total_seconds(), 3),
        "parameters": case.params,
        "seed": case.params.get("seed"),
        **case.facts,
        "attempts": attempts,
        "cells": manifest.cell_durations(partial / "notebook.ipynb"),
        "report": "report.html" if (partial / "record.json").is_file() else None,
    }


def _report(partial: Path, told: dict[str, Any]) -> str | None:
    """Make the page of a run that wrote a record; the reason where it cannot be made."""
    with (partial / LOG).open("a", encoding="utf-8") as log:
        if told["report"] is None:
            log.write("no record.json, and so no report: end the notebook with gridlab.report.write(record, out_dir)\n")
            return None
        from gridlab import report

        try:
            report.render(partial, manifest=told)
        except Exception as error:
            traceback.print_exc(file=log)
            return f"the report could not be made from record.json ({type(error).__name__}: {error})"
    return None


def _mark(notebook: Path, error: str) -> None:
    """Say at the top of a failed run's notebook that it failed, and why."""
    content = json.loads(notebook.read_text(encoding="utf-8"))
    source = f"**This run failed:** {error}"
    cell = {"cell_type": "markdown", "id": "failed", "metadata": {"tags": [manifest.ERROR_TAG]}, "source": source}
    content["cells"].insert(0, cell)
    notebook.write_text(json.dumps(content, indent=1), encoding="utf-8")
