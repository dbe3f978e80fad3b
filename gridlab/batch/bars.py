"""Progress bars for a terminal; nothing is shown elsewhere, nor in CI, where a bar is noise in a log."""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from gridlab.batch.process import Cell
from gridlab.batch.runner import Run


@contextmanager
def cell_bar(label: str) -> Iterator[Callable[[Cell], None]]:
    """
    A bar over the cells of a run, which names the one that runs.

    Examples
    --------
    >>> with cell_bar("backtest") as on_progress:
    ...     on_progress(Cell(1, 9, "Read the prices"))
    """
    from tqdm import tqdm

    with tqdm(desc=label, unit="cell", disable=_is_quiet(), leave=False) as bar:

        def show(cell: Cell) -> None:
            bar.total = cell.count
            bar.set_postfix_str(cell.name, refresh=False)
            bar.update(cell.number - 1 - bar.n)
            bar.refresh()

        yield show


@contextmanager
def run_bar(label: str, count: int) -> Iterator[Callable[[Run], None]]:
    """
    A bar over the runs of a sweep, with the count of those that failed.

    Examples
    --------
    >>> with run_bar("sizes", count=8) as on_progress:
    ...     pass
    """
    from tqdm import tqdm

    failed = 0
    with tqdm(desc=label, total=count, unit="run", disable=_is_quiet(), leave=False) as bar:

        def show(run: Run) -> None:
            nonlocal failed
            failed += run.status == "failed"
            bar.set_postfix_str(f"{failed} failed", refresh=False)
            bar.update()
            bar.refresh()

        yield show


def _is_quiet() -> bool:
    return not sys.stderr.isatty() or os.environ.get("CI", "").lower() not in ("", "0", "false")
