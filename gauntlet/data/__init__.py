"""Images as tensors: the bundled digits, CIFAR-10, folders of pictures."""
