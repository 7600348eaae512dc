"""Server-sent events and a WebSocket echo with aiohttp. The argument says how the server stops on SIGINT and SIGTERM."""

import asyncio
import os
import signal
import sys
import time

from aiohttp import WSCloseCode, web
from prometheus_client import Gauge, start_http_server

PORT = int(os.environ["PORT"])
STREAMS = Gauge("open_streams", "Open WebSockets and event streams.")
WEBSOCKETS = web.AppKey("websockets", set)


async def events(request):
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
    await response.prepare(request)
    with STREAMS.track_inprogress():
        while True:
            await response.write(f"data: {time.time()}\n\n".encode())
            await asyncio.sleep(0.1)


async def echo(request):
    websocket = web.WebSocketResponse()
    await websocket.prepare(request)
    request.app[WEBSOCKETS].add(websocket)
    try:
        with STREAMS.track_inprogress():
            async for message in websocket:
                await websocket.send_str(message.data)
    finally:
        request.app[WEBSOCKETS].discard(websocket)
    return websocket


async def close_websockets(app):
    """The shutdown handler that aiohttp's documentation shows."""
    for websocket in set(app[WEBSOCKETS]):
        await websocket.close(code=WSCloseCode.GOING_AWAY, message=b"Server shutdown")


async def serve_until_drained(app):
    """Closes the listener on the signal, and shuts down when all WebSockets are closed."""
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", PORT)
    await site.start()
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    await stop.wait()
    await site.stop()
    while app[WEBSOCKETS]:
        await asyncio.sleep(0.1)
    await runner.cleanup()


app = web.Application()
app[WEBSOCKETS] = set()
app.add_routes([web.get("/events", events), web.get("/echo", echo)])
if "METRICS_PORT" in os.environ:
    start_http_server(int(os.environ["METRICS_PORT"]), addr="127.0.0.1")

way = sys.argv[1]
if way == "wait-for-websockets":
    asyncio.run(serve_until_drained(app))
else:
    if way == "close-websockets":
        app.on_shutdown.append(close_websockets)
    web.run_app(app, host="127.0.0.1", port=PORT)
