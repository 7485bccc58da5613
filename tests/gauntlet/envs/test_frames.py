"""What is drawn: the image in whole pixels, and its verdict in colour and words."""

import numpy as np
import torch

from gauntlet.data.datasets import ImageSet
from gauntlet.envs.environment import ImageClassificationEnv
from gauntlet.envs.vector import ImageClassificationVectorEnv

GREY, GREEN, RED = [128, 128, 128], [0, 128, 55], [200, 30, 30]


def test_the_border_tells_the_verdict() -> None:
    """Grey before an answer, green around a right one, red around a wrong one; the frame keeps its size."""
    env = ImageClassificationEnv(render_mode="rgb_array")
    for shift, colour in ((0, GREEN), (1, RED)):
        _, info = env.reset(seed=0)
        before = env.render()
        env.step((info["label"] + shift) % 10)
        after = env.render()
        assert before is not None
        assert after is not None
        assert before[0, 0].tolist() == GREY
        assert after[0, 0].tolist() == colour
        assert before.shape == after.shape == (328, 272, 3)
        assert before.dtype == np.uint8


def test_every_pixel_of_the_image_is_a_square_of_its_value() -> None:
    """16 × 16 pixels become 256 × 256, none blended with another."""
    env = ImageClassificationEnv(render_mode="rgb_array")
    observation, _ = env.reset(seed=0)
    frame = env.render()
    assert frame is not None
    inside = frame[8:264, 8:264]
    expected = np.rint(observation[0] * 255).astype(np.uint8).repeat(16, axis=0).repeat(16, axis=1)
    assert np.array_equal(inside, np.stack([expected] * 3, axis=2))


def test_colour_images_keep_their_colours() -> None:
    """Red, green and blue go where they belong."""
    images = torch.zeros(2, 3, 4, 4, dtype=torch.uint8)
    images[:, 1] = 200
    env = ImageClassificationEnv(dataset=ImageSet(images, torch.tensor([0, 1])), render_mode="rgb_array")
    env.reset(seed=0)
    frame = env.render()
    assert frame is not None
    assert frame[100, 100].tolist() == [0, 200, 0]


def test_the_image_in_a_frame_is_the_one_that_was_answered() -> None:
    """In a longer episode the verdict stands beside the image it is about, not the next one."""
    env = ImageClassificationEnv(render_mode="rgb_array", images_per_episode=2)
    env.reset(seed=0)
    before = env.render()
    env.step(0)
    after = env.render()
    assert before is not None
    assert after is not None
    assert np.array_equal(before[8:264, 8:264], after[8:264, 8:264])


def test_a_vector_environment_draws_a_frame_for_each() -> None:
    """One frame per environment, each with its own verdict."""
    env = ImageClassificationVectorEnv(2, render_mode="rgb_array")
    _, infos = env.reset(seed=0)
    env.step((infos["label"] + [0, 1]) % 10)
    frames = env.render()
    assert frames is not None
    assert [frame[0, 0].tolist() for frame in frames] == [GREEN, RED]


def test_nothing_is_drawn_unasked() -> None:
    """Without a render mode, and before the first image, there is no frame."""
    env = ImageClassificationEnv()
    env.reset()
    assert env.render() is None
    assert ImageClassificationEnv(render_mode="rgb_array").render() is None
