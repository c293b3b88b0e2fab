"""The command `identity`. Each group of commands is imported when it is asked for, so that starting stays quick."""

from importlib import import_module

import click

COMMANDS = {
    "demo": "config.commands.demo",
    "simulate": "config.commands.simulate",
    "serve": "config.commands.serve",
    "worker": "config.commands.serve",
    "migrate": "config.commands.migrate",
    "client": "config.commands.client",
    "keys": "config.commands.keys",
    "doctor": "config.commands.doctor",
    "settings": "config.commands.settings",
    "work": "config.commands.serve",
}


class Commands(click.Group):
    """Finds a command in its module by its name."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in COMMANDS:
            return None
        command: click.Command = getattr(import_module(COMMANDS[name]), name)
        return command


@click.command(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="identity-house", prog_name="identity")
def main() -> None:
    """One citizen account, one sign-in and one consent record, spoken over OpenID Connect.

    \b
    Try it:       identity demo
    Test with it: identity simulate --port 8600 --people people.toml --clients clients.json
    Operate it:   identity settings, doctor, migrate, serve, worker, client, keys

    Settings come from a TOML file (--settings), then IDENTITY_SECTION__KEY in the environment, then --setting.
    """


if __name__ == "__main__":
    main()
