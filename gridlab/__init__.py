"""gridlab: price forecasts, plans, auctions and risk for people who trade energy and run power-hungry sites.

The pipeline, in reading order::

    source -> features -> forecast -> scenarios -> plan -> bids -> auction -> dispatch -> ledger -> report

Importing the package loads no stage; ask for the one you need, ``from gridlab import sources, evaluate, backtest``.
"""

__version__ = "0.1.0"
