"""`session_state`, by which a service asks our frame if a sign-in is still the same (Session Management 1.0)."""

import hashlib


def session_state(client_id: str, origin: str, browser_state: str, salt: str) -> str:
    """Sections 2 and 3.2: for this client at this origin alone, and other each time by its salt, so that two services
    cannot tell by it that they have the same citizen. `check_session.js` computes it in the browser."""
    return f"{hashlib.sha256(f'{client_id} {origin} {browser_state} {salt}'.encode()).hexdigest()}.{salt}"
