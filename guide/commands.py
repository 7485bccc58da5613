"""Every command, as `--help` has it."""

from collections.abc import Iterator
from typing import Any

import typer

from cli.commands import app
from guide.markdown import cell, table


def as_markdown() -> str:
    """A section for each, with its usage, what it does, its arguments and options."""
    return "\n".join(_sections(typer.main.get_command(app), "gauntlet"))


def _sections(group: Any, name: str) -> Iterator[str]:
    for child, command in sorted(group.commands.items()):
        called = f"{name} {child}"
        if hasattr(command, "commands"):
            yield from _sections(command, called)
        elif not command.hidden:
            yield from _section(command, called)


def _section(command: Any, called: str) -> Iterator[str]:
    context = command.make_context(called, [], resilient_parsing=True)
    yield f"## {called}\n"
    yield f"```text\n{called} {' '.join(command.collect_usage_pieces(context))}\n```\n"
    yield f"{command.help or ''}\n"
    yield from table(
        ("option", "what it is", "default"),
        ((_name(each), cell(getattr(each, "help", None)), _default(each)) for each in command.params),
    )


def _name(parameter: Any) -> str:
    if parameter.param_type_name == "argument":
        return f"`{parameter.metavar or parameter.name.upper()}`"
    return ", ".join(f"`{each}`" for each in (*parameter.opts, *parameter.secondary_opts))


def _default(parameter: Any) -> str:
    """What it is where it is not given; nothing for a switch that is off."""
    default = getattr(parameter.default, "value", parameter.default)
    if parameter.required or callable(default) or default in (None, False, True, (), [], ""):
        return ""
    return f"`{', '.join(map(str, default)) if isinstance(default, list | tuple) else default}`"
