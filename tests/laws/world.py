"""Small adversarial worlds: namespaces with few names and few people, so that everything collides with everything.

A `World` only makes records; it judges nothing, so most mistakes and attacks can be made with it. `worlds` draws one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias

from hypothesis import strategies as st

from holo.core import tree
from holo.core.cid import DAG_CBOR, Cid
from holo.core.envelope import Statement, make_record, make_statement
from holo.core.limits import INT_MAX
from tests.laws.model import NAMES, Item, Model, Realm, allowed_positions, path_of, threshold_of
from tests.records import content, key, kid

Signers: TypeAlias = Sequence[tuple[str, Sequence[str], Sequence[str]]]
Owners: TypeAlias = tuple[Sequence[str], int]
Thresholds: TypeAlias = Sequence[tuple[str, int]]
Draw: TypeAlias = Callable[[st.SearchStrategy[Any]], Any]
Kept: TypeAlias = Mapping[str, Sequence[tuple[Cid, Sequence[int]]]]

PATHS: Final = ("app/dev", "app/stable", "lib/dev")
CONTENTS: Final = ("one", "two", None)
REVS: Final = (1, 2, 3, INT_MAX)
NOBODY_HAS: Final = Cid.of(DAG_CBOR, b"a statement nobody has")


def everywhere(*names: str) -> Signers:
    """Signers that may write every name."""
    return [(name, ["*"], ["*"]) for name in names]


@dataclass(repr=False)
class World:
    """A namespace in the making. ``items`` is everything there is to deliver."""

    ns: str = "acme"
    signers: Signers = field(default_factory=lambda: everywhere("alice", "bob"))
    thresholds: Thresholds = ()
    roots: Owners = (("root",), 1)
    recovery: Owners = (("recovery",), 1)

    def __post_init__(self) -> None:
        self.items: list[Item] = []
        self.statements: dict[Cid, Statement] = {}
        self.genesis = self._policy(None, self.signers, self.thresholds, self.roots, self.recovery, None, 0)
        self.sign(self.genesis, *self.roots[0])

    def __repr__(self) -> str:
        return "World:" + "".join(f"\n  {item}" for item in self.items)

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        printer.text(repr(self))

    @property
    def hosted(self) -> dict[str, Cid]:
        """Which genesis the nodes of this world host."""
        return {self.ns: self.genesis.id}

    def sign(self, statement: Statement, *by: str, nodes: Iterable[bytes] = ()) -> Item:
        """Add a record of ``statement`` with the endorsements of ``by``."""
        item = Item(make_record(statement, *(key(name) for name in by)), tuple(nodes))
        self.items.append(item)
        self.statements[statement.id] = statement
        return item

    def amend(
        self,
        parent: Statement,
        *,
        signers: Signers | None = None,
        thresholds: Thresholds | None = None,
        roots: Owners | None = None,
        recovery: Owners | None = None,
        keep: Kept | None = None,
        nodes: bool = True,
        seal: Cid | None = None,
        nonce: int = 0,
        by: Sequence[str] = ("root",),
    ) -> Statement:
        """Add a successor of ``parent`` that differs from it as given, signed by ``by``.

        ``keep`` makes it a seal and brings the tree's nodes, unless ``nodes`` is off; ``seal`` is a root and no more.
        """
        was = parent.value
        made = None if keep is None else self.seal(keep)
        statement = self._policy(
            parent,
            [(entry["key"], entry["handles"], entry["tags"]) for entry in was["signers"]]
            if signers is None
            else signers,
            [(entry["tags"][0], entry["count"]) for entry in was["thresholds"]] if thresholds is None else thresholds,
            (was["roots"]["keys"], was["roots"]["threshold"]) if roots is None else roots,
            (was["recovery"]["keys"], was["recovery"]["threshold"]) if recovery is None else recovery,
            seal if made is None else made.root,
            nonce,
        )
        self.sign(statement, *by, nodes=made.added.values() if made is not None and nodes else ())
        return statement

    def seal(self, keep: Kept) -> tree.Change:
        """The tree of a seal that keeps these statements with the endorsers at these positions."""
        return tree.build(
            (path.encode(), [[statement, list(positions)] for statement, positions in kept])
            for path, kept in keep.items()
            if kept
        )

    def bind(
        self,
        path: str,
        text: str | None,
        rev: int = 1,
        *,
        policy: Statement | None = None,
        by: Sequence[str] = ("alice",),
        at_ms: int = 0,
    ) -> Statement:
        """Add a binding of ``path`` (handle/tag) to the content ``text``, or a yank, signed by ``by``."""
        statement = self.binding(path, text, rev, policy=policy, at_ms=at_ms)
        self.sign(statement, *by)
        return statement

    def binding(
        self, path: str, text: str | None, rev: int = 1, *, policy: Statement | None = None, at_ms: int = 0
    ) -> Statement:
        """A binding that nobody has signed yet."""
        handle, _, tag = path.rpartition("/")
        return make_statement(
            {
                "v": 1,
                "type": "binding",
                "ns": self.ns,
                "genesis": self.genesis.id,
                "handle": handle,
                "tag": tag,
                "rev": rev,
                "prev": [],
                "cid": None if text is None else content(text),
                "policy": (policy or self.genesis).id,
                "at_ms": at_ms,
                "meta": {},
            }
        )

    def _policy(
        self,
        parent: Statement | None,
        signers: Sequence[tuple[str | bytes, Sequence[str], Sequence[str]]],
        thresholds: Thresholds,
        roots: tuple[Sequence[str | bytes], int],
        recovery: tuple[Sequence[str | bytes], int],
        seal: Cid | None,
        nonce: int,
    ) -> Statement:
        return make_statement(
            {
                "v": 1,
                "type": "policy",
                "ns": self.ns,
                "seq": parent.value["seq"] + 1 if parent else 0,
                "prev": parent.id if parent else None,
                "roots": {"keys": [_kid(name) for name in roots[0]], "threshold": roots[1]},
                "recovery": {"keys": [_kid(name) for name in recovery[0]], "threshold": recovery[1]},
                "signers": [
                    {"key": _kid(name), "handles": [*handles], "tags": [*tags]} for name, handles, tags in signers
                ],
                "thresholds": [{"tags": [tag], "count": count} for tag, count in thresholds],
                "oidc": [],
                "issuers": [],
                "ceilings": {"nonce": nonce},
                "seal": seal,
            }
        )


def _kid(name: str | bytes) -> bytes:
    return bytes(kid(name)) if isinstance(name, str) else name


# ---------------------------------------------------------------------------------------------- drawn worlds

PEOPLE: Final[dict[str, tuple[Sequence[str], Sequence[str]]]] = {
    "alice": (["*"], ["*"]),
    "bob": (["*"], ["*"]),
    "carol": (["app*"], ["*"]),
    "dave": (["*"], ["dev", "st*"]),
}
ROOTS: Final = ("root", "root2")
RECOVERY: Final = ("recovery", "recovery2")


def _people(*names: str) -> list[tuple[str, Sequence[str], Sequence[str]]]:
    return [(name, *PEOPLE[name]) for name in names]


SOME_SIGNERS: Final = st.lists(st.sampled_from(sorted(PEOPLE)), min_size=1, max_size=3, unique=True)
SOME_THRESHOLDS: Final = st.sampled_from([(), (("stable", 2),), (("*", 2),), (("st*", 1), ("dev", 2))])
SOME_OWNERS: Final = st.sampled_from([1, 1, 1, 2])
POLICY_SIGNERS: Final = (
    [*ROOTS],
    [*ROOTS],
    [*ROOTS, "recovery"],
    [*ROOTS, "recovery2"],
    [*ROOTS, *RECOVERY],
    ["root"],
    ["root2", "recovery"],
)
STEPS: Final = ["bind"] * 5 + ["endorse"] * 3 + ["amend"] * 2 + ["seal"] * 3 + ["rival", "decide", "rubbish"]


class Drawing:
    """Draws one world, step by step, each step building on what the steps before left."""

    def __init__(self, draw: Draw, signers: Signers | None = None, thresholds: Thresholds | None = None) -> None:
        self.draw = draw
        self.world = World(
            signers=signers or _people(*draw(SOME_SIGNERS)),
            thresholds=thresholds or draw(SOME_THRESHOLDS),
            roots=self._owners(ROOTS),
            recovery=self._owners(RECOVERY),
        )
        self.policies = [self.world.genesis]
        self.bindings: list[Statement] = []

    def step(self) -> None:
        """Add one thing to the world."""
        kind = self.draw(st.sampled_from(STEPS))
        if kind == "endorse" and not self.bindings:
            kind = "bind"
        getattr(self, f"_{kind}")()

    # --- bindings

    def _bind(self) -> None:
        made = self.world.binding(
            self.draw(st.sampled_from(PATHS)),
            self.draw(st.sampled_from(CONTENTS)),
            self.draw(st.sampled_from(REVS)),
            policy=self._some_policy(),
            at_ms=self.draw(st.integers(0, 1)),
        )
        self._sign_binding(made)
        if made not in self.bindings:
            self.bindings.append(made)

    def _endorse(self) -> None:
        self._sign_binding(self.draw(st.sampled_from(self.bindings)))

    def _sign_binding(self, statement: Statement) -> None:
        """Mostly by people the cited policy lists."""
        cited = self.world.statements[statement.value["policy"]]
        listed = [NAMES[entry["key"]] for entry in cited.value["signers"]]
        people = listed if self.draw(st.integers(0, 7)) else [*PEOPLE, "mallory"]
        self.world.sign(statement, *self.draw(st.lists(st.sampled_from(people), min_size=1, max_size=3, unique=True)))

    # --- policies

    def _amend(self) -> None:
        """A policy without a seal: mostly valid."""
        parent = self._some_policy()
        self._add_policy(parent, signers=self._more_signers(parent), thresholds=self._maybe(SOME_THRESHOLDS))

    def _rival(self) -> None:
        """Another child of a policy that may have some."""
        parent = self.world.statements.get(self.draw(st.sampled_from(self.policies)).value["prev"])
        parent = parent or self.world.genesis
        self._add_policy(parent, signers=self._more_signers(parent))

    def _seal(self) -> None:
        """A policy with a seal over some of what there is, or over what is not there or cannot be."""
        parent = self._some_policy()
        self._add_policy(
            parent,
            signers=self._maybe(SOME_SIGNERS.map(lambda names: _people(*names))),
            thresholds=self._maybe(SOME_THRESHOLDS),
            keep=self._keep(parent),
        )

    def _decide(self) -> None:
        """Another record of a policy, maybe with endorsements that decide between rivals."""
        self.world.sign(self.draw(st.sampled_from(self.policies)), *self._policy_signers())

    def _some_policy(self) -> Statement:
        """A policy, the newest more often than others."""
        return self.policies[-1] if self.draw(st.integers(0, 2)) else self.draw(st.sampled_from(self.policies))

    def _owners(self, names: tuple[str, str]) -> Owners:
        threshold = self.draw(SOME_OWNERS)
        return (names, 2) if threshold == 2 else (self.draw(st.sampled_from([names[:1], names[1:], names])), 1)

    def _more_signers(self, parent: Statement) -> Signers | None:
        names = [name for name in PEOPLE if self.draw(st.booleans())]
        present = [entry["key"] for entry in parent.value["signers"]]
        added = [person for person in _people(*names) if bytes(kid(person[0])) not in present]
        return [*((entry["key"], entry["handles"], entry["tags"]) for entry in parent.value["signers"]), *added]

    def _add_policy(self, parent: Statement, **changes: Any) -> None:
        if self.draw(st.integers(0, 5)) == 0:
            changes["roots"] = self._owners(ROOTS)
        if self.draw(st.integers(0, 9)) == 0:
            changes["recovery"] = self._owners(RECOVERY)
        made = self.world.amend(parent, **changes, nonce=self.draw(st.integers(0, 1)), by=self._policy_signers())
        if made not in self.policies:
            self.policies.append(made)

    def _policy_signers(self) -> list[str]:
        """Mostly enough, sometimes not."""
        return [*self.draw(st.sampled_from(POLICY_SIGNERS))]

    def _keep(self, parent: Statement) -> Kept:
        """What a seal keeps: of each name nothing, or one or two of its statements, mostly with who really signed."""
        model = Model(self.world.hosted)
        model.items = self.world.items
        realm = model.realm(self.world.ns).decide()
        kept: dict[str, list[tuple[Cid, Sequence[int]]]] = {}
        for path in PATHS:
            candidates = [statement for statement, payload in realm.complete.items() if path_of(payload) == path]
            if candidates and self.draw(st.integers(0, 3)):
                chosen = self.draw(st.lists(st.sampled_from(candidates), min_size=1, max_size=2, unique=True))
                kept[path] = [(statement, self._positions(realm, statement)) for statement in chosen]
        if self.draw(st.integers(0, 9)) == 0:
            others = [NOBODY_HAS, *(statement.id for statement in self.bindings)]
            kept[self.draw(st.sampled_from(PATHS))] = [(self.draw(st.sampled_from(others)), [0])]
        return kept

    def _positions(self, realm: Realm, statement: Cid) -> list[int]:
        """Endorsers for a seal to list: all there are, enough of them, or mistaken ones."""
        payload = realm.complete[statement]
        allowed = allowed_positions(realm.policies[payload["policy"]], realm.signed[statement], payload)
        choice = self.draw(st.integers(0, 9))
        if choice == 9:
            return sorted(self.draw(st.lists(st.integers(0, 2), min_size=1, max_size=2, unique=True)))
        return allowed if choice < 5 else allowed[: threshold_of(realm.policies[payload["policy"]], payload["tag"])]

    # --- rubbish

    def _rubbish(self) -> None:
        """Something that may never be admitted."""
        kind = self.draw(st.sampled_from(["no such policy", "another genesis", "an orphan", "a stranger's", "foreign"]))
        world, other = self.world, World(ns=self.world.ns, thresholds=(("never", 9),))
        if kind == "no such policy":
            world.bind("app/dev", "one", policy=other.genesis)
        elif kind == "another genesis":
            world.sign(other.genesis, "root")
        elif kind == "an orphan":
            world.sign(other.amend(other.genesis), "root", "recovery")
        elif kind == "a stranger's":
            world.bind("app/dev", "two", 2, policy=self._some_policy(), by=("mallory",))
        else:
            world.bind("lib/dev", "two", policy=World(ns="elsewhere").genesis)

    def _maybe(self, strategy: st.SearchStrategy[Any]) -> Any:
        return self.draw(strategy) if self.draw(st.integers(0, 3)) == 0 else None


class CrowdedDrawing(Drawing):
    """Draws a world of one name whose mailboxes overflow: two must sign, and everybody proposes all the time."""

    def __init__(self, draw: Draw) -> None:
        super().__init__(draw, signers=_people("alice", "bob", "carol"), thresholds=(("*", 2),))

    def _bind(self) -> None:
        cited = self._some_policy()
        listed = [NAMES[entry["key"]] for entry in cited.value["signers"]]
        for at in self.draw(st.lists(st.integers(0, 40), min_size=4, max_size=12)):
            made = self.world.binding("app/dev", "one", at % 3 + 1, policy=cited, at_ms=at)
            some = st.lists(st.sampled_from(listed), min_size=1, max_size=1 if at % 10 else 2, unique=True)
            self.world.sign(made, *self.draw(some))
            self.bindings.append(made)


@st.composite
def crowded_worlds(draw: st.DrawFn) -> World:
    """A world of mailboxes that overflow."""
    drawing = CrowdedDrawing(draw)
    for _ in range(draw(st.integers(3, 14))):
        drawing.step()
    return drawing.world


@st.composite
def worlds(draw: st.DrawFn, min_steps: int = 4, max_steps: int = 24) -> World:
    """A world with everything in it that broke a wording before, and some more."""
    drawing = Drawing(draw)
    for _ in range(draw(st.integers(min_steps, max_steps))):
        drawing.step()
    return drawing.world
