"""What routes ask for."""

import re
from typing import Annotated, get_args

from celery import Celery
from fastapi import Depends, Header, Query, Request
from pydantic import AfterValidator, AwareDatetime, BeforeValidator, Field
from pydantic_core import PydanticKnownError

from gauntlet.resources import Status
from gauntlet.spec.asked.notes import TagText
from gauntlet.spec.reading.texts import Matching
from service.answering.disks import Patient
from service.answering.metrics import Metrics
from service.answering.reports import Reporter
from service.answering.streams import Streams
from service.callers.access import Access
from service.callers.audit import Audit
from service.local_datasets import Lying
from service.pictures.classification import Classifier, KnownWeights
from service.pictures.images import Decoder
from service.readiness import Readiness
from service.settings import ServiceSettings
from service.storage_reads import StorageReads
from store.accounts.quotas import Allowance
from store.accounts.tokens import Caller
from store.database import Database
from store.lookup import ID_PATTERN
from store.shown.experiment_lists import CURSOR_PATTERN
from store.storage import Room

# As many as Python reads; what is out of a parameter's range is for its bounds to tell.
_DIGITS = re.compile(r"-?[0-9]{1,4300}")
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}[Tt ]")


# None of these waits, so none of them needs a thread.
async def _settings(request: Request) -> ServiceSettings:
    settings: ServiceSettings = request.app.state.settings
    return settings


async def _database(request: Request) -> Database:
    if request.method in ("GET", "HEAD"):
        database: Database = request.app.state.database
        return database
    audit: Audit = request.app.state.audit
    return audit.database_for(request)


async def _celery(request: Request) -> Celery:
    return request.app.state.celery


async def _readiness(request: Request) -> Readiness:
    readiness: Readiness = request.app.state.readiness
    return readiness


async def _classifier(request: Request) -> Classifier:
    classifier: Classifier = request.app.state.classifier
    return classifier


async def _storage_reads(request: Request) -> StorageReads:
    reads: StorageReads = request.app.state.storage_reads
    return reads


async def _known_weights(request: Request) -> KnownWeights:
    known: KnownWeights = request.app.state.known_weights
    return known


async def _decoder(request: Request) -> Decoder:
    decoder: Decoder = request.app.state.decoder
    return decoder


async def _reporter(request: Request) -> Reporter:
    reporter: Reporter = request.app.state.reporter
    return reporter


async def _caller(request: Request) -> Caller | None:
    caller: Caller | None = request.state.caller
    return caller


async def _allowance(request: Request) -> Allowance:
    settings: ServiceSettings = request.app.state.settings
    return settings.allowance_of(request.state.caller)


async def _lying(request: Request) -> Lying:
    lying: Lying = request.app.state.lying
    return lying


async def _room(request: Request) -> Patient[Room | None]:
    room: Patient[Room | None] = request.app.state.room
    return room


async def _metrics(request: Request) -> Metrics:
    metrics: Metrics = request.app.state.metrics
    return metrics


async def _streams(request: Request) -> Streams:
    streams: Streams = request.app.state.streams
    return streams


async def _access(request: Request) -> Access:
    access: Access = request.app.state.access
    return access


async def _owner(request: Request) -> str | None:
    caller: Caller | None = request.state.caller
    return None if caller is None else caller.owner


SettingsDep = Annotated[ServiceSettings, Depends(_settings)]
DatabaseDep = Annotated[Database, Depends(_database)]
LyingDep = Annotated[Lying, Depends(_lying)]
RoomDep = Annotated[Patient[Room | None], Depends(_room)]
MetricsDep = Annotated[Metrics, Depends(_metrics)]
StreamsDep = Annotated[Streams, Depends(_streams)]
CeleryDep = Annotated[Celery, Depends(_celery)]
ClassifierDep = Annotated[Classifier, Depends(_classifier)]
KnownWeightsDep = Annotated[KnownWeights, Depends(_known_weights)]
DecoderDep = Annotated[Decoder, Depends(_decoder)]
StorageReadsDep = Annotated[StorageReads, Depends(_storage_reads)]
ReporterDep = Annotated[Reporter, Depends(_reporter)]
ReadinessDep = Annotated[Readiness, Depends(_readiness)]
AccessDep = Annotated[Access, Depends(_access)]
# Who asks, None without a login: for `store.accounts.owners.require_may_change`, before anything is changed.
CallerDep = Annotated[Caller | None, Depends(_caller)]
# Whose that is which the request makes, None without a login.
OwnerDep = Annotated[str | None, Depends(_owner)]
# What that owner may have: asked in the transaction that makes it, after it is made.
AllowanceDep = Annotated[Allowance, Depends(_allowance)]


def _whole(text: str) -> int:
    """What a parameter writes in the one plain way; pydantic by itself takes `1.0` and `1_0` too."""
    if _DIGITS.fullmatch(text) is None:
        raise PydanticKnownError("int_parsing")
    return int(text)


WHOLE = BeforeValidator(_whole)
Limit = Annotated[int, Field(ge=1, le=100), WHOLE, Query(description="How many objects a page holds at most.")]
_Id = Annotated[
    str,
    Field(max_length=40),
    Matching(ID_PATTERN, "This must be an id: small letters, an underscore, and small letters and digits."),
]
After = Annotated[_Id | None, Query(description="The cursor `next` of the page before.")]
IdFilter = Annotated[_Id | None, Query(description="Only this object's.")]
AfterInOrder = Annotated[
    Annotated[str, Field(max_length=2_500), Matching(CURSOR_PATTERN, "This must be a list's `next`.")] | None,
    Query(description="The cursor `next` of the page before."),
]
_Statuses = Annotated[list[Status], Query(max_length=len(get_args(Status)), description="Only those that stand so.")]
StatusFilter = Annotated[_Statuses, AfterValidator(lambda statuses: list(dict.fromkeys(statuses)))]
_Text = Annotated[str, Field(max_length=200), Matching(r"^[^\x00-\x1f\x7f]+$", "This must be one line of text.")]
OwnerFilter = Annotated[_Text | None, Query(description="Only whose owner this is.")]
NameFilter = Annotated[_Text | None, Query(description="Only with this in their name, in small or large letters.")]


def _moment(text: str) -> str:
    """A date and a time; pydantic by itself takes seconds since 1970 too."""
    if _DATE.match(text) is None:
        raise ValueError("This must be a moment with its time zone, such as 2026-11-27T00:00Z.")
    return text


_Moment = Annotated[AwareDatetime, BeforeValidator(_moment)]
SinceFilter = Annotated[_Moment | None, Query(description="Only from this moment on, such as 2026-11-27T00:00Z.")]
UntilFilter = Annotated[_Moment | None, Query(description="Only before this moment.")]
LabelFilter = Annotated[list[TagText], Query(max_length=20, description="Only with this label, or all of these.")]
# No evaluation has more images than this (`EvaluationSpec.samples`).
_Image = Annotated[int, Field(ge=0, le=1_000_000), WHOLE]
AfterImage = Annotated[_Image | None, Query(description="The cursor `next` of the page before.")]
_Number = Annotated[int, Field(ge=0, le=2**31 - 1), WHOLE]
AfterNumber = Annotated[_Number | None, Query(description="The cursor `next` of the page before.")]
_EventNumber = Annotated[int, Field(ge=0, le=2**63 - 1), WHOLE]
AfterEvent = Annotated[_EventNumber | None, Query(description="The id of the last event that is known already.")]
LastEventId = Annotated[
    _EventNumber | None, Header(description="The same, as browsers say it; it counts before `after`.")
]
_Key = Annotated[
    str,
    Field(min_length=1, max_length=255),
    Matching(r"^[\x21-\x7e]+$", "This must be of letters, digits and marks of ASCII, without spaces."),
]
IdempotencyKey = Annotated[_Key | None, Header(description="A repeat returns what the first one made.")]
