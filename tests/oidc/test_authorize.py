"""`/authorize`, seen by services and citizens."""

import pytest
from town import Town, claims_of

pytestmark = pytest.mark.anyio


async def test_a_known_citizen_with_a_known_agreement_gets_a_code_in_one_trip(town: Town) -> None:
    """OpenID Connect Core section 3.1.2.5, RFC 9207, R9: code, state and iss, and no page on the way."""
    parks = await town.service()
    ada, _ = await town.citizen()
    await parks.enter(ada)

    answer = parks.answer(await ada.get(parks.address(state="s t/ä")))

    assert set(answer) == {"code", "state", "iss"}
    assert answer["state"] == "s t/ä"
    assert answer["iss"] == "https://account.example.gov"
    tokens = (await parks.redeem(answer["code"])).json()
    assert claims_of(tokens["id_token"])["nonce"] == "a-nonce"
