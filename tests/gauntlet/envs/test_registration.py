"""How an environment comes to be made: by its id, from Gymnasium, without loading torch early."""

import subprocess
import sys

import gymnasium
from gymnasium.vector import SyncVectorEnv

from gauntlet.envs import ENVIRONMENT_ID
from gauntlet.envs.environment import ImageClassificationEnv
from gauntlet.envs.vector import ImageClassificationVectorEnv


def test_make_knows_the_environment() -> None:
    """`gymnasium.make` gives the single environment, with the settings it is asked for."""
    env = gymnasium.make(ENVIRONMENT_ID, dataset="digits", split="test", reward={"correct": 2, "wrong": 0})
    assert isinstance(env.unwrapped, ImageClassificationEnv)
    _, info = env.reset(seed=0)
    assert env.step(info["label"])[1] == 2


def test_make_vec_gives_the_batched_environment_unless_told_otherwise() -> None:
    """`gymnasium.make_vec` takes the vector environment by default and by its mode, and Gymnasium's own if asked."""
    for mode in (None, "vector_entry_point"):
        batched = gymnasium.make_vec(ENVIRONMENT_ID, num_envs=3, vectorization_mode=mode, split="test")
        assert isinstance(batched, ImageClassificationVectorEnv)
        assert batched.num_envs == 3
    assert isinstance(gymnasium.make_vec(ENVIRONMENT_ID, num_envs=3, vectorization_mode="sync"), SyncVectorEnv)


def test_registration_loads_no_torch() -> None:
    """The import that makes the id known is light; torch comes with the first environment."""
    code = f"import sys, gauntlet.envs, gymnasium; gymnasium.spec({ENVIRONMENT_ID!r}); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_gymnasium_imports_us_itself_where_the_id_names_our_module() -> None:
    """Gymnasium's `module:id` needs no import of ours beforehand."""
    code = f"import gymnasium; gymnasium.make('gauntlet.envs:{ENVIRONMENT_ID}').reset()"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
