"""Makes `import torchvision` work beside a CPU build of torch.

torchvision's wheel links its compiled operators against CUDA. Beside CPU torch they do not load, and registering the
fake kernels of two of them then fails with "operator torchvision::nms does not exist". Declaring those two schemas
first lets the rest (data sets, transforms, models), which is plain Python, import. Where the operators load, this
module changes nothing.
"""

from typing import Final

import torch

_SCHEMAS: Final = (
    "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
)
_declared: list[torch.library.Library] = []


def declare_missing_operators() -> None:
    """Declare torchvision's operator schemas where its compiled ones cannot load. Call before importing torchvision."""
    if _declared or torch.version.cuda is not None or torch.version.hip is not None:
        return
    library = torch.library.Library("torchvision", "DEF")
    for schema in _SCHEMAS:
        library.define(schema)
    _declared.append(library)
