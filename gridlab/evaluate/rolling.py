"""Rolling origin: forecasts as they would have been made."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from gridlab.days import WEEKLY_DAYS, Days, Floats, Learner, Said, day_times, filled, fold, market_dates, unfold
from gridlab.errors import DataError
from gridlab.evaluate.asking import Answer, Question, answers, questions
from gridlab.evaluate.foreign import SktimeDays
from gridlab.schema import quantile_column, validate


def roll(
    forecaster: Any,
    prices: pd.DataFrame,
    *,
    first_day: str,
    days: int,
    quantiles: Sequence[float] = (0.1, 0.5, 0.9),
    n_jobs: int = 1,
    market_tz: str | None = None,
    target: str = "price",
    client: Any = None,
    store: str | Path | None = None,
    progress: bool = False,
) -> pd.DataFrame:
    """
    Day-ahead forecasts of a run of days, each from the prices before its midnight and its inputs alone.

    Parameters
    ----------
    forecaster : forecaster
        A member of `gridlab.forecast.MODELS`, or any sktime forecaster; it is not changed. Ours are refitted as
        often as their `refit_days` says, others for every day.
    prices : DataFrame
        A `prices` table. Columns that end in ``_forecast`` are the inputs known a day ahead.
    first_day : str
        The first market day to forecast.
    days : int
        Number of market days. Days that a gap touches are left out, of the fits as of the result; so are, of the
        result, days for which an input was not published at all.
    quantiles : sequence of float
        Probabilities in (0, 1), rising.
    n_jobs : int
        Processes; the result does not depend on it.
    market_tz : str, optional
        Time zone that says when a day begins; the forecaster's own where it has one, else UTC.
    target : str
        The column to forecast: ``price``, or another series of the table.
    client : distributed.Client, optional
        A Dask client, whose workers then fit instead of processes of this machine.
    store : path, optional
        Folder that keeps every fit's forecasts as they are made: the same call, begun again after an interruption,
        makes only those that are missing.
    progress : bool
        Whether to draw a progress bar.

    Returns
    -------
    DataFrame
        A `forecast` table: index (origin, time), columns `mean` and a column for each quantile. [$/MWh] The days on
        which a model failed are filled by the EPF-standard naive and listed by `failures`.

    Raises
    ------
    DataError
        If the days lie outside the data, the history is too short for the model, the quantiles are not rising in
        (0, 1), the forecaster gives no quantiles, its time zone is another, there is no such target, or `n_jobs` is
        below 1.
    RunError
        If a model fails on every day.

    Examples
    --------
    >>> from gridlab.forecast import MODELS
    >>> from gridlab.schema import mock_prices
    >>> forecast = roll(MODELS["naive"](), mock_prices(days=30), first_day="2024-01-28", days=2)
    >>> forecast.shape, list(forecast.columns)
    ((48, 4), ['mean', 'q10', 'q50', 'q90'])
    """
    validate(prices, "prices")
    if n_jobs < 1:
        raise DataError(f"n_jobs must be at least 1, got {n_jobs}")
    if target not in prices:
        raise DataError(f"there is no column {target!r} to forecast: choose one of {', '.join(prices.columns)}")
    market_tz = _market_tz(forecaster, market_tz)
    names = ["mean", *_quantile_names(quantiles)]
    known = fold(prices, market_tz, target=target)
    kept = scored_rows(known, first_day, days)
    if not hasattr(forecaster, "new_aggregate"):
        forecaster = SktimeDays(forecaster, prices, market_tz, quantiles)
    rehearsal = forecaster.rehearsal(known[: kept[0]])
    asked = [question for part in forecaster.parts() for question in questions(part, rehearsal, kept)]
    said = answers(asked, known, n_jobs=n_jobs, client=client, store=store, progress=progress)
    heard = _heard(asked, said, known)
    values = _learned(forecaster.new_aggregate(), heard, known, kept, quantiles)
    table = _forecast_table(values, known.dates[kept], names, prices, market_tz)
    table.attrs["failures"] = [failure for failure in heard.failures if failure["date"] in known.dates[kept]]
    return table


def failures(forecast: pd.DataFrame) -> pd.DataFrame:
    """
    Days on which a model failed and what it said, filled by the EPF-standard naive where no other member spoke.

    Parameters
    ----------
    forecast : DataFrame
        From `roll` or `roll_many`.

    Returns
    -------
    DataFrame
        Columns `model` (where there are several), `date`, `part` and `reason`; no rows if all went well.

    Examples
    --------
    >>> from gridlab.forecast import MODELS
    >>> from gridlab.schema import mock_prices
    >>> len(failures(roll(MODELS["naive"](), mock_prices(days=30), first_day="2024-01-28", days=2)))
    0
    """
    return pd.DataFrame(forecast.attrs.get("failures", []), columns=["model", "date", "part", "reason"])


def roll_many(forecasters: Mapping[str, Any], prices: pd.DataFrame, **options: Any) -> pd.DataFrame:
    """
    Forecasts of several forecasters over the same days.

    Parameters
    ----------
    forecasters : mapping of str to forecaster
        Forecasters by the name that the result gives them.
    prices : DataFrame
        A `prices` table.
    **options
        As for `roll`.

    Returns
    -------
    DataFrame
        `forecast` tables, one below another, with `model` as the first level of the index.

    Raises
    ------
    DataError
        If there is no forecaster, or as `roll` does.

    Examples
    --------
    >>> from gridlab.forecast import MODELS
    >>> from gridlab.schema import mock_prices
    >>> both = {name: MODELS[name]() for name in ("naive_day", "naive_week")}
    >>> roll_many(both, mock_prices(days=30), first_day="2024-01-28", days=2).groupby("model").size().tolist()
    [48, 48]
    """
    if not forecasters:
        raise DataError("there is no forecaster to roll: name at least one")
    forecasts = {name: roll(one, prices, **options) for name, one in forecasters.items()}
    failed = [{**row, "model": name} for name, one in forecasts.items() for row in one.attrs.pop("failures")]
    table = pd.concat(forecasts, names=["model"])
    table.attrs["failures"] = failed
    return table


def last_days(prices: pd.DataFrame, days: int, *, history_days: int = 28, market_tz: str = "UTC") -> tuple[str, int]:
    """
    The last days of a table that can be scored: as many as asked for, or as leave enough history before them.

    Parameters
    ----------
    prices : DataFrame
        A `prices` table.
    days : int
        Days wanted.
    history_days : int
        Whole days to leave before the first.
    market_tz : str
        Time zone that says when a day begins.

    Returns
    -------
    first_day : str
    days : int

    Raises
    ------
    DataError
        If `days` is below 1, or not one day is left.

    Examples
    --------
    >>> from gridlab.schema import mock_prices
    >>> last_days(mock_prices(days=40), 56)
    ('2024-01-29', 12)
    """
    if days < 1:
        raise DataError(f"days must be at least 1, got {days}")
    known = fold(prices[["price"]], market_tz)
    whole = np.flatnonzero(known.is_whole)
    if len(whole) <= history_days:
        raise DataError(
            f"the prices have {len(whole)} whole days of {len(known)}, {history_days + 1} are needed: give a longer "
            "file, or fill its gaps"
        )
    end = int(whole[-1])
    first = max(int(whole[history_days]), end - days + 1)
    return str(known.dates[first].date()), end - first + 1


def _market_tz(forecaster: Any, market_tz: str | None) -> str:
    own = getattr(forecaster, "market_tz", None)
    if own is not None and market_tz is not None and own != market_tz:
        raise DataError(f"the forecaster's market_tz is {own}, not {market_tz}: make it with market_tz={market_tz!r}")
    return market_tz or own or "UTC"


def _quantile_names(quantiles: Sequence[float]) -> list[str]:
    names = [quantile_column(q) for q in quantiles]
    if list(quantiles) != sorted(set(quantiles)):
        raise DataError(f"quantiles must rise, got {list(quantiles)}")
    return names


def scored_rows(known: Days, first_day: str, days: int) -> list[int]:
    """Rows that can be scored: those that no gap touches, with some value of every input."""
    can_be_scored = known.is_whole & known.has_inputs
    kept = [row for row in _rows(known, first_day, days) if can_be_scored[row]]
    if not kept:
        raise DataError(f"a gap touches each of the {days} days from {first_day}: choose other days")
    return kept


def _rows(known: Days, first_day: str, days: int) -> range:
    date = pd.to_datetime(first_day, errors="coerce")
    if pd.isna(date) or date.tz is not None:
        raise DataError(f"first_day must be a date such as 2024-03-01, got {first_day!r}")
    first = (date - known.dates[0]).days
    if days < 1:
        raise DataError(f"days must be at least 1, got {days}")
    if first < 0 or first + days > len(known):
        span = f"{known.dates[0].date()} to {known.dates[-1].date()}"
        raise DataError(f"{days} days from {first_day} do not lie in the data ({span}): choose others")
    return range(first, first + days)


@dataclass(frozen=True)
class _Heard:
    """
    What all parts say of some rows, side by side, NaN where a part failed, and the failures in words.

    The spread is that of a forecaster of one part; where there are several it is 1.
    """

    rows: list[int]
    experts: Floats
    spread: Floats
    failures: list[dict[str, Any]]


def _heard(asked: Sequence[Question], said: Sequence[Answer], known: Days) -> _Heard:
    parts = list({id(question.part): question.part for question in asked}.values())
    of_part = [[pair for pair in zip(asked, said, strict=True) if pair[0].part is part] for part in parts]
    rows = sorted({row for question in asked for row in question.rows})
    sides = [_side(pairs, rows, known) for pairs in of_part]
    return _Heard(
        rows,
        np.concatenate([experts for experts, _, _ in sides], axis=2),
        sides[0][1] if len(sides) == 1 else np.ones_like(sides[0][1]),
        [failure for _, _, failures in sides for failure in failures],
    )


def _side(pairs: list[tuple[Question, Answer]], rows: list[int], known: Days) -> tuple[Floats, Floats, list[Any]]:
    """What one part says of each row; a part that never speaks is refused."""
    answered = {
        row: one
        for question, answer in pairs
        if not isinstance(answer, Exception)
        for row, one in zip(question.rows, answer, strict=True)
    }
    failed = [(question, answer) for question, answer in pairs if isinstance(answer, Exception)]
    if not answered:
        raise failed[0][1]
    silent = Said(*(np.full_like(values, np.nan) for values in vars(next(iter(answered.values()))).values()))
    all_rows = [answered.get(row, silent) for row in rows]
    spread = np.stack([one.spread for one in all_rows])
    failures = [
        {"date": known.dates[row], "part": type(question.part).__name__, "reason": f"{type(error).__name__}: {error}"}
        for question, error in failed
        for row in question.rows
    ]
    typical = np.median([one.spread for one in answered.values()], axis=0)
    return np.stack([one.experts for one in all_rows]), np.where(np.isnan(spread), typical, spread), failures


def _learned(learner: Learner, heard: _Heard, known: Days, kept: list[int], quantiles: Sequence[float]) -> Floats:
    """Mean and quantiles of each kept row, (n_rows, n_slots, 1 + n_quantiles), learned from the rows before it."""
    values, wanted = [], set(kept)
    for row, experts, spread in zip(heard.rows, heard.experts, heard.spread, strict=True):
        spoken = experts[:, ~np.isnan(experts).any(axis=0)]
        stand_in = spoken.mean(axis=1) if spoken.shape[1] else _naive(known, row)
        voices = np.where(np.isnan(experts), stand_in[:, None], experts)
        if row in wanted:
            values.append(learner.forecast(voices, spread, quantiles))
        if spoken.shape[1]:
            learner.observe(voices, spread, known.price[row])
    return np.stack(values)


def _naive(known: Days, row: int) -> Floats:
    """The EPF-standard naive of a row."""
    past = filled(known[:row]).price
    return np.asarray(past[-7 if known.dates[row].weekday() in WEEKLY_DAYS and len(past) >= 7 else -1])


def _forecast_table(
    values: Floats, dates: pd.DatetimeIndex, names: list[str], prices: pd.DataFrame, market_tz: str
) -> pd.DataFrame:
    """Rows by (origin, time): every interval of the dates, whose origin is the first of its date."""
    grid = pd.DatetimeIndex(prices.index)
    first, last = (day_times(date, grid, market_tz) for date in (dates[0], dates[-1]))
    times = pd.date_range(first[0], last[-1], freq=grid.freq, name="time")
    days = market_dates(times, market_tz)
    times, days = times[days.isin(dates)], days[days.isin(dates)]
    every = pd.DatetimeIndex(pd.date_range(dates[0], dates[-1], freq="D"))
    table = np.full((len(every), *values.shape[1:]), np.nan)
    table[every.isin(dates)] = values
    opens = np.flatnonzero(np.append(True, days[1:] != days[:-1]))
    origins = times[np.repeat(opens, np.diff(np.append(opens, len(times))))]
    index = pd.MultiIndex.from_arrays([origins, times], names=["origin", "time"])
    return pd.DataFrame(unfold(table, every, times, market_tz), index=index, columns=names)
