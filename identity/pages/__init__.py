"""What a citizen sees of identity: sign-in, registration, security settings, sessions, recovery.

Only `config/app.py` imports from here; nothing here knows what OpenID Connect is.
"""
