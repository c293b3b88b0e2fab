"""`/par`: requests pushed behind the browser's back (RFC 9126, R5)."""

import asyncio
import base64
from typing import Any
from urllib.parse import urlencode

import httpx2
import pytest
from fapi_kit import Fapi, fapi
from town import FORM, ISSUER, SECRET, Citizen, Shown, Town

pytestmark = pytest.mark.anyio

PREFIX = "urn:ietf:params:oauth:request_uri:"


def refusal(answer: httpx2.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["error"]


async def request_uri(parks: Fapi, **changes: str | None) -> str:
    pushed = await parks.push(**changes)
    assert pushed.status_code == 201, pushed.text
    name: str = pushed.json()["request_uri"]
    return name


async def entered(town: Town) -> tuple[Fapi, Citizen]:
    """A service and a citizen who has agreed to it: from now on nothing is asked."""
    parks = await fapi(town)
    ada, _ = await town.citizen()
    await parks.code(ada)
    town.later(seconds=1)
    return parks, ada


async def test_a_pushed_request_gets_a_name_for_a_short_time(town: Town) -> None:
    """Section 2.2: 201, request_uri and expires_in, kept by no cache."""
    parks = await fapi(town)

    answer = await parks.push()

    assert answer.status_code == 201
    assert set(answer.json()) == {"request_uri", "expires_in"}
    assert answer.json()["request_uri"].startswith(PREFIX)
    assert 5 <= answer.json()["expires_in"] < 600
    assert answer.headers["cache-control"] == "no-store"


async def test_the_citizen_comes_with_the_name_alone(town: Town) -> None:
    """Section 4: client_id and request_uri say everything; whatever else stands in the address is ignored."""
    parks, ada = await entered(town)
    name = await request_uri(parks, state="pushed")

    answer = await ada.get(parks.address(name, state="in the address", redirect_uri="https://evil.example/"))

    assert parks.service.answer(answer)["state"] == "pushed"


@pytest.mark.parametrize("is_swept", [False, True])
async def test_a_name_whose_time_is_over_says_to_start_again(town: Town, is_swept: bool) -> None:
    """Nothing is damaged: the citizen was slow, or came back by the history. There is a way on."""
    parks, ada = await entered(town)
    name = await request_uri(parks)
    town.later(seconds=600)
    if is_swept:
        name = f"{PREFIX}nobody-knows-it-any-more"

    shown = Shown(await ada.get(parks.address(name)))

    assert (shown.status, shown.heading) == (400, "Please start again")
    assert "damaged" not in shown.text
    assert "https://parks.example/" in shown.links


async def test_it_can_be_loaded_again_until_it_is_answered(town: Town) -> None:
    """FAPI 2.0 section 5.3.2.2 (note 3): a page that is reloaded, a second tab, another browser; then one answer."""
    parks = await fapi(town)
    ada, _ = await town.citizen()
    name = await request_uri(parks)

    for _ in range(2):
        assert (await ada.see(parks.address(name))).name == "consent"
    shown = await ada.see(parks.address(name))
    answer = parks.service.answer(await ada.follow(await ada.press(shown, "allow")))

    assert "code" in answer


async def test_it_is_answered_once(town: Town) -> None:
    """Section 7.3, R5: afterwards it is over, also for the browser that used it."""
    parks, ada = await entered(town)
    name = await request_uri(parks)
    assert "code" in parks.service.answer(await ada.get(parks.address(name)))

    again = await ada.get(parks.address(name))

    assert again.status_code == 409
    assert Shown(again).name == "error"
    assert "location" not in again.headers


async def test_an_error_answers_it_too(town: Town) -> None:
    """What was answered with login_required is not begun again."""
    parks = await fapi(town)
    name = await request_uri(parks, prompt="none")
    stranger = town.browser()
    assert parks.service.answer(await stranger.get(parks.address(name)))["error"] == "login_required"

    assert (await stranger.get(parks.address(name))).status_code == 409


async def test_two_tabs_give_one_answer(town: Town) -> None:
    """Each tab has an interaction of its own; the request they share is answered by the first."""
    parks = await fapi(town)
    ada, _ = await town.citizen()
    name = await request_uri(parks)
    one, two = await ada.see(parks.address(name)), await ada.see(parks.address(name))
    assert one.hidden["interaction"] != two.hidden["interaction"]

    assert "code" in parks.service.answer(await ada.follow(await ada.press(one, "allow")))
    late = await ada.follow(await ada.press(two, "allow"))

    assert late.status_code == 409


async def test_of_many_loads_at_once_one_gets_the_code(town: Town) -> None:
    """R78: twenty loads of one request_uri where nothing has to be asked."""
    parks, ada = await entered(town)
    name = await request_uri(parks)

    answers = await asyncio.gather(*(ada.get(parks.address(name)) for _ in range(20)))

    assert sorted(answer.status_code for answer in answers) == [303] + [409] * 19


async def test_it_expires(town: Town) -> None:
    """Section 4: the citizen has to come in time; who has come may take longer."""
    parks, ada = await entered(town)
    late, begun = await request_uri(parks), await request_uri(parks, prompt="consent")
    shown = await ada.see(parks.address(begun))
    town.later(seconds=91)

    answer = await ada.get(parks.address(late))
    finished = await ada.follow(await ada.press(shown, "allow"))

    assert answer.status_code == 400
    assert "invalid_request_uri" in answer.text
    assert "code" in parks.service.answer(finished)


async def test_it_is_bound_to_the_client(town: Town) -> None:
    """Section 4: another client's name beside it opens nothing."""
    parks, ada = await entered(town)
    taxes = await fapi(town, "taxes")
    name = await request_uri(parks)

    answer = await ada.get(taxes.address(name))

    assert answer.status_code == 400
    assert "invalid_request_uri" in answer.text
    assert "code" in parks.service.answer(await ada.get(parks.address(name)))


async def test_a_name_that_was_never_given_is_shown_on_a_page(town: Town) -> None:
    """Nothing is known of where to send the citizen."""
    parks = await fapi(town)

    answer = await town.browser().get(parks.address(PREFIX + "guessed"))

    assert answer.status_code == 400
    assert "location" not in answer.headers


async def test_it_may_come_by_post(town: Town) -> None:
    """OpenID Connect Core section 3.1.2.1: POST to `/authorize` as GET."""
    parks, ada = await entered(town)
    name = await request_uri(parks)
    form = urlencode({"client_id": "parks", "request_uri": name})

    posted = await ada.http.post("/authorize", content=form, headers=FORM)

    assert "code" in parks.service.answer(await ada.get(posted.headers["location"]))
    assert (await ada.get(parks.address(name))).status_code == 409


async def test_the_client_authenticates(town: Town) -> None:
    """Section 2: as at the token endpoint (R6)."""
    parks = await fapi(town)
    fields = parks.service.fields()

    for assertion in (
        {},
        parks.assertion(aud="https://other.example"),
        parks.assertion(nbf=parks.moment + 70),
        parks.assertion(exp=parks.moment - 300),
        parks.assertion(sub=None),
    ):
        answer = await parks.post("/par", assertion=assertion, proof=None, **fields)
        assert refusal(answer) == (401, "invalid_client"), answer.text
    accepted = await parks.post("/par", assertion=parks.assertion(nbf=parks.moment + 8), proof=None, **fields)
    assert accepted.status_code == 201


async def test_an_assertion_is_used_once(town: Town) -> None:
    """R6: one-time `jti`, here as well."""
    parks = await fapi(town)
    assertion = parks.assertion()

    first = await parks.post("/par", assertion=assertion, proof=None, **parks.service.fields())
    again = await parks.post("/par", assertion=assertion, proof=None, **parks.service.fields())

    assert first.status_code == 201
    assert refusal(again) == (401, "invalid_client")


async def test_a_secret_and_no_secret_push_as_well(town: Town) -> None:
    """R5: accepted from all, public clients too; who authenticates by Basic may leave its name out."""
    basic = await town.service("basic")
    spa = await town.service("spa", token_endpoint_auth_method="none")

    with_secret = await basic.post("/par", **basic.fields(client_id=None))
    with_name = await town.wire.post("/par", content=urlencode(spa.fields()), headers=FORM)

    assert (with_secret.status_code, with_name.status_code) == (201, 201)


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"request_uri": PREFIX + "x"}, "invalid_request"),
        ({"redirect_uri": "https://parks.example/other"}, "invalid_request"),
        ({"redirect_uri": None}, "invalid_request"),
        ({"response_type": "code id_token"}, "unsupported_response_type"),
        ({"response_type": "token"}, "unsupported_response_type"),
        ({"code_challenge": None, "code_challenge_method": None}, "invalid_request"),
        ({"code_challenge_method": "plain"}, "invalid_request"),
        ({"scope": None}, "invalid_scope"),
        ({"nonce": "n" * 1025}, "invalid_request"),
        ({"client_id": "taxes"}, "invalid_client"),
    ],
)
async def test_a_request_that_breaks_a_rule_is_refused_at_once(
    town: Town, changes: dict[str, str | None], error: str
) -> None:
    """Section 2.3: the client hears what the citizen would have met; sections 2.1 and 3.1.1 of the others."""
    parks = await fapi(town)

    answer = await parks.push(**changes)

    assert answer.json()["error"] == error
    assert answer.status_code == (401 if error == "invalid_client" else 400)


async def test_a_repeated_parameter_is_refused(town: Town) -> None:
    """R12."""
    parks = await fapi(town)
    pairs: list[Any] = [*parks.service.fields().items(), *parks.assertion().items(), ("scope", "openid")]

    answer = await town.wire.post("/par", content=urlencode(pairs), headers=FORM)

    assert refusal(answer) == (400, "invalid_request")


async def test_long_nonces_and_no_nonce_are_fine(town: Town) -> None:
    """FAPI 2.0 section 5.3.2.2: 64 characters; state and nonce may be left out."""
    parks, ada = await entered(town)

    for changes in ({"nonce": "n" * 64}, {"nonce": None}, {"state": None}, {"state": "s" * 1000}):
        name = await request_uri(parks, **changes)
        answer = parks.service.answer(await ada.get(parks.address(name)))
        assert "code" in answer
        assert answer.get("state") == changes.get("state", "a-state")


async def test_only_post(town: Town) -> None:
    """Section 2.3: any other method is 405."""
    for method in ("GET", "PUT", "DELETE"):
        assert (await town.wire.request(method, "/par")).status_code == 405


async def test_a_client_that_must_push_is_not_heard_directly(town: Town) -> None:
    """Section 6, `require_pushed_authorization_requests`."""
    parks = await fapi(town, require_pushed_authorization_requests=True)

    refused = parks.service.answer(await town.browser().get(parks.service.address()))

    assert refused["error"] == "invalid_request"
    assert refused["iss"] == ISSUER
    assert (await parks.push()).status_code == 201


async def test_an_address_of_the_clients_own_is_not_fetched(town: Town) -> None:
    """OpenID Connect Core section 6.2: request_uri by reference is refused, not ignored (R72)."""
    parks = await town.service()

    refused = parks.answer(await town.browser().get(parks.address(request_uri="https://parks.example/request.jwt")))

    assert refused["error"] == "request_uri_not_supported"


async def test_a_redirect_uri_taken_back_meanwhile_ends_it(town: Town) -> None:
    """R1: what is registered counts when the answer is due."""
    parks, ada = await entered(town)
    name = await request_uri(parks)
    await fapi(town, redirect_uris=["https://parks.example/elsewhere"])

    answer = await ada.get(parks.address(name))

    assert answer.status_code == 400
    assert "location" not in answer.headers


async def test_discovery_says_so(town: Town) -> None:
    """Section 5."""
    document = (await town.wire.get("/.well-known/openid-configuration")).json()

    assert document["pushed_authorization_request_endpoint"] == ISSUER + "/par"
    assert document["require_pushed_authorization_requests"] is False
    assert document["request_uri_parameter_supported"] is True


async def test_offline_access_is_dropped_where_a_client_may_not_have_it(town: Town) -> None:
    """OpenID Connect Core section 11: pushed, in a request object, or both."""
    parks = await fapi(town, scope="openid profile")
    assert (await parks.push(scope="openid profile offline_access")).status_code == 201
    assert (await parks.push_object(scope="openid profile offline_access")).status_code == 201


async def test_what_is_unknown_fails_no_pushed_request(town: Town) -> None:
    """RFC 6749 section 3.1, and a body that ends as a line does."""
    parks = await town.service()
    body = urlencode(parks.fields()).encode() + b"&utm=caf%E9&x=%00\r\n"
    credentials = base64.b64encode(f"parks:{SECRET}".encode()).decode()
    answer = await town.wire.post("/par", content=body, headers={**FORM, "authorization": f"Basic {credentials}"})
    assert answer.status_code == 201, answer.text
