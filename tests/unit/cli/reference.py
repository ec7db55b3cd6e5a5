"""The reference of commands and flags, of the model file's keys and of exit codes, made from the code itself.

`python tests/unit/cli/reference.py` writes it anew into the pages of docs, below the marker; what is above is by hand.
"""

from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Literal, get_args, get_origin

import click
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from pvserve.cli.codes import CODES
from pvserve.cli.main import COMMANDS
from pvserve.errors import SERIOUS
from pvserve.spec.layers import variable
from pvserve.spec.model import ModelSpec

DOCS = Path(__file__).parents[3] / "docs"
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


def keys_table() -> str:
    """The keys of a model file, from its schema, with the variable that lies over each."""
    lines = ["## Keys", "", "| key | value | left out | variable |", "|---|---|---|---|"]
    for path, field in _fields(ModelSpec):
        meaning, _, default = f"; {field.description}".partition("; default: ")
        given = default or _default(field)
        words = ": ".join(filter(None, (_kind(field), meaning.removeprefix("; "))))
        lines.append(f"| `{'.'.join(path)}` | {words} | {given} | `{variable(path)}` |")
    return "\n".join(lines) + "\n"


def _fields(model: type[BaseModel], above: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], FieldInfo]]:
    for name, field in model.model_fields.items():
        path = (*above, field.alias or name)
        yield path, field
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from _fields(field.annotation, path)


def _kind(field: FieldInfo) -> str:
    """The words that a value can be, where there are few."""
    kinds = [field.annotation, *get_args(field.annotation)]
    words = next((get_args(kind) for kind in kinds if get_origin(kind) is Literal), ())
    return ", ".join(f"`{word}`" for word in words)


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "needed"
    value = field.default
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    return f"`{value}`" if isinstance(value, str | int) else ""


def codes_table() -> str:
    """Exit codes with their meanings, the order of several models' codes, and which errors have each."""
    lines = ["| code | meaning | what a script does |", "|---|---|---|"]
    lines += [f"| {code} | {meaning} | {then} |" for code, meaning, then in CODES]
    lines += ["", f"The most serious first: {', '.join(map(str, SERIOUS))}."]
    return "\n".join(lines) + "\n"


PAGES = {"commands.md": reference, "model-file.md": keys_table, "exit-codes.md": codes_table}


def page(name: str) -> str:
    """The whole page: what was written by hand, and the reference."""
    by_hand, _, _ = (DOCS / name).read_text(encoding="utf-8").partition(MARKER)
    return by_hand + MARKER + PAGES[name]()


if __name__ == "__main__":
    for each in PAGES:
        (DOCS / each).write_text(page(each), encoding="utf-8")
