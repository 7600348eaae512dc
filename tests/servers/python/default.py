"""An HTTP server with the standard library, without any handler."""

import os
from http.server import BaseHTTPRequestHandler, HTTPServer

HTTPServer(("127.0.0.1", int(os.environ["PORT"])), BaseHTTPRequestHandler).serve_forever()
