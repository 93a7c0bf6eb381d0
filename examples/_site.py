"""A small web site in a thread, for `crawl.py`: pages with links, and what a crawler meets besides."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

ELSEWHERE = "http://example.com/"
"""Another host. A page has a link to it, and the crawler must leave it alone."""


def links(number: int, pages: int) -> list[str]:
    """Where a page leads: to further pages, to some of those before it, and here and there to trouble."""
    after = [2 * number + 1, 2 * number + 2, 7 * number % pages, 0]
    found = [f"/page/{each}" for each in after if each < pages]
    if number == 3:
        found.append("/missing")
    if number == 5:
        found.append(ELSEWHERE)
    return found


@contextmanager
def serving(pages: int, pace: float, slow: float) -> Iterator[str]:
    """Serves a site of that many pages; gives its address. Each page takes `pace` seconds, page 4 takes `slow`."""

    class Site(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"  # a connection may be used again
        wbufsize = -1  # head and body in one piece
        timeout = 30

        def do_GET(self) -> None:
            known = self.path in {f"/page/{number}" for number in range(pages)}
            number = int(self.path.rpartition("/")[2]) if known else -1
            time.sleep(slow if number == 4 else pace)
            anchors = "".join(f'<a href="{link}">{link}</a>\n' for link in links(number, pages)) if known else ""
            body = f"<title>{f'Page {number}' if known else 'No such page'}</title>\n{anchors}".encode()
            self.send_response(200 if known else 404)
            self.send_header("Content-Type", "text/html")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args: object) -> None:
            pass  # the crawler says what was read

    with ThreadingHTTPServer(("127.0.0.1", 0), Site) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()
