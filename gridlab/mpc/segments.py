"""A concave value of energy as segments that a linear programme can fill."""

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gridlab.assets import Battery
from gridlab.errors import DataError

if TYPE_CHECKING:
    from gridlab.mpc.value import ExpectedValue, Value

Floats = NDArray[np.float64]


class Segments(NamedTuple):
    """
    A concave piecewise-linear value: the most that `slope` earns on energy spread over segments of `width_mwh`.

    Parameters
    ----------
    width_mwh : ndarray, shape (..., n_segments)
        Energy that fits in each segment, from the least state of charge on; their sum is the battery's range. [MWh]
    slope : ndarray, shape (..., n_segments)
        Worth of each MWh in it, never rising from one segment to the next. [$/MWh]
    base : ndarray, shape (...)
        Worth of the least state of charge. [$]

    Examples
    --------
    >>> segments = Segments(np.array([1.0, 1.0]), np.array([50.0, 20.0]), np.array(5.0))
    >>> float(segments.worth(1.5))
    65.0
    """

    width_mwh: Floats
    slope: Floats
    base: Floats

    @classmethod
    def flat(cls, battery: Battery, value: float) -> "Segments":
        """One segment: each MWh stored is worth `value`. [$/MWh]"""
        room = battery.soc_high_mwh - battery.soc_low_mwh
        return cls(np.array([room]), np.array([float(value)]), np.array(value * battery.soc_low_mwh))

    def worth(self, stored_mwh: float) -> np.float64 | Floats:
        """Worth of the energy stored above the least, shape (...). [$]"""
        below = np.cumsum(self.width_mwh, axis=-1) - self.width_mwh
        filled = np.clip(stored_mwh - below, 0.0, self.width_mwh)
        return np.asarray(self.base + (filled * self.slope).sum(axis=-1))[()]


def terminal_segments(value: "Value | ExpectedValue", *, step: int = 0, n_segments: int = 10) -> Segments:
    """
    The value of an interval as segments that a linear programme can fill: its soft terminal value.

    The segments' polygon touches the value's concave envelope at their ends, and each end after the first two is where
    the polygon was furthest below it. A value that is concave, with a segment for each of its slopes, is met exactly.

    Parameters
    ----------
    value : Value or ExpectedValue
        The value of energy, of one window or many.
    step : int
        The interval at whose start the programme ends.
    n_segments : int
        How many segments, at least 1; those that are not needed have no width.

    Returns
    -------
    Segments
        Widths and slopes, shape (..., n_segments).

    Raises
    ------
    DataError
        If `n_segments` is less than 1 or `step` is outside the value's.

    Examples
    --------
    >>> from gridlab.mpc.value import value_of_energy
    >>> value = value_of_energy([10, 50, 20], Battery(1, 2, 1, 1), step_hours=1, n_states=3)
    >>> width_mwh, slope, base = terminal_segments(value, step=1, n_segments=3)
    >>> width_mwh.tolist(), slope.tolist(), float(base)
    ([1.0, 1.0, 0.0], [50.0, 20.0, 20.0], 0.0)
    """
    from gridlab.mpc.value_core import concave_segments

    if n_segments < 1:
        raise DataError(f"n_segments must be at least 1, got {n_segments}")
    worth = value.value[..., checked_step(step, value.value.shape[-2]), :]
    lengths, rises = concave_segments(np.ascontiguousarray(np.atleast_2d(worth)), n_segments)
    grid_mwh = value.limits.grid_mwh
    slope = np.divide(rises, lengths * grid_mwh, out=np.full_like(rises, np.inf), where=lengths > 0)
    shape = (*worth.shape[:-1], n_segments)
    falling = np.minimum.accumulate(slope, axis=-1)
    return Segments((lengths * grid_mwh).reshape(shape), falling.reshape(shape), worth[..., 0])


def checked_step(step: int, n_steps: int) -> int:
    """`step`, refused where it is not one of `n_steps`."""
    if not 0 <= step < n_steps:
        raise DataError(f"step must be from 0 to {n_steps - 1}, got {step}")
    return step
