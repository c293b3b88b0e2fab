"""One transaction a request, finished before the answer leaves.

Not a generator dependency: Litestar forgets those when a later dependency raises, and with each the connection.
"""

from typing import Any

from litestar import Request
from litestar.enums import ScopeType
from litestar.types import ASGIApp, Message, Receive, Scope, Send

from accounts.database import Database, Transaction
from accounts.errors import CRASHED

OPEN = "transaction"
"""Key of the request's state: the transaction, once asked for."""


def transaction_of(state: dict[str, object], database: Database) -> Transaction:
    """The request's transaction; it takes a connection only with its first statement."""
    transaction = state.get(OPEN)
    if not isinstance(transaction, Transaction):
        transaction = state[OPEN] = Transaction(database.engine)
    return transaction


def with_transactions(app: ASGIApp) -> ASGIApp:
    """The application whose answers leave only after their transaction is committed, or after a crash rolled back.
    Where a commit fails, what the route says of that exception is its answer: nobody is told of what was not kept."""

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
                    await _finish(state, message["status"])
                except Exception as error:
                    failed = True
                    await _answer_failure(scope, receive, send, error)
            if not failed:
                await send(message)

        try:
            await app(scope, receive, finish_and_send)
        finally:
            transaction = state.pop(OPEN, None)
            if isinstance(transaction, Transaction):
                await transaction.close()

    return finishing


async def _finish(state: dict[str, object], status: int) -> None:
    transaction = state.pop(OPEN, None)
    if isinstance(transaction, Transaction):
        # An answer that says itself that the database is away keeps nothing, and needs no other answer.
        is_told = transaction.failure is not None and status >= 500
        try:
            await (transaction.rollback() if is_told or state.get(CRASHED) else transaction.commit())
        finally:
            await transaction.close()


async def _answer_failure(scope: Scope, receive: Receive, send: Send, error: Exception) -> None:
    """As the route answers an exception; Litestar's own way there is over once an answer has begun."""
    app = scope["litestar_app"]
    for hook in app.after_exception:
        await hook(error, scope)
    answers = {**app.exception_handlers, **scope["route_handler"].resolve_exception_handlers()}
    answer = next(answers[kind] for kind in type(error).__mro__ if kind in answers)
    request = Request[Any, Any, Any](scope, receive, send)
    await answer(request, error).to_asgi_response(app=None, request=request)(scope, receive, send)
