"""What a command says of what the service refuses, and of files."""

from typing import Any

import pytest

from cli.commands import app
from cli.connection import by_option, open_client
from tests.command import whole


@pytest.mark.parametrize(
    ("command", "pointer", "option"),
    [
        ("evaluate", "/attacks/0/eps", "--eps"),
        ("evaluate", "/attacks/0/kind", "--attack"),
        ("evaluate", "/attacks", "--attack"),
        ("evaluate", "/attacks/0", "--attack"),
        ("evaluate", "/smoothing/sigma", "--smoothing"),
        ("evaluate", "/keep_images", "--keep-images"),
        ("change", "/keep/every", "--keep-every"),
        ("change", "/labels", "--label"),
        ("change", "/labels/0", "--label"),
        ("runs", "/query/status/0", "--status"),
    ],
)
def test_a_fault_is_told_by_an_option_that_there_is(command: str, pointer: str, option: str) -> None:
    """Whatever the request calls it."""
    assert by_option(pointer, "No.") == f"{option}: No."
    found: Any = whole(app)
    assert any(option in each.opts for each in found.commands[command].params)


def test_who_reads_what_a_command_writes_may_have_enough() -> None:
    """As `head` has: no file is at fault, and click ends the command without a word."""
    with pytest.raises(BrokenPipeError), open_client():
        raise BrokenPipeError
