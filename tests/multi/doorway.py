"""Run inside a host's network: lets the test in by a socket in the file system, which no cut reaches.

``python -m tests.multi.doorway SOCKET PORT``: what connects to SOCKET talks to 127.0.0.1:PORT of this network. It ends
when its standard input does, and with it the network that only it holds.
"""

from __future__ import annotations

import sys

import trio


async def carry(source: trio.abc.ReceiveStream, target: trio.SocketStream) -> None:
    """Everything one end says, and that it has ended."""
    try:
        while data := await source.receive_some():
            await target.send_all(data)
        await target.send_eof()
    except (trio.BrokenResourceError, trio.ClosedResourceError):
        pass  # the client sees it


async def let_in(stream: trio.SocketStream, port: int) -> None:
    """One connection from outside, joined with one inside."""
    try:
        inside = await trio.open_tcp_stream("127.0.0.1", port)
    except OSError:
        await stream.aclose()
        return
    async with stream, inside, trio.open_nursery() as nursery:
        nursery.start_soon(carry, stream, inside)
        nursery.start_soon(carry, inside, stream)


async def main(path: str, port: int) -> None:
    """Until standard input ends."""
    with trio.socket.socket(trio.socket.AF_UNIX) as socket:
        await socket.bind(path)
        socket.listen()

        async def accept() -> None:
            while True:
                stream, _ = await socket.accept()
                nursery.start_soon(let_in, trio.SocketStream(stream), port)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(accept)
            sys.stdout.write("ready\n")
            sys.stdout.flush()
            await trio.to_thread.run_sync(sys.stdin.read, abandon_on_cancel=True)
            nursery.cancel_scope.cancel()


if __name__ == "__main__":
    trio.run(main, sys.argv[1], int(sys.argv[2]))
