"""One tree of errors, each with a stable code.

A code is part of the public contract: problem+json, denial receipts, metrics, ``holo explain`` and the
conformance suite all show the same word. Codes are listed in ``CODES``; raising an unlisted one is a
programmer error and asserts. Add freely, never rename.
"""

from __future__ import annotations

from typing import Final

from holo.core.limits import ERROR_TEXT_CHARS


class HoloError(Exception):
    """Base of everything holo raises on purpose.

    ``code`` is a key of :data:`CODES`; ``detail`` says what was seen and what was expected; ``subject`` is the
    name or id the error is about, if there is one; ``at`` is where in the input it was found, such as
    ``payload.signers[2].key`` or ``record[1]``. ``denial`` is the id and envelope of the receipt a node logged for the
    refusal, if it did. The texts may quote hostile input: they are cut to length and what cannot be printed is escaped.
    """

    def __init__(self, code: str, detail: str = "", *, subject: str | None = None, at: str | None = None) -> None:
        assert code in CODES, f"unlisted error code {code!r}"
        self.code = code
        self.detail = _harmless(detail)
        self.subject = None if subject is None else _harmless(subject)
        self.at = None if at is None else _harmless(at)
        super().__init__(f"{code}: {self.detail}" if detail else code)
        self.denial: tuple[str, bytes] | None = None

    @property
    def title(self) -> str:
        """One line that says what the code means, the same for every occurrence."""
        return CODES[self.code][1]

    @property
    def fix(self) -> str:
        """One line that says what the caller can do about it."""
        return CODES[self.code][2]

    @property
    def http_status(self) -> int:
        """The HTTP status that goes with the code."""
        return CODES[self.code][0]


class Rejected(HoloError):
    """The input is at fault. Nothing was changed.

    ``proven`` holds the kids whose signature over ``statement`` (a statement id) was verified before the refusal: only
    a proven key earns a denial receipt.
    """

    proven: tuple[bytes, ...] = ()
    statement: bytes | None = None


class Conflict(Rejected):
    """The name has moved on. ``current`` holds the ids of the statements that are current now, as text."""

    def __init__(self, code: str, detail: str, *, current: tuple[str, ...], subject: str | None = None) -> None:
        super().__init__(code, detail, subject=subject)
        self.current = current


class Missing(HoloError):
    """What was asked for is not here."""


class Overloaded(HoloError):
    """A bound was met; the same request may succeed after ``retry_after_s`` seconds."""

    def __init__(self, code: str, detail: str = "", *, retry_after_s: int = 1) -> None:
        super().__init__(code, detail)
        self.retry_after_s = retry_after_s


class Misbehaviour(HoloError):
    """A signed contradiction by somebody else. ``proof`` is the evidence, as bytes anybody can check."""

    def __init__(self, code: str, detail: str = "", *, proof: bytes = b"", subject: str | None = None) -> None:
        super().__init__(code, detail, subject=subject)
        self.proof = proof


class StoreFailed(HoloError):
    """The store could not do what it promised. The node stops rather than guess."""


def _harmless(text: str) -> str:
    """``text`` as a terminal, a log line and UTF-8 can bear it."""
    shown = text[:ERROR_TEXT_CHARS]
    if not shown.isprintable():
        shown = "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in shown)
    return shown if len(shown) <= ERROR_TEXT_CHARS >= len(text) else shown[: ERROR_TEXT_CHARS - 1] + "…"


# code: (HTTP status, title, fix)
CODES: Final[dict[str, tuple[int, str, str]]] = {
    # bytes
    "too-large": (
        413,
        "The input is larger than its type allows",
        "Send less; `holo explain too-large` lists the limits",
    ),
    "cbor-invalid": (
        400,
        "Not strict DAG-CBOR",
        "Encode with sorted keys, shortest integers, definite lengths and no floats",
    ),
    "cid-invalid": (400, "Not a CID", "Give a CIDv1 in lower-case base32, as holo prints it"),
    "cid-unsupported": (
        400,
        "A CID of a kind holo does not use",
        "Use CIDv1, base32, blake3-256, codec raw, dag-cbor or cbor",
    ),
    "cid-mismatch": (422, "The bytes do not hash to the CID", "Fetch the bytes again from another holder"),
    "key-invalid": (422, "Not an Ed25519 public key holo accepts", "Use a did:key:z6Mk… made by `holo keys new`"),
    "envelope-invalid": (
        422,
        "Not a COSE_Sign1 of the exact form holo uses",
        "Sign with alg -8, kid, typ in the protected header and nothing else",
    ),
    "type-mismatch": (
        422,
        "The envelope's type and the payload's type differ or are not expected here",
        "Send the right type of record to this place",
    ),
    "signature-invalid": (422, "The signature does not verify", "Sign the payload again with the key that kid names"),
    "field-missing": (422, "A required field is missing", "Add the field named in detail"),
    "field-unknown": (422, "A field that this version does not know", "Remove the field named in detail"),
    "field-invalid": (422, "A field's value is not allowed", "Correct the field named in detail"),
    "version-unsupported": (422, "A version this implementation does not speak", "Use v = 1"),
    "name-invalid": (
        400,
        "Not a name of the form namespace/handle[:tag][@cid]",
        "See `holo explain name-invalid` for the alphabet and lengths",
    ),
    "glob-invalid": (422, "Not a literal or a literal followed by one final *", "Use `prefix*` or the exact text"),
    "record-mixed": (422, "The endorsements of one record sign different payloads", "Send one record per payload"),
    # policy
    "genesis-unknown": (404, "No such namespace here", "Create it with `holo ns new`, or ask a node that hosts it"),
    "genesis-foreign": (
        403,
        "The namespace is hosted here under another genesis",
        "Ask for the genesis this node names, or use another node",
    ),
    "genesis-not-pinned": (403, "This node accepts pinned namespaces only", "Ask its operator to pin the genesis"),
    "namespace-quota": (
        403,
        "This node hosts as many namespaces as it is willing to",
        "Ask its operator to pin the genesis, or use another node",
    ),
    "policy-invalid": (422, "The policy breaks a rule of its own", "Correct what detail names"),
    "policy-unknown": (422, "The policy that is cited is not known here", "Send the policy first"),
    "policy-foreign": (
        422,
        "The policy that is cited belongs to another namespace",
        "Cite a policy of the binding's own namespace",
    ),
    "policy-parent-unknown": (422, "The policy's parent is not known here", "Send the parent first"),
    "policy-seq-invalid": (422, "The policy's seq is not its parent's plus one", "Set seq to the parent's plus one"),
    "policy-incomplete": (
        403,
        "The policy lacks endorsements it needs",
        "Collect the endorsements detail names and send all of them together",
    ),
    "policy-seal-required": (
        422,
        "A change that needs a seal came without one",
        "Add a seal, or only append signers and raise no threshold",
    ),
    "policy-superseded": (
        409,
        "The policy is no longer the current one",
        "Use the current policy, which `current` names",
    ),
    "policy-rivals-full": (
        409,
        "This parent has as many rival policies as are kept",
        "Have the recovery keys endorse the one that is meant",
    ),
    "policies-full": (
        409,
        "This namespace has as many policies as are kept",
        "Have the parent's recovery keys endorse it too, for which room is kept; then begin a namespace anew",
    ),
    "seal-invalid": (
        422,
        "The seal's tree is not what a seal must be",
        "Make the seal with `holo ns revoke` or `holo ns policy`",
    ),
    # binding
    "signer-not-allowed": (
        403,
        "None of the signers may write this name",
        "Sign with a key the policy lists for this handle and tag",
    ),
    "binding-stale": (
        409,
        "A newer revision of the name is already here",
        "Take `current`, set prev and rev from it and sign again",
    ),
    "binding-conflict": (
        409,
        "The name has moved since prev was read",
        "Take `current`, set prev and rev from it and sign again",
    ),
    "binding-sealed-out": (
        403,
        "A later seal leaves this statement out",
        "Sign a new statement under the current policy",
    ),
    "pending-full": (
        409,
        "The mailbox of every signer of this statement is full",
        "Have an earlier statement signed by the others, or use a higher rev",
    ),
    "prev-unknown": (
        409,
        "prev names a statement that is not current",
        "Take `current`, set prev and rev from it and sign again",
    ),
    # tree, proofs, receipts
    "node-missing": (404, "A tree node is not here", "Ask a node that keeps this catalog"),
    "tree-invalid": (
        422,
        "The tree or proof is not of the one shape its keys allow",
        "Fetch it again from another node and report the first",
    ),
    "proof-invalid": (
        422,
        "The proof does not prove what it claims",
        "Fetch it again from another node and report the first",
    ),
    "log-invalid": (
        422,
        "The log proof does not verify",
        "Fetch it again; if it persists, the log's owner contradicts itself",
    ),
    "receipt-invalid": (
        422,
        "The receipt contradicts itself or what it is about",
        "Ask the node for the receipt again",
    ),
    "anchor-missing": (
        422,
        "The signer is not one this verification trusts",
        "Give --signer or --genesis, or `holo trust add`",
    ),
    "bundle-invalid": (422, "The bundle is malformed or does not prove its decision", "Export it again from the node"),
    "equivocation": (409, "Two signed statements contradict each other", "Do not trust the signer; keep the evidence"),
    "evidence-invalid": (
        422,
        "The evidence shows no contradiction of its subject",
        "Do not pass it on; ask whoever sent it for the two signed things",
    ),
    "evidence-full": (
        503,
        "This node keeps evidence against as many strangers as it is willing to",
        "Give it to a node that knows the subject",
    ),
    "heads-full": (
        503,
        "This node follows as many nodes by this peer's word as it is willing to",
        "Pair it with the node whose head this is",
    ),
    # links
    "address-invalid": (400, "Not an address of the form HOST:PORT", "Write HOST:PORT, or [IPv6]:PORT"),
    "tls-failed": (
        502,
        "No connection with TLS 1.3 and a protocol of holo's",
        "Check that the address is that of a node's peers, not of its HTTP, and nothing on the way breaks TLS",
    ),
    "leaf-invalid": (
        422,
        "The certificate a node showed is not one its key issues",
        "Check the clocks of both machines; if they agree, somebody stands between",
    ),
    "peer-wrong-key": (
        422,
        "Another node answers at this address",
        "Correct the address, or pair anew if the node has another key now",
    ),
    "peer-unpinned": (
        403,
        "One of the two nodes does not pin the other",
        "Pair them: `holo peer ticket` on one, `holo peer add TICKET` on the other",
    ),
    "closed": (503, "The other end closed the connection", "Try again; its log says why"),
    "timeout": (504, "The other end took too long", "Try again; `holo peer check` shows how far it gets"),
    "frame-invalid": (400, "Not a frame of a link", "Send 1 byte to 2 MiB behind a length of 4 bytes"),
    "ticket-invalid": (400, "Not a ticket", "Paste the whole line that `holo peer ticket` printed"),
    "ticket-unknown": (403, "The node knows no such ticket", "Have its operator make another: `holo peer ticket`"),
    "ticket-expired": (403, "The ticket has expired", "Have its operator make another: `holo peer ticket`"),
    "ticket-spent": (409, "Another node has used the ticket", "Have its operator make another: `holo peer ticket`"),
    "join-foreign": (422, "The join names another node or ticket than it came to", "Join with the ticket as it is"),
    "peers-full": (409, "As many peers are pinned, or tickets open, as are kept", "Remove one: `holo peer remove DID`"),
    "successor-invalid": (
        422,
        "The successor statement breaks a rule of its own",
        "Have the predecessor's key sign for the one key that follows it",
    ),
    "message-unknown": (400, "A message of a kind this version does not have", "Speak holo-cp/1 as section 7 says it"),
    "message-unexpected": (
        409,
        "A message where none of its kind may come",
        "Say hello first and once, and answer only what was asked",
    ),
    "answer-invalid": (
        422,
        "An answer that does not go with its question",
        "Answer what was asked, in its order and within its bounds",
    ),
    # content
    "path-invalid": (
        422,
        "A path that a pack may not hold",
        "Use relative paths without `..`, links or control characters",
    ),
    "manifest-invalid": (422, "The manifest does not describe its content", "Build it again with `holo put`"),
    "pack-invalid": (422, "The pack is not of the one shape its entries allow", "Build it again with `holo put`"),
    "ignore-invalid": (
        422,
        "A .holoignore that cannot be followed",
        "Use *, **, ?, [a-z], a leading ! or / and a final /, nothing else",
    ),
    "file-changed": (409, "A file changed while it was being read", "Stop whatever writes to it, then try again"),
    "file-unreadable": (403, "A file cannot be read", "Correct its permissions, or leave it out with .holoignore"),
    "path-exists": (409, "Something else is already there", "Name another destination, or remove what is there"),
    "path-unwritable": (403, "The destination cannot be written", "Correct its permissions, or name another place"),
    # requests
    "request-invalid": (400, "The request cannot be understood", "See /openapi.json for its parameters"),
    "parameter-unknown": (400, "A parameter this resource does not have", "Remove the parameter named in detail"),
    "parameter-repeated": (400, "A parameter was given twice or contradicts another", "Give it once"),
    "cursor-invalid": (400, "Not a cursor this node gave out", "Start again without a cursor"),
    "cursor-gone": (410, "The snapshot the cursor points into is no longer kept", "Start again without a cursor"),
    "unauthenticated": (401, "The request is not signed", "Sign the request"),
    "not-permitted": (403, "Understood, and not allowed", "Ask whoever runs this node"),
    "not-found": (404, "No such thing here", "Check the id or name"),
    "gone": (410, "It was here and is no longer kept", "Ask a node that keeps more history"),
    "method-not-allowed": (405, "The resource does not have this method", "See the Allow header"),
    "media-type-unsupported": (
        415,
        "A content type this resource does not take",
        "Use application/json or application/cose",
    ),
    "not-acceptable": (406, "No representation of the kind asked for", "Accept application/json"),
    "request-timeout": (408, "The request did not arrive in time", "Send it again, faster or in smaller parts"),
    "host-not-allowed": (421, "The Host header names no address of this node", "Use the URL the node printed"),
    "atomic-failed": (
        409,
        "Another record of the same atomic request was refused",
        "Correct that one and send all again",
    ),
    # capacity
    "overloaded": (503, "The node has as much to do as it is willing to queue", "Try again after Retry-After"),
    "rate-limited": (429, "More requests than this caller is allowed", "Try again after Retry-After"),
    "no-space": (
        507,
        "The store has less free space than its reserve",
        "Free disk space or raise store.map_bytes, then try again",
    ),
    "stopping": (503, "The node is stopping", "Use another node, or this one once it is back"),
    # store
    "store-failed": (500, "The store failed", "Stop the node, then run `holo doctor --fsck`"),
    "store-corrupt": (
        500,
        "What the store holds contradicts itself",
        "Run `holo doctor --fsck`; restore from a backup if it says so",
    ),
    "store-version": (
        500,
        "The store was written by another version",
        "Use the version named in detail, or upgrade a copy",
    ),
    "node-key-lost": (
        500,
        "The store belongs to a node key that is not here",
        "Put that key back as identity/node.key; docs/runbooks/key-lost.md says what to do without it",
    ),
    "home-locked": (409, "Another process is using this home", "Wait, or give that node's URL with --node"),
    "home-unsafe": (
        403,
        "Others on this machine can reach what a home keeps secret",
        "Make it yours alone: `chown -R YOU PATH`, then `chmod -R go= PATH`",
    ),
    "file-denied": (403, "This user may not use a file or folder", "Correct its permissions, or name another place"),
    "file-failed": (500, "A file could not be read or written", "See detail for what the system said"),
    # operator
    "usage": (400, "The command line cannot be understood", "Read `holo VERB --help`"),
    "profile-invalid": (400, "The profile has an unknown or wrong setting", "Correct the key named in detail"),
    "unsafe-listen": (
        400,
        "Beyond loopback a node needs TLS and closed writes",
        "Set http.tls_cert and http.require, or allow_open_beyond_loopback",
    ),
    "listen-failed": (
        503,
        "The address cannot be listened on",
        "Choose another http.listen, or stop what listens there",
    ),
    "label-invalid": (400, "Not a name a home can give to a key or a node", "Use lower-case letters, digits and . _ -"),
    "key-unknown": (404, "No such key in this home", "`holo keys list` shows the keys here"),
    "key-exists": (409, "A key of that name is already here", "Choose another name"),
    "key-locked": (403, "The key's passphrase is wrong or missing", "Give it when asked, or in HOLO_PASSPHRASE"),
    "reply-invalid": (502, "What answered is no holo node, or one too new", "Check the URL and the node's version"),
    "unreachable": (503, "The node cannot be reached", "Check the URL and that the node is running"),
    "stale": (
        409,
        "The node shows an old state, or one that does not go on from what it showed before",
        "Ask another node with --node; --max-age-s accepts older heads",
    ),
    "nodes-disagree": (
        409,
        "Fewer nodes give the same decision than were to agree",
        "Wait until they have converged, or find out who differs: `holo peers`",
    ),
    "internal": (500, "A fault in holo itself", "Report it with the log line of the same time"),
}
