"""What identity needs to know of a deployment, in one frozen value that `config` fills and hands down."""

from datetime import timedelta

import msgspec

from identity.assurance import AssurancePolicy
from identity.passkey import PasskeyPolicy
from identity.password import PasswordPolicy
from identity.recovery import RecoveryPolicy
from identity.session import SessionPolicy
from identity.text_guard import TextPolicy
from identity.throttle_policy import ThrottlePolicy


class IdentityPolicy(msgspec.Struct, frozen=True):
    """The policies of every part of this package."""

    passkey: PasskeyPolicy
    totp_issuer: str
    """The name an authenticator app shows beside the code."""
    repeat_codes: bool = False
    """Whether an app's code is accepted again within its window: in the simulator, never where citizens are (R24)."""
    session: SessionPolicy = SessionPolicy()
    assurance: AssurancePolicy = AssurancePolicy()
    password: PasswordPolicy = PasswordPolicy()
    throttle: ThrottlePolicy = ThrottlePolicy()
    text: TextPolicy = TextPolicy()
    recovery: RecoveryPolicy = RecoveryPolicy()
    remember: timedelta = timedelta(days=30)
    """How long a browser stays remembered where a password alone may be enough; none: it is not offered."""
    sign_in_lifetime: timedelta = timedelta(hours=1)
    """How long a started sign-in waits for its citizen."""
