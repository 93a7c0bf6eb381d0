"""A server in a thread which streams a canned text as a language model's reply, for `relay_model_reply.py`.

It speaks server-sent events: for each piece of text a line ``data: {"text": ...}`` and an empty line, at the end
``data: [DONE]``.
"""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

REPLY = """A stream is a thing to be read once. Whoever wants to hand it to many readers must decide what happens when
one of them is slow. To keep everything for the slow one needs room without end. To make all wait for the slow one is
fair, and turns one bad line into fifty. To go on without the slow one keeps the others in time, and the slow one must
be told. There is no fourth way. There are only programs whose authors did not choose, and which choose for themselves,
at night, when the memory is full."""

WORDS = re.findall(r"\S+\s*", REPLY)


@contextmanager
def serving(pace: float) -> Iterator[str]:
    """Serves the reply, a word every `pace` seconds; gives the address."""

    class Model(BaseHTTPRequestHandler):
        timeout = 30

        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/event-stream")
            self.end_headers()
            try:
                for word in WORDS:
                    time.sleep(pace)
                    self.wfile.write(f"data: {json.dumps({'text': word})}\n\n".encode())
                self.wfile.write(b"data: [DONE]\n\n")
            except ConnectionError:
                pass  # the reader has gone

        def log_message(self, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Model) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/reply"
        finally:
            server.shutdown()
            thread.join()
