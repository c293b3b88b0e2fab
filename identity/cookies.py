"""How our cookies are called, and the session's (R40): bound to this very host over https."""

from litestar.datastructures import Cookie

SEEN = "session_seen"
"""In a request's state: the session of its browser, as far as the answer knows and leaves it, or None."""


def cookie_name(name: str, secure: bool) -> str:
    """`secure` is whether our issuer is https. Over http, on loopback, no client would give a `__Host-` cookie back;
    and cookies know no ports: a plain "session" would overwrite that of a service on the same machine."""
    return f"__Host-{name}" if secure else f"identity_{name}"


def session_cookie_name(secure: bool) -> str:
    """The session's."""
    return cookie_name("session", secure)


def session_cookie(secret: str, secure: bool) -> Cookie:
    """The cookie of a session that begins or was raised; it goes with the browser, the server knows its limits."""
    return Cookie(key=session_cookie_name(secure), value=secret, path="/", httponly=True, samesite="lax", secure=secure)


def expired_session_cookie(secure: bool) -> Cookie:
    """Takes the cookie away."""
    return Cookie(
        key=session_cookie_name(secure), value="", path="/", httponly=True, samesite="lax", secure=secure, max_age=0
    )
