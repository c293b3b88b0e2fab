"""Telling a client that its citizen has answered (CIBA Core section 10.2): once, and never told twice by mistake."""

from datetime import datetime
from uuid import UUID

from accounts.database import Database
from accounts.outbox import Leased
from accounts.vault import Vault
from oidc.client import find_client
from oidc.fetcher import FetchFailed
from oidc.provider import Provider
from oidc.waiting_request import find_request

PING = "ciba_ping"
"""The outbox work of telling one client: `{"request_id": ...}`."""


class NotTold(Exception):
    """The client's server did not answer or failed; the worker tries again."""


async def ping(provider: Provider, database: Database, vault: Vault, work: Leased, now: datetime) -> None:
    """Outbox `ciba_ping`. What the client's server refuses, or would send elsewhere, is settled by that: only a server
    that failed is asked again, and not after the request's own time."""
    async with database.begin() as db:
        waiting = await find_request(db, vault, UUID(work.payload["request_id"]))
        client = await find_client(db, waiting.client_id) if waiting else None
    address = client.metadata.backchannel_client_notification_endpoint if client else None
    if waiting is None or address is None or waiting.asked.token is None or waiting.expires_at <= now:
        return
    try:
        answered = await provider.fetcher.post_json(
            address, {"auth_req_id": waiting.asked.secret}, bearer=waiting.asked.token
        )
    except FetchFailed as failure:
        raise NotTold(failure.detail) from failure
    if answered.status >= 500:
        raise NotTold(f"status {answered.status}")
