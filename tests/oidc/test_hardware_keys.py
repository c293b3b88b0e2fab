"""Signing keys in a PKCS #11 token: made there, used there, destroyed there, and what happens when it is lost."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from joserfc import jwt
from joserfc.jwk import KeySet
from oidc_kit import Box, decoded, new_box, new_vault
from pkcs11 import Attribute, ObjectClass, Session
from services import Backend
from soft_token import new_token, put_tokens_back, take_tokens_away
from sqlalchemy import select

from config.cli import main
from oidc.hardware_keys import HardwareKeys
from oidc.hardware_token import HardwareToken, HardwareUnavailable, TokenAccess
from oidc.key_holder import SealedKeys
from oidc.key_schedule import revoke_key
from oidc.signing_keys import SigningKey, destroy_ended, ensure_keys, keys_of, rotate

pytestmark = pytest.mark.anyio


@pytest.fixture
def access() -> TokenAccess:
    return new_token()


@pytest.fixture
def token(access: TokenAccess) -> HardwareToken:
    return HardwareToken(access)


@pytest.fixture
async def box(tmp_path: Path, token: HardwareToken) -> AsyncIterator[Box]:
    """A provider whose keys are in a token."""
    holder = HardwareKeys(SealedKeys(new_vault()), token)
    async with new_box(f"sqlite+aiosqlite:///{tmp_path / 'box.sqlite'}", holder=holder) as box:
        yield box


@pytest.fixture
def pulled_out() -> Iterator[Callable[[], Path]]:
    aside: list[Path] = []

    def pull() -> Path:
        aside.append(take_tokens_away())
        return aside[-1]

    yield pull
    for path in aside:
        if path.exists():
            put_tokens_back(path)


def private_keys(session: Session) -> list[dict[str, Any]]:
    """What is in the token."""
    return [
        {name: key[getattr(Attribute, name)] for name in ("EXTRACTABLE", "SENSITIVE", "LOCAL")}
        for key in session.get_objects({Attribute.CLASS: ObjectClass.PRIVATE_KEY})
    ]


@pytest.mark.parametrize("algorithm", ["ES256", "RS256"])
async def test_what_the_token_signs_is_verified_by_anyone(box: Box, algorithm: str) -> None:
    """RFC 7518 sections 3.3 and 3.4: joserfc verifies it with the published key, and no other bytes."""
    async with box.transaction() as db:
        await ensure_keys(db, box.holder, box.now, (algorithm,))
    box.later(seconds=1)
    parks = await box.register(id_token_signed_response_alg=algorithm)
    id_token = (await box.redeem(await box.code(parks))).json()["id_token"]
    published = KeySet.import_key_set((await box.http.get("/jwks")).json())

    assert jwt.decode(id_token, published, algorithms=[algorithm]).claims["aud"] == "parks"
    assert decoded(id_token)[0]["alg"] == algorithm


async def test_private_keys_never_leave_the_token(box: Box, token: HardwareToken) -> None:
    """R61: made in it, not extractable; the rows hold no private byte and say where the key is."""
    async with box.transaction() as db:
        rows = await db.all(select(SigningKey.private, SigningKey.held_at, SigningKey.public_jwk))

    assert {row.private for row in rows} == {None}
    assert all(row.held_at.startswith("pkcs11:token=identity%20") and "d" not in row.public_jwk for row in rows)
    inside = await token.run(private_keys)
    assert inside == [{"EXTRACTABLE": False, "SENSITIVE": True, "LOCAL": True}] * 2


async def test_a_key_that_ended_is_destroyed_in_the_token(box: Box, token: HardwareToken) -> None:
    """A retired and a revoked key sign nothing any more, whoever has the PIN; those in use stay."""
    async with box.transaction() as db:
        (rotated,) = await rotate(db, box.holder, box.now, algorithms=("ES256",))
        assert await revoke_key(db, box.holder, str(rotated.current), box.now)
    async with box.transaction() as db:
        assert await destroy_ended(db, box.holder) == 2
        assert await destroy_ended(db, box.holder) == 0
        held = [key.held_at for key in await keys_of(db) if key.state in ("current", "next")]

    assert len(await token.run(private_keys)) == len(held) == 2


async def test_processes_that_start_together_leave_no_orphan_in_the_token(
    backend: Backend, token: HardwareToken
) -> None:
    """R78: of many one's keys are kept; the others destroy what they made in vain."""
    holder = HardwareKeys(SealedKeys(new_vault()), token)
    async with new_box(backend.database_url, algorithms=(), holder=holder) as box:

        async def start() -> None:
            async with box.transaction() as db:
                await ensure_keys(db, holder, box.now, ("ES256",))

        await asyncio.gather(*(start() for _ in range(4)))
    assert len(await token.run(private_keys)) == 2


async def test_keys_of_the_database_sign_until_they_are_rotated_out(tmp_path: Path, token: HardwareToken) -> None:
    """A deployment moves into a token by a rotation, and nobody notices."""
    vault = new_vault()
    async with new_box(f"sqlite+aiosqlite:///{tmp_path / 'box.sqlite'}", holder=SealedKeys(vault)) as sealed:
        async with sealed.transaction() as db:
            (current,) = [key.kid for key in await keys_of(db) if key.state == "current"]
        holder = HardwareKeys(SealedKeys(vault), token)
        async with sealed.transaction() as db:
            columns = (SigningKey.kid, SigningKey.algorithm, SigningKey.private, SigningKey.held_at)
            rows = await db.all(select(*columns).where(SigningKey.kid == current))
            signer = holder.signer(rows[0])
            assert signer is not None
            assert len(await signer.sign(b"as before")) == 64
            await rotate(db, holder, sealed.now, algorithms=("ES256",))
            await rotate(db, holder, sealed.now, algorithms=("ES256",))
            assert {key.state: bool(key.held_at) for key in await keys_of(db)} == {
                "retired": False,
                "current": True,
                "next": True,
            }


async def test_a_token_that_is_lost_spends_nothing_and_signs_again_when_it_is_back(
    box: Box, pulled_out: Callable[[], Path]
) -> None:
    """R75: 503 and try again later, no unsigned token, and codes that are offered meanwhile are not spent."""
    parks = await box.register()
    first, second = await box.code(parks), await box.code(parks)
    assert (await box.redeem(await box.code(parks))).status_code == 200
    aside = pulled_out()

    notices = await box.redeem(first)
    meanwhile = await box.redeem(second)
    published = await box.http.get("/jwks")
    put_tokens_back(aside)
    after = await box.redeem(second)

    for refused in (notices, meanwhile):
        assert (refused.status_code, refused.json()["error"]) == (503, "temporarily_unavailable")
        assert refused.headers["retry-after"] == "5"
        assert "id_token" not in refused.json()
    assert published.status_code == 200
    assert after.status_code == 200


async def test_a_key_is_revoked_also_while_the_token_is_lost(box: Box, pulled_out: Callable[[], Path]) -> None:
    """R61: an emergency does not wait for the hardware; the next key is announced when it is back."""
    async with box.transaction() as db:
        (current,) = [key.kid for key in await keys_of(db) if (key.state, key.algorithm) == ("current", "ES256")]
    pulled_out()
    with pytest.raises(HardwareUnavailable):
        async with box.transaction() as db:
            await revoke_key(db, box.holder, current, box.now)
    async with box.transaction() as db:
        states = {key.kid: key.state for key in await keys_of(db) if key.algorithm == "ES256"}

    assert sorted(states.values()) == ["current", "revoked"]
    assert states[current] == "revoked"


@pytest.mark.parametrize(
    ("wrong", "part", "said"),
    [
        ({"module": "/nowhere.so"}, "module", "cannot be loaded"),
        ({"token": "another"}, "token", "there is no 'another'; there are: "),
        ({"pin": "1111"}, "pin", "refuses it"),
    ],
)
async def test_what_is_wrong_with_a_token_is_named(access: TokenAccess, wrong: Any, part: str, said: str) -> None:
    """R74: by the setting that an operator has to look at; never with the PIN."""
    token = HardwareToken(TokenAccess(**{"module": access.module, "token": access.token, "pin": access.pin, **wrong}))
    with pytest.raises(HardwareUnavailable, match="hardware_token_unavailable") as refused:
        await token.run(private_keys)

    assert refused.value.part == part
    assert said in refused.value.problem
    assert "1111" not in refused.value.detail


async def test_a_wrong_pin_is_tried_once(access: TokenAccess) -> None:
    """A token locks itself after a few wrong ones: requests do not use them up."""
    wrong = HardwareToken(TokenAccess(access.module, access.token, "1111"))
    for _ in range(20):
        with pytest.raises(HardwareUnavailable):
            await wrong.run(private_keys)

    assert await HardwareToken(access).run(private_keys) == []


def test_the_command_line_works_with_keys_in_a_token(access: TokenAccess, tmp_path: Path) -> None:
    """`identity keys list|rotate|revoke`, `migrate` and `doctor` on a deployment whose keys are in a token."""
    settings = {
        "IDENTITY_ISSUER": "https://account.example.gov",
        "IDENTITY_MAIL__URL": "smtps://mail.example.gov",
        "IDENTITY_MAIL__SENDER": "account@example.gov",
        "IDENTITY_DATABASE__URL": f"sqlite+aiosqlite:///{tmp_path / 'identity.sqlite'}",
        "IDENTITY_KEYS__DIRECTORY": str(tmp_path / "keys"),
        "IDENTITY_KEYS__PKCS11_MODULE": access.module,
        "IDENTITY_KEYS__PKCS11_TOKEN": access.token,
        "IDENTITY_KEYS__PKCS11_PIN_FILE": str(tmp_path / "pin"),
    }
    (tmp_path / "pin").write_text(access.pin + "\n")

    def identity(*arguments: str, **more: str) -> str:
        done = CliRunner().invoke(main, arguments, env={**settings, **more})
        assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
        return done.output

    identity("keys", "create")
    identity("migrate")
    before = identity("keys", "list")
    assert before.count("pkcs11:token=identity%20") == 4
    (current,) = [line.split()[0] for line in before.splitlines() if "ES256" in line and " current " in line]
    assert "signs now" in identity("keys", "rotate", "--algorithm", "ES256", "--at-once")
    assert "revoked" in identity("keys", "revoke", current, "--yes")
    assert identity("keys", "list").count("pkcs11:token=identity%20") == 4
    assert f"{access.token}: answers" in identity("doctor")
    assert access.pin not in identity("doctor")
    other = identity("doctor", IDENTITY_KEYS__PKCS11_TOKEN="another")
    assert "WRONG  token     keys.pkcs11_token: there is no 'another'" in other
    assert "keys.pkcs11_token is not the token of pkcs11:token=identity%20" in other
