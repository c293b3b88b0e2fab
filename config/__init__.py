"""Puts the service together: settings, app, worker, command line, site frame. Nothing imports it."""
