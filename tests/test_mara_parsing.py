"""Parsing the MARA API's replies: what it says comes back, in whatever order; what cannot be read is one sentence."""

import csv
import io
import json
import re
from datetime import UTC, datetime, timedelta, timezone

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gridlab.errors import DataError
from gridlab.schema import validate
from gridlab.sources.mara.parsing import (
    parse_created_site,
    parse_inventory,
    parse_machines,
    parse_prices,
    parse_site,
)
from gridlab.sources.mara.records import DOCUMENTED, EVENT, MACHINES

KEY = "3f2b8c4e-0000-4000-8000-5d1f6a7b9c01"
PARSERS = (parse_prices, parse_inventory, parse_machines, parse_site, parse_created_site)
NOON = datetime(2025, 6, 21, 12, tzinfo=UTC)

ROWS = [
    {"energy_price": 3.0, "hash_price": 4.0, "token_price": 2.0, "timestamp": "2025-06-21T12:00:00"},
    {"energy_price": 2.5, "hash_price": 1.0, "token_price": 1.5, "timestamp": "2025-06-21T12:05:00"},
    {"energy_price": -1.0, "hash_price": 1.0, "token_price": 0.7, "timestamp": "2025-06-21T12:10:00"},
]
INVENTORY = {
    "inference": {"asic": {"power": 10000, "tokens": 5000}, "gpu": {"power": 3333, "tokens": 1000}},
    "miners": {
        "air": {"hashrate": 1000, "power": 3333},
        "hydro": {"hashrate": 10000, "power": 5000},
        "immersion": {"hashrate": 5000, "power": 10000},
    },
}
COUNTS = dict(zip(MACHINES, (0, 200, 0, 1, 2), strict=True))
SET = COUNTS | {"id": 474, "site_id": 0, "updated_at": "2025-06-21T19:30:47.964566"}
SITE = {"name": "HackFestSite", "power": 1000000}
CREATED = SITE | {"api_key": KEY}
DOCUMENTS = dict(zip(PARSERS, (ROWS, INVENTORY, SET, SITE, CREATED), strict=True))


def refused(call: object, *words: str) -> str:
    """Whether a call is refused in one line that has the words."""
    with pytest.raises(DataError) as caught:
        call()
    message = str(caught.value)
    assert "\n" not in message
    assert [word for word in words if word not in message] == [], message
    return message


def cases(values):
    """Names for parametrised parsers."""
    return pytest.mark.parametrize("parse", values, ids=lambda parse: parse.__name__)


# What was recorded


def test_the_recorded_day_comes_back_value_for_value(data_dir):
    with (data_dir / "mara" / "prices_2025-06-21.csv").open() as file:
        rows = list(csv.DictReader(file))
    sent = [{**row, "timestamp": row["timestamp_utc"]} for row in rows]
    table = parse_prices(json.dumps(sent[::-1]))
    assert table["price"].tolist() == [float(row["energy_price"]) for row in rows]
    assert table["hash_price"].tolist() == [float(row["hash_price"]) for row in rows]
    assert table["token_price"].tolist() == [float(row["token_price"]) for row in rows]
    assert [f"{time:%Y-%m-%dT%H:%M:%S}" for time in table.index] == [row["timestamp_utc"] for row in rows]


def test_the_recorded_replies_come_back_key_for_key(data_dir):
    for sent in json.loads((data_dir / "mara" / "machines_replies.json").read_text()):
        reply = parse_machines(json.dumps(sent))
        back = dict(reply.counts) | {
            "id": reply.id,
            "site_id": reply.site_id,
            "updated_at": reply.updated_at.tz_localize(None).isoformat(),
            "power": reply.power,
            "revenue": reply.revenue,
            "total_power_used": reply.total_power_used,
            "total_power_cost": reply.total_power_cost,
            "total_revenue": reply.total_revenue,
        }
        assert back == sent


def test_the_recorded_inventory_is_that_of_the_event(data_dir):
    with (data_dir / "mara" / "inventory.json").open() as file:
        assert parse_inventory(file) == EVENT


# Lenient


def the_obvious(rows: list[dict]) -> pd.DataFrame:
    """The table as one would write it without hurry."""
    table = pd.DataFrame(rows)
    table.index = pd.to_datetime(table["timestamp"], utc=True, format="ISO8601").dt.floor("5min")
    table = table[["energy_price", "hash_price", "token_price"]].astype(float)
    return (
        table.set_axis(["price", "hash_price", "token_price"], axis=1).rename_axis("time").sort_index().asfreq("5min")
    )


finite = st.floats(allow_nan=False, allow_infinity=False)
stamps = st.sampled_from(
    [
        lambda time: time.strftime("%Y-%m-%dT%H:%M:%S"),
        lambda time: time.strftime("%Y-%m-%d %H:%M:%S"),
        lambda time: time.strftime("%Y-%m-%dT%H:%MZ"),
        lambda time: time.strftime("%Y-%m-%dT%H:%M:%S.000000Z"),
        lambda time: (time + timedelta(seconds=299, microseconds=7)).isoformat(),
        lambda time: time.astimezone(timezone(timedelta(hours=-7))).isoformat(),
        lambda time: time.astimezone(timezone(timedelta(hours=5, minutes=45))).isoformat(),
    ]
)


@st.composite
def price_rows(draw):
    """Rows with gaps, each with its own way of writing the time, in any order of rows and of keys."""
    steps = draw(st.lists(st.integers(0, 60), min_size=1, max_size=12, unique=True))
    rows = []
    for step in steps:
        stamp = draw(stamps)(NOON + timedelta(minutes=5 * step))
        row = {key: draw(finite) for key in ("energy_price", "hash_price", "token_price")}
        rows.append(dict(draw(st.permutations([*row.items(), ("timestamp", stamp), ("zone", None)]))))
    return rows


@given(price_rows(), st.sampled_from([str, str.encode, io.StringIO, lambda text: io.BytesIO(text.encode())]))
def test_prices_are_those_of_the_obvious_way_in_any_order_and_form(rows, opened):
    table = parse_prices(opened(json.dumps(rows)))
    assert validate(table, "prices") is table
    pd.testing.assert_frame_equal(table, the_obvious(rows), check_exact=True)
    assert table.index.freq == pd.Timedelta(minutes=5)
    assert bool(table.attrs["notes"]) == bool(table["price"].isna().any())


@given(price_rows(), st.integers(0, 3))
def test_numbers_may_come_as_text(rows, spaces):
    for row in rows:
        row["energy_price"] = " " * spaces + str(row["energy_price"])
    pd.testing.assert_frame_equal(parse_prices(json.dumps(rows, indent=spaces)), the_obvious(rows), check_exact=True)


def test_a_row_that_comes_twice_is_one_row():
    assert parse_prices(json.dumps([*ROWS, ROWS[0]])).equals(parse_prices(json.dumps(ROWS)))


def test_unknown_keys_spaces_text_numbers_and_order_change_nothing():
    machines = (
        {"extra": {"a": [1]}} | {key: SET[key] for key in reversed(SET)} | {"hydro_miners": " 200.0 ", "id": "474"}
    )
    assert parse_machines(json.dumps(machines, indent=4)) == parse_machines(json.dumps(SET))
    site = [{"power": "1000000", "api_key": KEY, "name": "HackFestSite"}]
    assert parse_site(json.dumps(site)) == ("HackFestSite", 1_000_000)
    assert parse_inventory("\ufeff" + json.dumps(INVENTORY | {"fans": []})) == EVENT


def test_a_reply_to_put_has_no_amounts():
    reply = parse_machines(json.dumps(SET | {"power": None}))
    assert (reply.power, reply.revenue, reply.total_power_used) == (None, None, None)
    assert reply.updated_at == pd.Timestamp("2025-06-21 19:30:47.964566", tz="UTC")


def test_a_new_sites_key_is_read_and_not_shown():
    site = parse_created_site(json.dumps(CREATED))
    assert site.key.reveal() == KEY
    assert KEY not in repr(site)


def test_the_documented_inventory_is_read():
    miners = {"air": (3500, 1000), "hydro": (5000, 5000), "immersion": (10000, 10000)}
    inference = {"gpu": (5000, 1000), "asic": (15000, 50000)}
    document = {
        "miners": {name: {"power": power, "hashrate": made} for name, (power, made) in miners.items()},
        "inference": {name: {"power": power, "tokens": made} for name, (power, made) in inference.items()},
    }
    assert parse_inventory(json.dumps(document)) == DOCUMENTED


# Strict


@cases(PARSERS)
@pytest.mark.parametrize(
    ("reply", "words"),
    [
        (b"", "is empty"),
        (b" \n", "is empty"),
        (b"<!DOCTYPE html><html>502 Bad Gateway</html>", "is a web page"),
        (b"Internal Server Error", "is not JSON"),
        (b"\xff\xfe\x00", "is not UTF-8"),
        (b"null", "got null"),
        (b"5", "got the number 5"),
        (b'"key"', "got text"),
        (b"[" * 100_000, "is not JSON"),
        (b"1" * 10_000, ""),
        (b"[1e999, -0.0]", ""),
    ],
)
def test_what_is_no_reply_is_refused_with_the_call_and_what_to_do(parse, reply, words):
    message = refused(lambda: parse(reply), words)
    assert re.match(r"(GET|POST) /\w+", message), message
    assert re.search(r": (try again later|see whether the API has changed)$", message), message


@cases(PARSERS)
def test_each_reply_cut_anywhere_is_refused(parse):
    whole = json.dumps(DOCUMENTS[parse])
    for length in range(len(whole)):
        message = refused(lambda cut=whole[:length]: parse(cut))
        assert KEY[:8] not in message


@pytest.mark.parametrize("key", ["energy_price", "hash_price", "token_price", "timestamp"])
def test_a_missing_key_is_named_with_its_row(key):
    rows = [ROWS[0], {name: value for name, value in ROWS[1].items() if name != key}]
    refused(lambda: parse_prices(json.dumps(rows)), f"row 1 has no key '{key}'", "it has")


@pytest.mark.parametrize("literal", ["NaN", "Infinity", "-Infinity"])
@cases(PARSERS)
def test_nan_and_infinity_are_refused(parse, literal):
    text = json.dumps(DOCUMENTS[parse])
    broken = re.sub(r"(?<=: )-?\d[\d.]*", literal, text, count=1)
    assert broken != text
    refused(lambda: parse(broken), literal)


@pytest.mark.parametrize("bad", [None, True, "dear", "", "1_0", "nan", [], {}, "0x10", 10**400, "1e999"])
@pytest.mark.parametrize("key", ["energy_price", "hash_price", "token_price"])
def test_a_price_that_is_no_finite_number_is_refused_or_a_gap(key, bad):
    rows = [ROWS[0] | {key: bad}, *ROWS[1:]]
    refused(lambda: parse_prices(json.dumps(rows)), f"row 0 {key} must be a finite number")
    table = parse_prices(json.dumps(rows), bad_rows="gap")
    assert np.isnan(table.iloc[0][key if key != "energy_price" else "price"])
    assert table.iloc[1:].equals(parse_prices(json.dumps(ROWS[1:])).iloc[:])
    assert "1 of 3 intervals" in table.attrs["notes"][0]


def test_the_newest_row_must_be_whole_even_where_bad_rows_are_gaps():
    newest = ROWS[2] | {"hash_price": None}
    refused(lambda: parse_prices(json.dumps([newest, *ROWS[:2]]), bad_rows="gap"), "the newest", "hash_price")
    nan = '[{"energy_price": NaN, "hash_price": 1, "token_price": 1, "timestamp": "2025-06-21T12:00:00"}]'
    refused(lambda: parse_prices(nan, bad_rows="gap"), "the newest", "energy_price")


NO_TIMES = [
    None, 1750500000, True, "", "now", "today", "NaT", "12:00", "2025-06-21", "2025-13-01T00:00:00",
    "2025-02-30T00:00:00", "2025-06-21T25:00:00", "2025-06-21T12:00+99:00", "0001-01-01T00:00:00+05:00",
    "2025-W25-6T12:00:00", "\u0662025-06-21T12:00:00",
]  # fmt: skip


@pytest.mark.parametrize("bad", NO_TIMES)
def test_a_time_that_is_none_is_refused_with_its_row(bad):
    rows = [ROWS[0], ROWS[1] | {"timestamp": bad}]
    refused(lambda: parse_prices(json.dumps(rows)), "row 1 timestamp must be an ISO 8601 time")
    refused(lambda: parse_machines(json.dumps(SET | {"updated_at": bad})), "updated_at must be an ISO 8601 time")


def test_two_prices_for_one_interval_are_refused_or_a_gap():
    late = ROWS[0] | {"energy_price": 3.1, "timestamp": "2025-06-21T12:04:59.9Z"}
    refused(lambda: parse_prices(json.dumps([*ROWS, late])), "rows 0 and 3", "2025-06-21 12:00 UTC", "different prices")
    gap = parse_prices(json.dumps([*ROWS, late]), bad_rows="gap")
    assert gap["price"].isna().tolist() == [True, False, False]
    newest = ROWS[2] | {"energy_price": 3.1}
    refused(lambda: parse_prices(json.dumps([*ROWS, newest]), bad_rows="gap"), "different prices")


def test_times_many_years_apart_are_refused_before_they_fill_the_memory():
    rows = [ROWS[0], ROWS[1] | {"timestamp": "9999-12-31T23:55:00"}]
    refused(lambda: parse_prices(json.dumps(rows)), "more than ten years apart")


@pytest.mark.parametrize("bad", [-1, 0.5, "0.5", "-3", None, True, "many", 10**16, 10**400, [], {}])
def test_a_count_or_a_power_that_is_no_whole_number_is_refused(bad):
    refused(lambda: parse_machines(json.dumps(SET | {"gpu_compute": bad})), "gpu_compute must be a whole number")
    refused(lambda: parse_site(json.dumps(SITE | {"power": bad})), "power must be a whole number")
    inventory = json.loads(json.dumps(INVENTORY))
    inventory["miners"]["hydro"]["power"] = bad
    refused(lambda: parse_inventory(json.dumps(inventory)), "miners.hydro.power must be a whole number")


@pytest.mark.parametrize("name", MACHINES)
def test_a_missing_machine_is_named(name):
    refused(lambda: parse_machines(json.dumps({k: v for k, v in SET.items() if k != name})), f"no key '{name}'")
    amounts = dict.fromkeys(set(MACHINES) - {name}, 1)
    refused(lambda: parse_machines(json.dumps(SET | {"revenue": amounts})), f"revenue has no key '{name}'")
    group, kind = next((g, k) for g, kinds in INVENTORY.items() for k in kinds if name.startswith(k))
    inventory = {g: {k: v for k, v in kinds.items() if (g, k) != (group, kind)} for g, kinds in INVENTORY.items()}
    refused(lambda: parse_inventory(json.dumps(inventory)), group, f"no key '{kind}'")


@pytest.mark.parametrize(
    "bad", [None, "", "short", 12345678901, "two words here", "line\nbreak-key", "é" * 12, "x" * 600]
)
def test_a_new_sites_key_that_cannot_be_one_is_refused_and_not_shown(bad):
    message = refused(lambda: parse_created_site(json.dumps(CREATED | {"api_key": bad})), "POST /sites")
    assert not bad or str(bad) not in message


# Fuzzing


anything = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.sampled_from([KEY, 1e308, 10**20, "1", "NaN"]),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text() | st.sampled_from(MACHINES), inner, max_size=4)
    ),
    max_leaves=12,
)


def paths(document, at=()):
    """Where everything in a document stands."""
    yield at
    children = (
        document.items() if isinstance(document, dict) else enumerate(document) if isinstance(document, list) else ()
    )
    for key, child in children:
        yield from paths(child, (*at, key))


def replaced(document, path, value):
    if not path:
        return value
    copy = dict(document) if isinstance(document, dict) else list(document)
    copy[path[0]] = replaced(document[path[0]], path[1:], value)
    return copy


def read_or_refused(parse, reply):
    """Whether a parser gives a record, or one sentence that can be printed; nothing else may come of it."""
    for options in ({}, {"bad_rows": "gap"}) if parse is parse_prices else ({},):
        try:
            found = parse(reply, **options)
        except DataError as error:
            message = str(error)
            assert "\n" not in message
            assert len(message) < 600
            assert message.encode()
        else:
            if parse is parse_prices:
                validate(found, "prices")
                assert np.isfinite(found.iloc[-1]).all()


@cases(PARSERS)
@given(data=st.binary(max_size=60) | st.text(max_size=60).map(lambda text: text.encode("utf-8", "surrogatepass")))
def test_any_bytes_are_read_or_refused(parse, data):
    read_or_refused(parse, data)


@cases(PARSERS)
@given(document=anything)
def test_any_json_is_read_or_refused(parse, document):
    read_or_refused(parse, json.dumps(document))


@cases(PARSERS)
@given(data=st.data())
def test_a_reply_with_one_part_replaced_is_read_or_refused(parse, data):
    document = DOCUMENTS[parse]
    for _ in range(data.draw(st.integers(1, 2))):
        path = data.draw(st.sampled_from(list(paths(document))))
        document = replaced(document, path, data.draw(anything))
    read_or_refused(parse, json.dumps(document))


@cases(PARSERS)
@given(at=st.integers(0, 10**6), patch=st.binary(max_size=3), length=st.integers(0, 3))
def test_a_reply_with_some_bytes_replaced_is_read_or_refused(parse, at, patch, length):
    whole = json.dumps(DOCUMENTS[parse]).encode()
    at %= len(whole)
    read_or_refused(parse, whole[:at] + patch + whole[at + length :])
