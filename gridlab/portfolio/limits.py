"""Limits of a portfolio: bounds of each weight, their total, the site's caps that couple them, and turnover."""

from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from gridlab.errors import DataError, PlanError

Floats = NDArray[np.float64]
ByAsset: TypeAlias = ArrayLike | Mapping[Any, float] | pd.Series

_BY_ASSET = ("lower", "upper", "held", "turnover_cost")  # fields that may be given by the assets' names
_ROUNDING = 1e-9  # of the largest number at hand, by which limits may miss each other


@dataclass(frozen=True, eq=False)
class Limits:
    r"""
    What weights have to keep to.

    .. math::
        l \le w \le u, \qquad \textstyle\sum_i w_i = \text{total}, \qquad C w \le \text{cap}, \qquad
        \textstyle\sum_i |w_i - h_i| \le \text{most\_turnover}.

    Weights are shares of a total of 1, or MW where `total` and the bounds are. Bounds, weights held and costs may also
    be a mapping or a Series by the assets' names, each of them once, where the assets have names: the columns of a
    DataFrame.

    Parameters
    ----------
    lower, upper : float, array_like, shape (n_assets,), or mapping
        Bounds of each weight; infinite where there is none.
    total : float or None
        What the weights sum to; None where they may sum to anything.
    coupling : array_like, shape (n_rows, n_assets), optional
        What a unit of each asset takes of what is shared, such as MW of the site's connection.
    cap : float or array_like, shape (n_rows,), optional
        How much of each there is.
    names : sequence of str
        What the rows of `coupling` are called in messages, ``row 0`` and so on by default.
    held : array_like, shape (n_assets,), or mapping, optional
        Weights held now, from which turnover counts.
    turnover_cost : float, array_like, shape (n_assets,), or mapping
        Cost of a unit of weight bought or sold. [unit of the returns]
    most_turnover : float, optional
        Greatest sum of weights bought and sold.

    Raises
    ------
    DataError
        If a lower bound lies above the upper one, `coupling` and `cap` differ in rows, a cost is negative or a number
        is NaN.

    Examples
    --------
    >>> Limits(upper=0.6, coupling=[[1.0, 1.0, 0.0]], cap=0.7, names=["site cap"]).violation([0.5, 0.4, 0.1])
    0.2
    >>> Limits(lower=0.5).of(3)
    Traceback (most recent call last):
    gridlab.errors.DataError: the lower bounds sum to 1.5, above total = 1: lower them or raise total
    >>> Limits(upper={"regulation": 0.4, "energy": 1.0}).of(2, ["energy", "regulation"]).upper.tolist()
    [1.0, 0.4]
    """

    lower: ByAsset = 0.0
    upper: ByAsset = 1.0
    total: float | None = 1.0
    coupling: ArrayLike | None = None
    cap: ArrayLike | None = None
    names: Sequence[str] = ()
    held: ByAsset | None = None
    turnover_cost: ByAsset = 0.0
    most_turnover: float | None = None

    def __post_init__(self) -> None:
        lower, upper, cost = (_numbers(value) for value in (self.lower, self.upper, self.turnover_cost))
        _check_numbers(lower, upper)
        if not (_has_names(self.lower) or _has_names(self.upper)):
            _check_order(lower, upper, ())
        if not ((cost >= 0) & (cost < np.inf)).all():
            raise DataError(f"turnover_cost must be finite and not negative, got {_told(cost)}")
        if self.total is not None and not np.isfinite(self.total):
            raise DataError(f"total must be finite, or None where weights may sum to anything, got {self.total}")
        if self.most_turnover is not None and not 0 <= self.most_turnover < np.inf:
            raise DataError(f"most_turnover must be 0 or above, or None where there is none, got {self.most_turnover}")
        if (self.coupling is None) != (self.cap is None):
            missing = "coupling" if self.coupling is None else "cap"
            raise DataError(f"{missing} is missing: coupling and cap are given together or not at all")

    def of(self, n_assets: int, names: Iterable[Hashable] | None = None) -> "LimitArrays":
        """
        The limits of a number of assets, as arrays.

        Parameters
        ----------
        n_assets : int
            How many weights there are.
        names : iterable, optional
            What the assets are called, in the order of the weights; limits by name need it, and messages use it.

        Returns
        -------
        LimitArrays

        Raises
        ------
        DataError
            If an array has another number of assets, limits by name have other names than the assets or these have no
            names, the bounds alone exclude the total, or turnover has a cost or a limit and nothing is `held`.
        """
        assets = None if names is None else tuple(names)
        if assets is not None and len(assets) != n_assets:
            raise DataError(f"names must be {n_assets}, one for each asset, got {len(assets)}: {assets}")
        lower, upper, cost = (
            _per_asset(getattr(self, name), name, n_assets, assets) for name in ("lower", "upper", "turnover_cost")
        )
        _check_order(lower, upper, assets or ())
        held = None if self.held is None else _per_asset(self.held, "held", n_assets, assets)
        if held is not None and not np.isfinite(held).all():
            raise DataError(f"held must be finite, got {_told(held)}")
        if held is None and (cost.any() or self.most_turnover is not None):
            raise DataError("turnover has a cost or a limit and held is missing: give the weights held now")
        coupling, cap = self._coupling(n_assets)
        rows = tuple(self.names) or tuple(f"row {row}" for row in range(len(cap)))
        if len(rows) != len(cap):
            raise DataError(f"names must be {len(cap)}, one for each row of coupling, got {len(rows)}: {rows}")
        _check_total(lower, upper, self.total)
        return LimitArrays(
            lower, upper, self.total, coupling, cap, rows, held, cost, self.most_turnover, assets=assets or ()
        )

    def aligned(self, names: Iterable[Hashable]) -> "Limits":
        """
        The same limits with what is given by name as arrays in the order of the assets.

        Parameters
        ----------
        names : iterable
            What the assets are called, in the order of the weights.

        Returns
        -------
        Limits

        Raises
        ------
        DataError
            If limits by name have other names than the assets.
        """
        assets = tuple(names)
        arrays: dict[str, Any] = {
            name: _per_asset(getattr(self, name), name, len(assets), assets)
            for name in _BY_ASSET
            if _has_names(getattr(self, name))
        }
        return replace(self, **arrays)

    def _coupling(self, n_assets: int) -> tuple[Floats, Floats]:
        if self.coupling is None or self.cap is None:
            return np.empty((0, n_assets)), np.empty(0)
        coupling = np.atleast_2d(np.asarray(self.coupling, dtype=float))
        if coupling.ndim != 2 or coupling.shape[1] != n_assets:
            raise DataError(f"coupling must have shape (n_rows, {n_assets}), a column an asset, got {coupling.shape}")
        cap = np.asarray(self.cap, dtype=float)
        if cap.ndim > 1 or cap.size not in (1, len(coupling)):
            raise DataError(f"cap must have shape ({len(coupling)},), one for each row of coupling, got {cap.shape}")
        if not np.isfinite(coupling).all() or np.isnan(cap).any() or (cap == -np.inf).any():
            raise DataError(f"coupling must be finite and cap a number, got {_told(coupling)} and {_told(cap)}")
        return coupling, np.array(np.broadcast_to(cap, len(coupling)))

    def violation(self, weights: ArrayLike) -> float:
        """
        By how much weights miss the limit that they miss most; 0 where they keep to all of them.

        Parameters
        ----------
        weights : array_like, shape (n_assets,)
            The weights.

        Returns
        -------
        float
            In the unit of the limit that is missed.
        """
        weights = np.asarray(weights, dtype=float)
        return round(self.of(len(weights)).violation(weights), 15)


class Rows(NamedTuple):
    """Limits as a system in weights and, where turnover counts, moves: ``equal x = sum``, ``most x <= side``."""

    equal: Floats
    sums: Floats
    most: Floats
    sides: Floats


class Shape(NamedTuple):
    """What a programme with limits is compiled for."""

    n_assets: int
    n_rows: int
    has_total: bool
    has_moves: bool
    has_most: bool


@dataclass(frozen=True, eq=False)
class LimitArrays:
    """
    The limits of a number of assets; what they mean, and their shapes, `Limits` says.

    Parameters
    ----------
    lower, upper, total, coupling, cap, names, held, turnover_cost, most_turnover
        As in `Limits`, each one as an array.
    assets : tuple
        What the assets are called, if they are.
    unit : float
        What a weight of 1 is in the unit that messages are in.
    """

    lower: Floats
    upper: Floats
    total: float | None
    coupling: Floats
    cap: Floats
    names: tuple[str, ...]
    held: Floats | None
    turnover_cost: Floats
    most_turnover: float | None
    assets: tuple[Hashable, ...] = ()
    unit: float = 1.0

    @property
    def shape(self) -> Shape:
        """What a programme is compiled for."""
        moves = self.held is not None and (bool(self.turnover_cost.any()) or self.most_turnover is not None)
        most = self.most_turnover is not None
        return Shape(len(self.lower), len(self.cap), self.total is not None, moves, most)

    @property
    def size(self) -> float:
        """The order of the weights, by which they are scaled."""
        if self.total:
            return abs(self.total)
        numbers = np.concatenate([self.lower, self.upper, self.cap, np.zeros(1) if self.held is None else self.held])
        return float(np.abs(numbers[np.isfinite(numbers)]).max(initial=0.0)) or 1.0

    @property
    def reach(self) -> float:
        """The greatest weight that the bounds and the total allow, of those that they bound; `size` at least."""
        numbers = np.abs(np.concatenate(self._ends()))
        return max(self.size, float(numbers[np.isfinite(numbers)].max(initial=0.0)))

    def widths(self) -> Floats:
        """How far each weight, then each move where these count, can be from another within the limits."""
        lower, upper = self._ends()
        return np.tile(np.maximum(upper - lower, 0.0), 2 if self.shape.has_moves else 1)

    def _ends(self) -> tuple[Floats, Floats]:
        """The bounds, as near to each other as the total and the others' bounds make them."""
        if self.total is None:
            return self.lower, self.upper
        return (
            np.maximum(self.lower, self.total - _sums_of_others(self.upper)),
            np.minimum(self.upper, self.total - _sums_of_others(self.lower)),
        )

    def scaled(self, size: float) -> "LimitArrays":
        """The limits of weights divided by `size`."""
        return LimitArrays(
            self.lower / size,
            self.upper / size,
            None if self.total is None else self.total / size,
            self.coupling,
            self.cap / size,
            self.names,
            None if self.held is None else self.held / size,
            self.turnover_cost,
            None if self.most_turnover is None else self.most_turnover / size,
            self.assets,
            self.unit * size,
        )

    def cost(self, weights: Floats) -> float:
        """What it costs to move to `weights` from those held. [unit of the returns]"""
        return 0.0 if self.held is None else float(self.turnover_cost @ np.abs(weights - self.held))

    def clipped(self, weights: Floats) -> Floats:
        """The weights without the rounding by which they miss their bounds."""
        return np.clip(weights, self.lower, self.upper) + 0.0

    def with_moves(self, weights: Floats) -> Floats:
        """The weights, followed by the moves from what is held where these count."""
        if not self.shape.has_moves or self.held is None:
            return weights
        return np.concatenate([weights, np.abs(weights - self.held)])

    def violation(self, weights: Floats) -> float:
        """By how much weights miss the limit that they miss most."""
        rows, x = self.rows(), self.with_moves(weights)
        return float(
            max(
                np.abs(rows.equal @ x - rows.sums).max(initial=0.0),
                (rows.most @ x - rows.sides).max(initial=0.0),
            )
        )

    def rows(self) -> Rows:
        """The limits as a system; sides that are infinite stay in it, so that its rows have fixed places."""
        n_assets, _, has_total, has_moves, has_most = self.shape
        one = np.eye(n_assets)
        most, sides = [one, -one, self.coupling], [self.upper, -self.lower, self.cap]
        equal = np.ones((int(has_total), n_assets))
        if has_moves and self.held is not None:
            none = np.zeros((n_assets, n_assets))
            most = [np.hstack([block, np.zeros_like(block)]) for block in most]
            most += [np.hstack([one, -one]), np.hstack([-one, -one])]
            most += [np.hstack([none[:1], np.ones((1, n_assets))])] if has_most else []
            sides += [self.held, -self.held] + ([np.array([self.most_turnover])] if has_most else [])
            equal = np.hstack([equal, np.zeros_like(equal)])
        total = np.array([self.total] if has_total else [], dtype=float)
        return Rows(equal, total, np.vstack(most), np.concatenate(sides))

    def parameters(self) -> dict[str, Any]:
        """The values of the parameters that `parameters_of` makes; a bound that there is not is 0 w <= 1."""
        stated = {name: np.isfinite(getattr(self, name)) for name in ("lower", "upper", "cap")}
        values: dict[str, Any] = {
            "lower": np.where(stated["lower"], self.lower, -1.0),
            "upper": np.where(stated["upper"], self.upper, 1.0),
            "has_lower": stated["lower"].astype(float),
            "has_upper": stated["upper"].astype(float),
        }
        if self.shape.n_rows:
            values["coupling"] = np.where(stated["cap"][:, np.newaxis], self.coupling, 0.0)
            values["cap"] = np.where(stated["cap"], self.cap, 1.0)
        if self.shape.has_total:
            values["total"] = self.total
        if self.shape.has_moves:
            values |= {"held": self.held, "turnover_cost": self.turnover_cost}
        if self.shape.has_most:
            values["most_turnover"] = self.most_turnover
        return values

    def refuse(self) -> None:
        """
        Say which limit would have to give way, and by how much, where the limits exclude each other.

        Raises
        ------
        PlanError
            With the limits that would have to be other than they are: caps if these are enough, then turnover, then
            bounds, then the total.
        """
        groups, scaled = self._groups(), self.scaled(self.size)
        if scaled._relaxed(()) is not None:
            return
        for kinds in [*groups, tuple(kind for group in groups for kind in group)]:
            given_way = scaled._relaxed(kinds)
            if given_way:
                raise PlanError(f"the limits exclude each other: {', '.join(given_way)}")
        raise PlanError("the limits exclude each other: loosen one of them")  # pragma: no cover, as bounds can all move

    def _groups(self) -> list[tuple[str, ...]]:
        """Kinds of limits, those first that are most likely to be what gives way."""
        kinds = [("cap",) * bool(self.shape.n_rows), ("turnover",) * self.shape.has_most]
        return [kind for kind in [*kinds, ("upper", "lower"), ("total",) * self.shape.has_total] if kind]

    def _relaxed(self, kinds: tuple[str, ...]) -> list[str] | None:
        """What limits of these kinds would have to be, with the least change in all; None if they cannot help."""
        from scipy.optimize import linprog

        rows, labels = self.rows(), list(self._labels())
        finite = np.isfinite(rows.sides)
        loose = np.flatnonzero([kind in kinds for kind, _, _ in labels] & finite)
        n_columns, n_ends = rows.most.shape[1], 2 * len(rows.equal) * ("total" in kinds)
        give = np.zeros((len(rows.sides), len(loose)))
        give[loose, np.arange(len(loose))] = -1.0
        most = np.hstack([rows.most, give, np.zeros((len(give), n_ends))])[finite]
        ends = np.tile([1.0, -1.0], (len(rows.equal), n_ends // 2))
        equal = np.hstack([rows.equal, np.zeros((len(rows.equal), len(loose))), ends])
        cost = np.concatenate([np.zeros(n_columns), np.ones(len(loose) + n_ends)])
        bounds = [(None, None)] * n_columns + [(0, None)] * (len(loose) + n_ends)
        found = linprog(cost, most, rows.sides[finite], equal, rows.sums, bounds, method="highs")
        if found.status != 0:
            return None
        changes = found.x[n_columns : n_columns + len(loose)]
        told = [
            self._would_be(*labels[row][1:], change)
            for row, change in zip(loose, changes, strict=True)
            if change > _ROUNDING
        ]
        if n_ends:
            less, more = found.x[-2:]
            told += [self._would_be("total", self.total or 0.0, more - less)] if abs(more - less) > _ROUNDING else []
        return told

    def _would_be(self, name: str, value: float, change: float) -> str:
        if name.startswith("lower"):
            value, change = -value, -change
        return f"{name} would have to be {self.unit * (value + change):.6g} instead of {self.unit * value:.6g}"

    def _labels(self) -> Iterator[tuple[str, str, float]]:
        """Kind, name and value of each of the rows; a lower bound's sign is turned, as its row is."""
        for name, signs in (("upper", 1.0), ("lower", -1.0)):
            for asset, bound in enumerate(getattr(self, name)):
                yield name, f"{name} bound of {_asset(self.assets, asset)}", bound if signs > 0 else -bound
        for name, cap in zip(self.names, self.cap, strict=True):
            yield "cap", f"{name!r}", cap
        for _ in range(2 * self.shape.n_assets * self.shape.has_moves):
            yield "move", "a move", 0.0
        if self.shape.has_most:
            yield "turnover", "most_turnover", float(self.most_turnover or 0.0)


def parameters_of(shape: Shape) -> dict[str, Any]:
    """The parameters of the limits in a cvxpy problem, by name."""
    import cvxpy as cp

    parameters = {name: cp.Parameter(shape.n_assets) for name in ("lower", "upper", "has_lower", "has_upper")}
    if shape.n_rows:
        parameters |= {"coupling": cp.Parameter((shape.n_rows, shape.n_assets)), "cap": cp.Parameter(shape.n_rows)}
    if shape.has_total:
        parameters["total"] = cp.Parameter()
    if shape.has_moves:
        parameters |= {"held": cp.Parameter(shape.n_assets), "turnover_cost": cp.Parameter(shape.n_assets, nonneg=True)}
    if shape.has_most:
        parameters["most_turnover"] = cp.Parameter()
    return parameters


@dataclass(frozen=True)
class Limited:
    """
    Weights in a cvxpy problem, what keeps them to their limits, and what moving to them costs.

    Parameters
    ----------
    weights, moves : cvxpy.Variable
        The weights and, where turnover counts, how far each is from what is held.
    cost : cvxpy.Expression or float
        Cost of the moves. [unit of the returns]
    constraints : list of cvxpy.Constraint
        The limits.
    """

    weights: Any
    moves: Any
    cost: Any
    constraints: list[Any] = field(default_factory=list)

    @property
    def variables(self) -> dict[str, Any]:
        """The variables by name."""
        return {"weights": self.weights} | ({} if self.moves is None else {"moves": self.moves})


def limited(shape: Shape, p: Mapping[str, Any], scale: Any = 1.0) -> Limited:
    """Weights within the limits whose parameters are `p`, all of them times `scale`, a variable or 1."""
    import cvxpy as cp

    weights = cp.Variable(shape.n_assets, name="weights")
    constraints = [
        cp.multiply(p["has_lower"], weights) >= p["lower"] * scale,
        cp.multiply(p["has_upper"], weights) <= p["upper"] * scale,
    ]
    if shape.n_rows:
        constraints.append(p["coupling"] @ weights <= p["cap"] * scale)
    if shape.has_total:
        constraints.append(cp.sum(weights) == p["total"] * scale)
    if not shape.has_moves:
        return Limited(weights, None, 0.0, constraints)
    moves = cp.Variable(shape.n_assets, name="moves")
    constraints += [weights - p["held"] * scale <= moves, p["held"] * scale - weights <= moves]
    if shape.has_most:
        constraints.append(cp.sum(moves) <= p["most_turnover"] * scale)
    return Limited(weights, moves, p["turnover_cost"] @ moves, constraints)


def _sums_of_others(bounds: Floats) -> Floats:
    """For each asset the sum of the others' bounds."""
    return np.array([np.delete(bounds, asset).sum() for asset in range(len(bounds))])


def _has_names(value: Any) -> bool:
    return isinstance(value, (Mapping, pd.Series))


def _numbers(value: Any) -> Floats:
    """The numbers of a limit, in the order given."""
    return np.asarray(list(value.values()) if isinstance(value, Mapping) else value, dtype=float)


def _asset(assets: Sequence[Hashable], asset: int) -> str:
    return repr(assets[asset]) if assets else f"asset {asset}"


def _check_numbers(lower: Floats, upper: Floats) -> None:
    if np.isnan(lower).any() or np.isnan(upper).any() or (lower == np.inf).any() or (upper == -np.inf).any():
        raise DataError(f"lower and upper must be numbers, infinite where there is none, got {_told(lower, upper)}")


def _check_order(lower: Floats, upper: Floats, assets: Sequence[Hashable]) -> None:
    if lower.ndim and upper.ndim and lower.shape != upper.shape:
        raise DataError(f"lower and upper must be of one length, got {lower.shape} and {upper.shape}")
    lower, upper = np.broadcast_arrays(np.atleast_1d(lower), np.atleast_1d(upper))
    if (lower > upper).any():
        asset = int(np.argmax(lower > upper))
        raise DataError(
            f"lower = {lower[asset]:g} lies above upper = {upper[asset]:g} for {_asset(assets, asset)}: "
            "swap or widen them"
        )


def _check_total(lower: Floats, upper: Floats, total: float | None) -> None:
    if total is None:
        return
    if lower.sum() > total + _ROUNDING * max(abs(total), np.abs(lower).sum()):
        raise DataError(f"the lower bounds sum to {lower.sum():g}, above total = {total:g}: lower them or raise total")
    if upper.sum() < total - _ROUNDING * max(abs(total), np.abs(upper).sum()):
        raise DataError(f"the upper bounds sum to {upper.sum():g}, below total = {total:g}: raise them or lower total")


def _per_asset(value: Any, name: str, n_assets: int, assets: tuple[Hashable, ...] | None) -> Floats:
    array = _by_name(value, name, assets) if _has_names(value) else np.asarray(value, dtype=float)
    if array.shape not in ((), (n_assets,)):
        raise DataError(f"{name} must be a number or of shape ({n_assets},), one for each asset, got {array.shape}")
    return np.array(np.broadcast_to(array, n_assets))


def _by_name(value: Mapping[Any, float] | pd.Series, name: str, assets: tuple[Hashable, ...] | None) -> Floats:
    """What is given by name, in the order of the assets."""
    if assets is None:
        raise DataError(
            f"{name} is given by name and the assets have none here: give an array in their order, or returns as a "
            "DataFrame where these are asked for"
        )
    given = list(value.keys())
    for listed, called in ((given, name), (list(assets), "assets")):
        twice = next((key for place, key in enumerate(listed) if key in listed[:place]), None)
        if twice is not None:
            raise DataError(f"{called} name {twice!r} twice: give each asset a name of its own")
    missing = [asset for asset in assets if asset not in given]
    unknown = [key for key in given if key not in assets]
    if missing or unknown:
        said = [f"lacks {missing}"] * bool(missing) + [f"names {unknown}, which is no asset"] * bool(unknown)
        raise DataError(f"{name} {' and '.join(said)}: give one number for each of {list(assets)}")
    place = dict(zip(given, _numbers(value), strict=True))
    return np.array([place[asset] for asset in assets])


def _told(*arrays: Floats) -> str:
    return " and ".join(np.array2string(array, threshold=6, precision=6) for array in arrays)
