"""Grants: the one condition under which a client's access counts."""

from uuid import UUID

import pytest
from oidc_kit import Box

from accounts.account import set_state
from accounts.consent import withdraw_consent
from accounts.database import new_id
from identity.session import SessionView, end
from oidc.grant import (
    find_standing_grant,
    open_grant,
    revoke_grant,
    services_of_sessions,
    sessions_of_service,
)

pytestmark = pytest.mark.anyio


async def granted(
    box: Box,
    session: SessionView,
    *,
    client_id: str = "parks",
    scopes: tuple[str, ...] = ("openid",),
    bound: bool = True,
) -> UUID:
    """A grant of this citizen to this client."""
    consent_id = await box.consent(session.account_id, client_id, scopes)
    async with box.transaction() as db:
        return await open_grant(
            db,
            account_id=session.account_id,
            client_id=client_id,
            session_id=session.id if bound else None,
            consent_id=consent_id,
            sub=f"ada-at-{client_id}",
            sid=f"sid-at-{client_id}" if bound else None,
            scopes=scopes,
            claims={},
            acr="aal2",
            amr=("pwd", "otp"),
            auth_time=box.now,
            now=box.now,
        )


async def stands(box: Box, grant_id: UUID) -> bool:
    async with box.transaction() as db:
        return await find_standing_grant(db, grant_id, box.now) is not None


@pytest.fixture
async def session(box: Box) -> SessionView:
    """Ada's, with Parks and Taxes registered."""
    await box.register("parks")
    await box.register("taxes")
    return await box.session(await box.person())


async def test_a_new_grant_stands_and_says_what_it_is(box: Box, session: SessionView) -> None:
    """What tokens are made from comes back as it was written."""
    grant_id = await granted(box, session)
    async with box.transaction() as db:
        grant = await find_standing_grant(db, grant_id, box.now)

    assert grant is not None
    assert (grant.client_id, grant.sub, grant.sid, grant.scopes) == (
        "parks",
        "ada-at-parks",
        "sid-at-parks",
        ("openid",),
    )
    assert (grant.acr, grant.amr, grant.auth_time, grant.is_offline) == ("aal2", ("pwd", "otp"), box.now, False)


@pytest.mark.parametrize("offline", [False, True])
@pytest.mark.parametrize("ended", ["grant", "consent", "account", "session", "idle"])
async def test_it_falls_with_each_thing_it_leans_on(box: Box, session: SessionView, ended: str, offline: bool) -> None:
    """R13, R42: not revoked, consent not ended, account active, session alive unless offline access was agreed to."""
    grant_id = await granted(box, session, scopes=("openid", "offline_access") if offline else ("openid",))
    assert await stands(box, grant_id)

    async with box.transaction() as db:
        if ended == "grant":
            assert await revoke_grant(db, grant_id, "revoked_by_operator", box.now)
        elif ended == "consent":
            assert await withdraw_consent(db, session.account_id, "parks", box.now)
        elif ended == "account":
            assert await set_state(db, session.account_id, "suspended", box.now, only_from="active")
        elif ended == "session":
            assert await end(db, box.vault, session.id, "signed_out", box.now)
    if ended == "idle":
        box.later(minutes=31)

    assert await stands(box, grant_id) is (offline and ended in ("session", "idle"))


async def test_a_grant_without_session_stands_only_offline(box: Box, session: SessionView) -> None:
    """No session is no live session: fail closed (R75)."""
    assert not await stands(box, await granted(box, session, bound=False))
    assert await stands(box, await granted(box, session, scopes=("openid", "offline_access"), bound=False))


async def test_withdrawing_one_service_leaves_the_other(box: Box, session: SessionView) -> None:
    """R13: the consent of this service, and no other."""
    parks, taxes = await granted(box, session), await granted(box, session, client_id="taxes")
    async with box.transaction() as db:
        await withdraw_consent(db, session.account_id, "parks", box.now)

    assert not await stands(box, parks)
    assert await stands(box, taxes)


async def test_a_grant_is_revoked_once(box: Box, session: SessionView) -> None:
    """R78."""
    grant_id = await granted(box, session)
    async with box.transaction() as db:
        assert await revoke_grant(db, grant_id, "code_replayed", box.now)
        assert not await revoke_grant(db, grant_id, "refresh_reused", box.now)
        assert not await revoke_grant(db, new_id(box.now), "refresh_reused", box.now)


async def test_sign_out_finds_each_service_of_a_session_once(box: Box, session: SessionView) -> None:
    """R14: every relying party of a session, also one whose grant was revoked, however often it asked."""
    for client_id in ("parks", "parks", "taxes"):
        await granted(box, session, client_id=client_id)
    revoked = await granted(box, session, client_id="taxes")
    other = await box.session(await box.person(email="bob@example.org"))
    await granted(box, other)
    async with box.transaction() as db:
        await revoke_grant(db, revoked, "code_replayed", box.now)
        found = await services_of_sessions(db, [session.id])
        none = await services_of_sessions(db, [])

    assert sorted((service.client_id, service.sub, service.sid) for service in found) == [
        ("parks", "ada-at-parks", "sid-at-parks"),
        ("taxes", "ada-at-taxes", "sid-at-taxes"),
    ]
    assert none == []


async def test_a_withdrawal_finds_the_sessions_of_the_service(box: Box, session: SessionView) -> None:
    """Withdrawing sends that service its logout tokens: one a session, the latest first, bounded."""
    await granted(box, session)
    box.later(minutes=1)
    later = await box.session(session.account_id)
    await granted(box, later)
    await granted(box, later)
    await granted(box, later, client_id="taxes")
    async with box.transaction() as db:
        found = await sessions_of_service(db, session.account_id, "parks")
        latest = await sessions_of_service(db, session.account_id, "parks", limit=1)

    assert [service.session_id for service in found] == [later.id, session.id]
    assert [service.session_id for service in latest] == [later.id]
