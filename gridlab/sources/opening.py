"""Opening a file as a table of text, whose index is the line that each row stands on."""

import csv
import io
import warnings
import zipfile
import zlib
from collections import Counter
from collections.abc import Hashable
from pathlib import Path

import pandas as pd

from gridlab.errors import DataError

SEPARATORS = (",", ";", "\t", "|")
_MEND = "mend the line or export it again"


def open_table(path: str | Path) -> pd.DataFrame:
    """
    The rows of a CSV file, of the CSV files in a zip, or of a parquet file.

    Parameters
    ----------
    path : str or Path
        The file. A CSV may be separated by comma, semicolon, tab or bar, and is UTF-8 text.

    Returns
    -------
    DataFrame
        Text as it stands in the file (parquet keeps its types); the index is the line, or in a zip (file, line).

    Raises
    ------
    DataError
        If there is no such file, it is a folder, is empty, is not a table of text, or has no rows under its header.
    """
    path = Path(path).expanduser()
    data = _bytes(path)
    if path.suffix.lower() == ".parquet":
        return _parquet_table(data, path.name)
    if path.suffix.lower() == ".zip":
        return _zip_table(data, path.name)
    return _csv_table(data, path.name)


def place(label: Hashable) -> str:
    """
    Where a row stands, for messages.

    Examples
    --------
    >>> place(12), place(("oasis.csv", 3))
    ('line 12', 'line 3 of oasis.csv')
    """
    return f"line {label[1]} of {label[0]}" if isinstance(label, tuple) else f"line {label}"


def name_of(path: str | Path) -> str:
    """The file's name, which says in a table's attrs where it came from."""
    return Path(path).name


def _bytes(path: Path) -> bytes:
    try:
        if path.is_dir():
            raise DataError(f"{path} is a folder: name a file in it")
        data = path.read_bytes()
    except FileNotFoundError as error:
        raise DataError(f"there is no file {path}: check the path (the current folder is {Path.cwd()})") from error
    except OSError as error:
        raise DataError(f"cannot read {path} ({error.strerror}): check its permissions") from error
    if not data.strip():
        raise DataError(f"{path} is empty: download or export it again")
    return data


def _csv_table(data: bytes, name: str) -> pd.DataFrame:
    text = _text(data, name)
    blank_lines = len(text) - len(text.lstrip("\r\n"))
    text = text.lstrip("\r\n")
    separator = _separator(text.split("\n", 1)[0], name)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", pd.errors.ParserWarning)
            table = pd.read_csv(
                io.StringIO(text),
                sep=separator,
                dtype=str,
                index_col=False,
                skipinitialspace=True,
                skip_blank_lines=False,
            )
    except (pd.errors.ParserError, pd.errors.ParserWarning, pd.errors.EmptyDataError) as error:
        raise DataError(f"{name} is not a table ({_misfit(text, separator, blank_lines, error)}): {_MEND}") from error
    table.columns = table.columns.str.strip()
    table.index = pd.RangeIndex(blank_lines + 2, blank_lines + 2 + len(table), name="line")
    return _with_rows(table.dropna(how="all"), name)


def _separator(header: str, name: str) -> str:
    """The separator of a header, in which no two columns may have one name."""
    separator = max(SEPARATORS, key=header.count)
    try:
        fields = next(csv.reader([header], delimiter=separator, skipinitialspace=True))
    except csv.Error as error:
        raise DataError(f"{name} is not a table (its header: {error}): {_MEND}") from error
    columns = Counter(column.strip() for column in fields)
    twice = [column for column, count in columns.items() if column and count > 1]
    if twice:
        raise DataError(f"{name} has two columns named '{twice[0]}': rename or delete one")
    return separator


def _misfit(text: str, separator: str, blank_lines: int, error: Exception) -> str:
    """The first line with more fields than the header; what the parser says where there is none."""
    rows = csv.reader(io.StringIO(text), delimiter=separator)
    width = len(next(rows))
    try:
        for row in rows:
            if len(row) > width:
                return f"line {blank_lines + rows.line_num} has {len(row)} fields, the header {width}"
    except csv.Error as too_long:
        return f"line {blank_lines + rows.line_num}: {too_long}"
    return str(error).strip()


def _text(data: bytes, name: str) -> str:
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(
            f"{name} is not UTF-8 text (byte {data[error.start]:#04x} at position {error.start}): "
            "export it as CSV in UTF-8"
        ) from error
    if not text.strip():
        raise DataError(f"{name} is empty: download or export it again")
    if "\0" in text:
        raise DataError(f"{name} is not text (it has zero bytes): export it as CSV in UTF-8")
    if text.lstrip().startswith("<"):
        raise DataError(f"{name} is a web page or XML, not CSV (it starts '{text.strip()[:40]}'): download it again")
    return text


def _zip_table(data: bytes, name: str) -> pd.DataFrame:
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            members = {member: archive.read(member) for member in archive.namelist() if "__MACOSX" not in member}
    except (zipfile.BadZipFile, zlib.error, RuntimeError) as error:  # RuntimeError: encrypted
        raise DataError(f"{name} cannot be unpacked ({error}): download it again") from error
    tables = {m: _csv_table(content, f"{m} in {name}") for m, content in members.items() if m.lower().endswith(".csv")}
    if not tables:
        raise DataError(f"{name} holds no CSV file (it holds {', '.join(members) or 'nothing'}): download it again")
    return pd.concat(tables, names=["file", "line"])


def _parquet_table(data: bytes, name: str) -> pd.DataFrame:
    import pyarrow as pa

    try:
        table = pd.read_parquet(io.BytesIO(data))
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise DataError(
            f"{name} is not a parquet file ({error}): write it with gridlab.sources.write_parquet"
        ) from error
    table = table.reset_index() if table.index.name is not None else table.reset_index(drop=True)
    table.index = pd.RangeIndex(1, 1 + len(table), name="line")
    return _with_rows(table, name)


def _with_rows(table: pd.DataFrame, name: str) -> pd.DataFrame:
    if table.empty:
        raise DataError(f"{name} has a header and no rows: download or export it again")
    return table
