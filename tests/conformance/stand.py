"""What the suite shows in a real browser: a relying party's own pages on another host, and a walk through ours."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from html import escape
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from party import walk
from playwright.async_api import Page

from conformance.kit import Browser, End

VERIFY = """<!doctype html><title>Verify</title>
<iframe name="provider" src="{provider}" hidden></iframe><iframe name="own" src="{own}" hidden></iframe>"""


class Stand:
    """A small web server of a relying party; `visits` are the addresses that were asked for."""

    def __init__(self, host: str) -> None:
        self.visits: list[str] = []
        stand = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                stand.visits.append(self.path)
                body = stand.page(self.path).encode()
                self.send_response(200)
                self.send_header("content-type", "text/html; charset=utf-8")
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.origin = f"http://{host}:{self.server.server_address[1]}"

    def page(self, path: str) -> str:
        """The page with the provider's frame and our own that asks it; an empty one everywhere else."""
        parts = urlsplit(path)
        if parts.path != "/session_verify":
            return "<!doctype html><title>Here</title>"
        return VERIFY.format(**{name: escape(value) for name, value in parse_qsl(parts.query)})

    def asked_for(self, path: str) -> dict[str, str]:
        """With what the browser came to this path the last time."""
        return dict(parse_qsl(urlsplit([one for one in self.visits if urlsplit(one).path == path][-1]).query))


@contextmanager
def stand(host: str = "parks.localhost") -> Iterator[Stand]:
    """Serve its pages: `localhost` and `parks.localhost` are two sites."""
    opened = Stand(host)
    thread = threading.Thread(target=opened.server.serve_forever, daemon=True)
    thread.start()
    try:
        yield opened
    finally:
        opened.server.shutdown()
        thread.join(10)
        opened.server.server_close()


async def visit(page: Page, address: str, person: Browser, origin: str) -> End:
    """Follow a link to its end at this origin, through every page of ours on the way."""
    await page.goto(address)
    await walk(page, person, origin)
    return End(page.url, dict(parse_qsl(urlsplit(page.url).query)))
