"""What a node commits to and signs: catalogs, objects, heads and receipts."""

from __future__ import annotations

from holo.http.types.common import Bytes, CidText, Cose, Millis, Reply, View


class CatalogReply(Reply, frozen=True, kw_only=True):
    """The newest head and what it commits to. ``count`` is the number of names."""

    catalog: CidText
    count: int
    head: CidText
    head_cose: Cose
    log: CidText
    seq: int
    at_ms: Millis
    log_size: int
    log_root: Bytes


class CatalogSnapshot(Reply, frozen=True, kw_only=True):
    """A catalog object: the roots of its two trees, and its bytes, whose CID is the catalog's."""

    catalog: CidText
    namespaces: CidText
    evidence: CidText
    count: int
    data: Bytes


class CatalogEntry(Reply, frozen=True, kw_only=True):
    """A name in a catalog and its one or two current statements."""

    name: str
    statements: list[CidText]


class CatalogEntries(Reply, frozen=True, kw_only=True):
    """Names of a catalog, in order of namespace, handle and tag."""

    items: list[CatalogEntry]
    next: str | None


class CatalogProof(Reply, frozen=True, kw_only=True):
    """That a catalog has a name with these statements, or has not (an empty list).

    ``nodes`` are the objects from the catalog down, each named by the one before: the catalog, the path in the tree of
    namespaces, and, where that has the namespace, its state and the path in its tree of bindings.
    """

    catalog: CidText
    name: str
    statements: list[CidText]
    nodes: list[Bytes]


class CatalogChange(Reply, frozen=True, kw_only=True):
    """A name whose current statements differ between two catalogs."""

    name: str
    before: list[CidText]
    after: list[CidText]


class CatalogChanges(Reply, frozen=True, kw_only=True):
    """What differs between two catalogs, in order of name."""

    items: list[CatalogChange]
    next: str | None


class ObjectReply(Reply, frozen=True, kw_only=True):
    """A public object. ``data`` hashes to ``cid``; ``type`` and ``view`` are null for a tree node."""

    cid: CidText
    type: str | None
    size: int
    view: View | None
    data: Bytes


class HeadItem(Reply, frozen=True, kw_only=True):
    """A signed tree head: the catalog and the log of receipts at one moment."""

    head: CidText
    log: CidText
    seq: int
    prev: CidText | None
    catalog: CidText
    log_size: int
    log_root: Bytes
    at_ms: Millis
    head_cose: Cose


class HeadsPage(Reply, frozen=True, kw_only=True):
    """Heads of the current log, in order of seq."""

    items: list[HeadItem]
    next: str | None


class ReceiptItem(Reply, frozen=True, kw_only=True):
    """A receipt: entry ``seq`` of ``log``."""

    receipt: CidText
    type: str
    log: CidText
    seq: int
    at_ms: Millis
    view: View
    receipt_cose: Cose


class ReceiptsPage(Reply, frozen=True, kw_only=True):
    """Receipts, oldest first."""

    items: list[ReceiptItem]
    next: str | None


class ReceiptProof(Reply, frozen=True, kw_only=True):
    """That a receipt is entry ``index`` of the log whose first ``size`` entries have ``root`` (RFC 9162)."""

    receipt: CidText
    log: CidText
    index: int
    size: int
    hashes: list[Bytes]
    root: Bytes
