"""Knows who is at the keyboard: authenticators, sign-in, sessions, recovery.

Builds on `accounts`; never learns what OpenID Connect is.
"""
