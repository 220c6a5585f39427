"""The registry role: the one door for records, and the heads over them."""

from holo.roles.registry.opening import Opened
from holo.roles.registry.progress import Mark, Standing
from holo.roles.registry.role import Registry
from holo.store.incoming import Incoming

__all__ = ["Incoming", "Mark", "Opened", "Registry", "Standing"]
