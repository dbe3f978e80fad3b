"""The programme of a coalition: batteries, meters of their own where sharing costs, and one virtual meter."""

from functools import lru_cache
from typing import Any, NamedTuple

from gridlab.assets import Battery
from gridlab.mpc.site_programme import Draft, Shape, battery_block
from gridlab.programme import Programme


class Form(NamedTuple):
    """What a programme is compiled for."""

    batteries: tuple[Battery | None, ...]
    one_sided: tuple[float, ...]
    spills: bool
    shape: Shape
    demand_charge: float
    loss_share: float
    network_fee: float


@lru_cache(maxsize=32)
def coalition_programme(form: Form) -> Programme:
    """The programme of all members, of which a coalition's are there and the others are nothing."""
    import cvxpy as cp

    draft = Draft(form.shape)
    stored = [
        battery_block(draft.of(f"{at} "), battery) if battery is not None else 0.0
        for at, battery in enumerate(form.batteries)
    ]
    imported, exported = draft.variable("imported", nonneg=True), draft.variable("exported", nonneg=True)
    draft.earn(draft.parameter("export_price") @ exported - draft.parameter("import_price") @ imported)
    if form.loss_share > 0 or form.network_fee > 0:
        lacking, over = _own_meters(draft, form, stored)
        received, sent = draft.variable("received", nonneg=True), draft.variable("sent", nonneg=True)
        draft.law(lacking == imported + received)
        draft.law(over == exported + sent)
        draft.law(received == (1 - form.loss_share) * sent)
        draft.earn(-form.network_fee * cp.sum(received))
    else:
        draft.law(exported - imported == draft.parameter("out") + sum(stored) - _spilled(draft, form))
    if form.demand_charge > 0:
        peak = draft.variable("peak", 1, nonneg=True)
        draft.law(imported <= peak)
        draft.earn(-form.demand_charge / form.shape.step_hours * cp.sum(peak))
    return draft.programme()


def _spilled(draft: Draft, form: Form) -> Any:
    """Solar energy that is not used."""
    if not form.spills:
        return 0.0
    spilled = draft.variable("spilled", nonneg=True)
    draft.law(spilled <= draft.parameter("spillable"))
    return spilled


def _own_meters(whole: Draft, form: Form, stored: list[Any]) -> tuple[Any, Any]:
    """What all members lack and what they have over, each at its own meter."""
    lacks, overs = [], []
    for at, power in enumerate(stored):
        draft = whole.of(f"{at} ")
        lacking, over = draft.variable("lacking", nonneg=True), draft.variable("over", nonneg=True)
        draft.law(over - lacking == draft.parameter("out") + power - _spilled(draft, form))
        draft.law(over <= draft.scalar("over_most"))
        if form.shape.burns:
            sends, free = draft.variable("sends", boolean=True), draft.parameter("both_sides")
            draft.law(over <= free + form.one_sided[at] * sends)
            draft.law(lacking <= free + form.one_sided[at] * (1 - sends))
        lacks.append(lacking)
        overs.append(over)
    return sum(lacks), sum(overs)
