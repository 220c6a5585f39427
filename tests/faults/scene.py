"""What the fault tests make a node do: publish names over HTTP; and the check that nothing acknowledged is gone."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from holo.core.cid import Cid
from holo.core.envelope import Statement, make_record
from holo.core.keys import SigningKey
from holo.http.base64url import encode_base64url
from holo.store.environment import Environment
from holo.store.fsck import check_store
from holo.store.home import Home
from holo.store.keyring import own_kid
from holo.store.layout import DATABASES
from holo.store.records import RecordsReader
from tests.faults.process import NodeProcess
from tests.store.people import ALICE, ROOT, binding, policy

GENESIS = policy(ALICE)


@dataclass
class Acknowledged:
    """What a client was promised: statements with their receipts."""

    receipts: dict[Cid, str] = field(default_factory=dict)

    def check(self, home: Path) -> None:
        """The store in ``home`` is sound, and everything promised is in it."""
        kid = own_kid(Home(home), "node")
        assert kid is not None
        environment = Environment(Home(home).records, DATABASES, map_bytes=1 << 28, free_reserve_bytes=0)
        with closing(environment), environment.read() as reader:
            records = RecordsReader(reader)
            assert list(check_store(records, kid)) == []
            for statement, receipt in self.receipts.items():
                assert records.payload(statement) is not None, f"{statement!s} was acknowledged and is gone"
                assert records.receipt_place(Cid.parse(receipt)) is not None, f"receipt {receipt} is gone"


def encoded(statement: Statement, *keys: SigningKey) -> list[str]:
    """A record as it is posted."""
    return [encode_base64url(envelope) for envelope in make_record(statement, *keys).envelopes()]


def begin_namespace(node: NodeProcess) -> httpx.Response:
    """Offer the genesis; 201, or 200 where it is there already."""
    return node.http.post("/v1/namespaces", json={"policy_cose": encoded(GENESIS, ROOT)})


def publish(node: NodeProcess, handle: str, acknowledged: Acknowledged) -> httpx.Response:
    """Publish revision 1 of a name that nobody has used; note the receipt where it was acknowledged."""
    statement = binding(GENESIS, handle, 1, handle.encode())
    answer = node.http.post("/v1/namespaces/acme/bindings", json={"records": [encoded(statement, ALICE)]})
    if answer.status_code in (200, 201):
        acknowledged.receipts[statement.id] = answer.json()["receipt"]
    return answer
