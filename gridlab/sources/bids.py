"""Bids for a site's power: from a file, or made here."""

from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from gridlab.errors import DataError
from gridlab.schema import TABLES, validate
from gridlab.sources.opening import name_of, open_table, place

Floats = NDArray[np.float64]

LEVELS = {"inference": 3.0, "training": 2.0, "mining": 1.4}  # a MWh's worth over the usual price of energy
_SPREAD = 0.35  # of the logarithm of that worth between bidders
_STEP_LOW, _STEP_HIGH = 0.65, 0.95  # worth of a fleet's next machines over that of those before
_SWING = 0.25  # of the demand for inference over a day


def read_bids(path: str | Path) -> pd.DataFrame:
    r"""
    Read a table of bids, one row a segment.

    Parameters
    ----------
    path : str or Path
        CSV or parquet with the columns `time` (with an offset from UTC), `bidder`, `quantity_mw` and `price`; `service`
        where there is more than one, and other columns (`value`, `block`, `minimum_mw`), which are kept.

    Returns
    -------
    DataFrame
        A `bids` table, its rows in the file's order. [MW, $/MWh]

    Raises
    ------
    DataError
        If the file cannot be read, a column is missing, or a cell of `time`, `quantity_mw` or `price` is not what it
        must be; the message has the line.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder) / "bids.csv"
    ...     _ = path.write_text("time,bidder,quantity_mw,price\n2024-01-01T00:00Z,A,2,123\n2024-01-01T00:00Z,B,1,75\n")
    ...     read_bids(path)[["bidder", "service", "quantity_mw", "price"]].values.tolist()
    [['A', 'power', 2.0, 123.0], ['B', 'power', 1.0, 75.0]]
    """
    table, name = open_table(path), name_of(path)
    for column in ("time", "bidder", "quantity_mw", "price"):
        if column not in table:
            raise DataError(f"{name} has no column '{column}' (it has {', '.join(map(str, table.columns))}): add it")
    read = {
        "time": _times(table["time"], name),
        "bidder": _words(table["bidder"], name),
        "service": _words(table["service"], name) if "service" in table else "power",
        **{column: _numbers(table[column], name) for column in ("quantity_mw", "price")},
    }
    others = {str(column): _plain(table[column]) for column in table if column not in TABLES["bids"].columns}
    bids = pd.DataFrame({**read, **others}).reset_index(drop=True)
    bids.attrs = {"source": name, "simulated": bool(table.attrs.get("simulated", False))}
    return validate(bids, "bids")


def simulate_bids(
    prices: pd.DataFrame,
    *,
    n_bidders: int = 12,
    n_segments: int = 4,
    total_mw: float = 30.0,
    rng: np.random.Generator,
) -> pd.DataFrame:
    """
    Bids of miners, inference and training clusters for the power of a site, as true values.

    A bidder has a fleet of machines, the best first, whose MWh earns several times the usual price of energy; the bid
    is what a MWh earns above the market's price of the interval, so that power is worth most where energy is cheap. The
    demand for inference follows the hour of the day.

    Parameters
    ----------
    prices : DataFrame
        A `prices` table: the auctions' times and the price of energy, which must not be NaN. [$/MWh]
    n_bidders : int
        How many bid, at least 1; services take turns.
    n_segments : int
        Segments of each bid, at least 1.
    total_mw : float
        Power that all want together. [MW]
    rng : Generator
        Draws everything.

    Returns
    -------
    DataFrame
        A `bids` table for capacity: quantities are positive and each bidder's prices do not increase.

    Raises
    ------
    DataError
        If a price is NaN, or a number of bidders or segments or `total_mw` is not above 0.

    Examples
    --------
    >>> from gridlab.schema import mock_prices
    >>> bids = simulate_bids(mock_prices(days=1), n_bidders=3, n_segments=2, rng=np.random.default_rng(7))
    >>> len(bids), bids["service"].unique().tolist(), round(float(bids["quantity_mw"].sum()) / 24, 9)
    (144, ['inference', 'training', 'mining'], 30.0)
    """
    for what, number in {"n_bidders": n_bidders, "n_segments": n_segments, "total_mw": total_mw}.items():
        if not 0 < number < np.inf:
            raise DataError(f"{what} must be above 0 and finite, got {number}")
    energy = validate(prices, "prices")["price"].to_numpy(float)
    if np.isnan(energy).any():
        raise DataError(f"prices has no price at {prices.index[np.isnan(energy)][0]}: give days without gaps")
    services = [list(LEVELS)[bidder % len(LEVELS)] for bidder in range(n_bidders)]
    quantity = _fleets(n_bidders, n_segments, total_mw, rng)
    worth = _worth(services, n_segments, rng) * _usual(energy)
    busy = 1 + _SWING * np.sin((pd.DatetimeIndex(prices.index).hour.to_numpy() - 10) * np.pi / 12)
    demand = np.where(np.array(services) == "inference", busy[:, None], 1.0)
    price = worth[None] * demand[:, :, None] - energy[:, None, None]
    n_rows = n_bidders * n_segments
    names = np.repeat([f"{service}_{bidder + 1}" for bidder, service in enumerate(services)], n_segments)
    bids = pd.DataFrame(
        {
            "time": prices.index.repeat(n_rows),
            "bidder": pd.Series(np.tile(names, len(prices)), dtype="str"),
            "service": pd.Series(np.tile(np.repeat(services, n_segments), len(prices)), dtype="str"),
            "quantity_mw": np.tile(quantity.ravel(), len(prices)),
            "price": price.round(2).ravel(),
        }
    )
    bids.attrs = {"source": "bids made here", "simulated": True}
    return bids


def _fleets(n_bidders: int, n_segments: int, total_mw: float, rng: np.random.Generator) -> Floats:
    size = rng.lognormal(0.0, 0.5, (n_bidders, 1)) * rng.uniform(0.5, 1.5, (n_bidders, n_segments))
    return np.asarray(size * total_mw / size.sum())


def _worth(services: list[str], n_segments: int, rng: np.random.Generator) -> Floats:
    """What a MWh earns in each bidder's machines over the usual price, the best machines first."""
    best = np.array([LEVELS[service] for service in services]) * rng.lognormal(0.0, _SPREAD, len(services))
    next_over_last = rng.uniform(_STEP_LOW, _STEP_HIGH, (len(services), n_segments))
    next_over_last[:, 0] = 1.0
    return np.asarray(best[:, None] * np.cumprod(next_over_last, axis=1))


def _usual(energy: Floats) -> float:
    """The median of what is above zero, or one where nothing is. [$/MWh]"""
    above = energy[energy > 0]
    return float(np.median(above)) if len(above) else 1.0


def _times(column: pd.Series, name: str) -> pd.Series:
    if isinstance(column.dtype, pd.DatetimeTZDtype):
        return column.dt.tz_convert("UTC")
    text = column.astype(str).str.strip()
    offset = text.str.contains(r"(?:[Zz]|[+-]\d{2}(?::?\d{2})?)$") & text.str.contains(r"\d[T ]\d")
    times = pd.to_datetime(text.where(offset), format="ISO8601", utc=True, errors="coerce")
    _refuse(column, times.isna(), name, "is no time with its offset from UTC: write it 2024-01-31T13:00Z")
    return times


def _words(column: pd.Series, name: str) -> pd.Series:
    text = column.astype("str").str.strip()
    _refuse(column, column.isna() | (text == ""), name, "names nobody: fill it or drop the row")
    return text


def _numbers(column: pd.Series, name: str) -> pd.Series:
    numbers = pd.to_numeric(column, errors="coerce").astype(float)
    _refuse(column, numbers.isna(), name, "is no number: mend it or drop the row")
    return numbers


def _plain(column: pd.Series) -> pd.Series:
    """A column of numbers where every cell that is not empty is one, else of words."""
    empty = column.isna() | (column.astype("str").str.strip() == "")
    numbers = pd.to_numeric(column.where(~empty), errors="coerce").astype(float)
    return numbers if numbers.notna().equals(~empty) else column.astype("str").where(~empty)


def _refuse(column: pd.Series, bad: pd.Series, name: str, why: str) -> None:
    if bad.any():
        line = column.index[int(np.argmax(bad.to_numpy()))]
        raise DataError(f"{column[line]!r} in column '{column.name}' of {name}, {place(line)}, {why}")
