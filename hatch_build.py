"""What a checkout has and the wheel has not: the command `gauntlet`, whose code is the server's."""

from typing import Any

from hatchling.builders.config import BuilderConfig
from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class Command(BuildHookInterface[BuilderConfig]):
    """An editable install is a checkout's; what is built otherwise holds the library alone."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:  # noqa: ARG002  # the hook's signature
        if version == "editable":
            self.metadata.core.scripts["gauntlet"] = "cli.commands:app"
