"""The reference of commands and flags, made from the commands themselves.

`python tests/unit/cli/reference.py` writes it anew into docs/commands.md, below the marker; what is above is by hand.
"""

from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import click

from pvserve.cli.main import COMMANDS

PAGE = Path(__file__).parents[3] / "docs" / "commands.md"
MARKER = "<!-- Below: from the code, by `python tests/unit/cli/reference.py`. -->\n"


def reference() -> str:
    """All commands in Markdown; the flags that all have stand once."""
    commands = {name: _command(name) for name in COMMANDS}
    connecting = [command for command in commands.values() if "kubeconfig" in {p.name for p in command.params}]
    everywhere = [p for p in _options(connecting[0]) if all(_flag(p) in map(_flag, _options(c)) for c in connecting)]
    return "\n".join(_lines(commands, everywhere)) + "\n"


def _command(name: str) -> click.Command:
    found: click.Command = import_module(f"pvserve.cli.{name}").command
    return found


def _lines(commands: dict[str, click.Command], everywhere: list[click.Option]) -> Iterator[str]:
    yield "## Flags of every command that talks to a cluster\n"
    yield from _table(everywhere)
    shared = {_flag(option) for option in everywhere}
    for name, command in commands.items():
        context = click.Context(command, info_name=f"pvserve {name}")
        yield f"\n## {name}\n"
        yield f"`{' '.join([context.command_path, *command.collect_usage_pieces(context)])}`\n"
        yield (command.help or "").strip()
        own = [option for option in _options(command) if _flag(option) not in shared]
        if own:
            yield ""
            yield from _table(own)


def _options(command: click.Command) -> list[click.Option]:
    return [parameter for parameter in command.params if isinstance(parameter, click.Option)]


def _flag(option: click.Option) -> str:
    return ", ".join(f"`{flag}`" for flag in option.opts)


def _table(options: list[click.Option]) -> Iterator[str]:
    yield "| flag | value | meaning |"
    yield "|---|---|---|"
    for option in options:
        yield f"| {_flag(option)} | {_value(option)} | {option.help} |"


def _value(option: click.Option) -> str:
    if option.is_flag:
        return ""
    if isinstance(option.type, click.Choice):
        shown = [f"**{choice}**" if choice == option.default else choice for choice in option.type.choices]
        return ", ".join(shown)
    kind = {"integer": "number", "float": "number", "float range": "number", "path": "file"}.get(
        option.type.name, "text"
    )
    return f"{kind}, **{option.default:g}**" if isinstance(option.default, float) else kind


def page() -> str:
    """The whole page: what was written by hand, and the reference."""
    by_hand, _, _ = PAGE.read_text(encoding="utf-8").partition(MARKER)
    return by_hand + MARKER + reference()


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
