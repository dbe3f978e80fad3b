"""
Size and power of the backtests of VaR and CVaR: ``python benchmarks/risk_backtests.py [--series 2000] [--days ...]``.

Of each true model many series of losses are drawn and every backtest is asked at 5 %; the share that it rejects is its
size, which should lie between 3 and 7 %. It is printed for the p-values of the limit (chi-square; of McNeil and Frey's
test, a bootstrap; of the traffic light, so many hits or more), for exact ones without a coin, and for those that hold
for few days: exact with ties broken by a coin, or simulated. Against wrong models the share rejected by the last is the
power, the larger the better.
"""

import argparse
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from scipy import stats

from gridlab.risk.coverage import christoffersen, dynamic_quantile, kupiec, traffic_light
from gridlab.risk.shortfall import acerbi_szekely, mcneil_frey

SIGNIFICANCE = 0.05
KINDS = ("limit", "exact", "few days")  # p-values of the limit, exact without a coin, and those that hold for few days
DAYS = (250, 500, 1000)
LEVELS = (0.95, 0.975, 0.99)
OMEGA, ALPHA, BETA = 0.05, 0.10, 0.85  # of the GARCH(1,1), whose unconditional variance is 1
BLOCK = 100  # series of a GARCH that share their simulations


class Said(NamedTuple):
    """What happened, (n_series, n_days), what a model said for it, and draws of what the model says may happen."""

    loss: np.ndarray
    var: np.ndarray
    cvar: np.ndarray
    simulated: np.ndarray


class Tail(NamedTuple):
    """A law of losses: its value at risk, its expected shortfall and draws of it."""

    var: Callable[[float], float]
    cvar: Callable[[float], float]
    draw: Callable[..., np.ndarray]


def normal(scale: float = 1.0) -> Tail:
    def var(level: float) -> float:
        return scale * stats.norm.ppf(level)

    def cvar(level: float) -> float:
        return scale * stats.norm.pdf(stats.norm.ppf(level)) / (1 - level)

    return Tail(var, cvar, lambda size, rng: scale * rng.standard_normal(size))


def student(df: float) -> Tail:
    """Student's t with variance 1."""
    scale = np.sqrt((df - 2) / df)

    def cvar(level: float) -> float:
        quantile = stats.t.ppf(level, df)
        return scale * stats.t.pdf(quantile, df) * (df + quantile**2) / (df - 1) / (1 - level)

    return Tail(lambda level: scale * stats.t.ppf(level, df), cvar, lambda size, rng: scale * rng.standard_t(df, size))


def shortened(tail: Tail, level: float, share: float) -> Tail:
    """The law whose losses beyond the VaR exceed it by a share of what they should."""
    border = tail.var(level)

    def draw(size: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
        loss = tail.draw(size, rng)
        return loss - (1 - share) * np.maximum(loss - border, 0.0)

    return Tail(lambda _: border, lambda _: border + share * (tail.cvar(level) - border), draw)


def historical(losses: np.ndarray) -> Tail:
    """The law of a long history, whatever the day."""

    def cvar(level: float) -> float:
        return losses[losses > np.quantile(losses, level)].mean()

    return Tail(lambda level: float(np.quantile(losses, level)), cvar, lambda size, rng: rng.choice(losses, size))


def garch(n_series: int, n_days: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Losses of a GARCH(1,1) with normal shocks, and their volatility, after 500 days that are thrown away."""
    shocks = rng.standard_normal((n_days + 500, n_series))
    variance, loss = np.ones_like(shocks), shocks.copy()
    for day in range(1, len(shocks)):
        variance[day] = OMEGA + ALPHA * loss[day - 1] ** 2 + BETA * variance[day - 1]
        loss[day] = np.sqrt(variance[day]) * shocks[day]
    return loss[500:].T.copy(), np.sqrt(variance[500:]).T.copy()


def reject(said: Said, level: float, rng: np.random.Generator, n_simulations: int) -> pd.DataFrame:
    """Share of the series that each test rejects, by each kind of p-value."""
    hits, measures = said.loss > said.var, said[:3]
    limit, exact, coin = (christoffersen(hits, level, **kind) for kind in ({}, {"exact": True}, {"rng": rng}))
    szekely = acerbi_szekely(*measures, level, simulated=said.simulated, rng=rng)
    foreseen = dynamic_quantile(hits, said.var, level, rng=rng, n_simulations=n_simulations)
    p_values = {
        "kupiec": (kupiec(hits, level), kupiec(hits, level, exact=True), kupiec(hits, level, rng=rng)),
        "independence": (limit.independence, exact.independence, coin.independence),
        "cond_coverage": (limit.conditional_coverage, exact.conditional_coverage, coin.conditional_coverage),
        "dyn_quantile": (dynamic_quantile(hits, said.var, level), None, foreseen),
        "traffic_light": (traffic_light(hits, level), traffic_light(hits, level), traffic_light(hits, level, rng=rng)),
        "as_z1": (None, None, szekely.conditional),
        "as_z2": (None, None, szekely.unconditional),
        "ridge": (None, None, szekely.ridge),
        "mcneil_frey": (
            mcneil_frey(*measures, level, rng=rng, n_simulations=199),
            None,
            mcneil_frey(*measures, level, simulated=said.simulated, rng=rng),
        ),
    }
    return pd.DataFrame({test: [share(p) for p in kinds] for test, kinds in p_values.items()}, index=KINDS)


def share(result: Any) -> float:
    """Share of p-values at or below 5 %; NaN where a test has none."""
    return np.nan if result is None else float((result.p_value <= SIGNIFICANCE).mean())


def same_every_day(loss: np.ndarray, model: Tail, level: float, n_simulations: int, rng: np.random.Generator) -> Said:
    n_days = loss.shape[1]
    said = (np.full(n_days, measure(level)) for measure in (model.var, model.cvar))
    return Said(loss, *said, model.draw((n_simulations, n_days), rng))


def size_of_garch(
    n_series: int, n_days: int, level: float, n_simulations: int, rng: np.random.Generator
) -> pd.DataFrame:
    """Sizes under a GARCH with its true conditional measures: blocks of series, each with its own simulations."""
    loss, volatility = garch(n_series, n_days, rng)
    shock, tables = normal(), []
    for begin in range(0, n_series, BLOCK):
        rows = slice(begin, begin + BLOCK)
        scale = volatility[rows]
        draws = scale * shock.draw((199, 1, n_days), rng)
        said = Said(loss[rows], scale * shock.var(level), scale * shock.cvar(level), draws)
        tables.append(reject(said, level, rng, 999) * len(scale))
    return sum(tables) / n_series


def sizes(n_series: int, days: list[int], levels: list[float], n_simulations: int, seed: int) -> pd.DataFrame:
    rows = {}
    for n_days in days:
        for level in levels:
            rng = np.random.default_rng([seed, n_days, round(1000 * level)])
            for name, law in {"normal": normal(), "student t5": student(5)}.items():
                loss = law.draw((n_series, n_days), rng)
                said = same_every_day(loss, law, level, n_simulations, rng)
                rows[name, n_days, level] = reject(said, level, rng, n_simulations)
            rows["garch", n_days, level] = size_of_garch(n_series, n_days, level, n_simulations, rng)
    return pd.concat(rows, names=["model", "days", "level", "p_value"]).sort_index(level=0, sort_remaining=False)


def powers(n_series: int, days: list[int], levels: list[float], n_simulations: int, seed: int) -> pd.DataFrame:
    rows = {}
    for n_days in days:
        for level in levels:
            rng = np.random.default_rng([seed, 1, n_days, round(1000 * level)])
            shocks, wild = normal().draw((n_series, n_days), rng), garch(n_series, n_days, rng)[0]
            long_history = historical(garch(1000, 1000, rng)[0].ravel())
            wrong = {
                "all measures 20 % too low": (shocks, normal(0.8)),
                "historical under GARCH": (wild, long_history),
                "normal under t4": (student(4).draw(shocks.shape, rng), normal()),
                "CVaR too low, VaR right": (shocks, shortened(normal(), level, 0.6)),
            }
            for name, (loss, model) in wrong.items():
                said = same_every_day(loss, model, level, n_simulations, rng)
                rows[name, n_days, level] = reject(said, level, rng, n_simulations).loc[["few days"]]
    table = pd.concat(rows, names=["wrong model", "days", "level", "p_value"]).droplevel("p_value")
    return table.sort_index(level=0, sort_remaining=False)


def zones(days: list[int], levels: list[float]) -> pd.DataFrame:
    """Where the zones of the traffic light begin, and how likely a true model is in each."""
    rows = {}
    for n_days in days:
        for level in levels:
            light = traffic_light(np.zeros(n_days, dtype=bool), level)
            below = stats.binom.cdf([light.yellow - 1, light.red - 1], n_days, 1 - level)
            rows[n_days, level] = [light.yellow, light.red, *(100 * np.diff([0, *below, 1]))]
    columns = ["yellow from", "red from", "green", "yellow", "red"]
    table = pd.DataFrame.from_dict(rows, orient="index", columns=columns).astype(dict.fromkeys(columns[:2], int))
    return table.set_axis(pd.MultiIndex.from_tuples(table.index, names=["days", "level"]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--series", type=int, default=2000, help="series of each model")
    parser.add_argument("--days", type=int, nargs="+", default=DAYS)
    parser.add_argument("--levels", type=float, nargs="+", default=LEVELS)
    parser.add_argument("--simulations", type=int, default=4999, help="draws for p-values of models without GARCH")
    parser.add_argument("--seed", type=int, default=7)
    asked = parser.parse_args()
    study = (asked.series, asked.days, asked.levels, asked.simulations, asked.seed)
    size = sizes(*study)
    for kind in KINDS:
        title = f"Size, p-values {kind!r}: share of {asked.series} true models rejected at 5 % [%]"
        show(title, 100 * size.xs(kind, level="p_value"))
    few = 100 * size.xs("few days", level="p_value")
    outside = int(((few < 3) | (few > 7)).sum(axis=None))
    show(
        f"Least and greatest size, 'few days' [%]: {outside} of {few.size} outside 3 to 7 %", few.agg(["min", "max"]), 2
    )
    show(f"Power, p-values 'few days': share of {asked.series} wrong models rejected at 5 % [%]", 100 * powers(*study))
    show("Zones of the traffic light: probability of each under a true model [%]", zones(asked.days, asked.levels), 3)


def show(title: str, table: pd.DataFrame, digits: int = 1) -> None:
    print(f"\n{title}\n{table.dropna(axis=1).round(digits).to_string()}", flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
