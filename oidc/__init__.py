"""Answers relying parties: authorize, token, userinfo, logout, keys.

Imports `identity` and `accounts`; only `config` imports it. Who is at the keyboard is not decided here.
"""
