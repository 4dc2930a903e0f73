"""The experiment: a frozen description that round-trips through one readable line."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import product
from typing import Any

from lab.experiments.checks import Values, check_field, check_together
from lab.experiments.grammar import THEN, read, split, write
from lab.experiments.own_world import SIZES, contradicting, settle_sizes
from lab.experiments.stages import Step, check_stages, read_stages, without_strangers, write_stages
from lab.experiments.vocabulary import WORDS, Value


@dataclass(frozen=True, kw_only=True)
class Experiment:
    """Describe an experiment; `Experiment.parse(line)` is the usual way to make one.

    Each field holds a tuple of one or more values; more than one makes a named axis. A single value may be
    given plainly (`steps=500`). `beta_chosen` and `beta_rejected` are empty when they follow `beta`.

    Args:
        policy: tabular, loglinear, mlp.
        scenario: s1, s2, s3, s4, open, own.
        objective: dpo, flex, ipo, slic, sft, or another word of `lab.experiments.vocabulary`.
        beta: Scale of the log-ratios, above 0.
        beta_chosen: Flex-DPO's beta of the chosen response, above 0; empty follows `beta`.
        beta_rejected: Flex-DPO's beta of the rejected response, above 0; empty follows `beta`.
        sft_weight: Weight of an added SFT loss on the chosen response, at least 0.
        smoothing: Rate of wrong labels, above 0 and below 0.5.
        tau: Width of DiscoPOP's blend, above 0.
        penalty: DPOP's price of a fall of the chosen response, at least 0.
        shift: DPO-Shift's factor on the rejected log-ratio, above 0, at most 1.
        clip: Largest margin of chi-PO, above 0.
        gamma: Target margin of SimPO, AlphaPO, TPO-L, at least 0.
        alpha: Shape of AlphaPO's score.
        nll_weight: Weight of the likelihood of the chosen response in CPO, its kin and ORPO, at least 0.
        gold_weight: Weight of the likelihood of the gold response in TPO, at least 0.
        desirable_weight: KTO's weight of the chosen response, at least 0.
        undesirable_weight: KTO's weight of the rejected response, at least 0.
        unlikelihood_weight: Weight of the unlikelihood, at least 0.
        reward_margin: What the rewards of a reward model should differ by.
        centering: Weight of the centring of rewards, at least 0.
        samples: Responses that a policy gradient draws for a prompt, 0 for the exact expectation.
        epochs: Updates on each batch of drawn responses.
        ratio_clip: How far pi / pi_old may leave 1.
        baseline: none, mean, leave_one_out, group, value.
        whiten: no, yes: whether advantages are scaled over the batch.
        kl: reward, exact, k3, k3_corrected: where KL enters.
        rollouts: all, data: prompts that responses are drawn for.
        reward_from: truth, model: which reward is climbed.
        model_steps: Updates of the reward model.
        model_lr: Learning rate of the reward model; empty follows `lr`.
        divergence: reverse_kl, forward_kl, jensen_shannon, alpha.
        divergence_alpha: alpha of that divergence.
        chosen_length: Tokens of a chosen response, at least 1; the others have 1.
        rejected_length: Tokens of a rejected response, at least 1.
        terms: both, chosen, rejected: which term of the gradient training follows.
        optimizer: sgd, momentum, adam.
        lr: Learning rate, above 0.
        momentum: Decay of the momentum, in [0, 1).
        eps: What Adam adds to the root of its mean square, above 0.
        steps: Number of updates.
        seeds: Number of seeds.
        seed: The first seed.
        batch: Pairs per step; 0 is the full batch.
        every: Record every so many steps.
        keep: gradients, predictions, parameters joined by '+', or none.
        prompts: Number of prompts.
        responses: Number of responses of a prompt.
        pairs: Number of pairs of a prompt.
        compare: The pairs of an own scenario, such as "0:3>7+1:2>5*2".
        start: The reference of an own scenario, such as "0.45/0.45/0.1+0.2/0.3/0.5"; empty for a drawn one. It
            settles `prompts` and `responses`.
        roles: mixed, kept: whether prompts may choose what others reject, where there are many.
        on: Start probability called on-policy, shared by the pairs of a prompt.
        off: Start probability called off-policy, shared by the pairs of a prompt.
        spread: drawn, even: how the rest is spread over the unseen responses.
        truth: none, normal, linear: the true reward.
        data: population, sampled: comparisons of an open scenario.
        comparisons: Comparisons drawn for a prompt.
        repeats: Labels drawn for a comparison.
        judge: bradley_terry, noisy: who labels.
        agreement: How often the noisy judge is right.
        sampler: reference, even, tilted, policy: whose responses are compared.
        tilt: The tilted sampler is the reference times exp(tilt reward).
        refresh: Updates between two draws from the policy, 1 for online.
        coverage: Responses of a prompt that can be compared, 0 for all.
        held: Prompts without data.
        sharpness: Scale of the reference's logits.
        width: Hidden width of an mlp.
        activation: relu, tanh, of an mlp.
        features: Number of features of a loglinear policy.
        overlap: Cosine of the chosen and the rejected features of a loglinear policy.
        dtype: float64, float32.
        then: What changes in each further stage, as text: ("beta=0.5 steps=300",).

    Raises:
        TypeError: A value of another type.
        ValueError: A value that is not allowed, or fields that do not fit each other.
    """

    policy: tuple[str, ...]
    scenario: tuple[str, ...]
    objective: tuple[str, ...]
    beta: tuple[float, ...] = (0.1,)
    beta_chosen: tuple[float, ...] = ()
    beta_rejected: tuple[float, ...] = ()
    sft_weight: tuple[float, ...] = (0.0,)
    smoothing: tuple[float, ...] = (0.1,)
    tau: tuple[float, ...] = (0.05,)
    penalty: tuple[float, ...] = (50.0,)
    shift: tuple[float, ...] = (0.75,)
    clip: tuple[float, ...] = (10.0,)
    gamma: tuple[float, ...] = (0.5,)
    alpha: tuple[float, ...] = (0.25,)
    nll_weight: tuple[float, ...] = (1.0,)
    gold_weight: tuple[float, ...] = (1.0,)
    desirable_weight: tuple[float, ...] = (1.0,)
    undesirable_weight: tuple[float, ...] = (1.0,)
    unlikelihood_weight: tuple[float, ...] = (1.0,)
    reward_margin: tuple[float, ...] = (0.0,)
    centering: tuple[float, ...] = (0.0,)
    samples: tuple[int, ...] = ()
    epochs: tuple[int, ...] = ()
    ratio_clip: tuple[float, ...] = ()
    baseline: tuple[str, ...] = ()
    whiten: tuple[str, ...] = ()
    kl: tuple[str, ...] = ()
    rollouts: tuple[str, ...] = ()
    reward_from: tuple[str, ...] = ("truth",)
    model_steps: tuple[int, ...] = (500,)
    model_lr: tuple[float, ...] = ()
    divergence: tuple[str, ...] = ("reverse_kl",)
    divergence_alpha: tuple[float, ...] = (0.5,)
    chosen_length: tuple[int, ...] = (1,)
    rejected_length: tuple[int, ...] = (1,)
    terms: tuple[str, ...] = ("both",)
    optimizer: tuple[str, ...]
    lr: tuple[float, ...]
    momentum: tuple[float, ...] = (0.9,)
    eps: tuple[float, ...] = (1e-8,)
    steps: tuple[int, ...]
    seeds: tuple[int, ...] = (24,)
    seed: tuple[int, ...] = (0,)
    batch: tuple[int, ...] = (0,)
    every: tuple[int, ...] = (1,)
    keep: tuple[str, ...] = ("gradients",)
    prompts: tuple[int, ...] = (4,)
    responses: tuple[int, ...] = (10,)
    pairs: tuple[int, ...] = (1,)
    compare: tuple[str, ...] = ()
    start: tuple[str, ...] = ()
    roles: tuple[str, ...] = ("mixed",)
    on: tuple[float, ...] = (0.45,)
    off: tuple[float, ...] = (0.02,)
    spread: tuple[str, ...] = ("drawn",)
    truth: tuple[str, ...] = ("none",)
    data: tuple[str, ...] = ("population",)
    comparisons: tuple[int, ...] = (32,)
    repeats: tuple[int, ...] = (1,)
    judge: tuple[str, ...] = ("bradley_terry",)
    agreement: tuple[float, ...] = (1.0,)
    sampler: tuple[str, ...] = ("reference",)
    tilt: tuple[float, ...] = (1.0,)
    refresh: tuple[int, ...] = (1,)
    coverage: tuple[int, ...] = (0,)
    held: tuple[int, ...] = (0,)
    sharpness: tuple[float, ...] = (1.0,)
    width: tuple[int, ...] = (64,)
    activation: tuple[str, ...] = ("relu",)
    features: tuple[int, ...] = (16,)
    overlap: tuple[float, ...] = (0.0,)
    dtype: tuple[str, ...] = ("float64",)
    then: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name in WORDS:
            object.__setattr__(self, name, check_field(name, getattr(self, name)))
        for name, size in settle_sizes(self._values()).items():
            object.__setattr__(self, name, size)
        values = self._values()
        check_together(values, [name for name, value in values.items() if value != WORDS[name].default])
        if self.then:
            steps = read_stages(values, self.then)
            check_stages([values, *(step.values for step in steps)])
            object.__setattr__(self, "then", write_stages(values, steps))
            list(self.stages())  # each is an experiment by itself, and says what is wrong with it

    @classmethod
    def parse(cls, line: str) -> Experiment:
        """Read an experiment from its line.

        Args:
            line: For example "mlp s1 dpo beta=0.1 adam lr=1e-3 steps=500 seeds=24", in any order;
                a comma makes an axis, and `then` begins a further stage that lists only what changes:
                "... steps=200 then beta=0.5 steps=300".

        Returns:
            The experiment; `str` of it is the canonical line.

        Raises:
            TypeError: The line is not text.
            ValueError: A word is unknown, malformed, repeated, missing, out of range or out of place.
        """
        first, *later = split(line)
        given = read(first)
        experiment = cls(**given, then=tuple(later))  # type: ignore[arg-type]
        for name in SIZES:
            if given.get(name, getattr(experiment, name)) != getattr(experiment, name):
                raise ValueError(contradicting(name, given[name], getattr(experiment, name)))
        # A key that no chosen word takes is an error even at its default: whoever wrote it expects an effect.
        check_together(experiment._values(), given)
        return experiment

    def __str__(self) -> str:
        """Write the canonical line: `Experiment.parse(str(e)) == e`."""
        return f" {THEN} ".join([write(self._values()), *self.then])

    @property
    def axes(self) -> dict[str, tuple[Value, ...]]:
        """The fields with more than one value in any stage, in canonical order."""
        several = {
            name: values for stage, _ in self.stages() for name, values in stage._values().items() if len(values) > 1
        }
        return {name: several[name] for name in WORDS if name in several}

    @property
    def updates(self) -> int:
        """The number of updates of all stages together."""
        return sum(stage.value("steps") for stage, _ in self.stages())

    @property
    def batched_axes(self) -> dict[str, tuple[Value, ...]]:
        """The axes that one batched computation covers."""
        return {name: values for name, values in self.axes.items() if WORDS[name].sweep == "batched"}

    @property
    def looped_axes(self) -> dict[str, tuple[Value, ...]]:
        """The axes whose every value is another computation."""
        return {name: values for name, values in self.axes.items() if WORDS[name].sweep == "looped"}

    def value(self, name: str) -> Any:
        """Return the one value of a field.

        Raises:
            ValueError: The field is an axis, or is empty.
        """
        values: tuple[Value, ...] = getattr(self, name)
        if len(values) != 1:
            raise ValueError(f"{name} has {len(values)} values; value() needs exactly one. Use the tuple {name}.")
        return values[0]

    def cells(self) -> Iterator[tuple[Experiment, dict[str, Value]]]:
        """Split along the looped axes.

        Yields:
            An experiment with one value for each looped axis, and those values by name. The batched axes stay.
            A key that the cell's own words do not take is at its default there.
        """
        looped = self.looped_axes
        for combination in product(*looped.values()):
            coordinates = dict(zip(looped, combination, strict=True))
            own, *later = (
                Step(without_strangers(_at(stage._values(), looped, coordinates), {}), reference)
                for stage, reference in self.stages()
            )
            yield Experiment(**own.values, then=write_stages(own.values, later)), coordinates  # type: ignore[arg-type]

    def stages(self) -> Iterator[tuple[Experiment, str]]:
        """Go through the stages, of which a line without `then` has one.

        Yields:
            The stage as an experiment of its own, with what it has of the stages before; and its reference: "start",
            "stage", or "" for that of the stage before.
        """
        if not self.then:
            yield self, "start"
            return
        values = self._values()
        for step in (Step(values, "start"), *read_stages(values, self.then)):
            yield Experiment(**step.values), step.reference  # type: ignore[arg-type]

    def _values(self) -> dict[str, tuple[Value, ...]]:
        return {name: getattr(self, name) for name in WORDS}


def _at(values: dict[str, tuple[Value, ...]], looped: Iterable[str], place: dict[str, Value]) -> Values:
    """Return the values at a place of the looped axes."""
    return values | {name: (place[name],) for name in looped if len(values[name]) > 1}
