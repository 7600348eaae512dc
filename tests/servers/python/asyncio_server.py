"""A TCP server with asyncio, without any handler."""

import asyncio
import os


async def serve():
    server = await asyncio.start_server(lambda reader, writer: writer.close(), "127.0.0.1", int(os.environ["PORT"]))
    await server.serve_forever()


asyncio.run(serve())
