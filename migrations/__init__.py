"""The history of the database's shape: env.py and script.py.mako for Alembic, apply.py for callers, versions/ in order.

What does not live here: tables (each stands in its noun's module; config/tables.py gathers them).
May import: config.tables, and only from env.py.
"""
