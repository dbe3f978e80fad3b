"""The page of a journal: all that it needs to know of the site is in there."""

from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import nbformat

from gridlab.live.commands import Commands
from gridlab.live.config import Config
from gridlab.live.dashboard import dashboard
from gridlab.live.page.serving import serve_page
from gridlab.live.reading import Reader
from gridlab.live.settings import config_of
from gridlab.sources.mara import Inventory

if TYPE_CHECKING:
    from gridlab.live.dashboard import Dashboard

_CELL = """\
from gridlab.live.page.journal_page import page_of

page_of({path!r}, market_tz={market_tz!r})
"""


def page_of(path: str | Path, *, market_tz: str = "UTC") -> "Dashboard":
    """
    The dashboard of a journal, with the site as its loop knows it.

    Parameters
    ----------
    path : path
        The journal.
    market_tz : str
        Time zone of the page.

    Raises
    ------
    DataError
        If there is no such journal.
    MissingExtraError
        If ipywidgets is not installed.
    """
    reader = Reader(path)

    def known() -> tuple[Config | None, Inventory | None]:
        settings = reader.config()
        return None if settings is None else config_of(settings), reader.inventory()

    return dashboard(path, commands=Commands(path), known=known, market_tz=market_tz)


def serve_journal(
    path: str | Path, *, port: int = 8866, market_tz: str = "UTC", echo: Callable[[str], object] = print
) -> int:  # pragma: no cover - runs until it is interrupted
    """
    Serve the page of a journal on this computer until interrupted.

    Parameters
    ----------
    path, market_tz
        As for `page_of`.
    port : int
        Port to listen on.
    echo : callable
        Says each line to the person who started it.

    Returns
    -------
    int
        Exit status of the server.
    """
    journal = Reader(path).path
    with TemporaryDirectory() as folder:
        notebook = Path(folder) / "live.ipynb"
        cell = nbformat.v4.new_code_cell(_CELL.format(path=str(journal), market_tz=market_tz))
        nbformat.write(nbformat.v4.new_notebook(cells=[cell]), notebook)
        echo(f"The page of {journal} is at http://127.0.0.1:{port} until Ctrl-C.")
        return serve_page(notebook, port=port)
