"""The HTTP edge: queries, headers, cursors, bodies, and heads that are read without h11."""

from __future__ import annotations

from typing import Any

import h11
import msgspec

from holo.core import codec, limits
from holo.core.cid import DAG_CBOR, Cid
from holo.core.errors import Rejected
from holo.http import types
from holo.http.authority import Authority
from holo.http.base64url import decode_base64url, encode_base64url
from holo.http.cursor import Cursor, decode_cursor, encode_cursor
from holo.http.hosts import Hosts
from holo.http.hot import takes_json
from holo.http.http1 import _Requests
from holo.http.negotiation import COSE, EVENTS, HTML, JSON, choose, media_type_of, wait_s_of
from holo.http.parameters import HANDLE, NAME, NAMESPACE, TAG, selected_name, selection
from holo.http.query import Parameter, Query, decode_query, encode_query
from holo.http.reply import matches
from holo.http.request_head import START, Heads, may_become_hot
from holo.http.route import Call
from holo.http.table import ROUTES
from tests.fuzz.target import Target, check_code
from tests.fuzz.targets.encoding import text_of
from tests.records import content

_PLAIN = tuple(Parameter(name, lambda text: text, {}, "") for name in ("a", "b", "handle", "ü"))


def _query(data: bytes) -> None:
    """Any names with any texts: what is read is what was written."""
    found = decode_query(data, _PLAIN)
    values = {parameter.name: text for parameter in _PLAIN if (text := found.get(parameter)) is not None}
    written = encode_query(values)
    again = decode_query(written.encode("ascii"), _PLAIN)
    assert {name: again.get(parameter) for name, parameter in zip("abhü", _PLAIN, strict=True)} == {
        name: found.get(parameter) for name, parameter in zip("abhü", _PLAIN, strict=True)
    }


def _parameters(data: bytes) -> None:
    """A query on every route: read by its parameters and by those that belong together, or refused."""
    read, refusal = 0, None
    for route in ROUTES:
        try:
            query = decode_query(data, route.parameters)
            if NAME in route.parameters:
                name = selected_name(query)
                assert name.tag
            if HANDLE in route.parameters:
                _selected(query)
            read += 1
        except Rejected as error:
            refusal = error
    if refusal is not None and not read:
        raise refusal


def _selected(query: Query) -> None:
    namespace = query.get(NAMESPACE) or "acme"
    handle, tag = selection(query, namespace)
    assert handle is None or handle
    assert query.get(TAG) is None or tag == query.get(TAG)


_OFFERS = ((JSON,), (JSON, COSE), (EVENTS,), (HTML, JSON))


def _headers(data: bytes) -> None:
    """One header value, as Accept, Prefer, Content-Type, If-None-Match and Host."""
    text = data.decode("latin-1")
    assert 0 <= wait_s_of(text) <= limits.WAIT_S_MAX
    assert media_type_of(text) == media_type_of(text).lower().strip()
    matches(text, '"x"')
    assert takes_json(data) in (True, False)
    if data.isascii():
        assert takes_json(data) == (_chosen(text, (JSON, COSE)) == JSON)
    for offered in _OFFERS:
        assert _chosen(text, offered) in (*offered, None)
    _hosts(text)


def _chosen(text: str, offered: tuple[str, ...]) -> str | None:
    try:
        return choose(text, offered)
    except Rejected as refusal:
        check_code(refusal, "not-acceptable")
        return None


def _hosts(text: str) -> None:
    """A Host that one listening address allows is written as one of its names, whoever else is allowed."""
    Hosts("127.0.0.1", ["holo.example"]).check(text)
    name = (
        text.lower().rpartition(":")[0]
        if not text.endswith("]") and text.rpartition(":")[2].isdigit()
        else text.lower()
    )
    assert name.rstrip(".") in ("localhost", "127.0.0.1", "holo.example") or name.startswith("[") or "127.0.0.1" in name


def _base64url(data: bytes) -> None:
    text = text_of(data)
    decoded = decode_base64url(text, 48, at="x")
    assert len(decoded) <= 48
    assert encode_base64url(decoded) == text


def _cursor(data: bytes) -> None:
    """The text of a cursor, or the object in it."""
    text = text_of(data)
    try:
        cursor = decode_cursor(text, "/v1/names")
    except Rejected:
        text = encode_base64url(data)
        cursor = decode_cursor(text, "/v1/names")
    assert encode_cursor("/v1/names", cursor) == text


def _call(body: bytes) -> Call:
    return Call({}, Query({}), JSON, JSON, body, 0, None, "/", Authority(""))


def _body(data: bytes) -> None:
    """A JSON body of each kind: read within its bounds, or refused."""
    read, refusal = 0, None
    for kind in (types.RecordsPost, types.ResolvePost, types.PolicyPost):
        try:
            found = _call(data).read_json(kind)
            assert _call(msgspec.json.encode(found)).read_json(kind) == found
            read += 1
        except Rejected as error:
            check_code(error, "request-invalid")
            refusal = error
    if refusal is not None and not read:
        raise refusal


def _host(host: str | None) -> None:
    Hosts("127.0.0.1").check(host)


def _request_head(data: bytes) -> None:
    """A head that is read here is to h11 the same request, whole, alone and without a body, whatever follows it."""
    head = START + data
    end = head.find(b"\r\n\r\n") + 4
    if end < 4:
        # h11 must not be able to answer what is still waited for.
        assert not may_become_hot(head) or _h11_request(head) is None
        raise Rejected("request-invalid", "no empty line")
    found = Heads(_host).read(head, 0, end)
    if found is None:
        raise Rejected("request-invalid", "not certainly a hot request")
    query, fields = found
    heads = Heads(_host)
    for _ in range(2):  # remembered, and from the middle of what has come
        assert heads.read(b"xx" + head, 2, end + 2) == found
    parsed = _h11_request(head)
    assert parsed is not None, "h11 does not read it"
    request, rest, keeps = parsed
    assert (request.method, request.http_version, keeps) == (b"GET", b"1.1", True)
    assert request.target == b"/v1/resolve?" + query
    assert rest == head[end:]
    values: dict[bytes, list[bytes]] = {}
    for name, value in request.headers:
        values.setdefault(name, []).append(value)
    assert len(values[b"host"]) == 1
    _host(values[b"host"][0].decode("ascii"))
    chosen = choose(b",".join(values.get(b"accept", [])).decode("ascii"), (JSON, COSE))
    assert fields.as_json == (chosen == JSON)
    assert values.get(b"if-none-match") == (None if fields.if_none_match is None else [fields.if_none_match.encode()])
    assert not values.keys() & {b"expect", b"upgrade", b"content-length", b"transfer-encoding", b"range", b"prefer"}


def _h11_request(data: bytes) -> tuple[h11.Request, bytes, bool] | None:
    """(request, what follows it, whether the connection goes on) as the rest of the server reads ``data``, or None."""
    connection = _Requests(h11.SERVER, max_incomplete_event_size=limits.REQUEST_HEAD_BYTES)
    connection.receive_data(data)
    try:
        request = connection.next_event()
        if not isinstance(request, h11.Request):
            return None
        end = connection.next_event()
    except h11.RemoteProtocolError:
        return None
    assert isinstance(end, h11.EndOfMessage), "it has a body"
    return request, connection.trailing_data[0], connection.our_state is not h11.MUST_CLOSE


def _http1(data: bytes) -> None:
    """A byte that says where to cut, and bytes from a client: what is read of them does not depend on how they came."""
    cut, stream = data[:1], data[1:]
    at = cut[0] * len(stream) // 255 if cut else 0
    whole, parted = _read_stream([stream]), _read_stream([stream[:at], stream[at:]])
    each = _read_stream([stream[at : at + 1] for at in range(len(stream))])
    assert whole == parted == each
    if "refused" in whole:
        raise Rejected("request-invalid", "not HTTP/1.1")


def _read_stream(pieces: list[bytes]) -> list[str]:
    """The requests in a stream, and where it ends with a refusal, that. Every request is answered at once."""
    connection = _Requests(h11.SERVER, max_incomplete_event_size=limits.REQUEST_HEAD_BYTES)
    found: list[str] = []
    body = b""
    for piece in pieces:
        if not piece:  # that would say that the client has ended
            continue
        try:
            connection.receive_data(piece)
            while (event := connection.next_event()) is not h11.NEED_DATA:
                if isinstance(event, h11.Request):
                    found.append(f"{event.method!r} {event.target!r} {event.http_version!r} {list(event.headers)}")
                elif isinstance(event, h11.Data):
                    body += bytes(event.data)
                elif isinstance(event, h11.EndOfMessage):
                    found.append(f"{body!r} {list(event.headers)}")
                    body = b""
                    if not _answered(connection):
                        return found
                else:
                    return found
        except h11.RemoteProtocolError:
            return [*found, "refused"]
    return [*found, f"{body!r}"]


def _answered(connection: h11.Connection) -> bool:
    """Answer the request; whether another may follow."""
    connection.send(h11.Response(status_code=200, headers=[(b"content-length", b"0")]))
    connection.send(h11.EndOfMessage())
    if connection.our_state is not h11.DONE or connection.their_state is not h11.DONE:
        return False
    connection.start_next_cycle()
    return True


def _head_seeds() -> list[bytes]:
    query = f"handle=acme/holo:beta&policyRef={content('x')}".encode()
    plain = query + b" HTTP/1.1\r\nHost: localhost\r\n"
    fields = (
        b"",
        b"Accept: application/json\r\n",
        b"Accept: */*;q=0.5, application/cose;q=0.1\r\n",
        b'If-None-Match: "x", *\r\n',
        b"Connection: keep-alive\r\n",
        b"Connection: close\r\n",
        b"Cookie: a=b; c=d\r\nUser-Agent:\r\n",
        b"Content-Length: 0\r\n",
        b"Content-Length: 5\r\n",
        b"Transfer-Encoding: chunked\r\n",
        b"Expect: 100-continue\r\n",
        b"accept: \t a/b \t\r\n",
        b" folded\r\n",
        b"Host: evil.example\r\n",
        b"Accept: text/html\r\nAccept: */*\r\n",
        b"X-A:\r\n b\r\n",
        b"A\x00: b\r\n",
    )
    whole = [plain + field + b"\r\n" for field in fields]
    odd = (
        b" HTTP/1.0\r\nHost: localhost\r\n\r\n",
        b"\nHost: localhost\n\n",
        b" HTTP/1.1\n\r\n",
        b" HTTP/1.1\r\nHost: [::1]:8420\r\n\r\nGET",
    )
    return [*whole, *(query + end for end in odd), whole[0] + START + whole[0]]


def _stream_seeds() -> list[bytes]:
    heads = [START + seed for seed in _head_seeds()]
    others = [
        b"POST /v1/resolve HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabcGET / HTTP/1.1\r\nHost: a\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\nabc\r\n0\r\nT: u\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"GET http://b/x HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"GET / HTTP/1.0\r\n\r\n",
        b"\r\nGET / HTTP/1.1\nHost: a\n\n",
    ]
    return [cut + stream for cut in (b"\x00", b"\x80") for stream in (*heads, *others)]


def _query_seeds() -> list[bytes]:
    cid = str(content("x"))
    texts = (
        "",
        "a=b",
        "a=%C3%BC&%C3%BC=+",
        "a=%zz",
        "a",
        "a=&a=",
        "handle=acme/holo:beta",
        f"handle=acme/holo@{cid}&tag=v1",
        f"handle=acme/a&policyRef={cid}&receipt=1",
        "limit=1000&cursor=x",
        "limit=01",
        "since=9007199254740991&since=0",
        "type=binding,head&namespace=acme",
        "prefix=a%2Fb",
        f"from={cid}",
        "state=held",
        f"subject={cid}",
        "size=3",
        "seq=0",
    )
    return [text.encode() for text in texts]


def _header_seeds() -> list[bytes]:
    texts = (
        "application/json",
        "application/cose, */*;q=0.1",
        "text/*;q=0.5;x=y, text/html;level=1",
        ";q=",
        "a/b;q=1.001",
        "wait=5",
        'wait = "30"; x, respond-async',
        "wait=99999",
        "localhost:8420",
        "[::1]",
        "holo.example.",
        "127.0.0.1",
        "[::ffff:127.0.0.1]:1",
        'W/"x", *',
        "",
    )
    return [text.encode() for text in texts]


def _cursor_seeds() -> list[bytes]:
    given = [Cursor(None, b""), Cursor(Cid.of(DAG_CBOR, b""), b"acme"), Cursor(None, bytes(40))]
    made = [encode_cursor("/v1/names", cursor) for cursor in given]
    return [decode_base64url(text, 512, at="x") for text in made] + [codec.encode([b"other", None, b""])]


def _body_seeds() -> list[bytes]:
    cid = str(content("x"))
    bodies: list[Any] = [
        {"records": [["0oQ"], ["AA", "AQ"]], "atomic": True},
        {"queries": [{"handle": "acme/a"}, {"handle": "acme/a:b", "policyRef": cid}], "packs": ["oA"], "receipt": True},
        {"policy_cose": ["0oQ"], "nodes": ["ggCA"]},
        {"records": []},
        {"queries": [[]]},
        [],
        None,
        "x" * 20,
        1.5e300,
        {"a": {"a": {}}},
    ]
    return [msgspec.json.encode(body) for body in bodies] + [b'{"records":[["\\ud800"]]}', b"[" * 100, b'{"a":1,"a":2}']


TARGETS = (
    Target("query", _query, _query_seeds, 512, known=(b"%C3%BC=", b"handle=", b"&a=")),
    Target(
        "parameters",
        _parameters,
        _query_seeds,
        512,
        known=tuple(f"{item.name}=".encode() for route in ROUTES for item in route.parameters),
    ),
    Target("headers", _headers, _header_seeds, 256, known=(b"wait=", b";q=0.", b"*/*", b"application/", b"localhost")),
    Target("base64url", _base64url, lambda: [b"", b"AA", b"AB", b"AA==", b"-_-_", b"+/", b"A", b"A" * 65], 128),
    Target("cursor", _cursor, _cursor_seeds, 1024, structured=True),
    Target(
        "body",
        _body,
        _body_seeds,
        2048,
        known=(b'"records":', b'"queries":', b'"handle":', b'"policy_cose":', b'"nodes":'),
    ),
    Target(
        "request-head",
        _request_head,
        _head_seeds,
        1024,
        known=(b"\r\n", b" HTTP/1.1", b"Host: localhost\r\n", b"Accept: ", b"Connection: "),
    ),
    Target(
        "http1",
        _http1,
        _stream_seeds,
        1024,
        known=(b"\r\n", b"Content-Length: ", b"Transfer-Encoding: chunked\r\n", b"0\r\n\r\n", b" HTTP/1.1\r\n"),
    ),
)
