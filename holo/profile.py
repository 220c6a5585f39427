"""Profiles: a node's settings, parsed and validated before anything is opened (interface, Profile).

A role is on because its table is there. An unknown key is an error that names the nearest known one. Every setting has
a default, so a profile says only what differs.
"""

from __future__ import annotations

import difflib
import ipaddress
import re
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import msgspec

from holo.core.address import check_address, split_address
from holo.core.cid import Cid
from holo.core.errors import Rejected
from holo.core.keys import Kid, parse_did
from holo.core.limits import ADDRESSES_PER_PEER, PEERS
from holo.core.names import check_namespace

Positive = Annotated[int, msgspec.Meta(ge=1)]
Natural = Annotated[int, msgspec.Meta(ge=0)]


class _Table(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    pass


class Node(_Table, frozen=True):
    """Labels, logging and how long a stop may take."""

    site: str = ""
    region: str = ""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    log_format: Literal["auto", "text", "json"] = "auto"
    shutdown_grace_ms: Natural = 10_000


class Store(_Table, frozen=True):
    """Room for the stores and how many heads stay readable."""

    map_bytes: Annotated[int, msgspec.Meta(ge=1 << 20)] = 1 << 40
    free_reserve_bytes: Natural = 1 << 30
    keep_heads: Positive = 1000


class Http(_Table, frozen=True):
    """The listener."""

    listen: str = "127.0.0.1:8420"
    require: Literal["signer", "capability", "capability+mtls"] = "signer"
    tls_cert: str = ""
    tls_key: str = ""
    allow_open_beyond_loopback: bool = False
    hosts: tuple[str, ...] = ()
    max_body_bytes: Positive = 8 << 20
    max_connections: Positive = 4096
    header_timeout_ms: Positive = 5000
    idle_timeout_ms: Positive = 60_000

    @property
    def address(self) -> tuple[str, int]:
        """(host, port); port 0 takes any free one."""
        host, _, port = self.listen.rpartition(":")
        return host.removeprefix("[").removesuffix("]"), int(port)

    @property
    def tls(self) -> bool:
        """Whether the listener speaks TLS."""
        return bool(self.tls_cert)


class Anonymous(_Table, frozen=True):
    """What callers without a capability may use."""

    resolve_per_second: Natural = 0
    denials_per_minute: Natural = 10


class Limits(_Table, frozen=True):
    """Limits by kind of caller."""

    anonymous: Anonymous = Anonymous()


class Registry(_Table, frozen=True):
    """The registry role: which namespaces are hosted and how often heads are signed."""

    admit: Literal["open", "pinned"] = "open"
    namespaces: dict[str, str] = {}
    head_interval_ms: Positive = 1000
    head_changes: Positive = 100
    head_idle_ms: Positive = 60_000

    @property
    def pinned(self) -> dict[str, Cid]:
        """Name → genesis of the namespaces listed."""
        return {name: Cid.parse(genesis) for name, genesis in self.namespaces.items()}


class Gossip(_Table, frozen=True):
    """The gossip role: where peers are met, which of them, and how much they may ask for."""

    listen: str = "127.0.0.1:8421"
    addresses: tuple[str, ...] = ()
    peers: tuple[str, ...] = ()
    max_peers: Annotated[int, msgspec.Meta(ge=1, le=PEERS)] = 32
    fanout: Positive = 6
    pull_interval_ms: Positive = 5000
    queue_records: Positive = 10_000

    @property
    def address(self) -> tuple[str, int]:
        """(host, port); port 0 takes any free one."""
        return split_address(self.listen)

    @property
    def pinned(self) -> dict[Kid, tuple[str, ...]]:
        """Kid → addresses of the peers listed; one that is listed again has several."""
        found: dict[Kid, tuple[str, ...]] = {}
        for peer in self.peers:
            did, _, address = peer.partition("@")
            kid = parse_did(did)
            found[kid] = (*found.get(kid, ()), check_address(address))
        return found


class Roles(_Table, frozen=True):
    """The roles that are on."""

    registry: Registry | None = None
    gossip: Gossip | None = None


class Profile(_Table, frozen=True):
    """A whole profile. ``name`` is what it was loaded as."""

    v: Literal[1]
    node: Node = Node()
    store: Store = Store()
    http: Http = Http()
    limits: Limits = Limits()
    roles: Roles = Roles()
    name: str = ""

    @property
    def role_names(self) -> list[str]:
        """The roles that are on, in order."""
        return [name for name in self.roles.__struct_fields__ if getattr(self.roles, name) is not None]


SHIPPED: Final = ("minimal-peer",)

_PORT: Final = re.compile("[0-9]{1,5}")
# tomllib says ValueError of a number with thousands of digits and RecursionError of thousands of brackets.
_NO_TOML: Final = (ValueError, RecursionError)


def load_profile(name_or_path: str, settings: list[str] | None = None) -> Profile:
    """The profile of that name (one of those shipped) or in that file, with ``KEY=VALUE`` settings over it.

    A key is dotted, as in ``http.listen``; a value is TOML, or text where it is not. Raises ``profile-invalid``.
    """
    text, name = _read(name_or_path)
    try:
        tables = tomllib.loads(text)
    except _NO_TOML as error:
        raise Rejected("profile-invalid", f"{name_or_path}: {error}") from None
    for setting in settings or []:
        _apply(tables, setting)
    return parse_profile(tables, name)


def parse_profile(tables: dict[str, Any], name: str = "") -> Profile:
    """The profile these tables are. Raises ``profile-invalid`` naming the key, ``unsafe-listen``."""
    if "name" in tables:
        raise Rejected("profile-invalid", "unknown key name")
    _check_known(tables, Profile, "")
    try:
        profile = msgspec.convert({**tables, "name": name}, Profile)
    except msgspec.ValidationError as error:
        raise Rejected("profile-invalid", str(error).replace("`$.", "`")) from None
    _check(profile)
    return profile


def check_listen(http: Http) -> None:
    """Raises ``unsafe-listen`` for a plain or open listener beyond loopback, unless told in so many words."""
    if is_loopback(http.address[0]) or http.allow_open_beyond_loopback:
        return
    if not http.tls:
        raise Rejected("unsafe-listen", f"{http.listen} is beyond loopback and has no TLS")
    if http.require == "signer":
        raise Rejected(
            "unsafe-listen", f'{http.listen} is beyond loopback and require = "signer" lets any signer write'
        )


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach a listener on ``host``."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _check(profile: Profile) -> None:
    http = profile.http
    host, _, port = http.listen.rpartition(":")
    if not host or not _PORT.fullmatch(port) or int(port) > 65535:
        raise Rejected("profile-invalid", f"http.listen {http.listen!r} is not HOST:PORT")
    if bool(http.tls_cert) != bool(http.tls_key):
        raise Rejected("profile-invalid", "http.tls_cert and http.tls_key go together")
    check_listen(http)
    if profile.roles.registry is not None:
        for name, genesis in profile.roles.registry.namespaces.items():
            try:
                check_namespace(name)
                Cid.parse(genesis)
            except Rejected as error:
                raise Rejected("profile-invalid", f"roles.registry.namespaces.{name}: {error.detail}") from None
    if profile.roles.gossip is not None:
        _check_gossip(profile.roles.gossip)


def _check_gossip(gossip: Gossip) -> None:
    with _setting("roles.gossip.listen"):
        split_address(gossip.listen)
    with _setting("roles.gossip.addresses"):
        _check_count(gossip.addresses)
        for address in gossip.addresses:
            check_address(address)
    with _setting("roles.gossip.peers"):
        for addresses in gossip.pinned.values():
            _check_count(addresses)
        if len(gossip.pinned) > gossip.max_peers:
            raise Rejected("address-invalid", f"{len(gossip.pinned)} peers, and max_peers is {gossip.max_peers}")


def _check_count(addresses: tuple[str, ...]) -> None:
    if len(addresses) > ADDRESSES_PER_PEER:
        raise Rejected("address-invalid", f"more than {ADDRESSES_PER_PEER} addresses of one node")


@contextmanager
def _setting(key: str) -> Iterator[None]:
    """What is refused inside the block is the fault of this setting."""
    try:
        yield
    except Rejected as error:
        raise Rejected("profile-invalid", f"{key}: {error.detail}", subject=key) from None


def _check_known(tables: dict[str, Any], table: type[msgspec.Struct], at: str) -> None:
    """Unknown keys first, with the nearest known one: the commonest mistake deserves the best message."""
    known = {field.name: field.type for field in msgspec.structs.fields(table) if field.name != "name"}
    for key, value in tables.items():
        place = f"{at}{key}"
        if key not in known:
            near = difflib.get_close_matches(key, known, 1, 0.5)
            hint = f"; did you mean {at}{near[0]}?" if near else f"; known here: {', '.join(sorted(known))}"
            raise Rejected("profile-invalid", f"unknown key {place}{hint}", subject=place)
        below = _struct_of(known[key])
        if below is not None:
            if not isinstance(value, dict):
                raise Rejected("profile-invalid", f"{place} is a table", subject=place)
            _check_known(value, below, place + ".")


def _struct_of(kind: Any) -> type[msgspec.Struct] | None:
    for option in getattr(kind, "__args__", (kind,)):
        if isinstance(option, type) and issubclass(option, msgspec.Struct):
            return option
    return None


def _read(name_or_path: str) -> tuple[str, str]:
    if name_or_path in SHIPPED:
        return _shipped(name_or_path), name_or_path
    path = Path(name_or_path)
    if not path.is_file():
        near = difflib.get_close_matches(name_or_path, SHIPPED, 1, 0.5)
        hint = f"; did you mean {near[0]}?" if near else f"; shipped: {', '.join(SHIPPED)}"
        raise Rejected("profile-invalid", f"no profile or file {name_or_path!r}{hint}", subject=name_or_path)
    try:
        return path.read_text(encoding="utf-8"), path.stem
    except UnicodeDecodeError as error:
        raise Rejected("profile-invalid", f"{name_or_path} is not UTF-8: {error.reason}") from None


def _shipped(name: str) -> str:
    """The text of a shipped profile: beside the package once installed, at the top of a checkout."""
    packaged = files("holo") / "profiles" / f"{name}.toml"
    if packaged.is_file():
        return packaged.read_text(encoding="utf-8")
    return (Path(__file__).parent.parent / "profiles" / f"{name}.toml").read_text(encoding="utf-8")


def _apply(tables: dict[str, Any], setting: str) -> None:
    key, equals, text = setting.partition("=")
    if not equals or not key:
        raise Rejected("profile-invalid", f"{setting!r} is not KEY=VALUE")
    try:
        value = tomllib.loads(f"x = {text}")["x"]
    except _NO_TOML:
        value = text
    *path, last = key.split(".")
    table = tables
    for part in path:
        table = table.setdefault(part, {})
        if not isinstance(table, dict):
            raise Rejected("profile-invalid", f"{key}: {part} is not a table", subject=key)
    table[last] = value
