"""The session's cookie (R40): bound to this very host over https, and named plainly on loopback http."""

from litestar.datastructures import Cookie

SEEN = "session_seen"
"""In a request's state: the session of its browser, as far as the answer knows and leaves it, or None."""


def session_cookie_name(secure: bool) -> str:
    """`secure` is whether our issuer is https. Over http no client would give a `__Host-` cookie back."""
    return "__Host-session" if secure else "session"


def session_cookie(secret: str, secure: bool) -> Cookie:
    """The cookie of a session that begins or was raised; it goes with the browser, the server knows its limits."""
    return Cookie(key=session_cookie_name(secure), value=secret, path="/", httponly=True, samesite="lax", secure=secure)


def expired_session_cookie(secure: bool) -> Cookie:
    """Takes the cookie away."""
    return Cookie(
        key=session_cookie_name(secure), value="", path="/", httponly=True, samesite="lax", secure=secure, max_age=0
    )
