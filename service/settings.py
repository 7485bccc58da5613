"""The service's settings: the store's, and how it is reached."""

from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Field, model_validator
from pydantic_settings import NoDecode

from gauntlet.data.decoded.picture_files import MOST_PIXELS
from gauntlet.settings import Networks, Port, PositiveSeconds, Said, listed
from gauntlet.spec.runs.training import InferencePrecision
from store.accounts.quotas import Allowance, Quotas
from store.accounts.tokens import Caller
from store.settings import StoreSettings

_Name = Annotated[str, Field(pattern=r"^(\*\.)?[0-9a-z_-]+(\.[0-9a-z_-]+)*$")]


class ServiceSettings(StoreSettings):
    """Bounds are in bytes and pixels; a request beyond them is refused before it is read."""

    host: Annotated[str, Said(allowed="an address of this machine")] = Field(
        default="127.0.0.1",
        description="Where the API listens. Elsewhere than on loopback it wants tokens, unless AUTH says otherwise.",
    )
    port: Port = Field(
        default=8000,
        description="Where the API listens, and where commands on this machine look for it; 0 is any free port.",
    )
    allowed_hosts: Annotated[
        tuple[_Name, ...],
        NoDecode,
        BeforeValidator(listed),
        Said(allowed="names of hosts with commas between them, such as lab.example.org,*.example.org", default="none"),
    ] = Field(
        default=(),
        description="Names of the service beside loopback's and its HOST; *.example.org is every name below it.",
    )
    trusted_proxies: Annotated[
        Networks,
        Said(allowed="addresses and networks with commas between them, such as 127.0.0.1,10.0.0.0/8", default="none"),
    ] = Field(
        default=(),
        description="Proxies that are believed whom they ask for and whether by HTTPS (X-Forwarded-For and -Proto).",
    )
    auth: Literal["auto", "on", "off"] = Field(
        default="auto",
        description="Whether requests must show a token; auto: where others than this machine can reach the API.",
    )
    secret_key_file: Annotated[Path, Said(allowed="a file", default="`HOME/secret.key`")] = Field(
        default=Path(),
        description="The key under which tokens are hashed; the same for all processes that serve one database.",
    )
    first_token_file: Annotated[Path | None, Said(allowed="a file", default="none")] = Field(
        default=None, description="A file with a token of `gauntlet tokens generate`, which opens everything."
    )
    session_s: PositiveSeconds = Field(
        default=43_200.0, description="How long a browser stays logged in for a token, in seconds."
    )
    quota_jobs: int = Field(
        default=0, ge=0, description="How many jobs of one owner may be there that have not ended; 0: any number."
    )
    quota_bytes: int = Field(
        default=0, ge=0, description="How many bytes one owner's files may take all together; 0: any number."
    )
    quota_uploads: int = Field(
        default=0, ge=0, description="How many models and data sets one owner may bring within 24 hours; 0: any number."
    )
    quota_admins: Annotated[Literal["on", "off"], Said(allowed="on or off")] = Field(
        default="on", description="Whether the quotas hold for admins too."
    )
    max_json_bytes: Annotated[int, Said(default="1 MiB")] = Field(
        default=1 << 20, ge=1, description="Bound of a JSON body, in bytes."
    )
    max_upload_bytes: Annotated[int, Said(default="32 MiB")] = Field(
        default=32 << 20, ge=1, description="Bound of a request that classifies pictures, in bytes."
    )
    max_weights_bytes: Annotated[int, Said(default="512 MiB")] = Field(
        default=512 << 20, ge=1, description="Bound of an import, in bytes."
    )
    max_dataset_bytes: Annotated[int, Said(default="4 GiB")] = Field(
        default=4 << 30, ge=1, description="Bound of an uploaded data set, in bytes."
    )
    max_image_pixels: Annotated[int, Said(default="64 million")] = Field(
        default=MOST_PIXELS, ge=1, description="Bound of a picture that is classified, in pixels."
    )
    max_attack_s: PositiveSeconds = Field(
        default=20.0, description="How long a request's attacks on pictures may take a processor, all together."
    )
    classify_precision: Annotated[InferencePrecision, Said(allowed="fp32 or bf16")] = Field(
        default="fp32",
        description="What networks compute in that classify pictures, but for those under attack. With bf16 they are "
        "through in half the time where the processor multiplies it (avx512_bf16, AMX); probabilities change, mostly "
        "by less than 0.01.",
    )
    max_decoding_s: PositiveSeconds = Field(
        default=10.0, description="How long a request's pictures may take a processor to decode, all together."
    )
    max_import_s: PositiveSeconds = Field(
        default=60.0, description="How long a model that is imported may take a processor to be read and tried."
    )

    @model_validator(mode="after")
    def _key_below_home(self) -> Self:
        if self.secret_key_file == Path():
            object.__setattr__(self, "secret_key_file", self.home / "secret.key")
        return self

    @property
    def quotas(self) -> Quotas:
        """The most that each owner may have."""
        return Quotas(jobs=self.quota_jobs, bytes=self.quota_bytes, uploads_a_day=self.quota_uploads)

    def allowance_of(self, caller: Caller | None) -> Allowance:
        """What the caller may have; None is whoever comes without a login."""
        if caller is not None and caller.may("admin") and self.quota_admins == "off":
            return Allowance(Quotas(), caller.owner)
        return Allowance(self.quotas, None if caller is None else caller.owner)

    @property
    def auth_is_on(self) -> bool:
        """Whether requests must show a token."""
        # A proxy that is named brings others to loopback too.
        is_open_to_others = not _is_loopback(self.host) or bool(self.trusted_proxies)
        return self.auth == "on" or (self.auth == "auto" and is_open_to_others)


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
