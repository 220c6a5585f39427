"""``holo demo``: the first five minutes, played with real nodes on this machine and checked line by line."""

from holo.cli.demo.play import demo

__all__ = ["demo"]
