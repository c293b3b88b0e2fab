"""What a relying party publishes for the provider to fetch: keys, a sector document, a request object."""

from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import msgspec
from joserfc.jwk import RSAKey

from conformance.kit import Claims, Suite, check_code, public, signed


class Site:
    """What a relying party publishes: documents by path, which may change."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.documents: dict[str, Any] = {}

    def publish(self, path: str, document: Any) -> str:
        """Its address."""
        self.documents[path] = document
        return self.address + path


@contextmanager
def open_site() -> Iterator[Site]:
    """A small web server on this machine."""
    documents: dict[str, Any] = {}

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            document = documents.get(self.path)
            body = document.encode() if isinstance(document, str) else msgspec.json.encode(document)
            self.send_response(200 if self.path in documents else 404)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    made = Site(f"http://suite.localhost:{server.server_address[1]}")
    made.documents = documents
    try:
        yield made
    finally:
        server.shutdown()
        thread.join(10)
        server.server_close()


def by_reference(suite: Suite, site: Site, key: RSAKey, algorithm: str) -> None:
    """Section 6.2: the object stands at a registered address, and is fetched from there."""
    address = f"{site.address}/request.jwt"
    party = suite.party(key, jwks=public(key), request_object_signing_alg=algorithm, request_uris=[address])
    asked = party.request()
    claims: Claims = {**asked, "iss": party.client_id, "aud": suite.issuer}
    site.publish("/request.jwt", signed({"alg": algorithm, "kid": key.kid}, claims, key))
    outside = {name: asked[name] for name in ("client_id", "response_type", "scope")}

    end = party.come(suite.browser(), {**outside, "state": "of-the-query", "request_uri": address})

    party.finish(asked, check_code(end, asked, suite.issuer))
