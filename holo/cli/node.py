"""``holo node``: run a node on this home until it is told to stop."""

from __future__ import annotations

import click

from holo.cli.group import Verb
from holo.cli.invocation import Invocation


@click.command(cls=Verb)
@click.option("--profile", default="minimal-peer", metavar="NAME|FILE", help="Which roles and settings (minimal-peer).")
@click.option("--http", metavar="HOST:PORT", help="Listen here; port 0 takes any free one.")
@click.option("--peers", metavar="HOST:PORT", help="Meet peers here; port 0 takes any free one.")
@click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", help="One setting over the profile, as in TOML.")
@click.option("--check", is_flag=True, help="Only say whether the profile is right.")
@click.pass_obj
def node(
    invocation: Invocation, profile: str, http: str | None, peers: str | None, settings: tuple[str, ...], check: bool
) -> None:
    """Run a node on this home. It prints one line once it takes connections and stops on SIGTERM or SIGINT."""
    invocation.refuse_node("A node is run on a home, not on another node.")
    from holo.profile import load_profile

    listeners = {"http.listen": http, "roles.gossip.listen": peers}
    over = [*settings, *(f'{key}="{address}"' for key, address in listeners.items() if address is not None)]
    loaded = load_profile(profile, over)
    if check:
        result = {"profile": loaded.name, "valid": True, "roles": loaded.role_names}
        invocation.show(result, f"{loaded.name} is valid; roles: {' '.join(loaded.role_names)}")
        return
    import trio

    from holo.core.keys import did_of
    from holo.node import Listening, configure_logging, run_node

    configure_logging("warning" if invocation.quiet else loaded.node.log_level, loaded.node.log_format)

    def ready(running: Listening) -> None:
        fields = {"url": running.url, "node": did_of(running.node.kid), "profile": loaded.name}
        if running.peer_address is not None:
            fields["peer"] = running.peer_address
        invocation.show(
            {"ready": True, **fields}, "ready " + " ".join(f"{name}={value}" for name, value in fields.items())
        )

    trio.run(run_node, invocation.home, loaded, ready)
