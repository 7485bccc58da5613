"""What is asked for where a webhook is made."""

from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, model_validator

from gauntlet.spec.kinds import Spec
from gauntlet.spec.reading.lists import Listed
from gauntlet.spec.reading.texts import Matching

WebhookEvent = Literal["experiment.ended", "alarm"]
_WORDS = "This must be a URL that begins with https:// or http://, without a name, password or fragment."


class WebhookRequest(Spec):
    """The body of `POST /v1/webhooks`."""

    url: Annotated[str, Field(max_length=2_000), Matching(r"^https?://[\x21-\x7e]+$", _WORDS)] = Field(
        description="Where a POST is sent for each event; never an address of an internal network that is not named."
    )
    events: Annotated[tuple[WebhookEvent, ...], Listed(1, 2, distinct=True)] = Field(
        default=("experiment.ended", "alarm"), description="What is told."
    )

    @model_validator(mode="after")
    def _plain_url(self) -> Self:
        try:
            parts = urlsplit(self.url)
            plain = bool(parts.hostname) and parts.username is None and not parts.fragment and parts.port != 0
        except ValueError:
            plain = False
        if not plain:
            raise ValueError(_WORDS)
        return self
