"""What can go wrong in the library. Each message is a full sentence that a user can act on.

GauntletError
├── DocumentInvalid        a JSON or YAML document cannot be read as it stands
├── DatasetUnavailable     the images a spec names cannot be read
├── ArchiveRefused         an archive of pictures is hostile, damaged, or holds no data set
├── PictureUnreadable      a picture's file cannot be made pixels
│   └── PictureFormatRefused   it is in none of the formats that are taken
├── ImagesInvalid          images or labels that a caller brings are not what the library works on
├── BudgetInvalid          an attack is called with a budget that is none
├── PicturesTooMany        more attacked pictures are to be kept than may be
├── PicturesInvalid        a file holds no pictures that an evaluation kept
├── CheckpointInvalid      a file is no checkpoint of ours, or is damaged
├── TrainingDiverged       the loss left the range in which training means anything
├── ProcessLost            one of the processes that compute a run together died
├── PackageMissing         what is asked for needs a package of an extra that is not installed
├── CompilerMissing        a compiled training step is asked for where it cannot be compiled
├── DeviceUnavailable      torch finds no such device on this machine
├── PrecisionUnsupported   the device cannot compute in the precision a spec asks for
├── AttackUnsupported      an attack cannot be run against this model or data set
├── EnvironmentMisused     a reinforcement-learning environment is made or used in a way that means nothing
├── NotExportable          a network cannot be written in another program's form
├── ModelUnfit             a model fails on such images, or answers with something else than logits
├── EvaluationIncomplete   an evaluation's batches are counted before it has ended
└── OutputNotFinite        a model that is evaluated answers with infinity or NaN
"""


class GauntletError(Exception):
    """Root of all errors that the library raises on purpose."""


class DocumentInvalid(GauntletError):
    """A document is not what its format allows, or has a key twice.

    `pointer` is the JSON pointer of the field that is at fault; it is empty where the document as a whole is.
    """

    def __init__(self, message: str, pointer: str = "") -> None:
        super().__init__(message)
        self.pointer = pointer


class DatasetUnavailable(GauntletError):
    """The data set a spec names is missing, empty or damaged on this machine."""


class ArchiveRefused(GauntletError):
    """An archive that was to become a data set cannot; nothing of it is kept."""


class PictureUnreadable(GauntletError):
    """A picture is damaged, too large, several at once, or of levels that have no agreed meaning.

    The sentence says "the picture" or "the file": whoever reads several adds which one.
    """


class PictureFormatRefused(PictureUnreadable):
    """The file is no picture, or in a format that is not taken."""


class ImagesInvalid(GauntletError):
    """Images or labels of the caller's own are of another type, shape or range than images and labels have."""


class BudgetInvalid(GauntletError, ValueError):
    """The budget that an attack is called with is no length in images of [0, 1], or there is no such norm."""


class PicturesTooMany(GauntletError):
    """The attacked pictures that an evaluation is to keep take more bytes than are kept of one."""


class PicturesInvalid(GauntletError):
    """A file is not what an evaluation's kept pictures are written as, or is damaged."""


class CheckpointInvalid(GauntletError):
    """A checkpoint file is damaged or does not hold what its header says."""


class StateOutdated(CheckpointInvalid):
    """A training state that an earlier version wrote with too little in it to go on from."""


class ProcessLost(GauntletError):
    """One of the processes that compute a run together died; the run goes on from its last state, with all of them."""


class TrainingDiverged(GauntletError):
    """The loss became non-finite, or so large that the run cannot recover."""

    def __init__(self, epoch: int, batch: int, worst_loss: float) -> None:
        super().__init__(
            f"Training diverged in epoch {epoch}, by batch {batch}: the largest |loss| was {worst_loss:g}."
        )
        self.epoch = epoch
        self.batch = batch
        self.worst_loss = worst_loss


class PackageMissing(GauntletError):
    """A package that only some need is not installed; the sentence says which extra brings it."""


class CompilerMissing(GauntletError):
    """The spec insists on compiling, and this machine cannot."""

    TOLD = (
        "training.compile is on, but this machine has no C++ compiler or no headers of Python. Install g++ (and "
        "python3-dev where Debian splits it off), or set training.compile to auto or off."
    )

    def __init__(self, message: str = TOLD) -> None:
        super().__init__(message)


class DeviceUnavailable(GauntletError):
    """What is to be computed on a device that torch does not know, or does not find on this machine."""


class PrecisionUnsupported(GauntletError):
    """The spec asks for a precision that the run's device does not have."""


class AttackUnsupported(GauntletError):
    """An attack's reference definition does not cover this model or data set."""


class EnvironmentMisused(GauntletError):
    """An environment's settings contradict each other, or a call comes out of order or with no valid action."""


class NotExportable(GauntletError):
    """A network does what the form that it is to be written in has no words for."""


class ModelUnfit(GauntletError):
    """No class can be read off what a model does with images, or it takes none of their size; nothing was attacked."""


class EvaluationIncomplete(GauntletError):
    """An evaluation's batches are not all there: what was not attacked would count as robust, or not at all."""


class OutputNotFinite(GauntletError):
    """A class read off such an output would mean nothing."""

    def __init__(self, stage: str) -> None:
        super().__init__(f"The model's output is infinite or not a number on an image of stage {stage}.")
