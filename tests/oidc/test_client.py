"""Clients: applied from files, found by every process, unknown when disabled."""

from datetime import timedelta
from textwrap import dedent

import msgspec
import pytest
from oidc_kit import ISSUER, START, Box

from oidc.client import ClientCache, clients_of, find_client, set_disabled
from oidc.client_file import ClientFileError, apply_toml, import_json, judge_toml, plan
from oidc.protocol.capabilities import Capabilities
from oidc.revision import Revisions

pytestmark = pytest.mark.anyio

CAPABILITIES = Capabilities(issuer=ISSUER)
PARKS = dedent("""\
    # Parks and gardens
    [[client]]
    client_id = "parks"
    client_name = "Parks"
    "client_name#fr" = "Parcs"
    redirect_uris = ["https://parks.example/callback"]
    token_endpoint_auth_method = "none"
    """)


async def test_a_reviewed_file_makes_a_client(box: Box) -> None:
    """Clients applied from our own files sign with ES256; applying the same file again changes nothing."""
    async with box.transaction() as db:
        first = await apply_toml(db, PARKS, CAPABILITIES, box.now)
        again = await apply_toml(db, PARKS, CAPABILITIES, box.now)
        parks = await find_client(db, "parks")

    assert (first.created, again.unchanged) == (("parks",), ("parks",))
    assert parks is not None
    assert parks.metadata.id_token_signed_response_alg == "ES256"
    assert parks.name_in("fr") == "Parcs"
    assert parks.subject_sector == "parks.example"


async def test_registration_metadata_signs_with_rs256_where_it_names_nothing(box: Box) -> None:
    """OpenID Connect Registration section 2: the default of id_token_signed_response_alg."""
    text = '[{"client_id": "taxes", "client_secret": "0123456789012345678901234567890123456789",' \
           ' "redirect_uris": ["https://taxes.example/cb"], "x-unknown": 1}]'  # fmt: skip
    async with box.transaction() as db:
        applied = await import_json(db, text, CAPABILITIES, box.now)
        taxes = await find_client(db, "taxes")

    assert applied.created == ("taxes",)
    assert [warning.field for warning in applied.warnings] == ["x-unknown"]
    assert taxes is not None
    assert taxes.metadata.id_token_signed_response_alg == "RS256"
    assert taxes.has_secret


async def test_every_wrong_line_is_named(box: Box) -> None:
    """`identity client apply` names every wrong line, and writes nothing."""
    text = PARKS + dedent("""\
        redirect_uri = "https://parks.example/misspelt"
        default_max_age = "soon"

        [[client]]
        client_id = "taxes"
        redirect_uris = ["http://taxes.example/callback", "https://taxes.example/*"]
        grant_types = ["implicit"]
        """)

    async with box.transaction() as db:
        with pytest.raises(ClientFileError) as refused:
            await apply_toml(db, text, CAPABILITIES, box.now)
        nothing = await clients_of(db)

    places = {(problem.line, problem.client_id, problem.field) for problem in refused.value.problems}
    assert {(8, "parks", "redirect_uri"), (9, "parks", "default_max_age")} <= places
    assert {(13, "taxes", "redirect_uris"), (14, "taxes", "grant_types")} <= places
    assert "line 8, client parks, redirect_uri" in str(refused.value)
    assert nothing == []


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("[[client]]\nclient_id = ", 2),
        ("client_id = 'parks'\n", 1),
        ("", None),
        ("[[client]]\nclient_name = 'Nobody'\n", 1),
        (PARKS + PARKS, 10),
    ],
)
async def test_a_file_that_is_none_is_refused_in_words(box: Box, text: str, line: int | None) -> None:
    """Broken syntax, no table, no client_id, a client given twice."""
    async with box.transaction() as db:
        with pytest.raises(ClientFileError) as refused:
            await apply_toml(db, text, CAPABILITIES, box.now)

    assert refused.value.problems[0].line == line


async def test_a_lifetime_out_of_reach_is_named_by_client_and_line(box: Box) -> None:
    """An operator may give longer tokens than others have, a day at most."""
    async with box.transaction() as db:
        await apply_toml(db, PARKS + "access_token_lifetime = 86400\n", CAPABILITIES, box.now)
        with pytest.raises(ClientFileError) as refused:
            await apply_toml(db, PARKS + "access_token_lifetime = 86401\n", CAPABILITIES, box.now)

    assert str(refused.value) == "line 8, client parks, access_token_lifetime: must be 1 to 86400 seconds."


async def test_a_secret_is_never_kept(box: Box) -> None:
    """R61: client secrets are only ever hashed; a reviewed file holds the digest, registration metadata the secret."""
    secret = "correct horse battery staple, and then some more"
    text = f'[{{"client_id": "taxes", "client_secret": "{secret}", "redirect_uris": ["https://taxes.example/cb"]}}]'
    async with box.transaction() as db:
        await import_json(db, text, CAPABILITIES, box.now)
        taxes = await find_client(db, "taxes")
        in_plain = PARKS.replace('"none"', '"client_secret_basic"') + f'client_secret = "{secret}"\n'
        with pytest.raises(ClientFileError) as refused:
            await apply_toml(db, in_plain, CAPABILITIES, box.now)

    assert taxes is not None
    assert taxes.secret_digest is not None
    assert secret.encode() not in msgspec.json.encode([taxes.metadata, taxes.secret_digest])
    assert {problem.field for problem in refused.value.problems} == {"client_secret", "client_secret_sha256"}


async def test_metadata_that_cannot_be_honoured_is_refused_by_client_and_field(box: Box) -> None:
    """The simulator's contract: what this release cannot do is refused, not forgotten."""
    text = '[{"client_id": "taxes", "redirect_uris": ["https://taxes.example/cb"],' \
           ' "token_endpoint_auth_method": "none", "require_signed_request_object": true}]'  # fmt: skip
    async with box.transaction() as db:
        with pytest.raises(ClientFileError) as refused:
            await import_json(db, text, CAPABILITIES, box.now)

    assert "client taxes, require_signed_request_object" in str(refused.value)


async def test_a_change_reaches_every_process_within_a_second(box: Box) -> None:
    """Each process keeps clients it has met; a disabled one is unknown everywhere at once."""
    await box.register("parks")
    elsewhere = ClientCache(Revisions())
    async with box.transaction() as db:
        assert await elsewhere.find(db, "parks", START) is not None
        await box.register("parks", client_name="Parks and gardens")

        at_once = await elsewhere.find(db, "parks", START + timedelta(milliseconds=900))
        assert at_once is not None
        assert at_once.metadata.client_name == "Parks and gardens"

        assert await set_disabled(db, "parks", True, START)
        await db.commit()
        assert await elsewhere.find(db, "parks", START + timedelta(milliseconds=1900)) is None
        assert await set_disabled(db, "parks", False, START)
        await db.commit()
        assert await elsewhere.find(db, "parks", START + timedelta(milliseconds=2900)) is not None


async def test_a_known_client_costs_no_statement(box: Box) -> None:
    """performance.md: clients are cached in process with a version check."""
    await box.register("parks")
    async with box.transaction() as db:
        first = await box.provider.clients.find(db, "parks", box.now)
        again = await box.provider.clients.find(db, "parks", box.now)

    assert again is first


async def test_clients_are_listed_by_page(box: Box) -> None:
    """R44: lists are paged by key."""
    for name in ("alpha", "beta", "gamma"):
        await box.register(name)
    async with box.transaction() as db:
        first = await clients_of(db, limit=2)
        second = await clients_of(db, after=first[-1].client_id, limit=2)

    assert [listed.client_id for listed in [*first, *second]] == ["alpha", "beta", "gamma"]


async def test_public_subjects_share_one_sector(box: Box) -> None:
    """OpenID Connect Core section 8: pairwise by sector, public where registered so."""
    parks = await box.register("parks")
    open_data = await box.register("open-data", subject_type="public")
    assert (parks.subject_sector, open_data.subject_sector) == ("parks.example", "")


async def test_an_unknown_field_names_the_nearest_known_one() -> None:
    with pytest.raises(ClientFileError) as refused:
        judge_toml(PARKS + 'client_secret = "x"\nredirect_uri = "y"\n', CAPABILITIES)

    assert "client_secret: is not known. Did you mean client_secret_sha256?" in str(refused.value)
    assert "redirect_uri: is not known. Did you mean redirect_uris?" in str(refused.value)


async def test_what_is_likely_a_mistake_is_said_and_stops_nothing() -> None:
    text = PARKS.replace('callback"', 'callback", "https://parks.example/b", "https://elsewhere.example/"')
    languages = Capabilities(issuer=ISSUER, ui_locales=("en", "fr", "cy"))

    judged = judge_toml(text + 'scope = "profile offline_access"\nsubject_type = "public"\n', languages)

    said = "\n".join(map(str, judged.advice))
    assert "line 8, client parks, scope: lacks openid" in said
    assert "grant_types lacks refresh_token" in said
    assert "client_name: has no text for: cy." in said
    assert "purpose: is missing" in said
    assert "the host elsewhere.example differs from parks.example" in said


async def test_a_key_that_changes_is_marked_and_named_by_its_kid_in_printable_characters(box: Box) -> None:
    key = {"kty": "EC", "crv": "P-256", "kid": "one\x1b[2J", "use": "sig"}
    point = {
        "x": "MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4",
        "y": "4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM",
    }
    await box.register("parks", token_endpoint_auth_method="private_key_jwt", jwks={"keys": [{**key, **point}]})
    text = PARKS.replace('"none"', '"private_key_jwt"') + 'jwks_uri = "https://parks.example/jwks"\n'

    async with box.transaction() as db:
        (planned,) = await plan(db, judge_toml(text, CAPABILITIES))

    assert "! jwks: kid 'one\\x1b[2J' -> -" in planned.changes
    assert '! jwks_uri: - -> "https://parks.example/jwks"' in planned.changes
