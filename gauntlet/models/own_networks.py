"""Networks of a team's own, from Python packages that are installed beside Gauntlet.

A package gives them names in a mapping, from each to a builder: `build(image_shape, classes, **options)` returns an
untrained module from float32 images in [0, 1], [n, c, h, w], to logits [n, classes]. Which packages these are is the
settings' to say, never a request's.
"""

import importlib
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, packages_distributions, version

import torch
from torch import Tensor, nn

from gauntlet.errors import ModelUnfit
from gauntlet.spec.runs.architectures import ArchitectureSpec, Custom

Builder = Callable[..., nn.Module]


@dataclass(frozen=True)
class OwnNetwork:
    """A builder, and the package that it comes from with its version, such as `mynets 1.2`."""

    build: Builder
    package: str


class _Chosen:
    """What this process was told to take; a job's process and its library are one."""

    setting = ""


def take_from(setting: str) -> None:
    """Take networks from the mappings that `setting` names, `package.module:mapping`, several with commas between.

    Nothing is imported before a network is asked for.
    """
    _Chosen.setting = setting


def own_networks() -> Mapping[str, OwnNetwork]:
    """All that there are, by name.

    Raises:
        ModelUnfit: what the setting names is not there, is no mapping of names to builders, or has no version.
    """
    return _imported(_Chosen.setting)


@cache
def _imported(setting: str) -> Mapping[str, OwnNetwork]:
    found: dict[str, OwnNetwork] = {}
    for place in filter(None, (part.strip() for part in setting.split(","))):
        module, _, attribute = place.partition(":")
        try:
            builders = getattr(importlib.import_module(module), attribute)
        except Exception as error:
            raise ModelUnfit(
                f"GAUNTLET_ARCHITECTURES names {place}, which cannot be imported here: {_told(error)}"
            ) from error
        if not isinstance(builders, Mapping) or not all(isinstance(name, str) for name in builders):
            raise ModelUnfit(f"GAUNTLET_ARCHITECTURES names {place}, which must map names to functions.")
        package = _versioned(module.partition(".")[0])
        for name, build in builders.items():
            if not callable(build) or name in found:
                why = "is there twice" if name in found else "is no function"
                raise ModelUnfit(f"The network {name!r} of {place} {why}.")
            found[name] = OwnNetwork(build, package)
    return found


def _versioned(package: str) -> str:
    """The distribution that a package was installed by, and its version; else the version that it says itself."""
    for distribution in packages_distributions().get(package, ()):
        try:
            return f"{distribution} {version(distribution)}"
        except PackageNotFoundError:
            continue
    said = getattr(importlib.import_module(package), "__version__", None)
    if said is None:
        raise ModelUnfit(
            f"The package {package} does not say its version, which checkpoints are to name: install it with pip, or "
            "give it a __version__."
        )
    return f"{package} {said}"


def package_of(architecture: ArchitectureSpec) -> str | None:
    """The package that a network comes from, with its version; None where it is one of ours.

    Raises:
        ModelUnfit: as `own_networks` says.
    """
    if not isinstance(architecture, Custom) or architecture.name not in own_networks():
        return None
    return own_networks()[architecture.name].package


class OwnClassifier(nn.Module):
    """The network that a package builds under a name; `package` says which, with its version.

    Raises:
        ModelUnfit: there is none of that name, it takes no such options, or its code failed.
    """

    def __init__(self, spec: Custom, image_shape: tuple[int, int, int], classes: int) -> None:
        super().__init__()
        self._spec, self._shape, self._classes = spec, image_shape, classes
        there = own_networks()
        if spec.name not in there:
            known = ", ".join(sorted(there)) or "none"
            told = f"No network is called {spec.name!r} by a package that GAUNTLET_ARCHITECTURES names here"
            raise ModelUnfit(f"{told}; there: {known}.")
        self.package = there[spec.name].package
        self._build = there[spec.name].build
        self.network = self._built()

    def initialise(self, generator: torch.Generator) -> None:
        """Draw the weights anew as its own code does, in place."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(generator.initial_seed())
            self.network.load_state_dict(self._built().state_dict())

    def forward(self, images: Tensor) -> Tensor:
        """From float32 [n, c, h, w] to logits [n, classes].

        Raises:
            ModelUnfit: that is not what comes out.
        """
        logits: Tensor = self.network(images)
        if not isinstance(logits, Tensor) or logits.shape != (len(images), self._classes):
            wanted = f"logits of [{len(images)}, {self._classes}]"
            came = list(logits.shape) if isinstance(logits, Tensor) else type(logits).__name__
            raise ModelUnfit(f"The network {self._spec.name!r} of {self.package} answers with {came} and not {wanted}.")
        return logits

    def _built(self) -> nn.Module:
        name = f"The network {self._spec.name!r} of {self.package}"
        try:
            inspect.signature(self._build).bind(self._shape, self._classes, **self._spec.options)
            network = self._build(self._shape, self._classes, **self._spec.options)
        except Exception as error:
            raise ModelUnfit(f"{name} could not be built: {_told(error)}") from error
        if not isinstance(network, nn.Module) or not any(True for _ in network.parameters()):
            raise ModelUnfit(f"{name} is no torch module with weights.")
        return network


def _told(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"[:500]
