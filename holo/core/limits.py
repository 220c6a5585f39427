"""Every bound in the system, with its unit in its name.

A bound is checked before the thing it bounds is decoded, stored or queued.
"""

from __future__ import annotations

from typing import Final

# codec
INT_MAX: Final = 2**53 - 1
DEPTH_MAX: Final = 64
ITEMS_MAX: Final = 1024 * 1024  # in one encoded object, keys included; an item of one byte becomes sixty and more

# errors
ERROR_TEXT_CHARS: Final = 1000  # of detail, subject and at, each

# envelopes and payloads (bytes of the encoded thing)
ENVELOPE_OVERHEAD_BYTES: Final = 256
BINDING_BYTES: Final = 16 * 1024
POLICY_BYTES: Final = 256 * 1024
CONSUMER_POLICY_BYTES: Final = 64 * 1024
RECEIPT_BYTES: Final = 16 * 1024
DECISION_BYTES: Final = 16 * 1024
HEAD_BYTES: Final = 4 * 1024
NODE_BYTES: Final = 288 * 1024  # a leaf of 64 longest keys with the largest values; one of a million names has 3 KiB
STATE_BYTES: Final = 4 * 1024
MANIFEST_BYTES: Final = 1024 * 1024
PACK_BYTES: Final = 1024 * 1024
BUNDLE_BYTES: Final = 64 * 1024 * 1024

# records
ENDORSEMENTS_PER_RECORD: Final = 96  # roots, parent's roots and parent's recovery at their largest
PREV_PER_BINDING: Final = 2
REASON_BYTES: Final = 1024
SOURCE_BYTES: Final = 4096
SUMMARY_BYTES: Final = 1024
MEDIA_TYPE_BYTES: Final = 255

# names
NAMESPACE_BYTES: Final = 64
HANDLE_SEGMENTS: Final = 4
TAG_BYTES: Final = 128
HANDLE_AND_TAG_BYTES: Final = 255
GLOB_BYTES: Final = 256

# policies
ROOT_KEYS: Final = 32
SIGNERS: Final = 256
GLOBS_PER_SIGNER: Final = 64
THRESHOLDS: Final = 64
POLICY_ENDORSERS: Final = 96  # kids whose endorsement of one policy counts; a tree value has room for 113
RIVALS_PER_PARENT: Final = 32
POLICIES_PER_NAMESPACE: Final = 512  # of each of two classes, as rivals; every proof of an answer carries them all
POLICIES_PER_NAMESPACE_BYTES: Final = 16 * 1024 * 1024  # of each class: with signatures, both fit a bundle
PENDING_PER_SIGNER: Final = 8  # and per name and cited policy; of a name's, as many are shown as a tree value holds
POLICIES_PARSED: Final = 16_384  # most take 4 KiB
POLICIES_PARSED_BYTES: Final = 32 * 1024 * 1024  # of payloads; parsed they take ten times that
OIDC_CLAIMS: Final = 32
OIDC_CLAIM_BYTES: Final = 2048  # of a claim's name and value together
OIDC_TEXT_BYTES: Final = 1024
DENIAL_RULE_BYTES: Final = 256
SEAL_MISSING: Final = 10_000
CONFLICTS_PER_NAMESPACE: Final = 16
NAMESPACES_HOSTED: Final = 100_000
PROPOSAL_BYTES: Final = 5 * 1024 * 1024
PROPOSAL_NODES_BYTES: Final = 4 * 1024 * 1024  # so that what a proposal carries fits into a request

# consumer policies
CONSUMER_CIDS: Final = 512
CONSUMER_PINS: Final = 256
AGREEING_NODES: Final = 64

# receipts
NONCE_BYTES: Final = 16
CODE_BYTES: Final = 64
CONVERGED_STATES: Final = 64

# evidence, and what is kept of other nodes
EVIDENCE_BYTES: Final = 256 * 1024
EVIDENCE_HASHES: Final = 64
EVIDENCE_OBJECTS: Final = 512
EVIDENCE_SUBJECTS: Final = 256  # exposed keys that this node has no head of
HEADS_PER_LOG: Final = 64  # of the log a node is at; of those before, the last
LOGS_PER_NODE: Final = 16
NODES_PER_PEER: Final = 64  # of which that peer alone told
CONVERGENCES_PER_PEER: Final = 64
CONVERGENCE_INTERVAL_MS: Final = 30_000  # between two receipts for one peer

# bundles (of each kind of thing in one)
BUNDLE_RECEIPTS: Final = 4096
BUNDLE_ITEMS: Final = 65_536
BUNDLE_POLICIES: Final = 4096
BUNDLE_PROOF_HASHES: Final = 64
BUNDLE_SIGNATURES: Final = 1024

# tree
LEAF_KEYS: Final = 64
TREE_KEY_BYTES: Final = 320
TREE_VALUE_BYTES: Final = 4096

# links
ADDRESS_BYTES: Final = 259  # the longest name of a host, a colon and a port
ADDRESSES_PER_PEER: Final = 8
PEERS: Final = 1024  # that one node pins
TICKETS_OPEN: Final = 64
TICKET_SECRET_BYTES: Final = 16
TICKET_CHARS: Final = 4096
TICKET_S_MAX: Final = 7 * 24 * 3600  # from its making to its end
JOIN_BYTES: Final = 4096  # of its payload, and with its frame
ANSWER_TEXT_BYTES: Final = 256  # of what an acceptor says at the beginning of a link
SUCCESSOR_BYTES: Final = 1024
SUCCESSORS: Final = 64  # of one chain
LEAF_BYTES: Final = 4096
LEAF_S_MAX: Final = 8 * 24 * 3600  # for which a leaf may count

# peers
FRAME_BYTES: Final = 2 * 1024 * 1024  # an answer and what its last item may exceed it by
MESSAGE_ITEMS: Final = 65_536  # CBOR items of one message
ANSWER_BYTES: Final = 1024 * 1024  # of what an answer or a push carries
AGENT_BYTES: Final = 64
HEADS_PER_MESSAGE: Final = 64
LOG_PROOF_HASHES: Final = 64
RECORDS_PER_PUSH: Final = 256
EVIDENCE_PER_MESSAGE: Final = 16
CONVERGED_PER_MESSAGE: Final = 16
WANTED_IDS: Final = 1024
WANTED_RANGES: Final = 256
RECORDS_PER_RANGE: Final = 4096
ENDORSEMENTS_CARRIED: Final = 256  # as many as a policy has signers
BYE_DETAIL_BYTES: Final = 256
TRANSFER_BYTES: Final = 1024 * 1024  # one request of the transfer plane
TRANSFER_MESSAGE_BYTES: Final = 256
KNOWN_RECORDS: Final = 16_384  # that one peer is remembered to have
BUDGETS: Final = 4096  # parties whose spending is counted each by itself
PULL_BYTES: Final = 128 * 1024 * 1024  # of objects that one comparison opens, small ones counted as 512 bytes
PULL_WAITING: Final = 131_072  # links it has found and not followed

# content
BLOCK_BYTES: Final = 1024 * 1024
CHUNKS_PER_MANIFEST: Final = 16384
PARTS_PER_MANIFEST: Final = 16384
IGNORE_FILE_BYTES: Final = 64 * 1024
IGNORE_RULES: Final = 1000
PACK_PATH_BYTES: Final = 4096
PACK_ENTRIES: Final = 1_000_000
PACK_DEPTH: Final = 64

# requests
RESOLVE_QUERIES: Final = 1000
RESOLVE_PACKS: Final = 8
RECORDS_PER_POST: Final = 1000
LIST_LIMIT_DEFAULT: Final = 100
LIST_LIMIT_MAX: Final = 1000
WRITE_QUEUE: Final = 1024
WRITE_QUEUE_BYTES: Final = 64 * 1024 * 1024  # of payloads, signatures and nodes; opened they take several times that
WRITE_BATCH: Final = 256  # submissions from which on nothing joins a transaction
OPENED_INLINE: Final = 4  # envelopes of records that are verified where they came, not in a thread
OPENED_AT_ONCE: Final = 64  # envelopes of records that a thread verifies before others get their turn
BODIES_BYTES: Final = 128 * 1024 * 1024  # of request bodies, of all connections together
JOINED_AT_ONCE_BYTES: Final = 256 * 1024  # of a body; larger ones wait for each other
EVENT_STREAMS: Final = 256
EVENTS_PER_READ: Final = 256  # receipts and heads that one stream reads on by before others get their turn
ACCEPT_RANGES: Final = 32  # of an Accept header; what comes behind them is not read
CURSOR_CHARS: Final = 512
ALLOWANCE_ADDRESSES: Final = 65_536  # whose use is remembered
SLOWEST_BODY_BYTES_PER_S: Final = 64 * 1024  # below which a body of the largest size is not waited for
WAIT_S_MAX: Final = 30
ANSWER_FORMS_BYTES: Final = 32 * 1024 * 1024  # of answers half put together, about 3 KiB for an ordinary namespace
REPLY_BYTES: Final = 128 * 1024 * 1024

# store
STORE_READERS: Final = 512
CAM_BATCH_BYTES: Final = 32 * 1024 * 1024
CAM_BATCH_BLOCKS: Final = 4096
CAM_VERIFY_BLOCKS: Final = 64

# links of this node
HANDSHAKE_S: Final = 10.0  # from a connection to a link, or a pairing
HANDSHAKE_BYTES: Final = 64 * 1024
HANDSHAKES: Final = 64  # at a time; of the address with the most, the oldest makes room
FRAME_S: Final = 30.0  # from the first byte of a frame to its last, either way
LINKS: Final = 512  # that others made
LINKS_PER_PEER: Final = 8

# what peers say on them
HELLO_S: Final = 10.0  # from a link to the other end's hello
SILENCE_S: Final = 45.0  # after which a peer that says nothing is taken for gone
TAKE_S: Final = 60.0  # within which a peer has to take one message
ANSWER_S: Final = 60.0  # within which it has to answer
WAITED_S: Final = 30.0  # that are waited for its answers, beyond what their size takes
WAITED_BACK: Final = 0.25  # of every second, so many come back
SLOWEST_ANSWERS_BYTES_PER_S: Final = 16 * 1024
QUESTIONS_WAITING: Final = 32
PUSHES_WAITING: Final = 64
PUSHES_WAITING_BYTES: Final = 4 * 1024 * 1024
NEWS_WAITING: Final = 16  # messages of heads, evidence and convergence-receipts
FAULTS_PER_PEER: Final = 256  # tokens of what a peer may do wrong
FAULTS_BACK_PER_S: Final = 0.5
MISFITS_PER_PEER: Final = 512  # tokens of what does not fit here and is no fault, in each namespace
MISFITS_BACK_PER_S: Final = 16.0
BAR_S: Final = 5.0  # for which a peer that broke the rules gets no link, twice as long each time
BAR_S_MAX: Final = 3600.0
FORGIVEN_S: Final = 600.0  # without a fault, after which the first is the first again
FETCH_PEER_S: Final = 2.0  # for one peer to give what is fetched

# listener
LISTEN_BACKLOG: Final = 1024
ACCEPTS_AT_ONCE: Final = 64
READY_AT_ONCE: Final = 64  # connections that are served before other tasks get their turn
TURN_S: Final = 0.001  # after which those connections give way, too
STEPS_BETWEEN_TURNS: Final = 8  # of every other task, while requests are under way that are not hot
TICK_S: Final = 0.25  # how often those who are late are looked for
POLLER_READ_BYTES: Final = 16 * 1024
CONNECTION_READ_BYTES: Final = 64 * 1024
# How long the rest of a refused upload is read and thrown away: closing at once would reset the connection and take the
# answer with it (RFC 9112 section 9.6).
LINGER_S: Final = 2.0
WHOLE_POST_BYTES: Final = 256 * 1024  # of a post that are looked for at once where its head has come
REQUEST_HEAD_BYTES: Final = 16 * 1024  # line and fields
KNOWN_HEADS: Final = 1024
KNOWN_HEAD_BYTES: Final = 1024
PIPELINED_AT_ONCE: Final = 16
STREAMS_PER_CONNECTION: Final = 100
REQUESTS_PER_CONNECTION: Final = 1_000_000
SPARE_DESCRIPTORS: Final = 64  # kept for the store and the rest of the process when connections are counted
