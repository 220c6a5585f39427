"""Private keys at rest: one small file per key, readable by its owner alone, under a passphrase if one is wanted.

A key file is JSON: ``{"v": 1, "key": did, "purpose": …}`` and either ``"seed"`` (base64url) or ``"sealed"`` (Argon2id
and XSalsa20-Poly1305, as libsodium does both). What a file opens to must be the key it names. The keys of the node and
of its operator lie in another folder under fixed names: nothing that looks for a key to sign with sees them.
"""

from __future__ import annotations

import base64
import binascii
import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import nacl.exceptions
import nacl.pwhash
import nacl.secret

from holo.core import keys
from holo.core.errors import HoloError, Missing, Rejected, StoreFailed
from holo.core.keys import Kid, SigningKey
from holo.store.home import (
    Home,
    check_private,
    files_in,
    make_private_folder,
    read_small,
    replace_durably,
    write_atomically,
    write_new,
)

SIGNING: Final = "signing"
RECOVERY: Final = "recovery"
NODE: Final = "node"
OPERATOR: Final = "operator"

_SUFFIX: Final = ".key"
_NEXT: Final = "next"
_DEFAULT: Final = "default"
_FILE_BYTES: Final = 4096
_NAME: Final = re.compile(r"[a-z0-9](?:[a-z0-9._-]{0,62}[a-z0-9])?", re.ASCII)
# The cost of a new passphrase, and the most that a file may ask of whoever opens it.
_OPSLIMIT: Final = nacl.pwhash.argon2id.OPSLIMIT_MODERATE
_MEMLIMIT_BYTES: Final = nacl.pwhash.argon2id.MEMLIMIT_MODERATE
_OPSLIMIT_MAX: Final = 16
_MEMLIMIT_MAX_BYTES: Final = 1024 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class StoredKey:
    """A key in a home: its local name, its kid, whether a passphrase guards it, and what it is for."""

    name: str
    kid: Kid
    sealed: bool
    path: Path
    purpose: str = SIGNING

    @property
    def did(self) -> str:
        """The key's ``did:key``."""
        return keys.did_of(self.kid)


class Keyring:
    """The keys of people in a home. Every method reads the files afresh."""

    def __init__(self, home: Home) -> None:
        self._home = home

    def entries(self) -> list[StoredKey]:
        """Every key here, by name. Raises ``key-invalid`` for a file that is none."""
        return [_describe(path) for path in files_in(self._home.keys, _SUFFIX)]

    def find(self, name: str) -> StoredKey:
        """The key with this local name or did:key. Raises ``key-unknown``."""
        for stored in self.entries():
            if name in (stored.name, stored.did):
                return stored
        raise Missing("key-unknown", f"{name} is not in {self._home.keys}", subject=name)

    def path(self, name: str) -> Path:
        """Where the key with this name lies, or would."""
        return self._home.keys / (name + _SUFFIX)

    def add(self, name: str, key: SigningKey, passphrase: str | None = None, *, purpose: str = SIGNING) -> StoredKey:
        """Store ``key`` under a new name. Raises ``key-exists`` or ``label-invalid``; never replaces a file."""
        check_key_name(name)
        for stored in self.entries():
            if stored.kid == key.kid:
                raise Rejected("key-exists", f"{stored.did} is here as {stored.name}", subject=stored.name)
        make_private_folder(self._home.create().keys)
        path = self.path(name)
        if not write_new(path, _encode(key, passphrase, purpose)):
            raise Rejected("key-exists", f"{path} is there already", subject=name)
        return StoredKey(name, key.kid, passphrase is not None, path, purpose)

    def unlock(self, stored: StoredKey, passphrase: str | None = None) -> SigningKey:
        """The private key. Raises ``key-locked`` for a missing or wrong passphrase, ``home-unsafe``."""
        return _open(stored.path, passphrase)

    def remove(self, stored: StoredKey) -> None:
        """Delete a key for good."""
        stored.path.unlink()
        if self.default() == stored.name:
            (self._home.keys / _DEFAULT).unlink(missing_ok=True)

    def default(self) -> str | None:
        """The name of the key to prefer where several would do, or None."""
        data = read_small(self._home.keys / _DEFAULT, _FILE_BYTES)
        return data.decode("ascii", "replace").strip() if data is not None else None

    def set_default(self, stored: StoredKey) -> None:
        """Prefer this key from now on."""
        write_atomically(self._home.keys / _DEFAULT, stored.name.encode() + b"\n")


def new_key() -> SigningKey:
    """A fresh key from the system's randomness."""
    return SigningKey(os.urandom(32))


def own_key(home: Home, role: str) -> SigningKey:
    """The key of the node or of its operator (:data:`NODE`, :data:`OPERATOR`), made at the first call.

    It has no passphrase: a node has to start unattended. Raises ``node-key-lost`` where a store is here that was
    begun with a node's key and the key is gone: another one would be of no use to it.
    """
    assert role in (NODE, OPERATOR)
    path = home.identity / (role + _SUFFIX)
    if not path.exists():
        if role == NODE and (home.records / "data.mdb").exists():
            raise StoreFailed("node-key-lost", f"no {path}, and {home.records} belongs to it", subject=str(path))
        make_private_folder(home.create().identity)
        write_new(path, _encode(new_key(), None, role))  # where two are first at once, the one that was written counts
    return _open(path, None)


def make_next_key(home: Home) -> SigningKey:
    """The key that the node is to have next, laid beside its own; the same until :func:`use_next_key`."""
    path = home.identity / (_NEXT + _SUFFIX)
    write_new(path, _encode(new_key(), None, NODE))  # the one that is there counts
    return _open(path, None)


def use_next_key(home: Home) -> None:
    """Put the next key in the place of the node's, durably. The one before is gone."""
    replace_durably(home.identity / (_NEXT + _SUFFIX), home.identity / (NODE + _SUFFIX))


def own_kid(home: Home, role: str) -> Kid | None:
    """The public half of :func:`own_key`, or None where there is none yet."""
    path = home.identity / (role + _SUFFIX)
    return _describe(path).kid if path.exists() else None


def describe_file(path: Path) -> StoredKey:
    """What a key file anywhere says it holds; its name is the file's. Raises ``key-unknown`` or ``key-invalid``."""
    return _describe(path)


def check_key_name(name: str) -> None:
    """Raises ``label-invalid`` for a name no key file can have, or one kept for a node's own keys."""
    if not _NAME.fullmatch(name):
        raise Rejected("label-invalid", f"key name {name!r}", subject=name)
    if name in (NODE, OPERATOR):
        raise Rejected("label-invalid", f"{name!r} is the name of a node's own key", subject=name)


def _encode(key: SigningKey, passphrase: str | None, purpose: str) -> bytes:
    fields: dict[str, Any] = {"v": 1, "key": keys.did_of(key.kid), "purpose": purpose}
    if passphrase is None:
        fields["seed"] = _base64(key.seed)
    else:
        salt = os.urandom(nacl.pwhash.argon2id.SALTBYTES)
        box = nacl.secret.SecretBox(_stretch(passphrase, salt, _OPSLIMIT, _MEMLIMIT_BYTES)).encrypt(key.seed)
        fields["sealed"] = {
            "kdf": "argon2id13",
            "opslimit": _OPSLIMIT,
            "memlimit_bytes": _MEMLIMIT_BYTES,
            "salt": _base64(salt),
            "box": _base64(bytes(box)),
        }
    return json.dumps(fields, indent=1).encode() + b"\n"


def _describe(path: Path) -> StoredKey:
    fields = _read(path)
    return StoredKey(path.stem, _kid(path, fields), "sealed" in fields, path, str(fields.get("purpose", SIGNING)))


def _open(path: Path, passphrase: str | None) -> SigningKey:
    check_private(path)
    fields = _read(path)
    try:
        key = SigningKey(_unseal(path, fields["sealed"], passphrase) if "sealed" in fields else _seed(fields))
    except (KeyError, TypeError, ValueError) as error:
        raise _broken(path, str(error)) from None
    if key.kid != _kid(path, fields):
        raise _broken(path, "its secret is not the key it names")
    return key


def _read(path: Path) -> Mapping[str, Any]:
    data = read_small(path, _FILE_BYTES)
    if data is None:
        raise Missing("key-unknown", f"no file {path}", subject=path.stem)
    try:
        fields = json.loads(data)
    except ValueError as error:
        raise _broken(path, str(error)) from None
    if not isinstance(fields, dict) or fields.get("v") != 1:
        raise _broken(path, "not a key file of version 1")
    return fields


def _kid(path: Path, fields: Mapping[str, Any]) -> Kid:
    try:
        return keys.parse_did(str(fields.get("key")))
    except HoloError as error:
        raise _broken(path, error.detail) from None


def _seed(fields: Mapping[str, Any]) -> bytes:
    return _unbase64(fields["seed"], 32)


def _unseal(path: Path, sealed: Any, passphrase: str | None) -> bytes:
    if passphrase is None:
        raise Rejected("key-locked", f"{path.stem} needs its passphrase", subject=path.stem)
    opslimit, memlimit = sealed["opslimit"], sealed["memlimit_bytes"]
    if sealed["kdf"] != "argon2id13" or not (type(opslimit) is int and type(memlimit) is int):
        raise _broken(path, "sealed in a way this version does not know")
    if not (1 <= opslimit <= _OPSLIMIT_MAX and 8192 <= memlimit <= _MEMLIMIT_MAX_BYTES):
        raise _broken(path, f"asks for {opslimit} passes over {memlimit} bytes")
    salt = _unbase64(sealed["salt"], nacl.pwhash.argon2id.SALTBYTES)
    try:
        seed = nacl.secret.SecretBox(_stretch(passphrase, salt, opslimit, memlimit)).decrypt(_unbase64(sealed["box"]))
    except nacl.exceptions.CryptoError:
        raise Rejected("key-locked", f"not the passphrase of {path.stem}", subject=path.stem) from None
    if len(seed) != 32:
        raise _broken(path, f"holds {len(seed)} bytes instead of 32")
    return seed


def _stretch(passphrase: str, salt: bytes, opslimit: int, memlimit_bytes: int) -> bytes:
    size = nacl.secret.SecretBox.KEY_SIZE
    return nacl.pwhash.argon2id.kdf(size, passphrase.encode(), salt, opslimit=opslimit, memlimit=memlimit_bytes)


def _base64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode("ascii")


def _unbase64(text: Any, length: int | None = None) -> bytes:
    try:
        data = base64.b64decode(str(text) + "=" * (-len(str(text)) % 4), altchars=b"-_", validate=True)
    except binascii.Error as error:
        raise Rejected("key-invalid", f"not base64url: {error}") from None
    if length is not None and len(data) != length:
        raise Rejected("key-invalid", f"{len(data)} bytes where {length} are expected")
    return data


def _broken(path: Path, what: str) -> Rejected:
    return Rejected("key-invalid", f"{path}: {what}", subject=path.stem)
