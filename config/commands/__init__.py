"""The command line, one module a group of commands.

Modules are imported for their help texts too, so what is heavy is imported inside the commands.
"""
