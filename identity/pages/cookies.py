"""Moved: the cookie belongs to whoever starts and ends sessions (identity/cookies.py)."""

from identity.cookies import expired_session_cookie, session_cookie, session_cookie_name

__all__ = ["expired_session_cookie", "session_cookie", "session_cookie_name"]
