"""The resources of a node as typed calls: one method a resource, the reply types those of :mod:`holo.http.types`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from types import TracebackType
from typing import Final, Protocol, Self, TypeVar, cast

from msgspec import UNSET, structs

from holo.client.connection import Connection, Moving
from holo.core import keys, limits
from holo.core.cid import Cid
from holo.core.consumer import ConsumerPolicy
from holo.core.errors import HoloError
from holo.core.keys import Kid
from holo.http import types
from holo.http.base64url import decode_base64url, encode_base64url

_ItemT_co = TypeVar("_ItemT_co", covariant=True)
_T = TypeVar("_T")


class _Page(Protocol[_ItemT_co]):
    @property
    def items(self) -> Sequence[_ItemT_co]: ...
    @property
    def next(self) -> str | None: ...


WAIT_S: Final = 5


class Client:
    """A node's resources. Every method raises what :meth:`Connection.request` raises."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    @property
    def url(self) -> str:
        """Where the node in use is reached."""
        return self._connection.endpoint.url

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._connection.close()

    # --- the node

    def node(self) -> types.NodeReply:
        """Who the node is and where it stands, asked afresh."""
        return self._get("/v1/node", types.NodeReply)

    def kid(self) -> Kid:
        """The key of the node in use: the one it is expected to have or has shown, else the one it says it has."""
        known = self._connection.node
        if known is None:
            about = self._connection.request("GET", "/v1/node", moving="never").read(types.NodeReply)
            known = keys.parse_did(about.node)
        return known

    @property
    def undecided(self) -> list[str]:
        """URLs of the nodes that may have taken what was sent last, though they did not say so."""
        return [endpoint.url for endpoint in self._connection.undecided]

    def peers(self) -> Iterator[types.PeerItem]:
        """The peers the node is paired with."""
        return self._pages("/v1/peers", types.PeersPage, {})

    # --- namespaces

    def namespaces(self, prefix: str | None = None) -> Iterator[types.NamespaceItem]:
        """Every hosted namespace."""
        return self._pages("/v1/namespaces", types.NamespacesPage, {"prefix": prefix})

    def policy(self, ns: str, seq: int | None = None, policy: Cid | None = None) -> types.PolicyReply:
        """The policy in effect, that of a seq, or any known one by its id."""
        params = {"seq": seq, "policy": None if policy is None else str(policy)}
        return self._get(f"/v1/namespaces/{ns}/policy", types.PolicyReply, params)

    def post_policy(
        self, ns: str | None, envelopes: Sequence[bytes], nodes: Sequence[bytes] = ()
    ) -> types.PolicyPosted:
        """Send a policy with all its endorsements; ``ns`` None sends a genesis.

        Once a node may have taken it no other is asked: whoever signs another one, because a second node refuses this,
        would make rivals.
        """
        path = f"/v1/namespaces/{ns}/policy" if ns is not None else "/v1/namespaces"
        body: dict[str, object] = {"policy_cose": [encode_base64url(item) for item in envelopes]}
        if nodes:
            body["nodes"] = [encode_base64url(node) for node in nodes]
        return self._connection.request("POST", path, None, body, moving="while-untaken").read(types.PolicyPosted)

    # --- names

    def bindings(self, ns: str, *, name: str | None = None, state: str | None = None) -> Iterator[types.BindingItem]:
        """The bindings of a namespace, or those of one name (``ns/handle:tag``)."""
        return self._pages(f"/v1/namespaces/{ns}/bindings", types.BindingsPage, {"handle": name, "state": state})

    def history(self, ns: str, name: str) -> Iterator[types.BindingItem]:
        """Every known revision of a name, newest first."""
        return self._pages(f"/v1/namespaces/{ns}/history", types.BindingsPage, {"handle": name})

    def post_record(self, ns: str, envelopes: Sequence[bytes], *, wait_s: int = 0) -> types.BindingPosted:
        """Send one record; with ``wait_s`` the answer may come with the head that cites it."""
        body = {"records": [[encode_base64url(item) for item in envelopes]]}
        headers = {"prefer": f"wait={wait_s}"} if wait_s else {}
        reply = self._connection.request("POST", f"/v1/namespaces/{ns}/bindings", None, body, headers=headers)
        return reply.read(types.BindingPosted)

    def resolve(self, name: str, policy_ref: Cid | ConsumerPolicy | None = None) -> types.Resolved:
        """The decision about a name; a consumer policy is sent along."""
        if isinstance(policy_ref, ConsumerPolicy):
            return self._resolve_by(name, policy_ref, receipt=False)
        return self._get("/v1/resolve", types.Resolved, _resolve_params(name, policy_ref))

    def resolve_with_receipt(
        self, name: str, policy_ref: Cid | ConsumerPolicy | None = None
    ) -> types.ResolvedWithReceipt:
        """The decision, its receipt and the bundle with which a stranger can make it again."""
        if isinstance(policy_ref, ConsumerPolicy):
            found = self._resolve_by(name, policy_ref, receipt=True)
            if found.receipt_cose is UNSET or found.bundle is UNSET:
                raise HoloError("reply-invalid", "the node sent no receipt, or no bundle with it", subject=name)
            return types.ResolvedWithReceipt(**structs.asdict(found))
        params = {**_resolve_params(name, policy_ref), "receipt": "1"}
        return self._get("/v1/resolve", types.ResolvedWithReceipt, params)

    def _resolve_by(self, name: str, consumer: ConsumerPolicy, *, receipt: bool) -> types.ResolvedItem:
        body = {
            "queries": [{"handle": name, "policyRef": str(consumer.id)}],
            "packs": [encode_base64url(consumer.statement.bytes)],
            "receipt": receipt,
        }
        reply = self._connection.request("POST", "/v1/resolve", None, body).read(types.ResolvedMany)
        if [item.consumer_policy for item in reply.items] != [str(consumer.id)]:
            raise HoloError("reply-invalid", f"not one decision by {consumer.id}, which was sent along", subject=name)
        return reply.items[0]

    # --- catalogs and objects

    def catalog(self) -> types.CatalogReply:
        """The newest head and what it commits to."""
        return self._get("/v1/catalogs/current", types.CatalogReply)

    def catalog_entries(self, catalog: str, prefix: str | None = None) -> Iterator[types.CatalogEntry]:
        """The names of a kept catalog."""
        return self._pages(f"/v1/catalogs/{catalog}/entries", types.CatalogEntries, {"prefix": prefix})

    def catalog_diff(self, catalog: str, since: str) -> Iterator[types.CatalogChange]:
        """What differs between the catalog ``since`` and ``catalog``."""
        return self._pages(f"/v1/catalogs/{catalog}/diff", types.CatalogChanges, {"from": since})

    def catalog_proof(self, catalog: str, name: str) -> types.CatalogProof:
        """That a catalog has a name, or has not."""
        return self._get(f"/v1/catalogs/{catalog}/proof", types.CatalogProof, {"name": name})

    def object(self, cid: Cid) -> types.ObjectReply:
        """Any public object, its bytes checked against ``cid``."""
        found = self._get(f"/v1/objects/{cid}", types.ObjectReply)
        if not cid.matches(decode_base64url(found.data, limits.BLOCK_BYTES, at="data")):
            raise HoloError("reply-invalid", f"{self.url} sent other bytes for {cid}", subject=str(cid))
        return found

    # --- receipts

    def heads(self, since: int | None = None) -> Iterator[types.HeadItem]:
        """Heads of the node's current log, in order of seq."""
        return self._pages("/v1/heads", types.HeadsPage, {"since": since})

    def receipts(
        self, *, type: str | None = None, subject: str | None = None, since: int | None = None
    ) -> Iterator[types.ReceiptItem]:
        """Receipts of the node's log, oldest first."""
        return self._pages("/v1/receipts", types.ReceiptsPage, {"type": type, "subject": subject, "since": since})

    def receipt(self, receipt: Cid) -> types.ReceiptItem:
        """One receipt."""
        return self._get(f"/v1/receipts/{receipt}", types.ReceiptItem)

    def receipt_proof(self, receipt: Cid, size: int | None = None) -> types.ReceiptProof:
        """That a receipt is in the node's log."""
        return self._get(f"/v1/receipts/{receipt}/proof", types.ReceiptProof, {"size": size})

    # --- shared

    def _get(
        self,
        path: str,
        type: type[_T],
        params: Mapping[str, str | int | None] | None = None,
        *,
        moving: Moving = "freely",
    ) -> _T:
        return self._connection.request("GET", path, params, moving=moving).read(type)

    def _pages(self, path: str, page_type: type[_Page[_T]], params: Mapping[str, str | int | None]) -> Iterator[_T]:
        cursor: str | None = None
        while True:
            asked = {**params, "limit": limits.LIST_LIMIT_MAX, "cursor": cursor}
            moving: Moving = "freely" if cursor is None else "never"  # a list of two nodes would be neither's
            page = cast(_Page[_T], self._get(path, cast(type, page_type), asked, moving=moving))
            yield from page.items
            cursor = page.next
            if cursor is None:
                return


def _resolve_params(name: str, policy_ref: Cid | None) -> dict[str, str | int | None]:
    return {"handle": name, "policyRef": None if policy_ref is None else str(policy_ref)}
