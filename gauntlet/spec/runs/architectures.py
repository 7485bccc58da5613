"""Networks of a spec, told apart by `kind`. No torch."""

from typing import Annotated, Literal

from pydantic import Field

from gauntlet.spec.kinds import Spec, faulty_fields, tag_required
from gauntlet.spec.reading.texts import NetworkName


class Cnn(Spec):
    """The paper's network (arXiv 2012.04353, Figure 1): the small CNN of Keras' cifar10_cnn example."""

    model_config = tag_required("kind")
    kind: Literal["cnn"] = "cnn"
    dropout: bool = Field(default=True, description="Whether it has the example's three dropout layers.")


class ResNet(Spec):
    """ResNet-18 (He et al. 2016) for CIFAR-10: a 3 × 3 stem without stride or pooling (11,173,962 weights there)."""

    model_config = tag_required("kind")
    kind: Literal["resnet18"] = "resnet18"


class PreActResNet(Spec):
    """PreActResNet-18 (He et al. 2016b) as Wong et al. (2020) train it (11,172,170 weights for CIFAR-10)."""

    model_config = tag_required("kind")
    kind: Literal["preactresnet18"] = "preactresnet18"


class WideResNet28(Spec):
    """WRN-28-10 (Zagoruyko & Komodakis 2016), without dropout (36,479,194 weights for CIFAR-10)."""

    model_config = tag_required("kind")
    kind: Literal["wrn-28-10"] = "wrn-28-10"


class WideResNet34(Spec):
    """WRN-34-10 (Zagoruyko & Komodakis 2016), without dropout, as TRADES has it (46,160,474 weights for CIFAR-10)."""

    model_config = tag_required("kind")
    kind: Literal["wrn-34-10"] = "wrn-34-10"


class Vit(Spec):
    """A vision transformer (Dosovitskiy et al. 2021) for small images, which reads the mean over all patches."""

    model_config = tag_required("kind")
    kind: Literal["vit"] = "vit"
    patch: Annotated[int, Field(ge=1, le=32)] = Field(default=4, description="Side of a patch, in pixels.")
    width: Annotated[int, Field(ge=8, le=1_024)] = Field(default=192, description="Numbers that a patch becomes.")
    depth: Annotated[int, Field(ge=1, le=32)] = 9
    heads: Annotated[int, Field(ge=1, le=32)] = Field(default=3, description="Of attention; they share the width.")
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0


TorchvisionName = Literal[
    "alexnet",
    "convnext_base",
    "convnext_large",
    "convnext_small",
    "convnext_tiny",
    "densenet121",
    "densenet161",
    "densenet169",
    "densenet201",
    "efficientnet_b0",
    "efficientnet_b1",
    "efficientnet_b2",
    "efficientnet_b3",
    "efficientnet_b4",
    "efficientnet_b5",
    "efficientnet_b6",
    "efficientnet_b7",
    "efficientnet_v2_l",
    "efficientnet_v2_m",
    "efficientnet_v2_s",
    "googlenet",
    "inception_v3",
    "maxvit_t",
    "mnasnet0_5",
    "mnasnet0_75",
    "mnasnet1_0",
    "mnasnet1_3",
    "mobilenet_v2",
    "mobilenet_v3_large",
    "mobilenet_v3_small",
    "regnet_x_16gf",
    "regnet_x_1_6gf",
    "regnet_x_32gf",
    "regnet_x_3_2gf",
    "regnet_x_400mf",
    "regnet_x_800mf",
    "regnet_x_8gf",
    "regnet_y_128gf",
    "regnet_y_16gf",
    "regnet_y_1_6gf",
    "regnet_y_32gf",
    "regnet_y_3_2gf",
    "regnet_y_400mf",
    "regnet_y_800mf",
    "regnet_y_8gf",
    "resnet101",
    "resnet152",
    "resnet18",
    "resnet34",
    "resnet50",
    "resnext101_32x8d",
    "resnext101_64x4d",
    "resnext50_32x4d",
    "shufflenet_v2_x0_5",
    "shufflenet_v2_x1_0",
    "shufflenet_v2_x1_5",
    "shufflenet_v2_x2_0",
    "squeezenet1_0",
    "squeezenet1_1",
    "swin_b",
    "swin_s",
    "swin_t",
    "swin_v2_b",
    "swin_v2_s",
    "swin_v2_t",
    "vgg11",
    "vgg11_bn",
    "vgg13",
    "vgg13_bn",
    "vgg16",
    "vgg16_bn",
    "vgg19",
    "vgg19_bn",
    "vit_b_16",
    "vit_b_32",
    "vit_h_14",
    "vit_l_16",
    "vit_l_32",
    "wide_resnet101_2",
    "wide_resnet50_2",
]


class Torchvision(Spec):
    """A classifier of torchvision's by name (TorchVision maintainers 2016), untrained, with its own stem.

    Most are made for images of 224 × 224 and take none of 32 × 32.
    """

    model_config = tag_required("kind")
    kind: Literal["torchvision"] = "torchvision"
    name: TorchvisionName


Option = Annotated[str, Field(max_length=200)] | bool | Annotated[int, Field(ge=-(2**63), le=2**63 - 1)] | float


class Custom(Spec):
    """A network of a team's own, by the name that a package gives it which is installed where the workers are.

    `GAUNTLET_ARCHITECTURES` names the package; a worker says in `/v1/workers` which networks it has. It is trained as
    it is, never compiled.
    """

    model_config = tag_required("kind")
    kind: Literal["custom"] = "custom"
    name: NetworkName
    options: Annotated[dict[NetworkName, Option], Field(max_length=20)] = Field(
        default={}, description="What its builder is given by name, beside the images' shape and how many classes."
    )


ArchitectureSpec = Annotated[
    Cnn | ResNet | PreActResNet | WideResNet28 | WideResNet34 | Vit | Torchvision | Custom, Field(discriminator="kind")
]

_LARGEST_OF_CNN = 128


def require_size(architecture: ArchitectureSpec, image_shape: tuple[int, int, int], place: tuple[str, ...]) -> None:
    """Refuse images, (channels, height, width), that a network cannot take; `place` is the field that says their size.

    Raises:
        ValidationError: the cnn's dense layer would have too many weights, 126 million at 256 × 256; or a transformer's
            patches or heads do not come out even.
    """
    _, height, width = image_shape
    if isinstance(architecture, Cnn) and max(height, width) > _LARGEST_OF_CNN:
        told = (
            f"the architecture cnn takes images of at most {_LARGEST_OF_CNN} × {_LARGEST_OF_CNN}, because its dense "
            f"layer grows with their area; take resnet18 for images of {height} × {width}"
        )
        raise faulty_fields([(place, max(height, width), told)])
    if isinstance(architecture, Vit):
        if height % architecture.patch or width % architecture.patch:
            patch = architecture.patch
            told = f"images of {height} × {width} cannot be cut into patches of {patch} × {patch}"
            raise faulty_fields([(("architecture", "patch"), patch, told)])
        if architecture.width % architecture.heads:
            told = f"a width of {architecture.width} cannot be shared evenly by {architecture.heads} heads"
            raise faulty_fields([(("architecture", "heads"), architecture.heads, told)])
