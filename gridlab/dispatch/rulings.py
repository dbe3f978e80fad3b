"""What a protocol answers: another order, why, and how grave that is."""

from typing import Literal, NamedTuple

from gridlab.dispatch.order import Order

Severity = Literal["info", "warning", "critical"]


class Ruling(NamedTuple):
    """
    What a protocol answers.

    Parameters
    ----------
    order : Order
        The order as it is to be.
    reason : str
        What was seen and what was done, one sentence.
    severity : str
        ``"info"``, ``"warning"`` or ``"critical"``.
    """

    order: Order
    reason: str
    severity: Severity
