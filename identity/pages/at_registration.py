"""What the pages of a registration share: where it stands, and the sign-in it is a part of."""

from uuid import UUID

import msgspec
from litestar.di import NamedDependency, Provide
from litestar.params import FromPath

from accounts.errors import Refusal
from identity.journey import Here, Journey, find_journey
from identity.pages.at_sign_in import HERE
from identity.registration import RegistrationView, find


class Registering(msgspec.Struct, frozen=True):
    """A registration and the sign-in it is a part of."""

    registration: RegistrationView
    journey: Journey

    @property
    def place(self) -> str:
        """Where this registration goes on, whatever page was opened."""
        if self.registration.completed_at is not None or not self.journey.is_open:
            return self.journey.sign_in.path
        path = f"/register/{self.registration.id}"
        return path if self.registration.confirmed_at is None else path + "/password"


async def registering(registration_id: FromPath[UUID], here: NamedDependency[Here]) -> Registering:
    """Raises Refusal "sign_in_unknown" or "wrong_browser"."""
    registration = await find(here.db, here.vault, registration_id)
    if registration is None:
        raise Refusal("sign_in_unknown", status=404)
    return Registering(registration, await find_journey(here, registration.sign_in_id))


REGISTERING = {**HERE, "at": Provide(registering)}
