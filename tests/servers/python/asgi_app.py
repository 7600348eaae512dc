"""Server-sent events and a WebSocket echo, for uvicorn."""

import asyncio
import os
import time

from prometheus_client import Gauge, start_http_server
from starlette.applications import Starlette
from starlette.responses import StreamingResponse
from starlette.routing import Route, WebSocketRoute

STREAMS = Gauge("open_streams", "Open WebSockets and event streams.")


async def send_events():
    with STREAMS.track_inprogress():
        while True:
            yield f"data: {time.time()}\n\n"
            await asyncio.sleep(0.1)


async def events(request):
    return StreamingResponse(send_events(), media_type="text/event-stream")


async def echo(websocket):
    await websocket.accept()
    with STREAMS.track_inprogress():
        async for message in websocket.iter_text():
            await websocket.send_text(message)


app = Starlette(routes=[Route("/events", events), WebSocketRoute("/echo", echo)])

if "METRICS_PORT" in os.environ:
    start_http_server(int(os.environ["METRICS_PORT"]), addr="127.0.0.1")
