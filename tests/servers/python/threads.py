"""Server-sent events with the standard library, which turns SIGINT into KeyboardInterrupt."""

import os
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Events(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.end_headers()
        while True:
            self.wfile.write(f"data: {time.time()}\n\n".encode())
            time.sleep(0.1)


try:
    ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Events).serve_forever()
except KeyboardInterrupt:
    pass
