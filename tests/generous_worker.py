"""A worker process of the product whose throttle lets a hundred attempts through, so that a race reaches what it is
about: the one statement that spends a code. It is patient too: two cores that run a race are no dead Redis."""

import msgspec

from config import house, store
from config.workers import work

_strict = house.identity_policy


def _generous(*arguments: object) -> object:
    policy = _strict(*arguments)  # type: ignore[arg-type]
    throttle = msgspec.structs.replace(policy.throttle, free=200, failures=1000)
    return msgspec.structs.replace(policy, throttle=throttle)


if __name__ == "__main__":
    store.BOUND = 30
    house.identity_policy = _generous  # type: ignore[assignment]
    work()
