"""Reading names: ``/v1/namespaces/{ns}/bindings`` and ``/v1/namespaces/{ns}/history``."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from holo.core import names
from holo.core.names import Name
from holo.http import query as queries
from holo.http import types
from holo.http.edge import Edge
from holo.http.paging import start_number, start_of, start_text, take_page
from holo.http.parameters import CURSOR, HANDLE, LIMIT, SINCE, TAG, UNPINNED_NAME, selected_name, selection
from holo.http.route import Answer, Cache, Call, Route
from holo.http.shapes import binding_item, own_statement
from holo.store.view import Entry, View

STATE: Final = queries.choice(
    "state",
    ("current", "pending", "forked"),
    "`current` (the default) lists every name's one or two current statements, `forked` those of names with two, "
    "`pending` the statements that wait for signatures.",
)

_Found = Iterator[tuple[bytes, list[Entry]]]


async def list_bindings(edge: Edge, call: Call) -> Answer:
    """Statements of a namespace's names, in order of name, or of the log where ``since`` is given."""
    ns = call.path["ns"]
    names.check_namespace(ns)
    with edge.registry.view() as view:
        view.namespace(ns)
        log = view.log
        items, following = take_page(
            call,
            _found(view, call, ns),
            lambda entries: [binding_item(view, entry) for entry in entries] or None,
            weigh=len,  # a name may have a hundred statements pending
        )
    page = types.BindingsPage(
        items=[item for several in items for item in several],
        next=following,
        log=str(log.id),
        log_size=log.size,
    )
    return Answer(page, next=following)


async def list_history(edge: Edge, call: Call) -> Answer:
    """Every complete statement of one name, newest revision first."""
    ns = call.path["ns"]
    names.check_namespace(ns)
    selection(call.query, ns)
    name = selected_name(call.query)
    start = start_of(call)
    with edge.registry.view() as view:
        view.namespace(ns)
        log = view.log
        found = view.history(name, start.position if start else b"")
        items, following = take_page(call, found, lambda entry: binding_item(view, entry))
    return Answer(types.BindingsPage(items=items, next=following, log=str(log.id), log_size=log.size), next=following)


def _found(view: View, call: Call, ns: str) -> _Found:
    """(position, entries) of each name the listing is about; a name that is filtered out has none."""
    handle, tag = selection(call.query, ns)
    state = call.query.get(STATE) or "current"
    since = call.query.get(SINCE)
    if since is not None:
        after = start_number(call)
        places = _changed(view, ns, since if after is None else after + 1)
    else:
        prefix = "" if handle is None else f"{handle}/{tag or ''}"
        places = ((path.encode(), path) for path in _paths(view, ns, state, prefix, start_text(call)))
    for position, path in places:
        itself, _, its_tag = path.rpartition("/")
        wanted = path and handle in (None, itself) and tag in (None, its_tag)
        yield position, _entries(view, Name(ns, itself, its_tag), state) if wanted else []


def _entries(view: View, name: Name, state: str) -> list[Entry]:
    if state == "pending":
        return view.pending(name)
    current = view.current(name)
    return current if state == "current" or len(current) > 1 else []


def _paths(view: View, ns: str, state: str, prefix: str, after: str) -> Iterator[str]:
    if state == "pending":
        yield from view.pending_paths(ns, prefix, after)
    else:
        yield from (path for path, _ in view.records.currents(ns, prefix, after))


def _changed(view: View, ns: str, begin: int) -> Iterator[tuple[bytes, str]]:
    """(position, path) by the receipts of this log from ``begin`` on; no path where it is not a new one of ``ns``."""
    seen: set[str] = set()
    for seq, envelope in view.records.receipts(view.log.number, begin, type="binding-receipt"):
        name = Name.parse(own_statement(envelope).value["name"])
        path = name.path if name.namespace == ns and name.path not in seen else ""
        seen.add(path)
        yield seq.to_bytes(8, "big"), path


ROUTES: Final = (
    Route(
        method="GET",
        path="/v1/namespaces/{ns}/bindings",
        handler=list_bindings,
        name="listBindings",
        summary="Names of a namespace and their statements",
        cache=Cache.CHECKED,
        replies={200: types.BindingsPage},
        problems=(400, 404),
        parameters=(HANDLE, TAG, SINCE, STATE, LIMIT, CURSOR),
    ),
    Route(
        method="GET",
        path="/v1/namespaces/{ns}/history",
        handler=list_history,
        name="listHistory",
        summary="Every revision of one name, newest first",
        cache=Cache.CHECKED,
        replies={200: types.BindingsPage},
        problems=(400, 404),
        parameters=(UNPINNED_NAME, TAG, LIMIT, CURSOR),
    ),
)
