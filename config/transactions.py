"""One transaction a request, finished before the answer leaves.

Not a generator dependency: Litestar forgets those when a later dependency raises, and with each the connection.
"""

from litestar.enums import ScopeType
from litestar.types import ASGIApp, Message, Receive, Scope, Send
from litestar.types.asgi_types import HTTPResponseBodyEvent, HTTPResponseStartEvent

from accounts.database import Database, Transaction
from accounts.errors import CRASHED
from config.logging import logger
from config.site.errors import LAST_RESORT

OPEN = "transaction"
"""Key of the request's state: the transaction, once asked for."""

log = logger("transactions")


def transaction_of(state: dict[str, object], database: Database) -> Transaction:
    """The request's transaction; it takes a connection only with its first statement."""
    transaction = state.get(OPEN)
    if not isinstance(transaction, Transaction):
        transaction = state[OPEN] = Transaction(database.engine)
    return transaction


def with_transactions(app: ASGIApp) -> ASGIApp:
    """The application whose answers leave only after their transaction is committed, or after a crash rolled back.
    A commit that fails becomes a 500: nobody is told of what was not kept."""

    async def finishing(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != ScopeType.HTTP:
            await app(scope, receive, send)
            return
        state = scope.setdefault("state", {})
        failed = False

        async def finish_and_send(message: Message) -> None:
            nonlocal failed
            if message["type"] == "http.response.start":
                try:
                    await _finish(state)
                except Exception:
                    log.exception("commit_failed", path=scope.get("path_template", ""))
                    failed = True
                    await _sorry(send)
            if not failed:
                await send(message)

        try:
            await app(scope, receive, finish_and_send)
        finally:
            transaction = state.pop(OPEN, None)
            if isinstance(transaction, Transaction):
                await transaction.close()

    return finishing


async def _finish(state: dict[str, object]) -> None:
    transaction = state.pop(OPEN, None)
    if isinstance(transaction, Transaction):
        try:
            await (transaction.rollback() if state.get(CRASHED) else transaction.commit())
        finally:
            await transaction.close()


async def _sorry(send: Send) -> None:
    start: HTTPResponseStartEvent = {
        "type": "http.response.start",
        "status": 500,
        "headers": [(b"content-type", b"text/html; charset=utf-8"), (b"cache-control", b"no-store")],
    }
    body: HTTPResponseBodyEvent = {"type": "http.response.body", "body": LAST_RESORT, "more_body": False}
    await send(start)
    await send(body)
