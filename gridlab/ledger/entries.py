"""Entries: every amount twice, once on each side."""

import pandas as pd

from gridlab.schema import TABLES


def postings(
    times: pd.Series | pd.DatetimeIndex, account: str, counter_account: str, amount: object, energy: object, cause: str
) -> pd.DataFrame:
    """Entries of one account against another, without their mirror."""
    table = pd.DataFrame({"time": times.to_numpy(), "amount": amount, "energy_mwh": energy})
    text = {"account": account, "counter_account": counter_account, "cause": cause}
    table["time"] = pd.DatetimeIndex(times)
    return table.assign(**{name: pd.Series(word, index=table.index, dtype="str") for name, word in text.items()})


def with_mirror(one: pd.DataFrame) -> pd.DataFrame:
    """The entries and, in the second half, the other side of each."""
    mirror = one.assign(
        account=one["counter_account"],
        counter_account=one["account"],
        amount=-one["amount"],
        energy_mwh=-one["energy_mwh"],
    )
    return pd.concat([one, mirror], ignore_index=True)[list(TABLES["entries"].columns)]
