"""The documentation page: the table of routes and the list of codes as one HTML page that loads nothing."""

from __future__ import annotations

import re
from collections.abc import Iterable
from html import escape
from http import HTTPStatus
from typing import Final

import msgspec

from holo import __version__
from holo.http.openapi import description_of, header_text, reply_headers_of
from holo.http.problem import known_codes
from holo.http.route import Cache, Route

_CACHE_TEXTS: Final = {
    Cache.IMMUTABLE: "immutable: keep it for a year",
    Cache.CHECKED: "revalidate with ETag",
    Cache.NEVER: "never kept",
}
_STYLE: Final = """
:root { color-scheme: light dark; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
code { font: 0.9em ui-monospace, monospace; overflow-wrap: anywhere; }
h2 { margin-top: 2.5rem; border-bottom: 1px solid color-mix(in srgb, currentColor 25%, transparent); }
h3 { margin-bottom: 0.25rem; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; vertical-align: top; padding: 0.25rem 0.75rem 0.25rem 0; }
tr:target, h3:target { background: color-mix(in srgb, gold 25%, transparent); }
.quiet { opacity: 0.75; }
"""
_CODE: Final = re.compile(r"`([^`]+)`|``([^`]+)``")


def build_page(routes: Iterable[Route]) -> bytes:
    """The page as UTF-8 HTML."""
    rows = list(routes)
    sections = "".join(_section(route) for route in rows)
    contents = "".join(
        f'<li><a href="#{escape(route.name)}"><code>{route.method} {escape(route.path)}</code></a> '
        f"{escape(route.summary)}</li>"
        for route in rows
    )
    codes = "".join(
        f'<tr id="{code}"><td><code>{code}</code></td><td>{status}</td>'
        f"<td>{escape(title)}</td><td>{_prose(fix)}</td></tr>"
        for code, status, title, fix in known_codes()
    )
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>holo {escape(__version__)}: the HTTP interface</title><style>{_STYLE}</style></head><body>"
        f"<h1>holo {escape(__version__)}: the HTTP interface</h1>"
        '<p>The same as <a href="/openapi.json">OpenAPI 3.1</a>. Lists are paged by <code>limit</code> and '
        "<code>cursor</code>; every refusal is a problem (RFC 9457) with one of the codes below.</p>"
        f"<nav><ul>{contents}</ul></nav><h2>Resources</h2>{sections}"
        "<h2>Codes</h2><table><thead><tr><th>code</th><th>status</th><th>meaning</th><th>what helps</th></tr></thead>"
        f"<tbody>{codes}</tbody></table></body></html>"
    ).encode()


def _section(route: Route) -> str:
    parameters = "".join(
        f"<tr><td><code>{escape(item.name)}</code>{'' if item.required else ' <span class=quiet>optional</span>'}</td>"
        f"<td>{_prose(item.summary)}</td></tr>"
        for item in route.parameters
    )
    headers = "".join(
        f"<tr><td><code>{escape(name)}</code> <span class=quiet>header</span></td>"
        f"<td>{_prose(header_text(name))}</td></tr>"
        for name in route.headers
    )
    table = f"<table>{parameters}{headers}</table>" if parameters or headers else ""
    body = f"<p>Takes {_types(route.body)} as {_codes(route.takes)}.</p>" if route.body is not None else ""
    replies = "; ".join(
        f"{status} {HTTPStatus(status).phrase}{f': {_types(kinds)}' if kinds else ''}"
        for status, kinds in sorted(route.replies.items())
    )
    problems = f" Problems: {', '.join(map(str, route.problems))}." if route.problems else ""
    names = reply_headers_of(route)
    extra = f" Header fields: {_codes(names)}." if names else ""
    return (
        f'<h3 id="{escape(route.name)}"><code>{route.method} {escape(route.path)}</code></h3>'
        f"<p>{_prose(description_of(route))}</p>{table}{body}"
        f"<p>{replies}, as {_codes(route.offers)}.{problems}{extra} "
        f'<span class="quiet">Caches: {_CACHE_TEXTS[route.cache]}.</span></p>'
    )


def _types(kinds: type[msgspec.Struct] | tuple[type[msgspec.Struct], ...]) -> str:
    several = kinds if isinstance(kinds, tuple) else (kinds,)
    return " or ".join(f"<code>{kind.__name__}</code>" for kind in several)


def _codes(words: Iterable[str]) -> str:
    return ", ".join(f"<code>{escape(word)}</code>" for word in words)


def _prose(text: str) -> str:
    return _CODE.sub(lambda found: f"<code>{found[1] or found[2]}</code>", escape(text.replace("``", "`")))
