"""Price processes by name, with one signature: calibrated on past prices, each goes on from those that are known."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from gridlab.errors import DataError
from gridlab.family import Family
from gridlab.scenarios.blocks import calibrate_price_blocks, simulate_block_bootstrap
from gridlab.scenarios.geometric import calibrate_gbm, simulate_gbm
from gridlab.scenarios.jumps import calibrate_kou, calibrate_merton, simulate_kou, simulate_merton
from gridlab.scenarios.ornstein_uhlenbeck import calibrate_ou, simulate_ou
from gridlab.scenarios.regimes import calibrate_regimes, regime_probabilities, simulate_regimes
from gridlab.scenarios.reverting_jumps import calibrate_mrjd, simulate_mrjd
from gridlab.scenarios.season import calibrate_season
from gridlab.schema import step_hours, validate

Floats = NDArray[np.float64]
Draw = Callable[[pd.DataFrame, pd.DatetimeIndex, int, np.random.Generator], Floats]

_MEMORY = 500  # steps before the paths begin, by which the regime of the last one is judged


@dataclass(frozen=True)
class PriceProcess:
    """
    A price process, calibrated.

    Parameters
    ----------
    params : record
        What was estimated; ``params.table()`` has standard errors, where the process has parameters.
    draw : callable
        What `simulate` calls.
    goes_on : bool
        Whether paths go on from the last price known, and not from any.
    """

    params: Any
    draw: Draw
    goes_on: bool = True

    def simulate(
        self,
        known: pd.DataFrame,
        times: pd.DatetimeIndex,
        *,
        n_paths: int,
        rng: np.random.Generator,
        limits: tuple[float, float] | None = None,
    ) -> Floats:
        """
        Draw price paths that go on from the last price known.

        Parameters
        ----------
        known : DataFrame
            A `prices` table that ends before ``times[0]``, with a price; what lies between its last price and then is
            simulated too, and left out.
        times : DatetimeIndex, shape (n_steps,)
            UTC times to simulate, on the grid of the prices.
        n_paths : int
            Paths to draw.
        rng : Generator
            Source of randomness.
        limits : tuple of float, optional
            The market's least and greatest price, which paths are cut at; none when omitted. A process that does not
            revert, such as ``merton`` and ``kou``, leaves them sooner or later. [$/MWh]

        Returns
        -------
        ndarray, shape (n_paths, n_steps)
            Price paths; `block_bootstrap` draws whole days by slot of the market's clock, which on days of 23 and 25
            hours are not as many as their times. [$/MWh]

        Raises
        ------
        DataError
            If `known` has no price or one at or after ``times[0]``, the limits cross, or a number is out of range.
        """
        if not known["price"].notna().any():
            raise DataError("the prices known have none to go on from: give history before the times to simulate")
        if limits is not None and not limits[0] < limits[1]:
            raise DataError(f"limits must rise, got {limits}: give the market's least price and then its greatest")
        known = known.loc[: known["price"].last_valid_index()]
        if known.index[-1] >= times[0]:
            raise DataError(
                f"a price of {known.index[-1]} is known, at or after {times[0]}, the first to simulate: cut it"
            )
        step = pd.Timedelta(known.index[-1] - known.index[-2]) if known.index.freq is None else known.index.freq
        between = pd.date_range(known.index[-1], times[0], freq=step)[1:]
        between = between[between < times[0]]
        if not self.goes_on or len(between) == 0:
            paths = self.draw(known, times, n_paths, rng)
        else:
            paths = self.draw(known, between.append(times), n_paths, rng)[:, len(between) :]
        return paths if limits is None else np.clip(paths, *limits)


def price_process(
    name: str, past: pd.DataFrame, *, market_tz: str = "UTC", rng: np.random.Generator | None = None
) -> PriceProcess:
    """
    Calibrate a price process by its name.

    Parameters
    ----------
    name : str
        One of `PRICE_PROCESSES`. ``ou``, ``regimes``, ``merton`` and ``kou`` are fitted to what `Season.remove` leaves
        of the prices, ``mrjd`` has such a season of its own, ``gbm`` is fitted to the prices as they are, and
        ``block_bootstrap`` draws whole days of them, whatever the last price was.
    past : DataFrame
        A `prices` table to calibrate on. NaN is a gap.
    market_tz : str
        Time zone of the season's clock.
    rng : Generator, optional
        Source of randomness, for the starts of ``regimes``; other processes need none.

    Returns
    -------
    PriceProcess

    Raises
    ------
    DataError
        If there is no such process, ``regimes`` is given no `rng`, or the process refuses the prices.

    Examples
    --------
    >>> from gridlab.schema import mock_prices, mock_times
    >>> past = mock_prices(days=60)
    >>> process = price_process("block_bootstrap", past)
    >>> tomorrow = mock_times(days=1, start="2024-03-01")
    >>> process.simulate(past, tomorrow, n_paths=100, rng=np.random.default_rng(0)).shape
    (100, 24)
    """
    calibrate = PRICE_PROCESSES[name]
    return calibrate(validate(past, "prices"), market_tz, rng)


def _of_season(
    calibrate: Callable[..., Any], simulate: Callable[..., Floats], past: pd.DataFrame, market_tz: str, _: Any
) -> PriceProcess:
    season = calibrate_season(past, market_tz=market_tz)
    params = calibrate(season.remove(past), dt=step_hours(past.index))

    def draw(known: pd.DataFrame, times: pd.DatetimeIndex, n_paths: int, rng: np.random.Generator) -> Floats:
        start = season.remove(known.iloc[-1:]).iloc[-1]
        return season.restore(simulate(params, start=start, n_steps=len(times), n_paths=n_paths, rng=rng), times)

    return PriceProcess(params, draw)


def _regimes(past: pd.DataFrame, market_tz: str, rng: np.random.Generator | None) -> PriceProcess:
    if rng is None:
        raise DataError("regimes needs an rng for its starts: give rng=numpy.random.default_rng(seed)")
    season = calibrate_season(past, market_tz=market_tz)
    params = calibrate_regimes(season.remove(past), rng=rng)

    def draw(known: pd.DataFrame, times: pd.DatetimeIndex, n_paths: int, rng: np.random.Generator) -> Floats:
        x = season.remove(known.iloc[-_MEMORY:])
        moves = x.diff().abs().sum() > 0
        regime = regime_probabilities(params, x, smooth=False)[-1] if moves else None
        size = {"n_steps": len(times), "n_paths": n_paths}
        paths = simulate_regimes(params, start=x.iloc[-1], start_regime=regime, rng=rng, **size)
        return season.restore(paths, times)

    return PriceProcess(params, draw)


def _mrjd(past: pd.DataFrame, market_tz: str, _: Any) -> PriceProcess:
    params = calibrate_mrjd(past, market_tz=market_tz)

    def draw(known: pd.DataFrame, times: pd.DatetimeIndex, n_paths: int, rng: np.random.Generator) -> Floats:
        return simulate_mrjd(params, start=known["price"].iloc[-1], times=times, n_paths=n_paths, rng=rng)

    return PriceProcess(params, draw)


def _gbm(past: pd.DataFrame, market_tz: str, _: Any) -> PriceProcess:
    params = calibrate_gbm(past["price"], dt=step_hours(past.index))

    def draw(known: pd.DataFrame, times: pd.DatetimeIndex, n_paths: int, rng: np.random.Generator) -> Floats:
        start = known["price"].iloc[-1]
        return simulate_gbm(params, start=start, n_steps=len(times), n_paths=n_paths, rng=rng)

    return PriceProcess(params, draw)


def _block_bootstrap(past: pd.DataFrame, market_tz: str, _: Any) -> PriceProcess:
    params = calibrate_price_blocks(past, market_tz=market_tz)

    def draw(known: pd.DataFrame, times: pd.DatetimeIndex, n_paths: int, rng: np.random.Generator) -> Floats:
        n_days = max(1, round(len(times) / params.days.shape[1]))
        return simulate_block_bootstrap(params, n_days=n_days, n_paths=n_paths, rng=rng)

    return PriceProcess(params, draw, goes_on=False)


PRICE_PROCESSES: Family[Callable[[pd.DataFrame, str, Any], PriceProcess]] = Family(
    "price process",
    {
        "ou": partial(_of_season, calibrate_ou, simulate_ou),
        "mrjd": _mrjd,
        "regimes": _regimes,
        "merton": partial(_of_season, calibrate_merton, simulate_merton),
        "kou": partial(_of_season, calibrate_kou, simulate_kou),
        "gbm": _gbm,
        "block_bootstrap": _block_bootstrap,
    },
)
"""Processes of prices alone, by name, for `price_process`; those around a forecast are in `sampler`."""
