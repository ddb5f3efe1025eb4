"""What the cluster holds now: listed, and from then on kept up to date by watches that last from poll to poll."""

from hairpin_proxy.inventory.sources import Sources
from hairpin_proxy.inventory.watches import Watches

__all__ = ["Sources", "Watches"]
