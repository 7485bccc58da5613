"""Objectives of a spec: losses of the network's output, and agents that learn on the environment.

Told apart by `kind`. Defaults are those of the paper (arXiv 2012.04353) where it states a value, and of the algorithm's
authors or Stable-Baselines3 where they do; docs/experiments.md says what was measured where neither does. No torch.
"""

from typing import Annotated, Literal, Self, get_args

from pydantic import Field, model_validator

from gauntlet.spec.kinds import Spec, tag_required
from gauntlet.spec.reading.texts import ObjectiveLabel

RolloutSteps = Annotated[int, Field(ge=1, le=1_000)]
EntropyBonus = Annotated[float, Field(ge=0, le=10)]
ValueWeight = Annotated[float, Field(ge=0, le=10)]
MaxGradNorm = Annotated[float, Field(gt=0, le=1_000)]
UpdateMode = Literal["eval", "train"]

_N_STEPS = "Images that each of `training.batch_size` environments shows between two updates."
_UPDATE_MODE = (
    "The network's mode in updates; it acts in eval mode. In train mode dropout is on, so that what is improved is not "
    "quite the policy that acted, and batch normalisation goes by the batch; in eval mode its statistics never change."
)


class Objective(Spec):
    """What all objectives share: their kind, and a name of the user's own for runs, tables and figures."""

    kind: str
    label: ObjectiveLabel | None = Field(
        default=None,
        description="What to call it: one line of at most 80 characters. By default its kind, and what sets it apart "
        "where the experiment has several of that kind.",
    )

    @model_validator(mode="after")
    def _is_not_called_another_kind(self) -> Self:
        if self.label in _KINDS and self.label != self.kind:
            raise ValueError(f"label {self.label} is the name of another kind of objective: choose one that is not")
        return self


class CrossEntropy(Objective):
    """−log P(y | x), the supervised baseline, with label smoothing on demand (Szegedy et al. 2016)."""

    model_config = tag_required("kind")
    kind: Literal["cross_entropy"] = "cross_entropy"
    label_smoothing: Annotated[float, Field(ge=0, lt=1)] = Field(
        default=0.0, description="Share of the target that is spread evenly over all classes (Szegedy et al. 2016)."
    )


class Trades(Objective):
    """Cross-entropy on the natural image plus `beta` × KL(natural ‖ attacked) (Zhang et al. 2019, Eq. 5).

    Its authors' attack is `pgd` with `loss: divergence`.
    """

    model_config = tag_required("kind")
    kind: Literal["trades"] = "trades"
    beta: Annotated[float, Field(ge=0, le=1_000)] = Field(default=6.0, description="1/λ in the paper.")


class Mart(Objective):
    """Boosted cross-entropy on the attacked image plus a weighted divergence (Wang et al. 2020, Eq. 11).

    Its authors' attack is `pgd` on cross-entropy.
    """

    model_config = tag_required("kind")
    kind: Literal["mart"] = "mart"
    beta: Annotated[float, Field(ge=0, le=1_000)] = Field(default=5.0, description="λ in the paper.")


class Reward(Spec):
    """What the environment pays for a right and for a wrong prediction."""

    correct: Annotated[float, Field(ge=-100, le=100)] = 1.0
    wrong: Annotated[float, Field(ge=-100, le=100)] = -1.0

    @property
    def largest(self) -> float:
        """The larger of the two, whatever its sign, and at least 1: the scale of losses made of it."""
        return max(abs(self.correct), abs(self.wrong), 1.0)


# Baselines that look at an image's own actions.
_OF_THE_GROUP = ("group_mean", "leave_one_out")


class PolicyGradient(Objective):
    """Vanilla policy gradient on the predicted class (the paper's Eq. 1; Williams 1992)."""

    model_config = tag_required("kind")
    kind: Literal["policy_gradient"] = "policy_gradient"
    action: Literal["sample", "argmax", "epsilon_greedy"] = Field(
        default="sample",
        description="How the class is chosen. `argmax`, the literal reading, collapses to chance without a baseline.",
    )
    epsilon: Annotated[float, Field(ge=0, le=1)] = Field(
        default=0.1, description="Share of uniformly random actions under `epsilon_greedy`."
    )
    action_forward: Literal["train", "eval"] = Field(
        default="train", description="Whether the action is chosen from the pass with dropout or one without."
    )
    reward: Reward = Reward()
    baseline: Literal["none", "batch_mean", "group_mean", "leave_one_out"] = Field(
        default="none",
        description="What is taken from a reward: nothing, the batch's mean, or the mean of the image's actions, all "
        "(`group_mean`) or the others (`leave_one_out`).",
    )
    scale_rewards: Literal["none", "batch", "group"] = Field(
        default="none",
        description="What a reward less its baseline is divided by: nothing, or the standard deviation of the rewards "
        "of the batch, or of the image's actions (with `group_mean`: GRPO, arXiv 2402.03300). How much is paid then "
        "makes no difference.",
    )
    group: Annotated[int, Field(ge=1, le=256)] = Field(default=1, description="Actions drawn for each image.")
    estimator: Literal["reward", "max_rl"] = Field(
        default="reward",
        description="What the sampled gradient estimates: that of the expected reward, or that of MaxRL's truncated "
        "logarithm with as many terms as `group` (arXiv 2602.02710): the mean score of the right actions alone.",
    )
    entropy_bonus: EntropyBonus = 0.0
    log_prob_floor: Annotated[float, Field(lt=0, ge=-1e4)] | None = Field(
        default=None,
        description="Least log P(a|s); below it the gradient stops. Required off-policy. Keras clips at −16.118.",
    )

    @model_validator(mode="after")
    def _off_policy_needs_a_floor(self) -> Self:
        if self.action == "epsilon_greedy" and self.log_prob_floor is None:
            raise ValueError(
                "log_prob_floor is required with action epsilon_greedy: "
                "an unlikely random action would otherwise push its log-probability to minus infinity"
            )
        return self

    @model_validator(mode="after")
    def _one_action_has_no_others(self) -> Self:
        if self.baseline in _OF_THE_GROUP and self.group == 1:
            raise ValueError(f"baseline {self.baseline} compares an image's actions: group must be at least 2")
        if self.scale_rewards == "batch" and self.baseline == "none":
            raise ValueError("scale_rewards batch needs a baseline: equal rewards, which do not deviate, must leave 0")
        if self.scale_rewards == "group" and self.baseline not in _OF_THE_GROUP:
            raise ValueError(
                "scale_rewards group needs baseline group_mean or leave_one_out: "
                "an image's equal rewards, which do not deviate, must leave 0"
            )
        if self.action == "argmax" and self.group > 1:
            raise ValueError("action argmax is the same each time: group must be 1")
        if self.estimator == "max_rl" and (self.action != "sample" or self.baseline != "none"):
            raise ValueError("estimator max_rl is defined for action sample and baseline none")
        return self


class ExpectedReward(Objective):
    """A reward's exact expectation, or another growing function f of the right class's probability p in its place.

    The loss is −(wrong + (correct − wrong) · f(p)); with f(p) = p it is what the sampled policy gradient estimates. The
    other functions are what GRPO and MaxRL ascend (arXiv 2510.13651 and arXiv 2602.02710).
    """

    model_config = tag_required("kind")
    kind: Literal["expected_reward"] = "expected_reward"
    reward: Reward = Reward()
    shape: Literal["p", "arcsin_sqrt", "log", "max_rl"] = Field(
        default="p",
        description="f: p (REINFORCE), arcsin √p (GRPO, arXiv 2510.13651), log p (cross-entropy), or MaxRL's "
        "−Σₖ (1 − p)ᵏ / k for k to `terms`, which leads from p − 1 to log p (arXiv 2602.02710).",
    )
    terms: Annotated[int, Field(ge=1, le=4_096)] = Field(default=16, description="Of `max_rl`; others have none.")


class A2c(Objective):
    """Advantage actor-critic (Mnih et al. 2016): the policy gradient with a learned baseline, by Stable-Baselines3.

    The actor is the network, the critic one linear layer on the features of its last.
    """

    model_config = tag_required("kind")
    kind: Literal["a2c"] = "a2c"
    reward: Reward = Reward()
    n_steps: RolloutSteps = Field(default=1, description=_N_STEPS)
    normalize_advantage: bool = False
    entropy_bonus: EntropyBonus = Field(
        default=0.05, description="Without it the policy settled on two of ten classes (docs/experiments.md)."
    )
    value_weight: ValueWeight = 0.5
    max_grad_norm: MaxGradNorm = 0.5
    update_mode: UpdateMode = Field(default="eval", description=_UPDATE_MODE)


class Ppo(Objective):
    """Proximal policy optimisation with the clipped surrogate (Schulman et al. 2017), by Stable-Baselines3.

    The actor is the network, the critic one linear layer on the features of its last.
    """

    model_config = tag_required("kind")
    kind: Literal["ppo"] = "ppo"
    reward: Reward = Reward()
    n_steps: RolloutSteps = Field(default=16, description=_N_STEPS)
    n_epochs: Annotated[int, Field(ge=1, le=100)] = Field(
        default=4, description="Passes over each rollout, in minibatches of `training.batch_size`."
    )
    clip_range: Annotated[float, Field(gt=0, le=1)] = 0.2
    normalize_advantage: bool = True
    entropy_bonus: EntropyBonus = 0.0
    value_weight: ValueWeight = 0.5
    max_grad_norm: MaxGradNorm = 0.5
    update_mode: UpdateMode = Field(default="eval", description=_UPDATE_MODE)


class Dqn(Objective):
    """Deep Q-learning (Mnih et al. 2015), by Stable-Baselines3: the network's outputs are the classes' values.

    An episode ends with its only action, so a value is the expected reward and nothing is bootstrapped. The replay
    memory holds the last `n_steps` of all environments: older images were attacked on an older network.
    """

    model_config = tag_required("kind")
    kind: Literal["dqn"] = "dqn"
    reward: Reward = Reward()
    n_steps: RolloutSteps = Field(default=16, description=_N_STEPS)
    gradient_steps: Annotated[int, Field(ge=1, le=10_000)] = Field(
        default=16, description="Updates after each rollout, on `training.batch_size` images each."
    )
    epsilon: Annotated[float, Field(ge=0, le=1)] = Field(
        default=0.1, description="Share of steps whose actions are uniformly random."
    )
    max_grad_norm: MaxGradNorm = 10.0
    update_mode: UpdateMode = Field(default="eval", description=_UPDATE_MODE)


# They look at each image twice, natural and attacked.
PairedSpec = Trades | Mart
LossSpec = CrossEntropy | PairedSpec | PolicyGradient | ExpectedReward
AgentSpec = A2c | Ppo | Dqn
ObjectiveSpec = Annotated[LossSpec | AgentSpec, Field(discriminator="kind")]

_KINDS = frozenset(model.model_fields["kind"].default for model in get_args(LossSpec | AgentSpec))
