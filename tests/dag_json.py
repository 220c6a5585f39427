"""DAG-JSON, in which vectors hold objects."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any

from holo.core.cid import Cid

Json = Any


def from_dag_json(value: Json) -> Any:
    """The object a DAG-JSON value stands for."""
    if isinstance(value, list):
        return [from_dag_json(item) for item in value]
    if not isinstance(value, dict):
        return value
    if set(value) != {"/"}:
        return {key: from_dag_json(item) for key, item in value.items()}
    inner = value["/"]
    if isinstance(inner, str):
        return Cid.parse(inner)
    text = inner["bytes"]
    return base64.b64decode(text + "=" * (-len(text) % 4))


def to_dag_json(value: Any) -> Json:
    """The DAG-JSON form of an object."""
    if isinstance(value, Cid):
        return {"/": str(value)}
    if isinstance(value, bytes):
        return {"/": {"bytes": base64.b64encode(value).decode().rstrip("=")}}
    if isinstance(value, Mapping):
        return {key: to_dag_json(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [to_dag_json(item) for item in value]
    return value
