"""Image classification as a Gymnasium environment: one image is one step (arXiv 2012.04353, §3).

Importing this package registers `gauntlet/ImageClassification-v0` and loads no torch: Gymnasium imports the classes by
their names when an environment is made. Without an import of one's own, Gymnasium does it, asked for
`gauntlet.envs:gauntlet/ImageClassification-v0`.
"""

from gymnasium.envs.registration import register

ENVIRONMENT_ID = "gauntlet/ImageClassification-v0"

register(
    id=ENVIRONMENT_ID,
    entry_point="gauntlet.envs.environment:ImageClassificationEnv",
    vector_entry_point="gauntlet.envs.vector:ImageClassificationVectorEnv",
)
