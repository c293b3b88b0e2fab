"""What an account can prove itself with, and whether that leaves it a way back (R31)."""

from uuid import UUID

import msgspec
from sqlalchemy import func, select

from accounts.contact import Contact
from accounts.database import Transaction
from identity.assurance import AssurancePolicy, Method, meets, reached
from identity.passkey import Passkey, stands_alone
from identity.password import Password
from identity.recovery_code import RecoveryCode
from identity.sms_phone import SmsPhone
from identity.sms_phone import stands as phone_stands
from identity.totp import Totp
from identity.totp import stands as totp_stands


class Authenticators(msgspec.Struct, frozen=True):
    """How many of each kind an account has. `passkeys` counts all, `verifying_passkeys` those that verify their user
    and can say whose they are, `hardware_passkeys` those of them that are attested and cannot be copied."""

    has_password: bool = False
    totps: int = 0
    passkeys: int = 0
    verifying_passkeys: int = 0
    hardware_passkeys: int = 0
    recovery_codes_left: int = 0
    phones: int = 0
    """That get codes by text message."""
    recovery_codes_spent: int = 0

    @property
    def methods(self) -> frozenset[Method]:
        """Every method that could be used now."""
        can: dict[Method, bool | int] = {
            "pwd": self.has_password,
            "otp": self.totps,
            "sms": self.phones,
            "recovery": self.recovery_codes_left,
            "passkey": self.passkeys,
            "passkey_uv": self.verifying_passkeys,
            "passkey_hardware": self.hardware_passkeys,
        }
        return frozenset(method for method, is_there in can.items() if is_there)

    @property
    def has_second(self) -> bool:
        """Whether something stands beside the password, or instead of it; recovery codes are for emergencies."""
        return bool(self.totps or self.passkeys or self.phones)


async def authenticators_of(db: Transaction, account_id: UUID) -> Authenticators:
    """What the account has, in one statement."""
    passkeys = select(func.count()).where(Passkey.account_id == account_id, Passkey.removed_at.is_(None))
    verifying = passkeys.where(stands_alone())
    hardware = verifying.where(Passkey.is_attested.is_(True), Passkey.is_backup_eligible.is_(False))
    row = await db.first(
        select(
            select(func.count()).where(Password.account_id == account_id).scalar_subquery(),
            select(func.count()).where(Totp.account_id == account_id, totp_stands()).scalar_subquery(),
            passkeys.scalar_subquery(),
            verifying.scalar_subquery(),
            hardware.scalar_subquery(),
            select(func.count())
            .where(RecoveryCode.account_id == account_id, RecoveryCode.spent_at.is_(None))
            .scalar_subquery(),
            select(func.count())
            .select_from(SmsPhone)
            .join(Contact, Contact.id == SmsPhone.contact_id)
            .where(SmsPhone.account_id == account_id, phone_stands())
            .scalar_subquery(),
            select(func.count())
            .where(RecoveryCode.account_id == account_id, RecoveryCode.spent_at.is_not(None))
            .scalar_subquery(),
        )
    )
    if row is None:
        return Authenticators()
    return Authenticators(bool(row[0]), *row[1:])


def can_reach(authenticators: Authenticators, level: str, policy: AssurancePolicy) -> bool:
    """Whether the account can reach a level with what it has."""
    return meets(reached(authenticators.methods, policy), level, policy)


def has_run_out(authenticators: Authenticators, policy: AssurancePolicy) -> bool:
    """Whether the last recovery code was spent and nothing else is a way back: the next sign-in makes new ones."""
    having = authenticators
    return bool(having.recovery_codes_spent and not having.recovery_codes_left) and not has_way_back(having, policy)


def has_way_back(authenticators: Authenticators, policy: AssurancePolicy) -> bool:
    """Whether the account signs in at the deployment's minimum without recovery codes, and losing any one thing (the
    phone, the key, the memory of the password) still leaves another way in, or recovery codes."""
    without_codes = msgspec.structs.replace(authenticators, recovery_codes_left=0)
    if not can_reach(without_codes, policy.minimum, policy):
        return False
    if authenticators.recovery_codes_left > 0:
        return True
    return all(can_reach(rest, policy.minimum, policy) for rest in _each_without_one(without_codes))


def _each_without_one(having: Authenticators) -> list[Authenticators]:
    lost: list[Authenticators] = []
    if having.has_password:
        lost.append(msgspec.structs.replace(having, has_password=False))
    if having.totps:
        lost.append(msgspec.structs.replace(having, totps=having.totps - 1))
    if having.phones:
        lost.append(msgspec.structs.replace(having, phones=having.phones - 1))
    if having.passkeys:
        # The strongest one is the one that is lost.
        lost.append(
            msgspec.structs.replace(
                having,
                passkeys=having.passkeys - 1,
                verifying_passkeys=max(0, having.verifying_passkeys - 1),
                hardware_passkeys=max(0, having.hardware_passkeys - 1),
            )
        )
    return lost
