"""A site's limits, as the protocols of its dispatch know them."""

from functools import lru_cache

from gridlab.dispatch.order import Protection
from gridlab.live.config import Config
from gridlab.sources.mara import Inventory


@lru_cache(maxsize=16)
def protection(config: Config, inventory: Inventory) -> Protection:
    """The site's limits."""
    return Protection(
        cap_mw=config.cap_mw,
        machine_cap_power=config.cap_power,
        power=inventory.power,
        unit_mw=config.scaling.power_mw,
        battery=config.battery,
        cooling=config.cooling,
        cooled=config.cooled,
        regulation=config.regulation,
        thermometer=config.thermometer,
    )
