"""The entry point: finds the verb, runs it, and turns whatever happens into an exit code and one message.

``holo --help`` imports click and this folder's frame only; a verb's module, and through it the client or a node, is
imported when the verb is used.
"""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Sequence
from typing import Any, Final, NoReturn

import click

from holo import __version__
from holo.cli import exits
from holo.cli.group import Root
from holo.cli.invocation import Invocation, styled
from holo.core.errors import CODES, HoloError

_COMPLETE: Final = "_HOLO_COMPLETE"


def _at(module: str, attribute: str, text: str) -> tuple[str, str, str]:
    return f"holo.cli.{module}", attribute, text


VERBS: Final = {
    "Start": {
        "demo": _at("demo", "demo", "See it work: real nodes on this machine, in under a minute."),
        "node": _at("node", "node", "Run a node on this home."),
        "status": _at("status", "status", "What this home and its node are doing."),
        "doctor": _at("doctor", "doctor", "Find out what is wrong; --fsck reads everything."),
        "explain": _at("explain", "explain", "What a code means and what to do about it."),
        "config": _at("config", "config", "Show or check a profile."),
        "completion": _at("completion", "completion", "Completion for bash, zsh and fish."),
    },
    "Who may write": {
        "keys": _at("keys", "keys", "Make and keep signing keys."),
        "ns": _at("ns", "ns", "Make a namespace; change who may write it."),
        "trust": _at("trust", "trust", "Whose receipts and which namespaces count here."),
        "remote": _at("remote", "remote", "Short names for nodes."),
    },
    "Names": {
        "publish": _at("publish", "publish", "Sign a name for content and send it."),
        "cosign": _at("publish", "cosign", "Add your signature to what waits for it."),
        "yank": _at("publish", "yank", "Take a name's content back, visibly."),
        "rollback": _at("publish", "rollback", "Sign an earlier revision's content again."),
        "resolve": _at("resolve", "resolve", "What a name stands for, and why."),
        "history": _at("history", "history", "Every revision of a name."),
        "why": _at("why", "why", "Explain a name, an id or a receipt."),
        "release": _at("release", "release", "A release: its content and every name it has."),
    },
    "Proof": {
        "verify": _at("verify", "verify", "Is this file the release?"),
        "receipts": _at("receipts", "receipts", "Receipts and bundles, checked without a network."),
        "catalog": _at("catalog", "catalog", "The catalog: entries, differences, proofs."),
    },
    "Peers": {
        "peer": _at("peer", "peer", "Pair with other nodes; find out why a link fails."),
        "peers": _at("peers", "peers", "Who this node is paired with, and how far apart they are."),
    },
    "Content": {
        "put": _at("content", "put", "Store a file or folder in this home."),
        "get": _at("content", "get", "Write stored content out again."),
    },
}

_SETTINGS: Final[dict[str, Any]] = {"help_option_names": ["-h", "--help"], "max_content_width": 110}


def _print_version(ctx: click.Context, param: click.Parameter, value: bool) -> None:
    if value:
        click.echo(f"holo {__version__}")
        ctx.exit()


root: Final = Root(
    VERBS,
    name="holo",
    help="A registry of signed names: who published what, in which order, with proofs that travel.",
    epilog="Exit codes: 0 ok, 1 verified bad or refused, 2 usage, 3 inconclusive, 4 not permitted, 5 not found, "
    "6 unreachable, 7 conflict. `holo explain CODE` says more about any error.",
    context_settings=_SETTINGS,
    params=[
        click.Option(
            ["--version"],
            is_flag=True,
            is_eager=True,
            expose_value=False,
            callback=_print_version,
            help="Print the version.",
        )
    ],
)


def main() -> NoReturn:
    """The ``holo`` command."""
    if _COMPLETE in os.environ:
        from click.shell_completion import shell_complete

        sys.exit(shell_complete(root, {"obj": Invocation()}, "holo", _COMPLETE, os.environ[_COMPLETE]))
    code = run(sys.argv[1:])
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        code = exits.BROKEN_PIPE
    if code == exits.BROKEN_PIPE:  # whoever read us is gone: say nothing more, not even at exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    sys.exit(code)


def run(args: Sequence[str]) -> int:
    """Run one command line and return its exit code. Everything it has to say is on stdout and stderr."""
    invocation = Invocation(json="--json" in args[: args.index("--") if "--" in args else None])
    try:
        with root.make_context("holo", list(args), obj=invocation) as ctx:
            root.invoke(ctx)
    except click.exceptions.Exit as done:
        return done.exit_code
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message(), err=True)
        return exits.USAGE
    except click.UsageError as error:
        return _usage(invocation, error)
    except HoloError as error:
        return _failed(invocation, error)
    except (KeyboardInterrupt, click.Abort):
        invocation.say("interrupted")
        return exits.INTERRUPTED
    except BrokenPipeError:
        return exits.BROKEN_PIPE
    except OSError as error:
        return _failed(invocation, _file_error(error))
    except Exception as error:
        return _fault(invocation, error)
    return exits.OK


def _file_error(error: OSError) -> HoloError:
    """What the system refused, with the file it was about: where one file was to become another, the other."""
    file = error.filename2 or error.filename
    code = "file-failed"
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        code = "no-space"
    elif isinstance(error, PermissionError) or error.errno == errno.EROFS:
        code = "file-denied"
    detail = f"{file}: {error.strerror}" if file and error.strerror else str(error)
    return HoloError(code, detail, subject=str(file) if file else None)


def problem_of(error: HoloError) -> dict[str, Any]:
    """The problem object (RFC 9457) of an error; a node's own problem object as it came."""
    problem = getattr(error, "problem", None)
    if problem is not None:
        return dict(problem)
    return _problem(error.code, error.title, error.http_status, error.detail, error.subject, error.at, error.fix)


def _problem(
    code: str, title: str, status: int, detail: str, subject: str | None, at: str | None, fix: str
) -> dict[str, Any]:
    """The members that a node's problem object has, in its order; importing the node's own would cost 0.1 s."""
    return {
        "type": f"/docs#{code}",
        "title": title,
        "status": status,
        "detail": detail,
        "code": code,
        "subject": subject,
        "at": at,
        "fix": fix,
        "denial": None,
        "denial_cose": None,
        "current": None,
    }


def _failed(invocation: Invocation, error: HoloError) -> int:
    invocation.show(problem_of(error), []) if invocation.json else _complain(error)
    return exits.exit_of_code(error.code, error.http_status)


def _complain(error: HoloError) -> None:
    at = f" (at {error.at})" if error.at else ""
    click.echo(f"{styled('holo: ' + error.code, 'bad', sys.stderr)}: {error.title}{at}", err=True)
    if error.detail:
        click.echo(f"  {error.detail}", err=True)
    problem = getattr(error, "problem", None) or {}
    if problem.get("denial"):
        click.echo(f"  denial: {problem['denial']}", err=True)
    click.echo(f"  fix: {error.fix}", err=True)


def _usage(invocation: Invocation, error: click.UsageError) -> int:
    path = error.ctx.command_path if error.ctx else "holo"
    if invocation.json:
        _, title, _ = CODES["usage"]
        detail = error.format_message()
        invocation.show(_problem("usage", title, 400, detail, path, None, f"Read `{path} --help`"), [])
    else:
        click.echo(f"{styled('holo: usage', 'bad', sys.stderr)}: {error.format_message()}", err=True)
        click.echo(f"  see: {path} --help", err=True)
    return exits.USAGE


def _fault(invocation: Invocation, error: Exception) -> int:
    import traceback

    click.echo("".join(traceback.format_exception(error)), err=True)
    detail = f"{type(error).__name__}: {error}"
    _failed(invocation, HoloError("internal", detail))
    return exits.INTERNAL


if __name__ == "__main__":
    main()
