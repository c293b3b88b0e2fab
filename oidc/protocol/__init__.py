"""The rules of OAuth 2.0 and OpenID Connect, pure: values in, values or a `ProtocolError` out.

No web framework, database, store, HTTP client, clock or randomness in here, and no import from the rest of the house.
"""
