"""Pictures, weights and archives whose reading is dear, and forms around them."""

import io
import json
import struct
import zlib
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from PIL import Image
from safetensors.torch import save

from benchmarks.bad_input.hostile_inputs.sending import Input, Request, burst, form, once
from gauntlet.models.architectures import build_model, initialise
from gauntlet.spec.checkpoint_card import ImportCard

_MEBI = 1 << 20
_PNG = b"\x89PNG\r\n\x1a\n"


def files(checkpoint: str) -> Iterator[Input]:
    """All of them; pictures are for that checkpoint."""
    yield from _pictures(checkpoint)
    yield from _forms()
    yield from _weights()
    yield from _archives()


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def _png(width: int, height: int, depth: int, colour: int, pixels: bytes, before: bytes = b"") -> bytes:
    header = _chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0))
    return _PNG + header + before + _chunk(b"IDAT", pixels) + _chunk(b"IEND", b"")


def _zeros(count: int) -> bytes:
    """So many zeros as zlib packs them, of one packed piece again and again: to pack 300 MB takes seconds."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    piece = packer.compress(bytes(_MEBI)) + packer.flush(zlib.Z_FULL_FLUSH)
    rest = zlib.compressobj(9, zlib.DEFLATED, -15)
    last = rest.compress(bytes(count % _MEBI)) + rest.flush()
    # Adler-32 of zeros: the sum of the bytes, from 1 on, is 1, and that of these sums their number.
    return b"\x78\xda" + piece * (count // _MEBI) + last + struct.pack(">HH", count % 65_521, 1)


def _saved(image: Image.Image, kind: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def _bombs() -> Iterator[tuple[str, bytes]]:
    yield "a PNG of 50,000 × 50,000 pixels", _png(50_000, 50_000, 1, 0, _zeros(50_000 * 6_251))
    yield "a PNG of 64 million pixels of 64 bits", _png(8_000, 8_000, 16, 6, _zeros(8_000 * 64_001))
    yield "a PNG whose pixels are longer than it says", _png(16, 16, 8, 0, _zeros(300 * _MEBI))
    text = _chunk(b"zTXt", b"a\0\0" + _zeros(200 * _MEBI))
    yield "a PNG of compressed text", _png(16, 16, 8, 0, _zeros(16 * 17), text)
    profile = _chunk(b"iCCP", b"a\0\0" + _zeros(200 * _MEBI))
    yield "a PNG with a compressed profile", _png(16, 16, 8, 0, _zeros(16 * 17), profile)
    yield "a PNG of a million chunks", _png(16, 16, 8, 0, _zeros(16 * 17), _chunk(b"tEXt", b"a\0b") * 1_000_000)
    large = Image.new("RGB", (8_000, 8_000))
    yield "a TIFF of 64 million pixels, deflated", _saved(large, "TIFF", compression="tiff_adobe_deflate")
    yield "a TIFF of 64 million pixels, by LZW", _saved(large, "TIFF", compression="tiff_lzw")
    yield "a WebP of 256 million pixels", _webp(16_383, 16_383)
    yield "a WebP of 16 million pixels", _saved(Image.new("RGB", (4_000, 4_000)), "WEBP", lossless=True)
    yield "a JPEG of 10,000 scans", _scans(10_000)
    yield (
        "a JPEG of 65,535 × 65,535 pixels",
        _saved(Image.new("L", (8, 8)), "JPEG").replace(b"\x08\x00\x08\x00\x08", b"\x08\xff\xff\xff\xff", 1),
    )
    yield "a PPM of levels up to 1000", b"P6 2000 2000 1000\n" + bytes(6 * 2_000**2)
    yield (
        "a BMP that says 60,000 × 60,000",
        b"BM"
        + struct.pack("<IHHI", 54, 0, 0, 54)
        + struct.pack("<IiiHHIIiiII", 40, 60_000, 60_000, 1, 24, 0, 0, 0, 0, 0, 0),
    )
    yield "an SVG with a bomb of entities", b'<?xml version="1.0"?><!DOCTYPE s [<!ENTITY a "aaaaaaaaaa">]><svg/>'


def _webp(width: int, height: int) -> bytes:
    """A lossless WebP's header of that size, with nothing behind it."""
    bits = (width - 1) | (height - 1) << 14
    data = b"\x2f" + struct.pack("<I", bits) + bytes(100)
    return b"RIFF" + struct.pack("<I", 12 + len(data)) + b"WEBPVP8L" + struct.pack("<I", len(data)) + data


def _scans(count: int) -> bytes:
    picture = _saved(Image.effect_noise((1_000, 1_000), 50), "JPEG", progressive=True, quality=10)
    last = picture.rindex(b"\xff\xda")
    return picture[:-2] + picture[last : last + 60] * count + picture[-2:]


def _seen(checkpoint: str, *pictures: bytes, attack: dict[str, Any] | None = None) -> Request:
    parts: list[tuple[str, bytes | str]] = [("image", picture) for picture in pictures]
    parts.append(("checkpoint", checkpoint))
    if attack is not None:
        parts.append(("attack", json.dumps(attack)))
    return form("/v1/classifications", parts)


def _pictures(checkpoint: str) -> Iterator[Input]:
    for name, content in _bombs():
        yield once(name, f"{len(content):,} bytes", _seen(checkpoint, content))
    pixels = _saved(Image.new("RGB", (4_000, 4_000), (9, 99, 199)), "PNG")
    yield once("16 pictures of 16 million pixels", "one request", _seen(checkpoint, *[pixels] * 16))
    yield burst("pictures of 64 million pixels at once", "20 senders", _seen(checkpoint, _bomb_of_64()), 20)
    small = _saved(Image.new("L", (16, 16), 99), "PNG")
    yield burst("small pictures at once", "300 by 50 senders", _seen(checkpoint, small), 300, 50)
    dear = {"kind": "pgd", "eps": [f"{n}/255" for n in range(1, 9)], "steps": 100, "pictures": True}
    yield once("more steps of an attack than are allowed", "", _seen(checkpoint, *[small] * 16, attack=dear))
    allowed = dear | {"steps": 15}
    yield burst(
        "pictures under long attacks at once", "12 senders", _seen(checkpoint, *[small] * 16, attack=allowed), 12
    )
    padded = small + bytes(31 * _MEBI)
    yield burst("pictures with 31 MB behind them", "20 senders", _seen(checkpoint, padded), 20)


def _bomb_of_64() -> bytes:
    return _png(8_000, 8_000, 8, 2, _zeros(8_000 * 24_001))


def _forms() -> Iterator[Input]:
    yield once("a form of 100,000 parts", "", form("/v1/classifications", [("checkpoint", "x")] * 100_000))
    yield once("a form of 100,000 unknown parts", "", form("/v1/classifications", [("x", "")] * 100_000))
    kind = {"Content-Type": "multipart/form-data; boundary=b"}
    headers = b"--b\r\n" + b"".join(b"X-%d: v\r\n" % number for number in range(100_000)) + b"\r\nx\r\n--b--\r\n"
    yield once("a part of 100,000 headers", "", Request("POST", "/v1/classifications", headers, kind))
    long = b"--b\r\nX: " + b"v" * (30 * _MEBI) + b"\r\n\r\nx\r\n--b--\r\n"
    yield once("a part with a header of 30 MB", "", Request("POST", "/v1/classifications", long, kind))
    never = b"\r\n--b\r" * (4 * _MEBI)
    yield once("nearly a boundary, again and again", "24 MB", Request("POST", "/v1/classifications", never, kind))
    encoded = {"Content-Type": "application/x-www-form-urlencoded"}
    pairs = b"&".join([b"checkpoint=%41"] * 70_000)
    yield once("70,000 pairs of a form", "", Request("POST", "/v1/classifications", pairs, encoded))
    text = form("/v1/classifications", [("checkpoint", "c" * (30 * _MEBI))])
    yield burst("texts of 30 MB", "20 senders", text, 20)
    large = Request("POST", "/v1/experiments", b"[" + b"1," * (48 * _MEBI), {"Content-Type": "application/json"})
    yield once("a document of 96 MB", "", large)


def _card(kind: str, size: int) -> str:
    dataset = {"name": "image_folder", "folder": "none", "image_size": size}
    return json.dumps(
        {"name": "m", "architecture": {"kind": kind}, "dataset": dataset, "classes": [str(n) for n in range(10)]}
    )


def _state(card: str) -> bytes:
    described = ImportCard.model_validate_json(card).card()
    model = build_model(described.architecture, described.image_shape, len(described.classes))
    initialise(model, 0)
    return save({name: tensor.contiguous() for name, tensor in model.state_dict().items()})


def _imported(content: bytes, card: str) -> Request:
    return form("/v1/checkpoints", [("weights", content), ("card", card)])


def _headed(header: bytes, length: int | None = None, data: bytes = b"") -> bytes:
    return struct.pack("<Q", len(header) if length is None else length) + header + data


def _weights() -> Iterator[Input]:
    small = _card("cnn", 32)
    entry = '"%d":{"dtype":"F32","shape":[0],"data_offsets":[0,0]}'
    headers = {
        "100,000 tensors": _headed(("{" + ",".join(entry % n for n in range(100_000)) + "}").encode()),
        "a header of 2⁶³ bytes": _headed(b"{}", 1 << 63),
        "a header of 90 MB": _headed(b'{"a":' + b" " * (90 * _MEBI) + b"1}"),
        "a deep header": _headed(b'{"a":' * 200_000 + b"1" + b"}" * 200_000),
        "a tensor of 2⁶² elements": _headed(
            b'{"a":{"dtype":"F32","shape":[4611686018427387904],"data_offsets":[0,4]}}'
        ),
        "not a number": save({"conv1.weight": torch.full((64, 3, 3, 3), torch.nan)}),
        "a pickle": b"\x80\x02ccollections\nOrderedDict\nq\0)Rq\1.",
    }
    for name, content in headers.items():
        yield once(f"weights: {name}", f"{len(content):,} bytes", _imported(content, small))
    card = _card("resnet18", 256)
    resnet = _imported(_state(card), card)
    yield once("an import of a ResNet-18 for images of 256 × 256", "", resnet)
    yield burst("such imports at once", "12 senders", resnet, 12)
    yield burst("imports of 95 MB of nothing at once", "12 senders", _imported(bytes(95 * _MEBI), small), 12)


def _archives() -> Iterator[Input]:
    archive = form("/v1/datasets", [("archive", bytes(64 * _MEBI)), ("name", "bomb")])
    yield burst("archives of 64 MB at once", "12 senders", archive, 12)
    names: Sequence[tuple[str, bytes | str]] = [("archive", b"PK\x05\x06" + bytes(18)), ("name", "../../etc/passwd")]
    yield once("an empty archive with a name that is a path", "", form("/v1/datasets", names))
