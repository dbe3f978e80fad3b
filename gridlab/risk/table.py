"""Does a risk number hold? One table of all backtests of a model, one table of many models, and their daily scores."""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy.special import chdtrc

from gridlab.errors import DataError
from gridlab.risk.coverage import christoffersen, dynamic_quantile, kupiec, least_days, traffic_light
from gridlab.risk.historical import Floats, checked_level, refuse_unordered
from gridlab.risk.p_values import BacktestResult
from gridlab.risk.scoring import Form, Measured, checked_measures, fissler_ziegel, quantile_score
from gridlab.risk.shortfall import AcerbiSzekely, acerbi_szekely, mcneil_frey

COLUMNS = ("loss", "var", "cvar")

ASKS = {
    "kupiec": "are there as many hits as there should be?",
    "independence": "do hits come together?",
    "conditional_coverage": "both at once",
    "dynamic_quantile": "can hits be foreseen?",
    "traffic_light": "are there too many hits?",
    "acerbi_szekely_z1": "are losses of hits as large as the CVaR says?",
    "acerbi_szekely_z2": "are hits as many and as large as said?",
    "ridge": "is the CVaR large enough?",
    "mcneil_frey": "is the mean loss of hits the CVaR?",
}
"""What each test of `backtest_measures` asks."""

_NOTHING = BacktestResult(np.array(np.nan), np.array(np.nan))


class _Row(NamedTuple):
    """A test, what it found, why it rejects if it does, and why it has no answer if it has none."""

    test: str
    result: BacktestResult
    if_rejected: str
    if_silent: str = ""


def backtest_measures(
    measures: pd.DataFrame,
    level: float,
    *,
    simulated: ArrayLike | None = None,
    exact: bool = False,
    rng: np.random.Generator | None = None,
    significance: float = 0.05,
    lags: int = 4,
) -> pd.DataFrame:
    """
    Every backtest of a model's VaR and CVaR, one row a test.

    Parameters
    ----------
    measures : DataFrame, index `date`
        Columns `loss`, what was lost on the day, positive when money is paid, and `var` and `cvar`, which the model
        said before it, as `roll_measures` gives them. [$]
    level : float
        Confidence level of both measures, ``0 < level < 1``. [-]
    simulated : array_like, shape (n_simulations, n_days), optional
        Losses drawn from what the model said for each day, 999 or more; the tests of the CVaR need them. [$]
    exact : bool
        Take p-values that hold for few days from the exact law of the hits, as `kupiec` and `christoffersen` do,
        without a coin even if there is `rng`: of these, the same measures always get the same.
    rng : Generator, optional
        Simulates the law of `dynamic_quantile`, resamples for `mcneil_frey` where nothing is simulated, and unless
        `exact` breaks ties by a coin in p-values that hold for few days.
    significance : float
        P-value at or below which a test rejects. [-]
    lags : int
        Days before that `dynamic_quantile` looks at. [d]

    Returns
    -------
    DataFrame, index `test`
        `asks`, the question of the test, `statistic`, `p_value`, `says`, and `n_days`, `hits` and `expected_hits`.
        `says` is "holds", or "rejected: " and why, or "no answer: " and why. The rows are `kupiec`, `independence`,
        `conditional_coverage`, `dynamic_quantile`, `traffic_light` (the statistic is the number of hits, the p-value
        that of so many or more, `says` names the zone as well), and, of the CVaR, `acerbi_szekely_z1`,
        `acerbi_szekely_z2`, `ridge` and `mcneil_frey`.

    Raises
    ------
    DataError
        If a column is missing or not finite, the dates do not rise, a CVaR is below its VaR, `significance` is outside
        (0, 1), `lags` is negative, or there are fewer than two days.

    Notes
    -----
    The tests are many: of a model that holds, at least one of nine rejects at 5 % in about 22 % of the cases (1,000
    series of 500 normal losses, at 95 %). `conditional_coverage` and `dynamic_quantile` ask two things at once; why
    they reject is the one that speaks louder against the model, the number of the hits or their order.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> dates = pd.date_range("2024-01-01", periods=500, name="date")
    >>> measures = pd.DataFrame({"loss": rng.normal(size=500), "var": 1.2, "cvar": 1.6}, index=dates)
    >>> backtest_measures(measures, 0.95, simulated=0.75 * rng.normal(size=(999, 500)))["says"].head(3)
    test
    kupiec                  rejected: too many hits
    independence                              holds
    conditional_coverage    rejected: too many hits
    Name: says, dtype: str
    """
    if not 0 < significance < 1:
        raise DataError(f"significance must be in (0, 1), as 0.05, got {significance}")
    level = checked_level(level, above_zero=True)
    measured = _columns(measures, level)
    hits = measured.loss > measured.var
    rows = [
        *_coverage_rows(hits, measured.var, level, lags, exact, rng),
        *_shortfall_rows(measured, level, simulated, rng),
    ]
    found = pd.DataFrame([row.result for row in rows], index=pd.Index([row.test for row in rows], name="test"))
    found.insert(0, "asks", [ASKS[row.test] for row in rows])
    table = found.astype({"statistic": float, "p_value": float}).assign(says=[_says(row, significance) for row in rows])
    table.loc["traffic_light", "says"] += f" ({traffic_light(hits, level).zone} zone)"
    return table.assign(n_days=len(hits), hits=int(hits.sum()), expected_hits=len(hits) * (1 - level))


def compare_measures(
    models: Mapping[str, pd.DataFrame],
    level: float,
    *,
    exact: bool = False,
    rng: np.random.Generator | None = None,
    form: Form = "logistic",
) -> pd.DataFrame:
    """
    Models beside each other on the same days: their hits, p-values and mean scores, the best first.

    Parameters
    ----------
    models : mapping of str to DataFrame
        A table of measures by the model's name, all of the same days and losses, as for `backtest_measures`.
    level : float
        Confidence level of all measures, ``0 < level < 1``. [-]
    exact, rng
        As for `backtest_measures`.
    form : {"logistic", "zero_homogeneous"}
        Member of Fissler and Ziegel's family.

    Returns
    -------
    DataFrame, index `model`
        `n_days`, `hits`, `hit_share`, the p-values `kupiec`, `independence`, `conditional_coverage` and
        `dynamic_quantile` (NaN below 12 days), and the mean scores `quantile_score` [$] and `fissler_ziegel`, ordered
        by the last.

    Raises
    ------
    DataError
        As `backtest_measures` does, and if there are no models or their days or losses differ.

    Notes
    -----
    Whether the best differs from the next by more than chance is for ``evaluate.diebold_mariano`` and
    ``evaluate.model_confidence_set`` to say, which take the columns of `daily_scores`.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> dates = pd.date_range("2024-01-01", periods=500, name="date")
    >>> right = pd.DataFrame({"loss": rng.normal(size=500), "var": 1.645, "cvar": 2.063}, index=dates)
    >>> models = {"low": right.assign(var=1.2, cvar=1.5), "right": right}
    >>> compare_measures(models, 0.95)["hits"].to_dict()
    {'right': 22, 'low': 57}
    """
    scores = daily_scores(models, level, form=form)
    rows = {name: _model_row(_columns(measures, level), level, exact, rng) for name, measures in models.items()}
    table = pd.DataFrame.from_dict(rows, orient="index").rename_axis(index="model").astype({"n_days": int, "hits": int})
    return table.assign(fissler_ziegel=scores.mean()).sort_values("fissler_ziegel", kind="stable")


def daily_scores(models: Mapping[str, pd.DataFrame], level: float, *, form: Form = "logistic") -> pd.DataFrame:
    """
    Fissler and Ziegel's score of every model on every day, for tests of whether models differ.

    Parameters
    ----------
    models, level, form
        As for `compare_measures`.

    Returns
    -------
    DataFrame, index `date`, one column a model
        Scores; the lower, the better. [$], or [-] for ``form="zero_homogeneous"``

    Raises
    ------
    DataError
        As `compare_measures` does.

    Examples
    --------
    >>> dates = pd.date_range("2024-01-01", periods=3, name="date")
    >>> low = pd.DataFrame({"loss": [1.0, -2.0, 4.0], "var": 1.0, "cvar": 2.0}, index=dates)
    >>> daily_scores({"low": low, "high": low.assign(cvar=4.0)}, 0.5).shape
    (3, 2)
    """
    if not models:
        raise DataError("there is nothing to compare: give one table of measures or more, by the model's name")
    first = next(iter(models.values()))
    scores = {}
    for name, measures in models.items():
        measured = _columns(measures, level)
        if not measures.index.equals(first.index) or not np.array_equal(measured.loss, first["loss"].to_numpy(float)):
            raise DataError(f"the days or losses of model {name!r} differ from the first's: keep the days of all")
        scores[name] = fissler_ziegel(*measured, level, form=form)
    return pd.DataFrame(scores, index=first.index)


def _columns(measures: pd.DataFrame, level: float) -> Measured:
    missing = [column for column in COLUMNS if column not in measures]
    if missing:
        raise DataError(f"measures has no column '{missing[0]}' (it has {', '.join(map(str, measures.columns))})")
    refuse_unordered(measures.index)
    loss, var, cvar = (measures[column].to_numpy(dtype=float) for column in COLUMNS)
    return checked_measures(loss, var, cvar, level)


def _coverage_rows(
    hits: NDArray[np.bool_], var: Floats, level: float, lags: int, exact: bool, rng: np.random.Generator | None
) -> Iterator[_Row]:
    number = "too many hits" if hits.mean() > 1 - level else "too few hits"
    coin = None if exact else rng
    share, chain = kupiec(hits, level, exact=exact, rng=coin), christoffersen(hits, level, exact=exact, rng=coin)
    order = "hits come together" if _follow_each_other(chain.transitions) else "hits avoid each other"
    yield _Row("kupiec", share, number)
    yield _Row("independence", chain.independence, order)
    more = number if share.statistic > chain.independence.statistic else order
    yield _Row("conditional_coverage", chain.conditional_coverage, more)
    yield _foreseen(hits, var, level, lags, rng, number)
    light = traffic_light(hits, level, rng=coin)
    yield _Row("traffic_light", BacktestResult(hits.sum(), light.p_value), "too many hits")


def _foreseen(
    hits: NDArray[np.bool_], var: Floats, level: float, lags: int, rng: np.random.Generator | None, number: str
) -> _Row:
    """The dynamic quantile; it rejects for the number of hits where their mean alone says more than all the rest."""
    if lags >= 0 and len(hits) < least_days(lags):
        silent = f"with {lags} lags it needs at least {least_days(lags)} days, got {len(hits)}"
        return _Row("dynamic_quantile", _NOTHING, "", silent)
    statistic, p_value, rank = dynamic_quantile(hits, var, level, lags=lags, rng=rng)
    counted, share = hits[lags:], float(hits[lags:].mean())
    of_number = len(counted) * (share - (1 - level)) ** 2 / (level * (1 - level))
    spread = share * (1 - share)
    of_order = (statistic - of_number) * level * (1 - level) / spread if spread else 0.0
    by_order = chdtrc(rank - 1, max(of_order, 0.0)) if rank > 1 else 1.0
    why = "hits can be foreseen" if by_order <= chdtrc(1, of_number) else number
    return _Row("dynamic_quantile", BacktestResult(statistic, p_value), why)


def _follow_each_other(transitions: NDArray[np.int64]) -> bool:
    """Whether a hit is likelier after a hit than after none."""
    (n00, n01), (n10, n11) = transitions
    return bool(n11 * (n00 + n01) > n01 * (n10 + n11))


def _shortfall_rows(
    measured: Measured, level: float, simulated: ArrayLike | None, rng: np.random.Generator | None
) -> Iterator[_Row]:
    szekely, residuals = AcerbiSzekely(_NOTHING, _NOTHING, _NOTHING), _NOTHING
    if simulated is not None:
        szekely = acerbi_szekely(*measured, level, simulated=simulated, rng=rng)
    if simulated is not None or rng is not None:
        residuals = mcneil_frey(*measured, level, simulated=simulated, rng=rng)
    signs = "a CVaR is not above 0" if (measured.cvar <= 0).any() else "there are no hits"
    flat = "a CVaR is its VaR" if (measured.cvar <= measured.var).any() else "there are fewer than two different hits"
    unknown = "it needs losses simulated under the model"
    reasons = (unknown,) * 4 if simulated is None else (signs, signs, "", flat)
    larger = "losses of the hits exceed the CVaR"
    yield _Row("acerbi_szekely_z1", szekely.conditional, larger, reasons[0])
    yield _Row("acerbi_szekely_z2", szekely.unconditional, "hits are too many or too large", reasons[1])
    yield _Row("ridge", szekely.ridge, "the CVaR is too small", reasons[2])
    yield _Row("mcneil_frey", residuals, larger, flat if rng is not None else reasons[3])


def _says(row: _Row, significance: float) -> str:
    if np.isnan(row.result.statistic):
        return f"no answer: {row.if_silent}"
    return f"rejected: {row.if_rejected}" if row.result.p_value <= significance else "holds"


def _model_row(measured: Measured, level: float, exact: bool, rng: np.random.Generator | None) -> dict[str, float]:
    hits, coin = measured.loss > measured.var, None if exact else rng
    foreseen = _foreseen(hits, measured.var, level, 4, rng, "").result
    chain = christoffersen(hits, level, exact=exact, rng=coin)
    return {
        "n_days": len(hits),
        "hits": int(hits.sum()),
        "hit_share": float(hits.mean()),
        "kupiec": float(kupiec(hits, level, exact=exact, rng=coin).p_value),
        "independence": float(chain.independence.p_value),
        "conditional_coverage": float(chain.conditional_coverage.p_value),
        "dynamic_quantile": float(foreseen.p_value),
        "quantile_score": float(quantile_score(measured.loss, measured.var, level).mean()),
    }
