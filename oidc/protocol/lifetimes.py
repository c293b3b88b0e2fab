"""How long tokens live, and the longest that anybody may ask for."""

from datetime import timedelta

import msgspec

PUBLISHED_AFTER_RETIREMENT = timedelta(days=1)
"""Of a key: longer than anything that it signed lives, and than any copy of our key set is kept."""


class Lifetimes(msgspec.Struct, frozen=True):
    """A refresh token's counts from its last use, and ends with the grant."""

    access_token: timedelta
    id_token: timedelta
    refresh_token: timedelta
    grant: timedelta


# An access token may be a JWT, as the API it is for wants it.
LONGEST = Lifetimes(
    access_token=PUBLISHED_AFTER_RETIREMENT,
    id_token=PUBLISHED_AFTER_RETIREMENT,
    refresh_token=timedelta(days=365),
    grant=timedelta(days=365),
)
