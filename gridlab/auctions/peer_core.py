"""The walk of `gridlab.auctions.peer` along ranked orders, compiled."""

import numba
import numpy as np

SPENT = 1e-12


@numba.njit(cache=True)
def ranked_pairs(sell_market, ask, offered, buy_market, bid, wanted, kept):  # type: ignore[no-untyped-def]
    """
    Pairs of the best orders left, market by market: rows of seller and buyer, power sold and power bought.

    Orders are sorted by market and then best first. `kept` is the share of the power sold that arrives. What is left
    of an order below `SPENT` of it is rounding, and the order is done.
    """
    n_sellers, n_buyers = len(ask), len(bid)
    seller, buyer = np.empty(n_sellers + n_buyers, np.int64), np.empty(n_sellers + n_buyers, np.int64)
    sold, bought = np.empty(n_sellers + n_buyers), np.empty(n_sellers + n_buyers)
    n_pairs, i, j = 0, 0, 0
    offer = offered[0] if n_sellers else 0.0
    want = wanted[0] if n_buyers else 0.0
    while i < n_sellers and j < n_buyers:
        if sell_market[i] < buy_market[j] or offer <= SPENT * offered[i]:
            i += 1
            offer = offered[i] if i < n_sellers else 0.0
        elif buy_market[j] < sell_market[i] or want <= SPENT * wanted[j]:
            j += 1
            want = wanted[j] if j < n_buyers else 0.0
        elif bid[j] * kept < ask[i]:
            market = sell_market[i]
            while i < n_sellers and sell_market[i] == market:
                i += 1
            offer = offered[i] if i < n_sellers else 0.0
        else:
            seller[n_pairs], buyer[n_pairs] = i, j
            if offer * kept <= want:
                sold[n_pairs], bought[n_pairs] = offer, offer * kept
                offer, want = 0.0, want - offer * kept
            else:
                sold[n_pairs], bought[n_pairs] = want / kept, want
                offer, want = offer - want / kept, 0.0
            n_pairs += 1
    return seller[:n_pairs], buyer[:n_pairs], sold[:n_pairs], bought[:n_pairs]
