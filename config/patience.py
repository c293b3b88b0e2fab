"""HTTP/1.1 with the limits that uvicorn lacks: on the size of headers, and on how long a request may come (R73)."""

from asyncio import TimerHandle, Transport
from http import HTTPStatus
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

MAX_HEAD = 16 * 1024
"""Bytes of request line and headers together."""
HEAD_SECONDS = 10.0
"""From the connection, or from the first byte of a later request, until its headers are there."""
LINGER_SECONDS = 1.0
BODY_SECONDS = 30.0
"""For the body after them; at most 64 kB come."""


class PatientProtocol(HttpToolsProtocol):
    """HTTP/1.1 that is patient only so long, and reads only so much before it knows what is asked.

    A request that arrives whole, as nearly all do, costs no timer.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._awaited: str = "head"
        self._head_size = 0
        self._head_ended = False
        self._refusal = HTTPStatus.BAD_REQUEST
        self._is_refused = False
        self._deadline: TimerHandle | None = None

    def connection_made(self, transport: Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._wait_at_most(HEAD_SECONDS)

    def connection_lost(self, exc: Exception | None) -> None:
        self._wait_no_more()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._is_refused:
            return
        was, self._head_ended = self._awaited, False
        super().data_received(data)
        if self._is_refused:
            return
        if self.transport.is_closing():
            self._wait_no_more()
        elif self._awaited == "head":
            # What came in one piece with the end of an earlier head is not counted; a piece is 64 kB at most.
            self._head_size = 0 if self._head_ended else self._head_size + len(data)
            if self._head_size > MAX_HEAD:
                self._refuse(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)
            elif self._deadline is None:
                self._wait_at_most(HEAD_SECONDS)
        elif self._awaited == "body":
            if was == "head":
                self._wait_at_most(BODY_SECONDS)
        else:
            self._wait_no_more()
            if self.timeout_keep_alive_task is None and self.cycle is not None and self.cycle.response_complete:
                # An empty line between requests ended the idle limit and began nothing.
                self.timeout_keep_alive_task = self.loop.call_later(
                    self.timeout_keep_alive, self.timeout_keep_alive_handler
                )

    def on_message_begin(self) -> None:
        self._awaited = "head"
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        size = len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)
        if size > MAX_HEAD:
            self._refusal = HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE
            raise ValueError("headers too large")  # the parser ends with it, and send_400_response answers
        hosts = sum(name == b"host" for name, _ in self.headers)
        if hosts > 1 or (hosts == 0 and self.parser.get_http_version() != "1.0"):
            raise ValueError("not one Host")  # RFC 9112 section 3.2: before anything else is looked at
        self._awaited, self._head_ended, self._head_size = "body", True, 0
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        self._awaited = "nothing"
        super().on_message_complete()

    def send_400_response(self, msg: str) -> None:
        self._refuse(self._refusal)

    def _unsupported_upgrade_warning(self) -> None:
        """An offer to change the protocol is ignored, and is no fault (RFC 9110 section 7.8)."""

    def _wait_at_most(self, seconds: float) -> None:
        self._wait_no_more()
        self._deadline = self.loop.call_later(seconds, self._too_slow)

    def _wait_no_more(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _too_slow(self) -> None:
        self._deadline = None
        if not self.transport.is_closing():
            self._refuse(HTTPStatus.REQUEST_TIMEOUT)

    def _refuse(self, status: HTTPStatus) -> None:
        """Answer in the server's own name, unless an answer is under way, and hang up."""
        self._wait_no_more()
        if self._awaited == "body":
            is_free = not self.cycle.response_started
        else:
            is_free = self.cycle is None or self.cycle.response_complete
        if is_free:
            text = status.phrase.encode()
            head = (
                f"HTTP/1.1 {status.value} {status.phrase}\r\ncontent-type: text/plain; charset=utf-8\r\n"
                f"content-length: {len(text)}\r\nx-content-type-options: nosniff\r\n"
                "cache-control: no-store\r\nconnection: close\r\n\r\n"
            )
            self.transport.write(head.encode() + text)
        # Closing now would reset the connection under what the client still sends, and the answer might never be read
        # (RFC 9112 section 9.6): first only our side is closed, and what comes is thrown away.
        self._is_refused = True
        if self._awaited == "body":
            self.cycle.disconnected = True  # nobody waits for the application any more
            self.cycle.message_event.set()
        self.transport.write_eof()
        self._deadline = self.loop.call_later(LINGER_SECONDS, self.transport.close)
