"""A grid of runs, on this machine or on Dask: each in a process of its own, and none twice."""

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from gridlab.batch import process
from gridlab.batch.cases import Case, prepare
from gridlab.batch.runner import Run, clear_leftovers, execute, lost, refresh_index
from gridlab.batch.studies import Study, load_study
from gridlab.errors import DataError, MissingExtraError, RunError

NO_WORKER_S = 30.0  # how long a sweep waits for a Dask worker to come


def sweep(
    study: Study | str | Path,
    *,
    jobs: int = 1,
    dask: Any = None,
    out_dir: str | Path = "reports",
    force: bool = False,
    on_progress: Callable[[Run], None] | None = None,
) -> list[Run]:
    """
    Run a notebook once for each point of a study's grid.

    Parameters
    ----------
    study : Study or path
        The study, or its params file.
    jobs : int
        Runs at a time on this machine.
    dask : str or distributed.Client, optional
        A Dask scheduler: each run is a task of its workers, which must see the same files. `jobs` has no meaning then.
    out_dir : str or Path
        The folder of all reports, taken from the project's root when relative.
    force : bool
        Run even the cases whose parameters, data and code are unchanged.
    on_progress : callable, optional
        Called with each `Run` when it ends.

    Returns
    -------
    list of Run
        In the grid's order. A run that fails, or whose worker dies, is in it with its reason, and the others go on.

    Raises
    ------
    DataError
        If the study is malformed or one of its cases could not be run; nothing is run then.
    RunError
        If no Dask scheduler answers.
    KeyboardInterrupt
        When interrupted: the running processes are stopped, and the runs that ended stay and are not run again.

    Examples
    --------
    >>> runs = sweep("params/battery_size.yaml", jobs=2)  # doctest: +SKIP
    >>> [run.status for run in runs]  # doctest: +SKIP
    ['done', 'done', 'unchanged', 'failed']
    """
    if jobs < 1:
        raise DataError(f"jobs must be at least 1, got {jobs}")
    study = study if isinstance(study, Study) else load_study(study)
    cases = prepare(study, out_dir, force=force)
    clear_leftovers(cases[0].parent)
    report = on_progress or (lambda run: None)
    try:
        return _run_here(cases, jobs, report) if dask is None else _run_on_dask(cases, dask, report)
    finally:
        refresh_index(cases[0].out_dir)


def _run_here(cases: Sequence[Case], jobs: int, report: Callable[[Run], None]) -> list[Run]:
    with ThreadPoolExecutor(jobs) as pool:
        futures = [pool.submit(execute, case) for case in cases]
        try:
            for future in as_completed(futures):
                report(future.result())
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            process.stop(cases[0].token)
            raise
    return [future.result() for future in futures]


def _run_on_dask(cases: Sequence[Case], dask: Any, report: Callable[[Run], None]) -> list[Run]:
    with _client(dask) as client, client.as_current():
        futures = client.map(execute, cases, pure=False)
        runs: dict[Any, Run] = {}
        try:
            for future, run in _as_ended(client, dict(zip(futures, cases, strict=True))):
                runs[future] = run
                report(run)
        except BaseException as error:
            if client.status == "running":
                client.cancel(futures)
                client.run(process.stop, cases[0].token)
            elif isinstance(error, Exception):
                raise RunError("the Dask scheduler was lost: start one, and the same call goes on from here") from error
            raise
    return [runs[future] for future in futures]


@contextmanager
def _client(dask: Any) -> Iterator[Any]:
    """A client of the scheduler at an address, closed at the end; a client that is given stays open."""
    try:
        from distributed import Client
    except ImportError as error:
        raise MissingExtraError("a sweep on Dask needs it: pip install 'gridlab[distributed]'") from error
    if isinstance(dask, Client):
        yield dask
        return
    with _without_log("distributed.client"):  # it logs tracebacks of what is raised here in one sentence
        try:
            client = Client(dask, timeout=10, set_as_default=False)
        except (OSError, ValueError) as error:
            raise RunError(f"no Dask scheduler answers at {dask}: start one with `dask scheduler`") from error
        with client:
            yield client


@contextmanager
def _without_log(name: str) -> Iterator[None]:
    logger = logging.getLogger(name)
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logger.setLevel(level)


def _as_ended(client: Any, cases: dict[Any, Case]) -> Iterator[tuple[Any, Run]]:
    """Each future and its run when it ends; where no worker is left for a while, the rest are lost."""
    from distributed import wait

    pending, last_seen = dict(cases), time.monotonic()
    while pending:
        try:
            ended = wait(list(pending), timeout=1, return_when="FIRST_COMPLETED").done
        except TimeoutError:
            ended = set()
        for future in ended:
            yield future, _outcome(future, pending.pop(future))
        if client.nthreads():
            last_seen = time.monotonic()
        elif time.monotonic() - last_seen > NO_WORKER_S:
            for future, case in pending.items():
                yield future, lost(case, f"there has been no Dask worker for {NO_WORKER_S:g} s: start some")
            return


def _outcome(future: Any, case: Case) -> Run:
    from distributed import KilledWorker

    if future.status == "finished":
        return future.result()  # type: ignore[no-any-return]
    error = future.exception()
    if isinstance(error, KilledWorker):
        return lost(case, "the Dask worker that ran it died: see the worker's log, and whether its memory is enough")
    return lost(case, f"its Dask worker could not run it ({type(error).__name__}: {error})")
