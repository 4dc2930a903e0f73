"""Chapter 5, scenarios: where the pairs come from, what that does, and how sure one can be of it.

Sources: Yan et al. 2024 (arXiv 2406.07327), section 3.2; the law of the table is our own derivation, held to training
in tests/test_chapter_scenarios.py.
"""

from __future__ import annotations

import numpy as np

import lab
from lab.course.exercise import Exercise, Mistake, Wrong

COVERED = (0.88, 0.985)  # of 95 %, with 24 values a sample and 240 samples
WIDTH = (0.75, 1.35)  # of the interval, over that of the solution
FRESH = "seeds=12 seed=24 keep=none"  # seeds that the notebook does not use
MOST_STEPS = 100


def unseen_peak(chosen, rejected):
    """Find where the unseen mass of a table is largest on its way through DPO.

    One prompt, softmax of a table of logits: with D the log-ratio margin, 0 at the start and
    growing from then on, the three masses are in proportion chosen exp(D/2) : rejected
    exp(-D/2) : 1 - chosen - rejected. chosen and rejected are the probabilities under the
    reference, one number each. Return the D >= 0 in nats at which the unseen mass is largest,
    and how large it is there.
    """
    margin = max(0.0, float(np.log(rejected / chosen)))
    unseen = 1 - chosen - rejected
    named = chosen * np.exp(margin / 2) + rejected * np.exp(-margin / 2)
    return margin, unseen / (unseen + named)


def _before_the_start(chosen, rejected):
    margin, unseen = float(np.log(rejected / chosen)), 1 - chosen - rejected
    return margin, unseen / (unseen + 2 * np.sqrt(chosen * rejected))


def _half_the_margin(chosen, rejected):
    margin = max(0.0, 0.5 * float(np.log(rejected / chosen)))
    unseen = 1 - chosen - rejected
    return margin, unseen / (unseen + chosen * np.exp(margin / 2) + rejected * np.exp(-margin / 2))


def _at_the_start(chosen, rejected):
    return 0.0, 1 - chosen - rejected


def _ratio_upside_down(chosen, rejected):
    margin = max(0.0, float(np.log(chosen / rejected)))
    unseen = 1 - chosen - rejected
    return margin, unseen / (unseen + chosen * np.exp(margin / 2) + rejected * np.exp(-margin / 2))


def _unscaled_mass(chosen, rejected):
    return unseen_peak(chosen, rejected)[0], 1 - 2 * np.sqrt(chosen * rejected) if rejected > chosen else (
        1 - chosen - rejected
    )


def _start_cases(rng: np.random.Generator) -> list[tuple]:
    drawn = [tuple(float(share) for share in rng.dirichlet((1, 1, 2))[:2]) for _ in range(6)]
    return [(0.45, 0.45), (0.02, 0.45), (0.45, 0.02), (0.02, 0.02), *drawn]


def suffering(prob, chosen, rejected):
    """Measure four ways in which a policy may have suffered, for every seed: an array [4, seed].

    prob is pi(y|x), [seed, step, prompt, response]; chosen and rejected hold the responses of
    each prompt's one pair, [prompt]. All four are averaged over prompts first. In this order:
    the chosen mass at the last step; the chosen mass gained since the first step; the chosen
    mass lost from its highest point over the steps to the last; the unseen mass gained since
    the first step.
    """
    prompts = np.arange(prob.shape[2])
    up, down = prob[:, :, prompts, chosen].mean(-1), prob[:, :, prompts, rejected].mean(-1)
    unseen = 1 - up - down
    return np.stack([up[:, -1], up[:, -1] - up[:, 0], up.max(1) - up[:, -1], unseen[:, -1] - unseen[:, 0]])


def _peak_of_each_prompt(prob, chosen, rejected):
    found = suffering(prob, chosen, rejected)
    up = prob[:, :, np.arange(prob.shape[2]), chosen]
    found[2] = (up.max(1) - up[:, -1]).mean(-1)
    return found


def _lost_since_start(prob, chosen, rejected):
    found = suffering(prob, chosen, rejected)
    found[2] = -found[1]
    return found


def _all_but_chosen(prob, chosen, rejected):
    found = suffering(prob, chosen, rejected)
    found[3] = -found[1]
    return found


def _unseen_from_minimum(prob, chosen, rejected):
    found = suffering(prob, chosen, rejected)
    prompts = np.arange(prob.shape[2])
    unseen = 1 - (prob[:, :, prompts, chosen] + prob[:, :, prompts, rejected]).mean(-1)
    found[3] = unseen[:, -1] - unseen.min(1)
    return found


def _over_seeds_too(prob, chosen, rejected):
    return suffering(prob, chosen, rejected).mean(1)


def _prob_cases(rng: np.random.Generator) -> list[tuple]:
    def one(seeds: int, steps: int, prompts: int, responses: int) -> tuple:
        prob = rng.dirichlet(np.full(responses, 0.7), (seeds, steps, prompts))
        pairs = np.array([rng.choice(responses, 2, replace=False) for _ in range(prompts)])
        return prob, pairs[:, 0], pairs[:, 1]

    return [one(3, 6, 4, 10), one(5, 9, 2, 5), one(1, 2, 1, 3)]


def interval(values, seed):
    """Compute the median of every sample and its 95 % bootstrap interval: an array [3, sample].

    values is [sample, n]. In this order: the median of the n values, the lower end, the upper
    end. Draw n of the n values with replacement, some 1000 times, and take the median of each
    draw: the interval runs from the 2.5th to the 97.5th percentile of these medians. seed
    starts the random numbers: np.random.default_rng(seed). The check looks at how often the
    interval holds the true median of what the values were drawn from.
    """
    drawn = np.random.default_rng(seed).integers(0, values.shape[1], (1000, values.shape[1]))
    medians = np.median(values[:, drawn], axis=2)
    low, high = np.percentile(medians, [2.5, 97.5], axis=1)
    return np.stack([np.median(values, axis=1), low, high])


def _where_seeds_lie(values, seed):
    return np.stack([np.median(values, axis=1), *np.percentile(values, [2.5, 97.5], axis=1)])


def _one_standard_error(values, seed):
    drawn = np.random.default_rng(seed).integers(0, values.shape[1], (1000, values.shape[1]))
    spread = np.median(values[:, drawn], axis=2).std(axis=1)
    median = np.median(values, axis=1)
    return np.stack([median, median - spread, median + spread])


def _along_the_samples(values, seed):
    return interval(values.T, seed)


def _of_the_mean(values, seed):
    drawn = np.random.default_rng(seed).integers(0, values.shape[1], (1000, values.shape[1]))
    low, high = np.percentile(values[:, drawn].mean(axis=2), [2.5, 97.5], axis=1)
    return np.stack([values.mean(axis=1), low, high])


def _sample_cases(rng: np.random.Generator) -> list[tuple]:
    """Draw samples whose true median is 0: exponential ones, which are skewed as probabilities near 1 are."""
    return [(rng.exponential(size=(240, 24)) - np.log(2), 7), (np.log(2) - rng.exponential(size=(240, 24)), 8)]


SPREAD_SAYS = "that is where single seeds lie, not where their median lies: draw samples anew and take their medians."
NARROW_SAYS = "one standard error is no 95 % interval."
AXIS_SAYS = "the median is to be taken over the n values of each sample, the second axis."
MEAN_SAYS = "the first row has to be the median of each sample, not its mean."


def _cover(cases: list[tuple], outputs: list) -> None:
    for (values, seed), output in zip(cases, outputs, strict=True):
        found, mine = np.asarray(output, float), interval(values, seed)
        if found.shape != mine.shape:
            raise Mistake(f"it gives the shape {found.shape}, asked for is {mine.shape}: {AXIS_SAYS}")
        if np.abs(found[0] - mine[0]).max() > 1e-9:
            raise Mistake(MEAN_SAYS)
        covered = float(np.mean((found[1] <= 0) & (found[2] >= 0)))
        width = float((found[2] - found[1]).mean() / (mine[2] - mine[1]).mean())
        told = f"of {len(values)} intervals {covered:.0%} hold the true median, instead of about 95 %: "
        if covered > COVERED[1] or width > WIDTH[1]:
            raise Mistake(told + SPREAD_SAYS)
        if covered < COVERED[0] or width < WIDTH[0]:
            raise Mistake(told + NARROW_SAYS)


def verdict(low, high):
    """Decide what becomes of a claim that several measures may mean: a text.

    low and high are [measure, comparison]: the ends of the interval of a difference that the
    claim wants above 0. A comparison answers "yes" where its whole interval lies above 0, "no"
    where it lies below 0, else "undecided". A measure answers "no" if one of its comparisons
    does, else "undecided" if one does, else "yes". Return "ambiguous" if some measures answer
    yes and some no; "reproduced" if some say yes and none no; "not reproduced" if some say no
    and none yes; "inconclusive" if all are undecided.
    """
    no = (high < 0).any(axis=1)
    yes = (low > 0).all(axis=1)
    if yes.any() and no.any():
        return "ambiguous"
    if yes.any():
        return "reproduced"
    return "not reproduced" if no.any() else "inconclusive"


def _middle_of_the_interval(low, high):
    middle = (low + high) / 2
    return verdict(middle, middle)


def _majority_of_comparisons(low, high):
    yes, no = (low > 0).sum(axis=1), (high < 0).sum(axis=1)
    return verdict(np.where(yes > no, 1.0, -1.0)[:, None], np.where(yes < no, -1.0, 1.0)[:, None])


def _one_yes_is_enough(low, high):
    yes, no = (low > 0).any(axis=1), (high < 0).any(axis=1)
    return verdict(np.where(yes, 1.0, -1.0)[:, None], np.where(no & ~yes, -1.0, 1.0)[:, None])


def _not_yes_is_no(low, high):
    yes = (low > 0).all(axis=1)
    sign = np.where(yes, 1.0, -1.0)[:, None]
    return verdict(sign, sign)


def _end_cases(rng: np.random.Generator) -> list[tuple]:
    def of(*rows: str) -> tuple:
        """Draw intervals: + above 0, - below 0, ~ across it with its middle above, . with its middle below."""
        ends = {"+": (0.1, 0.4), "-": (-0.4, -0.1), "~": (-0.1, 0.3), ".": (-0.3, 0.1)}
        placed = np.array([[ends[sign] for sign in row] for row in rows]) * rng.uniform(0.5, 1.5, (1, 1, 1))
        return placed[..., 0], placed[..., 1]

    return [
        of("+++", "+++"), of("+++", "---"), of("---", "-.-"), of("~~~", "..."), of("+~+", "+++"), of("++-", "+++"),
        of("++-", "+~+"), of("~~~", "~~~"), of("...", "..."), of("+-~", "~~+"), of("+++", "-~+", "..."),
        of("+~~", "~++"), of("+--", "+++"),
    ]  # fmt: skip


def flip():
    """Find an experiment line in which s1 ends with less chosen mass than s3.

    The line of this notebook ends with s1 above s3. Yours is the same but for optimiser,
    learning rate and number of steps, at most 100: "mlp s1,s3 dpo beta=0.1 OPTIMISER lr=...
    steps=... seeds=24". Return it as a text. The check runs it with 12 seeds that you have not
    seen and asks that the whole 95 % interval of the difference, s1 minus s3, taken seed by
    seed, lies below 0.
    """
    return "mlp s1,s3 dpo beta=0.1 adam lr=0.03 steps=100 seeds=24"


def _the_line_itself():
    return "mlp s1,s3 dpo beta=0.1 adam lr=1e-3 steps=100 seeds=24"


def _plain_descent():
    return "mlp s1,s3 dpo beta=0.1 sgd lr=0.5 steps=100 seeds=24"


def _not_far_enough():
    return "mlp s1,s3 dpo beta=0.1 adam lr=5e-3 steps=100 seeds=24"


def _another_network():
    return "mlp s1,s3 dpo beta=0.1 adam lr=0.03 steps=100 seeds=24 width=8"


def _scenarios_swapped():
    return "mlp s3,s1 dpo beta=0.1 adam lr=1e-3 steps=100 seeds=24"


ELSE_SAYS = "something other than optimiser, learning rate and steps is changed."
ABOVE_SAYS = "s1 is still above s3."
UNSURE_SAYS = "the interval of the difference reaches across 0."
SLOW_SAYS = f"there may be at most {MOST_STEPS} steps."


def _too_long():
    return "mlp s1,s3 dpo beta=0.1 adam lr=0.03 steps=500 seeds=24"


def _flips(cases: list[tuple], outputs: list) -> None:
    try:
        experiment = lab.Experiment.parse(str(outputs[0]))
    except ValueError as problem:
        raise Mistake(f"{outputs[0]!r} is no line: {problem}") from None
    optimizer, lr, steps = (experiment.value(name) for name in ("optimizer", "lr", "steps"))
    start = f"mlp s1,s3 dpo beta=0.1 {optimizer} lr={lr} steps={steps} every={steps}"
    own = f"seeds={experiment.value('seeds')} seed={experiment.value('seed')} keep=none"
    asked = lab.Experiment.parse(f"{start} {own}")
    allowed = ("every", "keep")
    if any(getattr(asked, name) != getattr(experiment, name) for name in vars(asked) if name not in allowed):
        raise Mistake(f"{ELSE_SAYS} Asked for is a line like 'mlp s1,s3 dpo beta=0.1 {optimizer} lr=... steps=...'.")
    if steps > MOST_STEPS:
        raise Mistake(f"it has {steps} steps; {SLOW_SAYS}")
    median, low, high = differences(f"{start} {FRESH}")
    told = f"on 12 new seeds s1 ends {median:.3f} [{low:.3f}, {high:.3f}] above s3: "
    if low > 0:
        raise Mistake(told + ABOVE_SAYS)
    if high >= 0:
        raise Mistake(told + UNSURE_SAYS)


def differences(line: str) -> tuple[float, float, float]:
    """Compare the first two scenarios of a line: chosen mass at the end, first minus second, seed by seed.

    Args:
        line: An experiment line with two scenarios.

    Returns:
        The median over seeds and its 95 % interval.
    """
    record = lab.run(line)
    chosen = lab.metrics.over_pairs(lab.metrics.chosen_prob(record), record).isel(step=-1)
    values = chosen.transpose("scenario", ..., "seed").values.reshape(record.sizes["scenario"], -1)
    median, low, high = interval((values[0] - values[1])[None], 0)[:, 0]
    return float(median), float(low), float(high)


EXERCISES = (
    Exercise(
        id="5.1",
        title="Where the unseen mass is largest",
        minutes=10,
        difficulty=2,
        points=2,
        goal="tell from the start of a pair where a table's mass will go",
        solution=unseen_peak,
        cases=_start_cases,
        wrong=(
            Wrong(_before_the_start, "D starts at 0 and grows: a peak that lies at a negative D was never passed."),
            Wrong(
                _half_the_margin,
                "chosen exp(D/2) and rejected exp(-D/2) have the smallest sum where they are equal; solve that for D, "
                "not for D/2.",
            ),
            Wrong(
                _at_the_start,
                "the unseen mass does not only fall: try chosen = 0.02 and rejected = 0.45, and a D of 1.",
            ),
            Wrong(_ratio_upside_down, "the ratio is upside down: which of the two has to be the larger for a rise?"),
            Wrong(
                _unscaled_mass, "the three masses are in that proportion; they still have to be divided by their sum."
            ),
        ),
        hints=(
            "The unseen logits do not move. The unseen share is largest where the other two together weigh least.",
            "The sum chosen exp(D/2) + rejected exp(-D/2) is smallest where its derivative is 0, so where its two "
            "terms are equal.",
            "Equal terms: exp(D) = rejected / chosen, if that D is above 0; else the unseen mass falls from the start. "
            "Then divide the unseen weight by the sum of all three.",
        ),
    ),
    Exercise(
        id="5.2",
        title="Four ways to suffer",
        minutes=12,
        difficulty=2,
        points=3,
        goal="measure which cell shows which property",
        solution=suffering,
        cases=_prob_cases,
        wrong=(
            Wrong(
                _peak_of_each_prompt,
                "each prompt peaks at a step of its own; the task averages over prompts before it looks for the peak.",
            ),
            Wrong(_lost_since_start, "what is lost counts from the highest point over the steps, not from the start."),
            Wrong(_all_but_chosen, "unseen is what neither response of the pair has: the rejected one is not unseen."),
            Wrong(
                _unseen_from_minimum,
                "the last row is the unseen mass gained since the first step, not since its minimum.",
            ),
            Wrong(_over_seeds_too, "keep the seeds: without one number a seed there is no interval later."),
        ),
        hints=(
            "prob[:, :, prompts, chosen] with prompts = np.arange(...) picks one response of each prompt.",
            "First make three curves [seed, step]: chosen, rejected, and unseen = 1 - chosen - rejected.",
            "np.stack of last, last - first, curve.max(1) - last, and unseen last - first.",
        ),
    ),
    Exercise(
        id="5.3",
        title="An interval that covers",
        minutes=12,
        difficulty=3,
        points=3,
        goal="say how sure a number over seeds is",
        solution=interval,
        cases=_sample_cases,
        wrong=(
            Wrong(_where_seeds_lie, SPREAD_SAYS),
            Wrong(_one_standard_error, NARROW_SAYS),
            Wrong(_along_the_samples, AXIS_SAYS),
            Wrong(_of_the_mean, MEAN_SAYS),
        ),
        hints=(
            "A bootstrap asks how the median would differ if other seeds had been drawn, using the seeds at hand.",
            "np.random.default_rng(seed).integers(0, n, (1000, n)) draws 1000 times n positions; the same draws may "
            "serve all samples.",
            "medians = np.median(values[:, drawn], axis=2) is [sample, 1000]; np.percentile(medians, [2.5, 97.5], "
            "axis=1) are the ends.",
        ),
        judge=_cover,
    ),
    Exercise(
        id="5.4",
        title="The verdict on a claim",
        minutes=8,
        difficulty=2,
        points=2,
        goal="decide a claim by intervals, and see when its words are ambiguous",
        solution=verdict,
        cases=_end_cases,
        wrong=(
            Wrong(
                _middle_of_the_interval,
                "the middle decided, not the whole interval: where it crosses 0, nothing is known.",
            ),
            Wrong(_majority_of_comparisons, "within a measure the majority does not decide: one no is a no."),
            Wrong(_one_yes_is_enough, "a measure says yes only when all of its comparisons do."),
            Wrong(_not_yes_is_no, "what is not yes need not be no: an interval across 0 is undecided."),
        ),
        hints=(
            "Make two truth tables [measure, comparison]: low > 0, and high < 0.",
            "A measure is yes if all of its comparisons are, and no if any of them is.",
            "yes = (low > 0).all(axis=1) and no = (high < 0).any(axis=1); then four cases of yes.any() and no.any().",
        ),
    ),
    Exercise(
        id="5.5",
        title="Break the ordering",
        minutes=15,
        difficulty=4,
        points=4,
        goal="tell a property of the data from a property of the training",
        solution=flip,
        cases=lambda rng: [()],
        wrong=(
            Wrong(_the_line_itself, ABOVE_SAYS),
            Wrong(_not_far_enough, UNSURE_SAYS),
            Wrong(_plain_descent, ABOVE_SAYS),
            Wrong(_another_network, ELSE_SAYS),
            Wrong(_scenarios_swapped, ELSE_SAYS),
            Wrong(_too_long, SLOW_SAYS),
        ),
        hints=(
            "Plain descent keeps the order of the table. Which optimiser brought the chosen response down in s1?",
            "Leave Adam, and walk the learning rate up by factors of 3: differences() below prints what you need.",
            "Around 0.03 Adam moves the network far in its first steps, and s1 ends below s3.",
        ),
        judge=_flips,
    ),
)
