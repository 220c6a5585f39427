"""What will happen in a run, as data: a list of timed steps, made from a seed before anything starts.

A step makes sense whatever steps came before it: an author publishes what the node then shows as the next revision, a
node that is down is not restarted. So any part of a plan is a plan, and a failing one can be made shorter.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Final

NAMESPACES: Final = ("acme", "initech", "umbrella")
PEOPLE: Final = ("alice", "bob", "carol", "dave")
PATHS: Final = tuple(f"{handle}/{tag}" for handle in ("app", "lib", "tool/cli") for tag in ("dev", "stable", "v1"))
LIARS: Final = ("forger", "splitter", "replayer", "flooder", "garbler", "withholder", "endless")
CRASH_POINTS: Final = ("begin", "before commit", "after commit", "after witness")
NODES_MAX: Final = 64


@dataclass(frozen=True)
class Step:
    """At ``at_s`` of virtual time ``kind`` happens to ``node``; ``args`` are plain values, by name."""

    at_s: float
    kind: str
    node: int
    args: dict[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        said = " ".join(f"{name}={value}" for name, value in self.args.items())
        return f"{self.at_s:8.2f} s  node {self.node}  {self.kind} {said}".rstrip()


@dataclass(frozen=True)
class Plan:
    """A whole run: honest nodes 0 … ``nodes`` - 1, then one peer for each of ``liars``, and who knows whom."""

    seed: int
    nodes: int
    minutes: float
    liars: tuple[str, ...]
    stormy: bool
    skews_ms: tuple[int, ...]
    edges: tuple[tuple[int, int], ...]
    steps: tuple[Step, ...]

    @property
    def peers(self) -> int:
        """How many are on the wire."""
        return self.nodes + len(self.liars)

    def neighbours(self, number: int) -> list[int]:
        """Whom ``number`` has pinned, and who has pinned it."""
        found = {b for a, b in self.edges if a == number} | {a for a, b in self.edges if b == number}
        return sorted(found)

    def with_steps(self, steps: tuple[Step, ...]) -> Plan:
        """The same with other steps."""
        return replace(self, steps=steps)

    def without_last_node(self) -> Plan:
        """The same with an honest node less; whoever is numbered behind it moves up."""
        gone = self.nodes - 1
        moved = {number: number - (number > gone) for number in range(self.peers) if number != gone}
        edges = [(moved[a], moved[b]) for a, b in self.edges if gone not in (a, b)]
        steps = [_without(step, gone) for step in self.steps if step.node != gone]
        skews = self.skews_ms[:gone] + self.skews_ms[gone + 1 :]
        plan = replace(self, nodes=gone, skews_ms=skews, edges=tuple(edges), steps=tuple(steps))
        return replace(plan, edges=_connected(plan.peers, list(plan.edges), self.nodes - 1))

    def without_liar(self, index: int) -> Plan:
        """The same with a liar less."""
        gone = self.nodes + index
        moved = {number: number - (number > gone) for number in range(self.peers) if number != gone}
        edges = tuple((moved[a], moved[b]) for a, b in self.edges if gone not in (a, b))
        liars = self.liars[:index] + self.liars[index + 1 :]
        return replace(self, liars=liars, edges=edges)

    def to_json(self) -> str:
        """For a file."""
        return json.dumps(asdict(self), indent=1)

    @classmethod
    def from_json(cls, text: str) -> Plan:
        """What `to_json` gave."""
        value = json.loads(text)
        steps = tuple(Step(**step) for step in value.pop("steps"))
        edges = tuple((a, b) for a, b in value.pop("edges"))
        liars, skews_ms = tuple(value.pop("liars")), tuple(value.pop("skews_ms"))
        return cls(**value, liars=liars, skews_ms=skews_ms, steps=steps, edges=edges)

    def text(self) -> str:
        """For people: what will happen."""
        about = f"{self.nodes} nodes, liars: {', '.join(self.liars) or 'none'}, {'stormy' if self.stormy else 'calm'}"
        return "\n".join([about, *map(str, self.steps)])


def make_plan(seed: int, nodes: int | None = None, minutes: float = 2.0, liars: int | None = None) -> Plan:
    """The plan of a seed. What is not given is drawn, too."""
    rng = random.Random(f"plan {seed}")
    drawn_nodes, drawn_liars = rng.randint(2, 6), rng.choice([0, 0, 1, 1, 2])
    nodes = drawn_nodes if nodes is None else nodes
    assert 1 <= nodes <= NODES_MAX
    lying = tuple(rng.choice(LIARS) for _ in range(drawn_liars if liars is None else liars))
    peers = nodes + len(lying)
    skews = tuple(
        rng.choice([0, 0, rng.randint(-5000, 5000), rng.randint(-86_400_000, 86_400_000)]) for _ in range(peers)
    )
    edges = [(a, b) for a in range(peers) for b in range(a) if peers <= 5 or rng.random() < 4 / peers]
    drawing = _Drawing(rng, nodes, minutes * 60)
    return Plan(
        seed=seed,
        nodes=nodes,
        minutes=minutes,
        liars=lying,
        stormy=rng.random() < 0.5,
        skews_ms=skews,
        edges=_connected(peers, edges, nodes),
        steps=drawing.steps(),
    )


def _connected(peers: int, edges: list[tuple[int, int]], nodes: int) -> tuple[tuple[int, int], ...]:
    """``edges`` and a ring through the honest nodes, so that no liar stands between two of them; each pair once."""
    ring = [(number, (number + 1) % nodes) for number in range(nodes)] if nodes > 1 else []
    pairs = {(max(pair), min(pair)) for pair in [*edges, *ring] if pair[0] != pair[1]}
    return tuple(sorted(pair for pair in pairs if pair[0] < peers))


def _without(step: Step, node: int) -> Step:
    """``step`` as it is without a node, which it names in passing at most."""
    args = dict(step.args)
    if args.get("other", -1) >= node:
        args["other"] = 0
    if "islands" in args:
        args["islands"] = [[member for member in island if member < node] for island in args["islands"]]
    return replace(step, args=args)


class _Drawing:
    """Draws steps, in order of time."""

    def __init__(self, rng: random.Random, nodes: int, length_s: float) -> None:
        self._rng = rng
        self._nodes = nodes
        self._length_s = length_s
        self._namespaces: tuple[str, ...] = ()

    def steps(self) -> tuple[Step, ...]:
        """Namespaces begin; then work and trouble, at random times."""
        rng = self._rng
        self._namespaces = NAMESPACES[: rng.randint(1, 3)]
        steps = [Step(rng.uniform(0, 2), "begin", self._any(), {"ns": ns}) for ns in self._namespaces]
        for _ in range(int(self._length_s * rng.uniform(0.5, 2.0))):
            steps.append(self._work(rng.uniform(2, self._length_s)))
        for _ in range(int(self._length_s / 60 * rng.uniform(0, 8))):
            steps.extend(self._trouble(rng.uniform(2, self._length_s)))
        return tuple(sorted(steps, key=lambda step: (step.at_s, step.kind, step.node)))

    def _work(self, at_s: float) -> Step:
        rng = self._rng
        kinds = ["publish"] * 8 + ["propose"] * 3 + ["cosign"] * 3 + ["rival"] * 2 + ["yank", "pair", "burst"]
        kinds += ["amend", "seal", "rivals", "decide", "forbidden"]
        kind = rng.choice(kinds)
        args: dict[str, Any] = {
            "ns": rng.choice(self._namespaces),
            "path": rng.choice(PATHS),
            "who": rng.choice(PEOPLE),
        }
        if kind in ("rival", "rivals"):
            args["other"], args["whom"] = self._any(), rng.choice(PEOPLE)
        if kind == "pair":
            args["whom"] = rng.choice(PEOPLE)
        if kind == "burst":
            args["count"] = rng.randint(2, 60)
        args["text"] = f"content {rng.randrange(1_000_000)}"
        return Step(at_s, kind, self._any(), args)

    def _trouble(self, at_s: float) -> list[Step]:
        rng, node = self._rng, self._any()
        down_s = rng.choice([0.1, 1.0, 10.0, 30.0])
        draw: dict[str, Callable[[], list[Step]]] = {
            "restart": lambda: [Step(at_s, "restart", node, {"down_s": down_s})],
            "kill": lambda: [Step(at_s, "kill", node, {"down_s": down_s, "silent": rng.random() < 0.5})],
            "crash": lambda: [
                Step(
                    at_s,
                    "crash",
                    node,
                    {"point": rng.choice(CRASH_POINTS), "nth": rng.randint(1, 4), "down_s": down_s},
                )
            ],
            "restore": lambda: [
                Step(at_s, "backup", node),
                Step(
                    min(self._length_s, at_s + rng.uniform(1, 40)),
                    "restore",
                    node,
                    {"down_s": down_s, "witness": rng.choice(["kept", "lost", "old", "in place"])},
                ),
            ],
            "partition": lambda: [
                Step(at_s, "partition", node, {"islands": self._islands()}),
                Step(min(self._length_s, at_s + rng.uniform(1, 60)), "heal", node),
            ],
            "fetch": lambda: [Step(at_s, "fetch", node, {"other": self._any()})],
            "break": lambda: [Step(at_s, "break", node)],
            "slow": lambda: [Step(at_s, "slow", node, {"bytes_per_s": rng.choice([2_000, 20_000]), "for_s": 20.0})],
            "clock": lambda: [Step(at_s, "clock", node, {"by_ms": rng.choice([-3_600_000, -50, 50, 3_600_000])})],
        }
        return draw[rng.choice([*draw, "crash", "crash", "partition"])]()

    def _islands(self) -> list[list[int]]:
        members = list(range(self._nodes))
        self._rng.shuffle(members)
        cut = self._rng.randint(1, max(1, self._nodes - 1))
        return [sorted(members[:cut])]

    def _any(self) -> int:
        return self._rng.randrange(self._nodes)
