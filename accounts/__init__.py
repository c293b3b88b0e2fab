"""The citizen's record: account, contacts, profile, consent, history, outbox.

Knows nothing of sign-in or OpenID Connect; imports no other package of ours.
"""
