r"""
Which machines run under a cap: the exact optimum of an integer knapsack.

With :math:`n_i` machines of type :math:`i`, each of margin :math:`m_i` and power :math:`w_i`, :math:`b_i` of which ran
before, and a cost :math:`s_i` of starting or of stopping one,

.. math::
    \max \; \sum_i m_i n_i - \sum_i s_i |n_i - b_i|, \qquad
    \sum_i w_i n_i \le C, \qquad h_i \le n_i \le u_i \text{ whole}.

A depth-first search takes the type that earns most for its power first, and leaves a branch where not even machines
that can be split would earn more. Where types are so alike that the search grows long, dynamic programming over the
power answers.
"""

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gridlab.errors import DataError, PlanError

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

_MOST_POWER, _MOST_CAP = 10**9, 10**12
_NODES = (1_500, 20_000_000)  # of the search, before dynamic programming and where its table would be too large
_ENTRIES = 60_000_000  # of that table


class Allocation(NamedTuple):
    """
    Machines that run.

    Parameters
    ----------
    counts : tuple of int
        Machines of each type.
    value : float
        What they earn, less the cost of what is switched. [$]
    power : int
        Power that they draw. [power]
    """

    counts: tuple[int, ...]
    value: float
    power: int


def allocate(
    margin: ArrayLike,
    power: ArrayLike,
    cap: int,
    *,
    most: ArrayLike | None = None,
    held: ArrayLike | None = None,
    before: ArrayLike | None = None,
    switching_cost: ArrayLike | None = None,
) -> Allocation:
    """
    The machines of greatest value under a cap.

    Ties are broken by a rule: of all allocations whose gain over `held` alone is the greatest, or less by no more than
    a share of 1e-12 of it, the one of least power; then the one that switches the fewest machines, where `before` is
    given; then the one with more machines of the first type, of the second, and so on. Nothing runs where nothing pays.

    Parameters
    ----------
    margin : array_like, shape (n_types,)
        What one machine of each type earns, less what its power costs. [$]
    power : array_like of int, shape (n_types,)
        Power of one machine, from 1 to 1e9. [power]
    cap : int
        Greatest power of all of them, from 0 to 1e12. [power]
    most : array_like of int, shape (n_types,), optional
        Greatest number of each; as many as fit when omitted.
    held : array_like of int, shape (n_types,), optional
        Least number of each, such as those that were started too lately to stop; none when omitted.
    before : array_like of int, shape (n_types,), optional
        Machines of each that ran before.
    switching_cost : array_like, shape (n_types,), optional
        Cost of starting or of stopping one machine; needs `before`. [$]

    Returns
    -------
    Allocation

    Raises
    ------
    DataError
        If a value is not finite, not whole or outside its range, or the lengths differ.
    PlanError
        If the machines held alone pass the cap, which is for the caller's safety rule to mend, or if the types are so
        alike and their powers so large that no optimum is proven.

    References
    ----------
    .. [1] S. Martello and P. Toth, "Knapsack Problems: Algorithms and Computer Implementations," Wiley, 1990, ch. 3.
    .. [2] P. C. Gilmore and R. E. Gomory, "The theory and computation of knapsack functions," Operations Research
       14(6), 1966, doi:10.1287/opre.14.6.1045.
    .. [3] U. Pferschy, "Dynamic programming revisited: improving knapsack algorithms," Computing 63(4), 1999: the
       bounded recursion by a sliding window.

    Examples
    --------
    >>> allocate([10.0, 31.0], [5000, 15000], 1_000_000)  # 66 of the second leave 10000
    Allocation(counts=(2, 66), value=2066.0, power=1000000)
    >>> allocate([-1.0, 0.0], [5000, 15000], 1_000_000).counts
    (0, 0)
    >>> allocate([2.0, 3.0], [1, 1], 10, before=[10, 0], switching_cost=[0.1, 0.1]).counts
    (0, 10)
    >>> allocate([2.0, 3.0], [1, 1], 10, before=[10, 0], switching_cost=[0.6, 0.6]).counts
    (10, 0)
    """
    gains = _floats("margin", margin)
    powers, cap = _whole("power", power, len(gains), 1, _MOST_POWER), _cap(cap)
    least = np.zeros(len(gains), np.int64) if held is None else _whole("held", held, len(gains), 0, _MOST_CAP)
    greatest = _fitting(powers, cap) if most is None else _whole("most", most, len(gains), 0, _MOST_CAP)
    ran, cost = _switching(before, switching_cost, len(gains))
    _require_held(least, greatest, powers, cap, given=most is not None)
    counts = _solved(gains, powers, cap, np.maximum(greatest, least), least, ran, cost, before is not None)
    running = tuple(counts.tolist())
    return Allocation(running, _value(running, gains, ran, cost), sum(map(_times, running, powers.tolist())))


def nearly(
    margin: Floats, power: Ints, cap: int, most: Ints, held: Ints, before: Ints, cost: Floats, nodes: int = 300
) -> Ints:
    """
    Counts of nearly the greatest value under a cap: the best that so many nodes of the search find.

    Nothing is checked but the machines held; the rule for ties is kept where the search ends by itself.
    """
    from gridlab.mpc.allocation_core import best_counts

    _require_held(held, most, power, cap, given=True)
    return np.asarray(best_counts(margin, power, cap, most, held, before, cost, True, nodes)[0])


def _solved(
    margin: Floats, power: Ints, cap: int, most: Ints, held: Ints, before: Ints, cost: Floats, counted: bool
) -> Ints:
    """The best counts; refused where none are proven."""
    from gridlab.mpc.allocation_core import best_counts, by_recursion

    data = (margin, power, cap, most, held, before, cost, counted)
    counts, status, _ = best_counts(*data, _NODES[0])
    if status:
        counts, status = by_recursion(*data, _ENTRIES)
    if status:
        counts, status, _ = best_counts(*data, _NODES[1])
    if status:
        raise PlanError(
            f"no optimum was proven within {_NODES[1]} nodes: powers {power.tolist()} under a cap of {cap} leave "
            "too many allocations that earn nearly as much: state powers in a coarser unit, or leave types out"
        )
    return np.asarray(counts)


def _value(counts: tuple[int, ...], margin: Floats, before: Ints, cost: Floats) -> float:
    earned = [
        m * n - s * abs(n - b)
        for m, n, s, b in zip(margin.tolist(), counts, cost.tolist(), before.tolist(), strict=True)
    ]
    return math.fsum(earned)


def _times(count: int, power: int) -> int:
    return count * power


def _fitting(power: Ints, cap: int) -> Ints:
    return np.asarray(cap // power)


def _floats(name: str, given: ArrayLike) -> Floats:
    values = np.asarray(given, dtype=float)
    if values.ndim != 1 or len(values) == 0:
        raise DataError(f"{name} needs a number for each machine type, got shape {values.shape}")
    if not np.isfinite(values).all():
        bad = int(np.argmin(np.isfinite(values)))
        raise DataError(f"{name} must be finite, got {values[bad]} for type {bad}")
    return values


def _whole(name: str, given: ArrayLike, n_types: int, least: int, most: int) -> Ints:
    values: NDArray[Any] = np.asarray(given)
    if values.shape != (n_types,):
        raise DataError(f"{name} needs a whole number for each of the {n_types} types, got shape {values.shape}")
    if values.dtype.kind not in "iuf":
        raise DataError(f"{name} must be whole numbers, got {values.tolist()}")
    wrong = ~((values >= least) & (values <= most) & (values == np.floor(values)))
    if wrong.any():
        bad = int(np.argmax(wrong))
        raise DataError(f"{name} must be whole and in [{least}, {most}], got {values[bad]} for type {bad}")
    return values.astype(np.int64)


def _cap(cap: int) -> int:
    if not (cap == cap and 0 <= cap <= _MOST_CAP and cap == int(cap)):
        raise DataError(f"cap must be whole and in [0, {_MOST_CAP}], got {cap}")
    return int(cap)


def _switching(before: ArrayLike | None, cost: ArrayLike | None, n_types: int) -> tuple[Ints, Floats]:
    """Machines that ran before and the cost of switching one, zero where not given."""
    if before is None:
        if cost is not None:
            raise DataError("switching_cost needs before, the machines that ran before: give both")
        return np.zeros(n_types, np.int64), np.zeros(n_types)
    ran = _whole("before", before, n_types, 0, _MOST_CAP)
    costs = np.zeros(n_types) if cost is None else _floats("switching_cost", cost)
    if len(costs) != n_types or (costs < 0).any():
        raise DataError(f"switching_cost must be {n_types} numbers, none negative, got {costs.tolist()}")
    return ran, costs


def _require_held(held: Ints, most: Ints, power: Ints, cap: int, *, given: bool) -> None:
    """Refuse machines held above `most` or together above the cap."""
    if not held.any():
        return
    drawn = sum(map(_times, held.tolist(), power.tolist()))
    if drawn > cap:
        raise PlanError(
            f"the machines held draw {drawn}, {drawn - cap} above the cap of {cap}: stop some of them first"
        )
    if given and (held > most).any():
        bad = int(np.argmax(held > most))
        raise DataError(f"held must be at most most, got {held[bad]} above {most[bad]} for type {bad}")
