"""How guessing is slowed and where it ends: the numbers, in one frozen value (R26, R28; deploy/decisions/0014)."""

from datetime import timedelta
from typing import Literal

import msgspec

Budget = Literal["password", "second_factor", "recovery", "confirmation", "message"]
"""Each is counted apart. `recovery`: the phone or recovery code of a way back; `confirmation`: codes typed for an
address; `message`: messages sent to one."""

SHARES: dict[tuple[Budget, bool], int] = {
    ("password", False): 40,
    ("password", True): 20,
    ("second_factor", False): 20,
    ("second_factor", True): 10,
    ("recovery", False): 10,
}
"""Of an account's hundred failures in a row: how many for each budget, and for browsers in which it has signed in
before (True: all of those together) apart from strangers. They make 100: whoever guesses at everything from everywhere
gets no more, and what strangers use up is theirs alone."""


class ThrottlePolicy(msgspec.Struct, frozen=True):
    """NIST SP 800-63B-4 section 3.2.2: at most 100 failures in a row for an account, slowed early."""

    failures: int = 100
    """In a row for one account, over all its authenticators and addresses. After its share of these a budget is opened
    by another way in alone: a passkey, a recovery, a known browser."""
    per_day: int = 50
    """Codes typed for an address, and messages sent to one, in a day."""
    free: int = 4
    """So many failures cost no waiting."""
    first_wait: timedelta = timedelta(seconds=10)
    """After the first failure that costs one; each further one doubles it."""
    longest_wait: timedelta = timedelta(minutes=15)
    per_address: int = 100
    """Attempts from one address (IPv6: one /64) within ten minutes."""
    per_prefix: int = 2000
    """From one /24 (IPv6: one /48)."""
    everyone: int = 500_000
    """From all addresses together."""
    proof_from: float = 0.5
    """From this part of `per_prefix` or `everyone` on, password guesses by strangers cost work or waiting (R28)."""
    proof_bits: int = 12
    """The work at first: each bit doubles it, and up to five more are asked as the windows fill. 0: never any."""
    slow_wait: timedelta = timedelta(seconds=20)
    """What a browser waits that does no work."""

    def most(self, budget: Budget, *, is_known: bool) -> int:
        """The failures of one budget: in a row for an authenticator, in a day for the others."""
        share = SHARES.get((budget, is_known))
        return self.per_day if share is None else max(1, self.failures * share // 100)

    def wait(self, failures: int) -> timedelta:
        """How long after this many failures in a row the next attempt is refused."""
        if failures <= self.free:
            return timedelta(0)
        doubled: int = 2 ** min(failures - self.free - 1, 20)
        return min(self.first_wait * doubled, self.longest_wait)

    def is_growing(self, failures: int) -> bool:
        """Whether this failure costs less than the longest wait."""
        return self.wait(failures) < self.longest_wait


def is_of_authenticator(budget: Budget) -> bool:
    """Counted until a success. The others hang on an address, not on an authenticator: they are counted by the day."""
    return budget in ("password", "second_factor", "recovery")
