r"""
The value of stored energy by dynamic programming over the state of charge.

The value of an interval is the most that can be earned from its start on, and follows from the next one's by

.. math::
    V_t(s) = \max_{c, d} \; p_t (d - c) - w d + V_{t+1}(s'), \qquad
    s' = \underline{s} + \kappa (s - \underline{s}) + \eta_c c - d / \eta_d,

over :math:`0 \le c, d \le \bar{P} \Delta`, never both above zero, with :math:`\kappa` the share of energy that is kept.
The value is held on an even grid of states and is linear between them, so the best move ends on the grid, at rest or
at full power. What a move costs is linear on either side of rest, so the best end on the grid is the greatest element
of a sliding window, twice: a step costs a few operations a state at any price, negative ones included, without
binaries.
"""

import math
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gridlab.assets import Battery
from gridlab.errors import DataError, PlanError
from gridlab.mpc.segments import Segments, checked_step, terminal_segments

if TYPE_CHECKING:
    from gridlab.mpc.value_core import Limits

Floats = NDArray[np.float64]
Terminal = float | ArrayLike | None

__all__ = [
    "ExpectedValue",
    "Segments",
    "Value",
    "act",
    "expected_value_of_energy",
    "terminal_segments",
    "value_of_energy",
]

_ENERGY_TOLERANCE = 1e-7  # MWh by which a state of charge may lie outside its limits, as in the linear programme
_SUM_TOLERANCE = 1e-9  # by which probabilities may miss one


def value_of_energy(
    price: ArrayLike, battery: Battery, *, step_hours: float, n_states: int = 201, terminal: Terminal = None
) -> "Value":
    """
    Most profit from each interval on, for every state of charge, when the prices are known.

    Parameters
    ----------
    price : array_like, shape (n_steps,) or (n_windows, n_steps)
        Price of each interval, NaN where nothing can be traded; or many windows of prices at once. [$/MWh]
    battery : Battery
        Power, energy, efficiencies, wear and self-discharge.
    step_hours : float
        Length of an interval. [h]
    n_states : int
        States of charge on the grid, from the least to the greatest, at least 2.
    terminal : float or array_like, shape (n_states,) or (n_windows, n_states), optional
        Worth of each MWh stored at the end, or the value of each state there; nothing when omitted. [$/MWh] or [$]

    Returns
    -------
    Value
        Of shape (n_steps + 1, n_states), or (n_windows, n_steps + 1, n_states), with 8 bytes for each number.

    Raises
    ------
    DataError
        If `price` is empty, infinite or of another shape, `n_states` or `step_hours` is out of range, `terminal` has
        another shape or is not finite, or the battery's ramp binds: then an interval depends on the power before it,
        which the state of charge does not tell.

    Notes
    -----
    With nothing leaking and full power moving the state by whole grid steps, each way, the values on the grid are
    exact. Otherwise `Value.error_bound` bounds what the grid costs; where no price is so negative that burning energy
    pays and the terminal value is concave, the value is concave, and the grid's never above it.

    References
    ----------
    .. [1] J. Cruise, R. Gibbens and S. Zachary, "Optimal control of storage for arbitrage, with applications to energy
       systems," arXiv:1307.0800.
    .. [2] D. Lemire, "Streaming maximum-minimum filter using no more than three comparisons per element," Nordic J.
       Computing 13(4), 2006, arXiv:cs/0610046.

    Examples
    --------
    >>> value = value_of_energy([10, 50], Battery(1, 1, 1, 1), step_hours=1, n_states=3)
    >>> value.value.tolist()
    [[40.0, 45.0, 50.0], [0.0, 25.0, 50.0], [0.0, 0.0, 0.0]]
    >>> power_mw, soc_mwh = value.follow(0.0)
    >>> power_mw.tolist(), soc_mwh.tolist()
    ([-1.0, 1.0], [1.0, 0.0])
    """
    from gridlab.mpc.value_core import value_windows

    price = _checked_price(price, (1, 2), "(n_steps,) or (n_windows, n_steps)")
    soc = _grid(battery, step_hours, n_states)
    value = np.empty((*price.shape[:-1], price.shape[-1] + 1, n_states))
    value[..., -1, :] = _terminal_value(terminal, soc, (*price.shape[:-1], n_states))
    found = Value(soc, value, battery, step_hours, price)
    value_windows(np.atleast_2d(price), value.reshape(-1, *value.shape[-2:]), found.limits)
    return found


def expected_value_of_energy(
    price: ArrayLike,
    probabilities: ArrayLike,
    battery: Battery,
    *,
    step_hours: float,
    n_states: int = 201,
    terminal: Terminal = None,
    transition: ArrayLike | None = None,
) -> "ExpectedValue":
    r"""
    Most expected profit from each interval on, when its price is seen before the battery moves and later ones are not.

    .. math::
        V_t(s) = \sum_k \pi_{tk} \max_{c, d} \; p_{tk} (d - c) - w d + V_{t+1}(s'),

    where the price of an interval is one of its nodes :math:`p_{tk}`. Prices of different intervals are independent,
    or a Markov chain with a `transition`; then a value belongs to the node of the interval before.

    Parameters
    ----------
    price : array_like, shape (n_steps, n_nodes)
        Prices that each interval may have, NaN where nothing could be traded. [$/MWh]
    probabilities : array_like, shape (n_nodes,) or (n_steps, n_nodes)
        Their probabilities; with a `transition`, shape (n_nodes,), those of the first interval's nodes. [-]
    battery, step_hours, n_states
        As in `value_of_energy`.
    terminal : float or array_like, shape (n_states,) or (n_nodes, n_states), optional
        As in `value_of_energy`; the second shape goes with a `transition`. [$/MWh] or [$]
    transition : array_like, shape (n_nodes, n_nodes) or (n_steps - 1, n_nodes, n_nodes), optional
        Probability of each node (column) after each node of the interval before (row). [-]

    Returns
    -------
    ExpectedValue
        Of shape (n_steps + 1, n_states), or (n_nodes, n_steps + 1, n_states) with a `transition`.

    Raises
    ------
    DataError
        As in `value_of_energy`, and if probabilities are negative, of another shape, or do not sum to 1.

    References
    ----------
    .. [1] W. B. Powell, "Approximate Dynamic Programming," 2nd ed., Wiley, 2011, doi:10.1002/9781118029176.
    .. [2] N. Zheng, J. Jaworski and B. Xu, "Arbitraging variable efficiency energy storage using analytical stochastic
       dynamic programming," arXiv:2108.06000: prices that are a Markov chain.
    .. [3] N. Zheng et al., "Energy storage price arbitrage via opportunity value function prediction,"
       arXiv:2211.07797.

    Examples
    --------
    >>> price = [[10, 10], [0, 80]]
    >>> value = expected_value_of_energy(price, [0.5, 0.5], Battery(1, 1, 1, 1), step_hours=1, n_states=2)
    >>> value.value.tolist()
    [[30.0, 40.0], [0.0, 40.0], [0.0, 0.0]]
    >>> act(value, 0, 0.0, 10.0), act(value, 0, 0.0, 45.0)
    (-1.0, 0.0)
    """
    from gridlab.mpc.value_core import value_nodes

    price = _checked_price(price, (2,), "(n_steps, n_nodes)")
    soc = _grid(battery, step_hours, n_states)
    weights = _weights(probabilities, transition, *price.shape)
    value = np.empty((weights.shape[1], len(price) + 1, n_states))
    value[:, -1] = _terminal_value(terminal, soc, (len(value), n_states) if transition is not None else (n_states,))
    found = ExpectedValue(soc, value if transition is not None else value[0], battery, step_hours, price)
    value_nodes(price, weights, value, found.limits)
    return found


def act(value: "Value | ExpectedValue", step: int, soc_mwh: float, price: float) -> float:
    """
    Energy into the grid that is best in an interval, given its price and what comes after it is worth.

    Parameters
    ----------
    value : Value or ExpectedValue
        The value of energy; of one window.
    step : int
        The interval, from 0 on.
    soc_mwh : float
        Energy stored at its start. [MWh]
    price : float
        Its price, which need not be the one it was valued at; NaN where nothing can be traded. With a transition
        between nodes, the node nearest to it tells what follows. [$/MWh]

    Returns
    -------
    float
        Energy into the grid, negative when the battery charges. Of equal moves it is the one that rests. [MWh]

    Raises
    ------
    DataError
        If `step` is outside the value's intervals, or `value` has more than one window.
    PlanError
        If `soc_mwh` lies outside the battery's limits.

    Examples
    --------
    >>> value = value_of_energy([10, 50], Battery(1, 1, 1, 1), step_hours=1, n_states=3)
    >>> act(value, 0, 0.25, 10.0), act(value, 0, 0.25, 50.01), act(value, 1, 0.25, -5.0)
    (-0.75, 0.25, -0.75)
    """
    from gridlab.mpc.value_core import best_energy

    after = value.after(step, price)
    return float(best_energy(after, value.position(soc_mwh), price, value.limits))


@dataclass(frozen=True)
class _OnGrid:
    """What a value with known prices and an expected one have in common."""

    soc_mwh: Floats
    value: Floats
    battery: Battery
    step_hours: float
    price: Floats

    @cached_property
    def limits(self) -> "Limits":
        """The battery over one interval, as the compiled recursions read it."""
        from gridlab.mpc.value_core import Limits

        battery, hours = self.battery, self.step_hours
        grid_mwh = (battery.soc_high_mwh - battery.soc_low_mwh) / (len(self.soc_mwh) - 1)
        efficiencies = (float(battery.eta_charge), float(battery.eta_discharge))
        return Limits(
            grid_mwh, battery.power_mw * hours, battery.kept(hours), *efficiencies, float(battery.degradation_cost)
        )

    def slope(self, step: int = 0) -> Floats:
        """
        Marginal value of energy at the start of an interval, the shadow price of the state of charge. [$/MWh]

        Of shape (..., n_states): in each state the mean of the slopes to either side, at the ends the one there is.
        """
        worth = self.value[..., checked_step(step, self.value.shape[-2]), :]
        return np.asarray(np.gradient(worth, self.limits.grid_mwh, axis=-1))

    def at(self, soc_mwh: float, step: int = 0) -> np.float64 | Floats:
        """Value of `soc_mwh` at the start of an interval, shape (...), linear between the grid's states. [$]"""
        worth = self.value[..., checked_step(step, self.value.shape[-2]), :]
        position = self.position(soc_mwh)
        cell = min(int(position), worth.shape[-1] - 2)
        return np.asarray(worth[..., cell] + (position - cell) * (worth[..., cell + 1] - worth[..., cell]))[()]

    def error_bound(self) -> np.float64 | Floats:
        r"""
        No value at the first interval is further than this from the one that a grid of any fineness would give. [$]

        A line between grid points :math:`h` apart misses a function with slopes from :math:`m` to :math:`M` by at most
        :math:`h (M - m) / 4`, and the recursion does not enlarge what it is handed, so the misses of all intervals add
        up: :math:`\frac{h}{4} \sum_t (M_t - m_t)`. The slopes of an interval lie among those of the next, its prices
        per stored MWh, and nothing else, times what is kept. A `terminal` array counts as linear between its states.
        The bound halves with the grid; what is missed in fact is mostly far less.
        """
        low, high = self._trading_slopes()
        after = np.diff(self.value[..., 1:, :], axis=-1) / self.limits.grid_mwh
        least, most = after.min(axis=-1), after.max(axis=-1)
        spread = np.maximum(most, high) - np.minimum(least, low)
        return np.asarray(self.limits.grid_mwh * self.limits.kept / 4 * spread.sum(axis=-1))[()]

    def position(self, soc_mwh: float) -> float:
        """`soc_mwh` in steps of the grid from its least state on; refused where it lies outside."""
        low, high = self.battery.soc_low_mwh, self.battery.soc_high_mwh
        if not low - _ENERGY_TOLERANCE <= soc_mwh <= high + _ENERGY_TOLERANCE:
            raise PlanError(
                f"soc_mwh = {soc_mwh:g} is outside the battery's {low:g} to {high:g} MWh: start within them"
            )
        return min(max(soc_mwh - low, 0.0) / self.limits.grid_mwh, len(self.soc_mwh) - 1.0)

    def _trading_slopes(self) -> tuple[Floats, Floats]:
        """Least and greatest worth of a stored MWh in trade, by interval; none where nothing can be traded."""
        buy = self.price / self.battery.eta_charge
        sell = (self.price - self.battery.degradation_cost) * self.battery.eta_discharge
        closed = np.isnan(self.price)
        return np.where(closed, np.inf, np.minimum(buy, sell)), np.where(closed, -np.inf, np.maximum(buy, sell))

    def _schedule(self, energy: Floats, position: Floats, shape: tuple[int, ...]) -> tuple[Floats, Floats]:
        soc = self.battery.soc_low_mwh + position * self.limits.grid_mwh
        return (energy / self.step_hours).reshape(shape), np.minimum(soc, self.battery.soc_high_mwh).reshape(shape)


@dataclass(frozen=True)
class Value(_OnGrid):
    """
    The value of energy when the prices are known.

    Parameters
    ----------
    soc_mwh : ndarray, shape (n_states,)
        The grid: states of charge from the least to the greatest. [MWh]
    value : ndarray, shape (n_steps + 1, n_states) or (n_windows, n_steps + 1, n_states)
        Most profit from the start of each interval on; the last row is the terminal value. [$]
    battery : Battery
        What stores the energy.
    step_hours : float
        Length of an interval. [h]
    price : ndarray, shape (n_steps,) or (n_windows, n_steps)
        What it was valued at. [$/MWh]

    Examples
    --------
    >>> value = value_of_energy([10, 50], Battery(1, 1, 1, 1), step_hours=1, n_states=3)
    >>> float(value.at(0.2)), value.slope(1).tolist(), float(value.error_bound())
    (42.0, [50.0, 50.0, 50.0], 11.25)
    """

    def follow(self, soc_mwh: ArrayLike) -> tuple[Floats, Floats]:
        """
        The schedule of greatest profit from `soc_mwh` on.

        Parameters
        ----------
        soc_mwh : array_like, shape () or (n_windows,)
            Energy stored at the start, on the grid or between its states. [MWh]

        Returns
        -------
        power_mw : ndarray, shape (n_steps,) or (n_windows, n_steps)
            Power into the grid. [MW]
        soc_mwh : ndarray, shape (n_steps,) or (n_windows, n_steps)
            Energy stored at the end of each interval. [MWh]

        Raises
        ------
        PlanError
            If `soc_mwh` lies outside the battery's limits.
        """
        from gridlab.mpc.value_core import follow_windows

        price = np.atleast_2d(self.price)
        start = _positions(self, soc_mwh, len(price))
        energy, position = follow_windows(self.value.reshape(-1, *self.value.shape[-2:]), price, start, self.limits)
        return self._schedule(energy, position, self.price.shape)

    def after(self, step: int, price: float) -> Floats:
        """The value of each state at the end of an interval, shape (n_states,); the price there is does not matter."""
        if self.value.ndim != 2:
            raise DataError(f"value has {len(self.value)} windows: choose one, or follow all of them with follow")
        return np.asarray(self.value[checked_step(step, len(self.value) - 1) + 1])


@dataclass(frozen=True)
class ExpectedValue(_OnGrid):
    """
    The value of energy when each price is seen before the battery moves and later ones are not.

    Parameters
    ----------
    soc_mwh : ndarray, shape (n_states,)
        The grid: states of charge from the least to the greatest. [MWh]
    value : ndarray, shape (n_steps + 1, n_states) or (n_nodes, n_steps + 1, n_states)
        Most expected profit from each interval on, before its price is seen; with a transition, after each node of the
        interval before, and of the first interval the same for all. [$]
    battery : Battery
        What stores the energy.
    step_hours : float
        Length of an interval. [h]
    price : ndarray, shape (n_steps, n_nodes)
        The nodes. [$/MWh]

    Examples
    --------
    >>> value = expected_value_of_energy([[10, 10], [0, 80]], [0.5, 0.5], Battery(1, 1, 1, 1), step_hours=1)
    >>> power_mw, soc_mwh = value.follow(0.0, [10, 80])
    >>> float(value.at(0.0)), power_mw.tolist()
    (30.0, [-1.0, 1.0])
    """

    def follow(self, soc_mwh: ArrayLike, price: ArrayLike) -> tuple[Floats, Floats]:
        """
        What the battery does along prices that it sees one by one.

        Parameters
        ----------
        soc_mwh : array_like, shape () or (n_paths,)
            Energy stored at the start. [MWh]
        price : array_like, shape (n_steps,) or (n_paths, n_steps)
            What the prices turn out to be, at the nodes or between them. [$/MWh]

        Returns
        -------
        power_mw, soc_mwh : ndarray, shape (n_steps,) or (n_paths, n_steps)
            Power into the grid, and energy stored at the end of each interval. [MW] and [MWh]

        Raises
        ------
        DataError
            If `price` is not of `n_steps` intervals.
        PlanError
            If `soc_mwh` lies outside the battery's limits.
        """
        from gridlab.mpc.value_core import follow_nodes

        price = _checked_price(price, (1, 2), "(n_steps,) or (n_paths, n_steps)")
        if price.shape[-1] != len(self.price):
            raise DataError(f"price has {price.shape[-1]} intervals, and the value {len(self.price)}: give it as many")
        paths, values = np.atleast_2d(price), self.value.reshape(-1, *self.value.shape[-2:])
        energy, position = follow_nodes(values, self.price, paths, _positions(self, soc_mwh, len(paths)), self.limits)
        return self._schedule(energy, position, price.shape)

    def after(self, step: int, price: float) -> Floats:
        """The value of each state at the end of an interval with `price`, shape (n_states,)."""
        from gridlab.mpc.value_core import nearest

        step = checked_step(step, len(self.price))
        if self.value.ndim == 2:
            return np.asarray(self.value[step + 1])
        return np.asarray(self.value[nearest(self.price[step], price), step + 1])

    def _trading_slopes(self) -> tuple[Floats, Floats]:
        low, high = super()._trading_slopes()
        return low.min(axis=1), high.max(axis=1)


def _checked_price(price: ArrayLike, dimensions: tuple[int, ...], shape: str) -> Floats:
    price = np.ascontiguousarray(price, dtype=float)
    if price.ndim not in dimensions or price.size == 0:
        raise DataError(f"price must have shape {shape} and an entry, got shape {price.shape}")
    if np.isinf(price).any():
        at = tuple(int(i) for i in np.argwhere(np.isinf(price))[0])
        raise DataError(f"price is infinite at {at}: correct it or set it to NaN")
    return price


def _grid(battery: Battery, step_hours: float, n_states: int) -> Floats:
    """The states, once the battery and the interval are known to suit the recursion."""
    if n_states < 2:
        raise DataError(f"n_states must be at least 2, got {n_states}")
    if not 0 < step_hours < math.inf:
        raise DataError(f"step_hours must be above 0 and finite, got {step_hours}")
    if battery.kept(step_hours) < 0:
        raise DataError(
            f"self_discharge_per_hour = {battery.self_discharge_per_hour:g} leaves less than nothing after an interval "
            f"of {step_hours:g} h: use shorter intervals"
        )
    if battery.ramp_mw_per_hour * step_hours < 2 * battery.power_mw:
        raise DataError(
            f"ramp_mw_per_hour = {battery.ramp_mw_per_hour:g} binds: in {step_hours:g} h the power may change by less "
            f"than the {2 * battery.power_mw:g} MW from full charge to full discharge, which links intervals: use the "
            "linear programme"
        )
    return np.linspace(battery.soc_low_mwh, battery.soc_high_mwh, n_states)


def _terminal_value(terminal: Terminal, soc_mwh: Floats, shape: tuple[int, ...]) -> Floats:
    """The value of the states at the end, of a shape that goes into `shape`."""
    given = np.asarray(0.0 if terminal is None else terminal, dtype=float)
    if given.ndim and given.shape not in (soc_mwh.shape, shape):
        raise DataError(f"terminal must be a number or have shape {soc_mwh.shape} or {shape}, got shape {given.shape}")
    if not np.isfinite(given).all():
        raise DataError("terminal must be finite: it has a NaN or an infinite entry")
    return given if given.ndim else given * soc_mwh


def _weights(probabilities: ArrayLike, transition: ArrayLike | None, n_steps: int, n_nodes: int) -> Floats:
    """Probabilities of each interval's nodes after each node before, or after any: (n_steps, n_rows, n_nodes)."""
    one_for_all: list[tuple[int, ...]] = [(n_nodes,)]
    shapes = one_for_all if transition is not None else [*one_for_all, (n_steps, n_nodes)]
    given = _checked_probabilities(np.asarray(probabilities, dtype=float), "probabilities", shapes)
    if transition is None:
        return np.ascontiguousarray(np.broadcast_to(given, (n_steps, n_nodes)))[:, np.newaxis]
    shapes = [(n_nodes, n_nodes), (n_steps - 1, n_nodes, n_nodes)]
    after = _checked_probabilities(np.asarray(transition, dtype=float), "transition", shapes)
    after = np.broadcast_to(after, (n_steps - 1, n_nodes, n_nodes))
    return np.concatenate([np.broadcast_to(given, (1, n_nodes, n_nodes)), after])


def _checked_probabilities(given: Floats, name: str, shapes: list[tuple[int, ...]]) -> Floats:
    if given.shape not in shapes:
        raise DataError(f"{name} must have shape {' or '.join(map(str, shapes))}, got shape {given.shape}")
    if not (given >= 0).all():
        raise DataError(f"{name} must not be negative or NaN, got {given.min()}")
    total = given.sum(axis=-1)
    if (np.abs(total - 1) > _SUM_TOLERANCE).any():
        worst = np.unravel_index(int(np.argmax(np.abs(total - 1))), total.shape)
        row = f" of row {tuple(int(i) for i in worst)}" if worst else ""
        raise DataError(f"{name}{row} must sum to 1, got {total[worst]:g}: scale them, or add what is missing")
    return np.ascontiguousarray(given)


def _positions(value: _OnGrid, soc_mwh: ArrayLike, n_rows: int) -> Floats:
    """Where each row starts on the grid."""
    given = np.asarray(soc_mwh, dtype=float)
    if given.shape not in ((), (n_rows,)):
        raise DataError(f"soc_mwh must be a number or have shape ({n_rows},), got shape {given.shape}")
    return np.broadcast_to([value.position(float(soc)) for soc in np.atleast_1d(given)], n_rows).copy()
