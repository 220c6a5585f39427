"""What a home's owner trusts and how they call nodes: ``trust.toml`` and ``remotes.toml``.

``[nodes]`` maps a label to the did:key of a node whose receipts count; ``[namespaces]`` pins a namespace to its
genesis; ``remotes.toml`` maps a short name to a node's URL and did:key. Files are small TOML that people may edit.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from holo.core import keys, names
from holo.core.cid import Cid
from holo.core.errors import HoloError, Missing, Rejected
from holo.core.keys import Kid
from holo.store.home import Home, read_small, write_atomically

_LABEL: Final = re.compile(r"[a-z0-9](?:[a-z0-9._-]{0,62}[a-z0-9])?", re.ASCII)


@dataclass(frozen=True, slots=True)
class Trust:
    """The anchors of a home: nodes by label, namespaces by name."""

    nodes: Mapping[str, Kid]
    namespaces: Mapping[str, Cid]


@dataclass(frozen=True, slots=True)
class Remote:
    """A node somebody gave a short name."""

    name: str
    url: str
    node: Kid


def read_trust(home: Home) -> Trust:
    """What ``trust.toml`` says; nothing where there is none. Raises ``profile-invalid`` for a file that is broken."""
    value = _read(home.trust_file, ("nodes", "namespaces"))
    nodes = {label: _kid(home.trust_file, label, did) for label, did in value.get("nodes", {}).items()}
    pins: dict[str, Cid] = {}
    for ns, text in value.get("namespaces", {}).items():
        try:
            names.check_namespace(ns)
            pins[ns] = Cid.parse(str(text))
        except HoloError as error:
            raise _broken(home.trust_file, f"namespaces.{ns}: {error.detail}") from None
    return Trust(nodes, pins)


def trust_node(home: Home, label: str, kid: Kid) -> None:
    """Count a node's receipts from now on. A label that is in use is replaced."""
    check_label(label)
    trust = read_trust(home)
    _write_trust(home, Trust({**trust.nodes, label: kid}, trust.namespaces))


def pin_namespace(home: Home, ns: str, genesis: Cid) -> None:
    """Take ``genesis`` for the identity of ``ns`` from now on."""
    names.check_namespace(ns)
    trust = read_trust(home)
    _write_trust(home, Trust(trust.nodes, {**trust.namespaces, ns: genesis}))


def forget_anchor(home: Home, label: str) -> None:
    """Drop a node's label or its did:key, or a namespace. Raises ``not-found``."""
    trust = read_trust(home)
    nodes = {name: kid for name, kid in trust.nodes.items() if label not in (name, keys.did_of(kid))}
    pins = {ns: genesis for ns, genesis in trust.namespaces.items() if ns != label}
    if len(nodes) == len(trust.nodes) and len(pins) == len(trust.namespaces):
        raise Missing("not-found", f"{label} is not in {home.trust_file}", subject=label)
    _write_trust(home, Trust(nodes, pins))


def read_remotes(home: Home) -> dict[str, Remote]:
    """Every remote by name. Raises ``profile-invalid`` for a file that is broken."""
    remotes = {}
    for name, entry in _read(home.remotes_file, ("remotes",)).get("remotes", {}).items():
        if not isinstance(entry, dict) or not isinstance(entry.get("url"), str):
            raise _broken(home.remotes_file, f"remotes.{name} needs url and node")
        remotes[name] = Remote(name, entry["url"], _kid(home.remotes_file, name, entry.get("node")))
    return remotes


def add_remote(home: Home, remote: Remote) -> None:
    """Give a node a short name; one that is in use is replaced."""
    check_label(remote.name)
    if not remote.url.startswith(("http://", "https://")):
        raise Rejected("request-invalid", f"{remote.url!r} is not an http or https URL", subject=remote.url)
    _write_remotes(home, {**read_remotes(home), remote.name: remote})


def remove_remote(home: Home, name: str) -> None:
    """Forget a short name. Raises ``not-found``."""
    remotes = read_remotes(home)
    if remotes.pop(name, None) is None:
        raise Missing("not-found", f"{name} is not in {home.remotes_file}", subject=name)
    _write_remotes(home, remotes)


def _write_trust(home: Home, trust: Trust) -> None:
    lines = [
        "# Whom this home trusts. Written by `holo trust` and `holo ns pin`; may be edited.",
        "v = 1",
        "",
        "[nodes]",
    ]
    lines += [f"{_quoted(label)} = {_quoted(keys.did_of(kid))}" for label, kid in sorted(trust.nodes.items())]
    lines += ["", "[namespaces]"]
    lines += [f"{_quoted(ns)} = {_quoted(str(genesis))}" for ns, genesis in sorted(trust.namespaces.items())]
    write_atomically(home.create().trust_file, "\n".join(lines).encode() + b"\n")


def _write_remotes(home: Home, remotes: Mapping[str, Remote]) -> None:
    lines = ["# Short names of nodes. Written by `holo remote`; may be edited.", "v = 1"]
    for name, remote in sorted(remotes.items()):
        lines += ["", f"[remotes.{_quoted(name)}]", f"url = {_quoted(remote.url)}"]
        lines += [f"node = {_quoted(keys.did_of(remote.node))}"]
    write_atomically(home.create().remotes_file, "\n".join(lines).encode() + b"\n")


def _read(path: Path, tables: tuple[str, ...]) -> dict[str, Any]:
    data = read_small(path)
    if data is None:
        return {}
    try:
        value = tomllib.loads(data.decode())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise _broken(path, str(error)) from None
    if value.get("v") != 1:
        raise _broken(path, "needs v = 1")
    for name in value:
        if name != "v" and not (name in tables and isinstance(value[name], dict)):
            raise _broken(path, f"{name} is not one of its tables, which are {', '.join(tables)}")
    return value


def _kid(path: Path, label: str, did: Any) -> Kid:
    try:
        return keys.parse_did(str(did))
    except HoloError as error:
        raise _broken(path, f"{label}: {error.detail}") from None


def check_label(label: str) -> None:
    """Raises ``label-invalid`` for what no node can be called."""
    if not _LABEL.fullmatch(label):
        raise Rejected("label-invalid", f"label {label!r}", subject=label)


def _quoted(text: str) -> str:
    return json.dumps(text)  # for the ASCII that labels, URLs and ids are, JSON strings are TOML strings


def _broken(path: Path, what: str) -> Rejected:
    return Rejected("profile-invalid", f"{path}: {what}", subject=str(path))
