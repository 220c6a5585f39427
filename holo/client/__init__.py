"""A client of the HTTP interface for Python programs that do not use trio: what the command line speaks through."""

from holo.client.connection import Connection, Endpoint, NodeRefused, PassedOver
from holo.client.registry import Client

__all__ = ["Client", "Connection", "Endpoint", "NodeRefused", "PassedOver"]
