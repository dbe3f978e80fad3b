"""Files: where the project's paths lie, and writing that leaves either the old file or the whole new one."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from gridlab.errors import DataError


def project_path(path: str | Path) -> Path:
    """
    A path of the project: absolute paths as they are, relative ones from the checkout that holds the current folder.

    nbval runs a notebook in its own folder and papermill in the caller's; this gives both the same file. The checkout
    is the nearest folder upwards that has both ``pyproject.toml`` and ``notebooks``; without one, relative paths are
    taken from the current folder.

    Examples
    --------
    >>> project_path("/data/prices.csv").as_posix()
    '/data/prices.csv'
    """
    here = Path.cwd()
    roots = (folder for folder in (here, *here.parents) if _is_checkout(folder))
    return next(roots, here) / path


@contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """
    Give a temporary name to write to; on success rename it to `path`, on an exception remove it.

    Parameters
    ----------
    path : str or Path
        The file to write. Its folder is made where it does not exist.

    Yields
    ------
    Path
        A name beside `path`.

    Raises
    ------
    DataError
        If the folder cannot be written.
    """
    path = Path(path)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.partial")
    make_folder(path.parent)
    try:
        yield temporary
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def make_folder(path: str | Path) -> Path:
    """Make a folder that can be written to, or say in one sentence why not (DataError)."""
    folder = Path(path)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(f"cannot make the folder {folder} ({error.strerror}): choose another") from error
    if not os.access(folder, os.W_OK):
        raise DataError(f"cannot write to the folder {folder}: choose another, or change its permissions")
    return folder


def _is_checkout(folder: Path) -> bool:
    return (folder / "pyproject.toml").is_file() and (folder / "notebooks").is_dir()
