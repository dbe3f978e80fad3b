"""The simulated server's description in OpenAPI 3.1."""

from typing import Any

from gridlab.live.simulator.faults import KINDS, MEANINGS, SECONDS
from gridlab.live.simulator.requests import LONGEST_NAME
from gridlab.live.simulator.ticking import KINDS as CLOCKS
from gridlab.sources.mara import MACHINES

Json = dict[str, Any]

_ABOUT = (
    "A local server with the calls of the API of the MARA Hackathon 2025, and its formula. Everything it says is "
    "SIMULATED. Faults are told to it by POST /simulator/faults: with none in force, no call is answered with 429, "
    "500 or HTML."
)
_REFUSALS = {
    400: "The body is not JSON, or the query is not text.",
    401: "The key is missing or no site's.",
    404: "There is no such site.",
    409: "The clock is not a manual one, or the time is before its own or after the market's end.",
    413: "The body is too long.",
    422: "What is asked for breaks a rule; nothing is applied.",
}
_FAULTS = {429: "Too many requests, under a fault.", 500: "The server failed, under a fault."}
_PUT_RULES = (
    "Run an allocation. It replaces the one before: a type that is not named runs none. The sum of count times power "
    "may not be above the site's power. Other names mean nothing."
)


def _object(properties: Json, required: bool = True) -> Json:
    return {"type": "object", "properties": properties, **({"required": list(properties)} if required else {})}


def _list(of: Json) -> Json:
    return {"type": "array", "items": of}


def _ref(name: str) -> Json:
    return {"$ref": f"#/components/schemas/{name}"}


TEXT, NUMBER, INTEGER = {"type": "string"}, {"type": "number"}, {"type": "integer"}
NATURAL: Json = {"type": "integer", "minimum": 0}
TIME: Json = {"type": "string", "format": "date-time"}
NAIVE: Json = {"type": "string", "pattern": r"^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d{6})?$"}
COUNT: Json = {"anyOf": [NATURAL, {"type": "string", "pattern": "^[0-9]{1,18}$"}]}
_ALLOCATION: Json = {"site_id": NATURAL, "id": NATURAL, **dict.fromkeys(MACHINES, NATURAL), "updated_at": NAIVE}


def _fault(kind: str) -> Json:
    least, most = SECONDS.get(kind, (0.0, 1e8))
    count = {"type": ["integer", "null"], "minimum": 0, "maximum": 1_000_000}
    properties: Json = {
        "kind": {"const": kind},
        "probability": {"type": "number", "minimum": 0, "maximum": 1, "default": 1},
        "call": {"enum": [*KINDS[kind][1], None], "description": "The call it befalls; all of these when null."},
        "next": {**count, "description": "Calls that it befalls until it is over; null for ever."},
        "seconds": {"type": ["number", "null"], "minimum": least, "maximum": most},
        "status": {"type": "integer", "minimum": 200, "maximum": 599, "default": 502},
        "rows": {"type": "integer", "minimum": 1, "maximum": 1_000_000, "default": 6},
        "factor": {"type": "number", "minimum": -1e12, "maximum": 1e12, "default": 100},
    }
    return {**_object(properties, required=False), "required": ["kind"], "description": MEANINGS[kind]}


_SCHEMAS: Json = {
    "Error": _object({"detail": {"type": "string", "minLength": 1}}),
    "Price": _object({"energy_price": NUMBER, "hash_price": NUMBER, "token_price": NUMBER, "timestamp": NAIVE}),
    "Inventory": _object(
        {
            "inference": _object({kind: _object({"power": NATURAL, "tokens": NATURAL}) for kind in ("asic", "gpu")}),
            "miners": _object(
                {kind: _object({"power": NATURAL, "hashrate": NATURAL}) for kind in ("air", "hydro", "immersion")}
            ),
        }
    ),
    "Counts": {
        **_object(dict.fromkeys(MACHINES, COUNT), required=False),
        "anyOf": [{"required": [name]} for name in MACHINES],
    },
    "Allocation": _object(_ALLOCATION),
    "Machines": _object(
        {
            **_ALLOCATION,
            "total_power_used": NATURAL,
            "total_power_cost": NUMBER,
            "total_revenue": NUMBER,
            "power": _object(dict.fromkeys(MACHINES, NATURAL)),
            "revenue": _object(dict.fromkeys(MACHINES, NUMBER)),
        }
    ),
    "NewSite": _object({"name": {"type": "string", "minLength": 1, "maxLength": LONGEST_NAME}}),
    "Key": _object({"api_key": TEXT, "name": TEXT, "power": NATURAL}),
    "Site": _object({"site_id": NATURAL, "name": TEXT, "power": NATURAL}),
    "Clock": _object({"kind": {"enum": list(CLOCKS)}, "now": TIME, "speed": NUMBER}),
    "Fault": {"anyOf": [_fault(kind) for kind in KINDS]},
    "FaultsWanted": {
        **_object(
            {
                "faults": {**_list(_ref("Fault")), "maxItems": 1000},
                "keep": {"type": "boolean", "default": False, "description": "Add to the faults in force."},
            },
            required=False,
        ),
        "required": ["faults"],
    },
    "Faults": _object(
        {
            "faults": _list(_ref("Fault")),
            "calls": {"type": "object", "additionalProperties": NATURAL},
            "faulty_calls": {"type": "object", "additionalProperties": NATURAL},
            "counts": {
                "type": "object",
                "additionalProperties": {"type": "object", "additionalProperties": NATURAL},
            },
        }
    ),
    "Put": _object({"id": NATURAL, "site_id": NATURAL, "time": TIME, **dict.fromkeys(MACHINES, NATURAL)}),
    "Interval": _object(
        {
            "time": TIME,
            "site_id": NATURAL,
            **dict.fromkeys(("seconds", "mean_power", "revenue", "cost", "profit"), NUMBER),
        }
    ),
    "Earned": _object(
        {
            "site_id": NATURAL,
            "name": TEXT,
            "until": TIME,
            "puts": NATURAL,
            **dict.fromkeys(("seconds", "revenue", "cost", "profit"), NUMBER),
        }
    ),
}
_SCHEMAS["Log"] = _object({"puts": _list(_ref("Put")), "intervals": _list(_ref("Interval")), "puts_forgotten": NATURAL})
_SCHEMAS["About"] = _object(
    {
        "simulated": {"const": True},
        "market": {"type": "object"},
        "clock": _ref("Clock"),
        "sites": _list(_ref("Site")),
        "end": TIME,
    }
)

_QUERY_SITE: Json = {
    "name": "site",
    "in": "query",
    "schema": {"type": "integer", "minimum": 0, "maximum": 10**18 - 1},
    "description": "Number of a site; all sites when omitted.",
}
_QUERY_SINCE: Json = {"name": "since", "in": "query", "schema": TIME, "description": "What is before it is left out."}


def _json(schema: Json) -> Json:
    return {"application/json": {"schema": schema}}


def _call(summary: str, reply: Json, *, refusals: tuple[int, ...] = (), faults: bool = True, **more: Any) -> Json:
    """One call: its reply, its refusals and, where faults may befall it, what comes of them."""
    body = more.pop("body", None)
    wanted = {"requestBody": {"required": True, "content": _json(_ref(body))}} if body else {}
    errors = {**{status: _REFUSALS[status] for status in (*refusals, 413)}, **(_FAULTS if faults else {})}
    replies = {str(status): {"description": why, "content": _json(_ref("Error"))} for status, why in errors.items()}
    if faults:
        replies["429"]["headers"] = {"Retry-After": {"schema": {"type": "string"}, "description": "Seconds to wait."}}
        replies["502"] = {"description": "A page of HTML, under a fault.", "content": {"text/html": {"schema": TEXT}}}
    date = {"Date": {"schema": TEXT, "description": "Time of the server's clock."}}
    replies["200"] = {"description": "What is asked for.", "headers": date, "content": _json(reply)}
    return {"summary": summary, **wanted, **more, "responses": dict(sorted(replies.items()))}


_KEY: Json = {"security": [{"key": []}]}

DESCRIPTION: Json = {
    "openapi": "3.1.0",
    "info": {"title": "gridlab: a simulated MARA API", "version": "1", "description": _ABOUT},
    "paths": {
        "/prices": {"get": _call("All rows of prices up to now, newest first.", _list(_ref("Price")))},
        "/inventory": {"get": _call("The machine types on offer.", _ref("Inventory"))},
        "/machines": {
            "get": _call("What the site runs and earns.", _ref("Machines"), refusals=(401,), **_KEY),
            "put": _call(_PUT_RULES, _ref("Allocation"), refusals=(400, 401, 422), body="Counts", **_KEY),
        },
        "/sites": {
            "get": _call("The site whose key it is.", _ref("Site"), refusals=(401,), **_KEY),
            "post": _call("Make a site; names need not be unique.", _ref("Key"), refusals=(400, 422), body="NewSite"),
        },
        "/simulator": {"get": _call("What is simulated.", _ref("About"), faults=False)},
        "/simulator/clock": {
            "get": _call("What time it is.", _ref("Clock"), faults=False),
            "post": _call(
                "Move a manual clock forward.", _ref("Clock"), refusals=(400, 409, 422), faults=False, body="Move"
            ),
        },
        "/simulator/faults": {
            "get": _call("The faults in force, and how many calls they befell.", _ref("Faults"), faults=False),
            "post": _call("Set the faults.", _ref("Faults"), refusals=(400, 422), faults=False, body="FaultsWanted"),
        },
        "/simulator/log": {
            "get": _call(
                "Allocations applied, and what was earned in each interval.",
                _ref("Log"),
                refusals=(400, 404, 422),
                faults=False,
                parameters=[_QUERY_SITE, _QUERY_SINCE],
            )
        },
        "/simulator/earned": {
            "get": _call(
                "What sites have earned so far.",
                _list(_ref("Earned")),
                refusals=(400, 404, 422),
                faults=False,
                parameters=[_QUERY_SITE],
            )
        },
        "/openapi.json": {"get": _call("This description.", {"type": "object"}, faults=False)},
    },
    "components": {
        "schemas": {**_SCHEMAS, "Move": _object({"to": TIME})},
        "securitySchemes": {"key": {"type": "apiKey", "in": "header", "name": "X-Api-Key"}},
    },
}
