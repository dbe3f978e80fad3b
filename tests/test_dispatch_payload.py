import json
import math
import subprocess
import sys
from dataclasses import replace

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from gridlab.assets import Battery, Cooling
from gridlab.dispatch.payload import Payload, payload_of
from gridlab.dispatch.protocols import Order, Protection, Readings, Situation, protect

POWER = {
    "air_miners": 3333,
    "hydro_miners": 5000,
    "immersion_miners": 10000,
    "gpu_compute": 3333,
    "asic_compute": 10000,
}
SITE = Protection(
    cap_mw=1.0,
    machine_cap_power=1_000_000,
    power=POWER,
    battery=Battery(power_mw=0.4, energy_mwh=0.8),
    cooling=Cooling(capacity_mw=0.5),
    cooled=("gpu_compute", "asic_compute"),
    thermometer=True,
)
START = pd.Timestamp("2025-06-21T12:05", tz="UTC")
ORDER = Order(dict.fromkeys(POWER, 20), battery_mw=-0.1, cooling_mw=0.04, services_mw={"training": 0.1})
READINGS = Readings(soc_share=0.5, temperature_c=40.0, outside_c=20.0)


def payload(order=ORDER, readings=READINGS, **changes):
    now = Situation(readings)
    protected = protect(order, now, SITE)
    return payload_of(protected, now, SITE, **({"site": "yard", "start": START, "simulated": True} | changes))


@given(
    st.fixed_dictionaries({name: st.integers(0, 120) for name in POWER}),
    st.floats(-1, 1),
    st.floats(0, 1),
    st.one_of(st.none(), st.floats(0, 1), st.just(math.nan)),
    st.one_of(st.none(), st.floats(-50, 130), st.just(math.inf)),
    st.one_of(st.none(), st.floats(-1e6, 1e6)),
)
def test_a_payload_comes_back_from_json_exactly(counts, battery, cooling, soc, celsius, profit):
    order = Order(counts, battery, cooling, {"training": 0.1})
    sent = payload(order, Readings(soc_share=soc, temperature_c=celsius), expected_profit=profit)
    text = sent.model_dump_json()
    assert Payload.model_validate_json(text) == sent and Payload.model_validate_json(text).model_dump_json() == text
    assert json.loads(text)["start"] == "2025-06-21T12:05:00Z" and "NaN" not in text
    power = sent.power
    assert power.total_mw == power.machines_mw + power.cooling_mw + power.services_mw - power.battery_mw
    assert sent.constraints_satisfied == all(one.holds for one in sent.constraints)


def test_the_known_answer_of_a_small_site():
    sent = payload(expected_profit=30.0)
    machines = 20 * (3333 + 5000 + 10000 + 3333 + 10000) * 1e-6
    assert sent.power.machines_mw == pytest.approx(machines)
    assert sent.power.total_mw == pytest.approx(machines + 0.04 + 0.1 + 0.1)
    assert sent.state.utilisation_share == pytest.approx(sent.power.total_mw / 1.0)
    assert sent.state.efficiency_share == pytest.approx((machines + 0.1) / (machines + 0.1 + 0.04))
    assert sent.state.profit_per_mwh == pytest.approx(30 / (sent.power.total_mw / 12))
    assert sent.allocation == dict.fromkeys(POWER, 20) and sent.mode == "normal" and sent.fired == ()
    assert {one.name for one in sent.constraints} >= {
        "cap",
        "machine_cap",
        "temperature",
        "soc_low",
        "soc_high",
        "chiller",
    }


def test_a_limit_that_is_broken_and_the_protocol_that_saw_it_are_in_the_payload():
    sent = payload(readings=replace(READINGS, temperature_c=80.0))
    assert not sent.constraints_satisfied
    assert [one.name for one in sent.constraints if not one.holds] == ["temperature"]
    assert sent.fired[0].name == "temperature" and sent.fired[0].priority == 2 and sent.fired[0].severity == "warning"
    silent = payload(readings=replace(READINGS, temperature_c=math.nan))
    assert silent.state.temperature_c is None and not silent.constraints_satisfied


def document(**changes):
    return json.loads(payload().model_dump_json()) | changes


@pytest.mark.parametrize(("changes", "words"), [
    ({"allocation": {"hydro_miners": 1.5}}, "valid integer"),
    ({"allocation": {"hydro_miners": 2.0}}, "valid integer"),
    ({"allocation": {"hydro_miners": True}}, "valid integer"),
    ({"allocation": {"hydro_miners": "2"}}, "valid integer"),
    ({"allocation": {"hydro_miners": -1}}, "greater than or equal to 0"),
    ({"constraints_satisfied": False}, "set it to whether all hold"),
    ({"schema_version": 2}, "Input should be 1"),
    ({"mode": "hope"}, "Input should be 'normal'"),
    ({"start": "2025-06-21T12:05:00"}, "timezone info"),
    ({"start": "2025-06-21T12:05:00+02:00"}, "start must be in UTC"),
    ({"api_key": "secret"}, "Extra inputs are not permitted"),
    ({"power": {"total_mw": 1.0, "machines_mw": 0.0, "cooling_mw": 0.0, "battery_mw": 0.0, "services_mw": 0.0}},
     "send what the parts add up to"),
    ({"step_hours": 0.0}, "greater than 0"),
])  # fmt: skip
def test_a_document_that_cannot_be_is_refused(changes, words):
    with pytest.raises(ValidationError, match=words):
        Payload.model_validate_json(json.dumps(document(**changes)))


def test_no_number_that_is_none_passes_into_a_document():
    for wrong in (math.nan, math.inf):
        with pytest.raises(ValidationError, match="finite number"):
            Payload.model_validate_json(json.dumps(document(step_hours=wrong)))
        with pytest.raises(ValidationError, match="finite number"):
            Payload.model_validate(payload().model_dump() | {"step_hours": wrong})


def test_a_constraint_is_not_said_to_hold_without_a_value():
    constraints = document()["constraints"]
    constraints[0] |= {"value": None}
    with pytest.raises(ValidationError, match="cannot be said to hold"):
        Payload.model_validate_json(json.dumps(document(constraints=constraints)))


def test_a_payload_cannot_be_changed():
    with pytest.raises(ValidationError, match="frozen"):
        payload().mode = "safe"


def test_the_schema_says_the_unit_of_every_number():
    schema = Payload.model_json_schema()
    fields = [
        (model, name, field) for model, part in schema["$defs"].items() for name, field in part["properties"].items()
    ]
    fields += [("Payload", name, field) for name, field in schema["properties"].items()]
    assert all(field.get("description") for _, _, field in fields)
    in_names = {"mw": "MW", "share": "1", "c": "degC", "mwh": "$/MWh", "hours": "h"}
    for model, name, field in fields:
        kinds = [field, *field.get("anyOf", ())]
        if model != "Constraint" and any(kind.get("type") == "number" for kind in kinds):
            assert field["unit"] == in_names[name.rsplit("_", 1)[-1]], name
    assert schema["properties"]["allocation"]["additionalProperties"] == {"type": "integer", "minimum": 0,
                                                                         "unit": "machines"}  # fmt: skip


def test_protocols_are_imported_without_pydantic():
    code = "import sys, gridlab.dispatch.protocols; print('pydantic' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"
