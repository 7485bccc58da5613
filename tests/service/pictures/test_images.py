"""The process that decodes uploads: its bounds, and its end."""

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable, Mapping, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from starlette.datastructures import UploadFile

from service.aside.processes import Ended
from service.errors import ServiceError, UploadRejected
from service.pictures.images import Decoder, ModelInput, Seen
from tests.pictures import encoded, png

SIX = np.arange(6, dtype=np.uint8).reshape(2, 3)
AS_IT_IS = ModelInput(1, 2, 3, "stretch")
SMALL, PADDED = ModelInput(3, 2, 2, "stretch"), ModelInput(1, 2, 4, "pad")


def upload(content: bytes, name: str) -> UploadFile:
    return UploadFile(BytesIO(content), size=len(content), filename=name)


def six() -> UploadFile:
    return upload(encoded(Image.fromarray(SIX)), "six.png")


def slow(side: int) -> UploadFile:
    """A picture whose every sample Pillow reads in Python: half a microsecond or more each."""
    return upload(b"P6 %d %d 1000\n" % (side, side) + bytes(6 * side**2), "slow.ppm")


def decode(
    test: Callable[[Decoder], Awaitable[None]], *, most_seconds: float = 10.0, most_pixels: int = 1_000_000
) -> None:
    """Run the test with a decoder in a loop of its own."""

    async def within() -> None:
        decoder = Decoder(most_pixels=most_pixels, most_seconds=most_seconds)
        try:
            await test(decoder)
        finally:
            await decoder.process.close()

    asyncio.run(within())


def pid(decoder: Decoder) -> int:
    assert decoder.process.pid is not None
    return decoder.process.pid


def is_gone(process: int) -> bool:
    """Whether it has ended and was waited for."""
    return not Path(f"/proc/{process}").exists()


async def require_well(decoder: Decoder, *not_in: int) -> None:
    """It decodes, in a process that is none of these."""
    (seen,) = await decoder.decode([six()], [AS_IT_IS])
    assert seen[AS_IT_IS].pixels == SIX.tobytes()
    assert pid(decoder) not in not_in


def test_pictures_come_back_as_models_see_them() -> None:
    """Each for each shape, in order, with what was done to it; one process does them all, and ends with its decoder."""
    red = upload(encoded(Image.new("RGB", (4, 4), (250, 0, 0)), "BMP"), "red.bmp")
    cut = upload(encoded(Image.fromarray(np.full((2, 2), 70_000, np.int32)), "TIFF"), "cut.tiff")
    shapes: Sequence[ModelInput] = [AS_IT_IS, SMALL, PADDED]
    processes = set()

    async def test(decoder: Decoder) -> None:
        first, second, third = await decoder.decode([six(), red, cut], shapes)
        processes.add(pid(decoder))
        assert first[AS_IT_IS] == Seen(SIX.tobytes(), ())
        assert first[SMALL].remarks == ("stretched",)
        assert second[SMALL] == Seen(bytes([250] * 4 + [0] * 8), ())
        # 0.299 of red.
        assert second[AS_IT_IS] == Seen(bytes([75] * 6), ("stretched",))
        assert second[PADDED] == Seen(bytes([0, 75, 75, 0] * 2), ("padded",))
        assert third[AS_IT_IS] == Seen(bytes([255] * 6), ("stretched", "levels_cut"))
        await require_well(decoder)
        processes.add(pid(decoder))

    decode(test)
    (process,) = processes
    assert is_gone(process)


REFUSED = {
    "a.gif": (encoded(Image.fromarray(SIX), "GIF"), 415, "is a GIF"),
    "a.png": (encoded(Image.fromarray(SIX))[:40], 422, "damaged"),
    "large.png": (encoded(Image.new("1", (1001, 1000))), 422, "more than 1000000 pixels"),
}


def test_what_cannot_be_used_is_told_with_its_name() -> None:
    """Which picture it is, and why; the process stays, and goes on with the next request."""

    async def test(decoder: Decoder) -> None:
        await require_well(decoder)
        process = pid(decoder)
        for name, (content, status, why) in REFUSED.items():
            with pytest.raises(UploadRejected, match=why) as caught:
                await decoder.decode([six(), upload(content, name)], [AS_IT_IS])
            assert str(caught.value).startswith(f"{name}: ")
            assert str(caught.value) == f"{name}: {caught.value.errors[0].message}"
            assert (caught.value.status, caught.value.errors[0].pointer) == (status, "/image/1")
            await require_well(decoder)
        assert pid(decoder) == process

    decode(test)


def test_a_picture_may_compute_for_so_long() -> None:
    """Beyond it the kernel ends the process, whatever it is at; the next picture has a new one."""

    async def test(decoder: Decoder) -> None:
        await require_well(decoder)
        process = pid(decoder)
        with pytest.raises(UploadRejected, match=r"^slow\.ppm: .* more than 0\.1 s") as caught:
            await decoder.decode([slow(900)], [AS_IT_IS])
        assert caught.value.status == 422
        assert is_gone(process)
        await require_well(decoder, process)

    decode(test, most_seconds=0.1)


def test_a_requests_pictures_share_their_time() -> None:
    """Many that are quick enough by themselves are too much together."""

    async def test(decoder: Decoder) -> None:
        await decoder.decode([slow(50)], [AS_IT_IS])
        with pytest.raises(UploadRejected, match=r"more than 0\.1 s") as caught:
            await decoder.decode([slow(50) for _ in range(100)], [AS_IT_IS])
        assert caught.value.errors[0].pointer != "/image/0"
        await require_well(decoder)

    decode(test, most_seconds=0.1)


def test_a_picture_may_take_so_much_memory() -> None:
    """Beyond it a picture is refused although its pixels are few enough, and the process goes on."""
    # 169 million pixels of four bytes.
    large = png(13_000, [b"\0"], 8, 2, interlaced_height=13_000)

    async def test(decoder: Decoder) -> None:
        await require_well(decoder)
        process = pid(decoder)
        with pytest.raises(UploadRejected, match=r"^large\.png: .* more than 640 MiB"):
            await decoder.decode([upload(large, "large.png")], [AS_IT_IS])
        await require_well(decoder)
        assert pid(decoder) == process

    decode(test, most_pixels=170_000_000)


@pytest.mark.parametrize("busy", [False, True])
def test_a_process_that_breaks_down_is_replaced(busy: bool) -> None:
    """Whether it has something to do or not; if it has, that picture is refused."""

    async def test(decoder: Decoder) -> None:
        await require_well(decoder)
        process = pid(decoder)
        if not busy:
            os.kill(process, signal.SIGKILL)
            assert decoder.process._process is not None
            await decoder.process._process.wait()
        else:
            os.kill(process, signal.SIGSTOP)
            asking = asyncio.ensure_future(decoder.decode([six()], [AS_IT_IS]))
            await asyncio.sleep(0)
            os.kill(process, signal.SIGKILL)
            with pytest.raises(UploadRejected, match=r"^six\.png: .* broke down"):
                await asking
        await require_well(decoder, process)
        assert is_gone(process)

    decode(test)


def test_a_process_that_hangs_is_ended() -> None:
    """Waiting has an end too, which is no fault of the picture's."""

    async def test(decoder: Decoder) -> None:
        await require_well(decoder)
        process = pid(decoder)
        os.kill(process, signal.SIGSTOP)
        decoder.process.patience_s = 0.1
        with pytest.raises(ServiceError) as caught:
            await decoder.decode([six()], [AS_IT_IS])
        assert (caught.value.status, caught.value.headers) == (503, {"Retry-After": "2"})
        decoder.process.patience_s = 60
        assert is_gone(process)
        await require_well(decoder, process)

    decode(test)


def test_it_ends_when_nobody_waits() -> None:
    """A picture that is no longer wanted is not decoded any further."""

    async def test(decoder: Decoder) -> None:
        await require_well(decoder)
        process = pid(decoder)
        os.kill(process, signal.SIGSTOP)
        asking = asyncio.ensure_future(decoder.decode([six()], [AS_IT_IS]))
        await asyncio.sleep(0)
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        assert is_gone(process)
        await require_well(decoder, process)

    decode(test)


def test_of_pictures_decoded_together_the_one_that_breaks_the_process_is_named() -> None:
    """Where the process ends at one of several, they are decoded one by one to find it."""

    async def test(decoder: Decoder) -> None:
        ask = decoder.process.ask
        orders: list[int] = []

        async def breaking(order: Mapping[str, Any], **how: Any) -> Any:
            orders.append(len(order["sizes"]))
            content = how["content"]
            if b"breaks" in (content if isinstance(content, bytes) else content.file.getvalue()):
                raise Ended(late=False)
            return await ask(order, **how)

        decoder.process.ask = breaking  # type: ignore[method-assign]  # no picture is known that would
        with pytest.raises(UploadRejected, match=r"bad\.png") as refused:
            await decoder.decode([six(), six(), upload(b"breaks", "bad.png"), six()], [AS_IT_IS])
        assert [error.pointer for error in refused.value.errors] == ["/image/2"]
        assert orders == [4, 1, 1, 1]

    decode(test)
