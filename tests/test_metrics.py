"""The metrics against mpmath, finite differences and closed forms, at normal and at extreme states."""

from __future__ import annotations

import mpmath
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lab import metrics, trajectory
from lab.metrics.jacobian import log_others

# Enough digits to write 1 - exp(-5000) out: the plain formula needs no care then, and is an oracle.
DIGITS = 2300
TWO_PROMPTS = {"pair_prompt": [0, 1], "chosen": [0, 2], "rejected": [1, 3], "pair_weight": [0.25, 0.75]}
# Prompt 0 has three pairs: response 0 is chosen twice, 1 is rejected and chosen. Prompt 1 has none.
CROWDED = {
    "pair_prompt": [0, 0, 0, 2],
    "chosen": [0, 0, 1, 3],
    "rejected": [1, 2, 4, 0],
    "pair_weight": [0.1, 0.2, 0.3, 0.4],
}
NORMAL = np.array([[-0.3, 0.2, 1.0, -1.2, 0.5], [0.1, 0.0, -0.4, 2.0, 1.1], [0.7, -0.7, 0.2, 0.3, -2.0]])
EXTREME = {
    "rejected at -200": np.array([[0, -200, -2, -3, -1], [-1, -2, 0, -200, -3], [-200, -1, -1, 0, -2.0]]),
    "rejected at -5000": np.array([[0, -5000, -2, -3, -1], [-1, -2, 0, -5000, -3], [-5000, -1, -1, 0, -2.0]]),
    "chosen at 1 - exp(-700)": np.array([[0, -900, -700, -800, -750], [-71, -70, 0, -50, -9], [-80, -8, -75, 0, -7.0]]),
    "all on the rejected": np.array([[-90, 0, -700, -80, -75], [-70, -7, -72, 0, -9], [0, -800, -750, -5000, -700.0]]),
    "1e-80": np.array([[-184, -184, 0, -184, -180], [-184, -185, -184, -183, 0], [-184, 0, -184, -184, -190.0]]),
}  # fmt: skip


def log_softmax(logits):
    largest = logits.max(-1, keepdims=True)
    return logits - largest - np.log(np.exp(logits - largest).sum(-1, keepdims=True))


def record(
    logits, pairs=TWO_PROMPTS, *, weights=None, reference=None, betas=(0.1, 0.1), axes=None, dtype=np.float64, **more
):
    """A record of one run and two steps (the reference, then the logits), or of the runs that come with `axes`."""
    log_prob = log_softmax(np.asarray(logits, np.float64))
    reference = log_softmax(NORMAL[: log_prob.shape[-2]] if reference is None else reference)
    if axes is None:
        axes, log_prob = {"seed": [0]}, log_prob[None]
    runs, count = log_prob.shape[0], len(pairs["chosen"])
    weights = np.array([[-0.4] * count, [0.3] * count]) if weights is None else np.asarray(weights)
    arrays = {
        "log_prob": np.stack([np.broadcast_to(reference, log_prob.shape), log_prob], 1),
        "reference_log_prob": np.broadcast_to(reference, log_prob.shape),
        "loss": np.arange(runs * 2 * count, dtype=float).reshape(runs, 2, count),
        "response_weight": np.broadcast_to(weights, (runs, 2, 2, count)),
        "beta_chosen": np.broadcast_to(np.asarray(betas[0], float), (runs,)),
        "beta_rejected": np.broadcast_to(np.asarray(betas[1], float), (runs,)),
    } | more
    return trajectory.assemble(
        arrays={name: np.array(array, dtype) for name, array in arrays.items()},
        axes=axes,
        steps=np.array([0, 10]),
        **{name: np.array(values) for name, values in pairs.items()},
        attrs={"experiment": "planted"},
    )


def last(array):
    return array.isel(seed=0, step=-1)


def exact_gradients(ds):
    """For each space the two terms' gradients [term][prompt][response], by the plain formulas at DIGITS digits."""
    log_prob = ds["log_prob"].isel(seed=0, step=-1).values
    weight = ds["response_weight"].isel(seed=0, step=-1).values
    gradients = {"log_probability": [], "probability": [], "logit": []}
    probabilities = []
    for row in log_prob:
        powers = [mpmath.exp(mpmath.mpf(float(entry))) for entry in row]
        probabilities.append([power / mpmath.fsum(powers) for power in powers])
    for term, which in enumerate(("chosen", "rejected")):
        table = [[mpmath.mpf(0)] * log_prob.shape[1] for _ in log_prob]
        for pair, (prompt, response) in enumerate(zip(ds["pair_prompt"].values, ds[which].values, strict=True)):
            share = mpmath.mpf(float(ds["pair_weight"].values[pair])) * mpmath.mpf(float(weight[term, pair]))
            table[prompt][response] += share
        gradients["log_probability"].append(table)
        gradients["probability"].append(
            [[a / p for a, p in zip(*rows, strict=True)] for rows in zip(table, probabilities, strict=True)]
        )
        gradients["logit"].append(
            [
                [a - p * mpmath.fsum(rows[0]) for a, p in zip(*rows, strict=True)]
                for rows in zip(table, probabilities, strict=True)
            ]
        )
    return gradients


def exact_norm(table):
    return mpmath.sqrt(mpmath.fsum(entry**2 for row in table for entry in row))


def exact_cosine(one, other):
    inner = mpmath.fsum(a * b for rows in zip(one, other, strict=True) for a, b in zip(*rows, strict=True))
    return inner / (exact_norm(one) * exact_norm(other))


# --- probabilities and masses -------------------------------------------------------------------------------------


def test_unseen_is_what_no_pair_of_the_prompt_names():
    mask = metrics.unseen_mask(record(NORMAL, CROWDED))
    expected = [[0, 0, 0, 1, 0], [1, 1, 1, 1, 1], [0, 1, 1, 0, 1]]
    np.testing.assert_array_equal(mask, np.array(expected, bool))


@pytest.mark.parametrize("logits", [NORMAL, *EXTREME.values()], ids=["normal", *EXTREME])
def test_masses_entropy_and_divergence_agree_with_mpmath(logits):
    ds = record(logits, CROWDED)
    mask = metrics.unseen_mask(ds).values
    log_prob = last(ds["log_prob"]).values
    reference = ds["reference_log_prob"].isel(seed=0).values
    with mpmath.workdps(50):
        for prompt in range(3):
            rows = [[mpmath.mpf(float(entry)) for entry in table[prompt]] for table in (log_prob, reference)]
            mass = mpmath.fsum(mpmath.exp(entry) for entry, unseen in zip(rows[0], mask[prompt], strict=True) if unseen)
            entropy = -mpmath.fsum(mpmath.exp(entry) * entry for entry in rows[0])
            divergence = mpmath.fsum(mpmath.exp(entry) * (entry - other) for entry, other in zip(*rows, strict=True))
            here = {name: float(last(getattr(metrics, name)(ds))[prompt]) for name in (
                "log_unseen_mass", "unseen_mass", "entropy", "kl_from_reference")}  # fmt: skip
            assert here["log_unseen_mass"] == pytest.approx(float(mpmath.log(mass)), rel=1e-14, abs=1e-15)
            # An exponent of 700 amplifies the rounding of the log-probability 700-fold.
            assert here["unseen_mass"] == pytest.approx(float(mass), rel=1e-12)
            assert here["entropy"] == pytest.approx(float(entropy), rel=1e-13, abs=1e-300)
            assert here["kl_from_reference"] == pytest.approx(float(divergence), rel=1e-13, abs=1e-15)


def test_unseen_mass_does_not_cancel():
    ds = record(EXTREME["chosen at 1 - exp(-700)"], TWO_PROMPTS, reference=NORMAL[:3])
    assert last(metrics.log_unseen_mass(ds))[0] == pytest.approx(-700, abs=1e-9)
    assert 1 - last(metrics.prob(ds))[0, :2].sum() == 0, "which the plain formula would report"


def test_a_prompt_without_unseen_responses_has_no_unseen_mass():
    pairs = {"pair_prompt": [0], "chosen": [0], "rejected": [1], "pair_weight": [1.0]}
    ds = record(NORMAL[:1, :2], pairs, reference=NORMAL[:1, :2])
    assert last(metrics.log_unseen_mass(ds))[0] == -np.inf
    assert last(metrics.unseen_mass(ds))[0] == 0


def test_an_impossible_response_adds_nothing_to_the_entropy():
    ds = record(NORMAL)
    ds["log_prob"].values[0, 1, 0] = np.log([0.5, 0.5, 0.25, 0.25, 0.25])
    ds["log_prob"].values[0, 1, 0, 2:] = -np.inf
    assert last(metrics.entropy(ds))[0] == pytest.approx(np.log(2))
    assert last(metrics.log_unseen_mass(ds))[0] == -np.inf


def test_probabilities_sum_to_one():
    for logits in (NORMAL, *EXTREME.values()):
        np.testing.assert_allclose(last(metrics.prob(record(logits))).sum("response"), 1, rtol=1e-14)


# --- pairs --------------------------------------------------------------------------------------------------------


def test_each_pair_picks_its_own_responses():
    ds = record(NORMAL, CROWDED)
    table, reference = last(ds["log_prob"]).values, ds["reference_log_prob"].isel(seed=0).values
    for pair, prompt in enumerate(CROWDED["pair_prompt"]):
        for which in ("chosen", "rejected"):
            response = CROWDED[which][pair]
            picked = last(getattr(metrics, f"{which}_log_prob")(ds))[pair]
            assert picked == table[prompt, response]
            assert last(getattr(metrics, f"{which}_prob")(ds))[pair] == pytest.approx(np.exp(table[prompt, response]))
            start = getattr(metrics, f"reference_{which}_log_prob")(ds).isel(seed=0)[pair]
            assert start == reference[prompt, response]
            ratio = last(getattr(metrics, f"{which}_log_ratio")(ds))[pair]
            assert ratio == pytest.approx(table[prompt, response] - reference[prompt, response])


def test_margins_of_the_published_example():
    # Worked by hand: four pairs of log-probabilities and their margins at β = 0.1.
    chosen, rejected = (-2, -3.1, -1.4, -2.5), (-3.5, -2, -2.8, -1.9)
    start = np.array([(-2.2, -3, -1.6, -2.4), (-3.2, -2.3, -2.6, -2.1)]).T
    pairs = {"pair_prompt": [0, 1, 2, 3], "chosen": [0] * 4, "rejected": [1] * 4, "pair_weight": [0.25] * 4}
    ds = record(np.zeros((4, 2)), pairs, reference=np.zeros((4, 2)))
    ds["log_prob"].values[0, 1] = np.array([chosen, rejected]).T
    ds["reference_log_prob"].values[0] = start
    np.testing.assert_allclose(last(metrics.margin(ds)), (0.05, -0.04, 0.04, -0.03), atol=1e-14)
    assert float(last(metrics.accuracy(ds))) == 0.5


def test_rewards_and_margins_with_a_beta_of_their_own_for_each_run():
    beta = np.array([0.1, 0.5])
    ds = record(
        np.stack([NORMAL, NORMAL, NORMAL + 1, -NORMAL]), TWO_PROMPTS,
        axes={"beta": beta, "seed": [0, 1]}, betas=(beta.repeat(2), 2 * beta.repeat(2)),
    )  # fmt: skip
    assert metrics.margin(ds).dims == ("beta", "seed", "step", "pair")
    for index in range(2):
        cell = ds.isel(beta=index)
        chosen, rejected = metrics.chosen_log_ratio(cell), metrics.rejected_log_ratio(cell)
        np.testing.assert_allclose(metrics.chosen_implicit_reward(ds).isel(beta=index), beta[index] * chosen)
        np.testing.assert_allclose(metrics.rejected_implicit_reward(ds).isel(beta=index), 2 * beta[index] * rejected)
        np.testing.assert_allclose(metrics.margin(ds).isel(beta=index), beta[index] * (chosen - 2 * rejected))
        np.testing.assert_allclose(metrics.log_ratio_margin(ds).isel(beta=index), chosen - rejected)


def test_an_objective_without_beta_has_no_margin_and_no_accuracy():
    ds = record(NORMAL, betas=(np.nan, np.nan))
    assert metrics.margin(ds).isnull().all()
    assert metrics.accuracy(ds).isnull().all()
    assert metrics.log_ratio_margin(ds).notnull().all()


def test_means_over_pairs_and_prompts():
    ds = record(NORMAL, CROWDED)
    loss = ds["loss"].isel(seed=0).values
    np.testing.assert_allclose(metrics.total_loss(ds).isel(seed=0), loss @ CROWDED["pair_weight"])
    unseen = metrics.unseen_mass(ds)
    np.testing.assert_allclose(metrics.over_prompts(unseen, ds), unseen.values[..., [0, 2]].mean(-1))
    assert metrics.over_prompts(unseen, ds).attrs == unseen.attrs


def test_a_pair_without_weight_does_not_count():
    pairs = {**TWO_PROMPTS, "pair_weight": [0.0, 1.0]}
    ds = record(EXTREME["rejected at -5000"], pairs)
    ds["loss"].values[..., 0] = np.inf
    assert float(last(metrics.total_loss(ds))) == last(ds["loss"])[1]


# --- gradients ----------------------------------------------------------------------------------------------------

WEIGHTS = {
    "equal": [[-0.05] * 4, [0.05] * 4],
    "margins of -500 and 500": [[-0.1, -0.1 * np.exp(-500.0), -0.1, -1e-200], [0.1, 0.1 * np.exp(-500.0), 0.1, 1e-200]],
    "signs that differ": [[-0.5, 0.3, 0.2, -0.1], [0.5, -0.3, -0.2, 0.1]],
    "huge and tiny": [[-1e150, -1e-250, 1e-150, -1e-200], [1e-300, 1e280, 1e-9, 1.0]],
}


@pytest.mark.parametrize("weights", WEIGHTS.values(), ids=WEIGHTS)
@pytest.mark.parametrize("logits", [NORMAL, *EXTREME.values()], ids=["normal", *EXTREME])
def test_gradients_agree_with_the_plain_formula_at_2300_digits(logits, weights):
    ds = record(logits, CROWDED, weights=weights)
    norms, cosines = last(metrics.gradient_log_norm(ds)), last(metrics.gradient_cosine(ds))
    assert list(norms["space"].values) == ["log_probability", "probability", "logit"]
    with mpmath.workdps(DIGITS):
        for space, (chosen, rejected) in exact_gradients(ds).items():
            for term, table in (("chosen", chosen), ("rejected", rejected)):
                exact = float(mpmath.log(exact_norm(table)))
                # 1e-10 of the norm itself is an absolute 1e-10 of its logarithm.
                assert float(norms.sel(space=space, term=term)) == pytest.approx(exact, rel=1e-14, abs=1e-10), space
            exact = float(exact_cosine(chosen, rejected))
            assert float(cosines.sel(space=space)) == pytest.approx(exact, rel=1e-10, abs=1e-14), space


def test_gradients_agree_with_finite_differences_at_50_digits():
    ds = record(NORMAL, CROWDED, weights=WEIGHTS["signs that differ"])
    weight, share = last(ds["response_weight"]).values, ds["pair_weight"].values
    logits = last(ds["log_prob"]).values
    norms, cosines = last(metrics.gradient_log_norm(ds)), last(metrics.gradient_cosine(ds))

    def loss(log_prob, term, which):
        """The linear loss whose derivative in log π is the response weight."""
        terms = zip(ds["pair_prompt"].values, ds[which].values, strict=True)
        return mpmath.fsum(
            mpmath.mpf(float(share[pair] * weight[term, pair])) * log_prob(prompt, response)
            for pair, (prompt, response) in enumerate(terms)
        )

    def of_logits(table):
        totals = [mpmath.log(mpmath.fsum(mpmath.exp(entry) for entry in row)) for row in table]
        return lambda prompt, response: table[prompt][response] - totals[prompt]

    def of_probabilities(table):
        return lambda prompt, response: mpmath.log(table[prompt][response])

    with mpmath.workdps(50):
        step = mpmath.mpf(10) ** -15
        starts = {
            "logit": (of_logits, [[mpmath.mpf(float(entry)) for entry in row] for row in logits]),
            "probability": (of_probabilities, [[mpmath.exp(float(entry)) for entry in row] for row in logits]),
        }
        for space, (log_prob, start) in starts.items():
            gradients = []
            for term, which in enumerate(("chosen", "rejected")):
                gradient = [[mpmath.mpf(0)] * 5 for _ in range(3)]
                for prompt in range(3):
                    for response in range(5):
                        values = []
                        for sign in (1, -1):
                            moved = [list(row) for row in start]
                            moved[prompt][response] += sign * step
                            values.append(loss(log_prob(moved), term, which))
                        gradient[prompt][response] = (values[0] - values[1]) / (2 * step)
                gradients.append(gradient)
                exact = float(mpmath.log(exact_norm(gradient)))
                assert float(norms.sel(space=space)[term]) == pytest.approx(exact, abs=1e-12)
            exact = float(exact_cosine(*gradients))
            assert float(cosines.sel(space=space)) == pytest.approx(exact, abs=1e-12)


def test_an_impossible_response_leaves_the_gradients_of_the_others():
    ds, without = record(NORMAL, CROWDED), record(NORMAL, CROWDED)
    # Response 3 of prompt 0 is unseen; at -800 it is as good as impossible.
    for dataset, log_prob in ((ds, -np.inf), (without, -800.0)):
        dataset["log_prob"].values[..., 0, 3] = log_prob
    for metric in (metrics.gradient_log_norm, metrics.gradient_cosine):
        np.testing.assert_allclose(metric(ds), metric(without), rtol=1e-14)


def test_blocks_of_runs_and_steps_change_nothing(monkeypatch):
    logits = np.random.default_rng(0).normal(scale=30, size=(7, 3, 5))
    ds = record(logits, CROWDED, axes={"seed": np.arange(7)})
    whole = [metrics.gradient_log_norm(ds), metrics.gradient_cosine(ds)]
    for block in (1, 15, 100):
        monkeypatch.setattr("lab.trajectory.blocks.BLOCK", block)
        for metric, expected in zip((metrics.gradient_log_norm, metrics.gradient_cosine), whole, strict=True):
            np.testing.assert_allclose(metric(ds), expected, rtol=1e-14)


def test_a_term_without_gradient_has_no_direction():
    ds = record(NORMAL, CROWDED, weights=[[0.0] * 4, [0.1] * 4])
    norms, cosines = metrics.gradient_log_norm(ds), metrics.gradient_cosine(ds)
    assert (norms.sel(term="chosen") == -np.inf).all()
    assert np.isfinite(norms.sel(term="rejected")).all()
    assert cosines.isnull().all()
    assert (metrics.pair_gradient_log_magnitude(ds).sel(term="chosen") == -np.inf).all()
    assert (metrics.log_gradient_ratio(ds) == np.inf).all()
    both = record(NORMAL, CROWDED, weights=np.zeros((2, 4)))
    assert (metrics.gradient_log_norm(both) == -np.inf).all()
    assert metrics.log_gradient_ratio(both).isnull().all()


def test_a_pair_alone_pulls_its_logits_exactly_apart():
    # Two responses, one pair: the logit gradients are -s(1-π⁺)(1, -1) and sπ⁻(-1, 1)... both along (1, -1).
    pairs = {"pair_prompt": [0], "chosen": [0], "rejected": [1], "pair_weight": [1.0]}
    for gap in (0.0, 3.0, 500.0, -500.0):
        ds = record(np.array([[gap, 0.0]]), pairs, reference=np.zeros((1, 2)), weights=[[-0.2], [0.2]])
        assert float(last(metrics.gradient_cosine(ds)).sel(space="logit")) == pytest.approx(1, abs=1e-14)
        norms = last(metrics.gradient_log_norm(ds)).sel(space="logit")
        others = -np.logaddexp(0, [gap, -gap])
        np.testing.assert_allclose(norms, np.log(0.2) + 0.5 * np.log(2) + others, rtol=1e-13)


def test_the_recorded_parameter_gradient_is_the_fourth_space():
    norm, cosine = np.array([[[1.0, 2.0], [3.0, 4.0]]]), np.array([[0.5, -0.5]])
    ds = record(NORMAL, CROWDED, parameter_log_norm=norm, parameter_cosine=cosine)
    assert metrics.gradient_log_norm(ds).dims == ("seed", "step", "space", "term")
    np.testing.assert_array_equal(metrics.gradient_log_norm(ds).sel(space="parameter"), norm)
    np.testing.assert_array_equal(metrics.gradient_cosine(ds).sel(space="parameter"), cosine)


@given(st.lists(st.floats(-800, 800), min_size=1, max_size=8))
def test_one_minus_a_probability_is_the_sum_of_the_others(logits):
    log_prob = np.array(logits)
    got = log_others(log_prob)
    with mpmath.workdps(50):
        for index in range(len(logits)):
            total = mpmath.fsum(mpmath.exp(entry) for place, entry in enumerate(logits) if place != index)
            expected = float(mpmath.log(total)) if total else -np.inf
            assert got[index] == pytest.approx(expected, rel=1e-14, abs=1e-14)


@settings(max_examples=12)
@given(st.permutations(range(5)), st.integers(0, 3))
def test_names_of_responses_and_halved_pairs_change_nothing(order, pair):
    ds = record(NORMAL, CROWDED, weights=WEIGHTS["signs that differ"])
    places = np.argsort(order)
    named = {**CROWDED, **{which: places[np.array(CROWDED[which])] for which in ("chosen", "rejected")}}
    renamed = record(NORMAL[:, order], named, reference=NORMAL[:, order], weights=WEIGHTS["signs that differ"])
    halved = {key: [*values, values[pair]] for key, values in CROWDED.items()}
    halved["pair_weight"][pair] /= 2
    halved["pair_weight"][-1] /= 2
    weights = [[*row, row[pair]] for row in WEIGHTS["signs that differ"]]
    split = record(NORMAL, halved, weights=weights)
    for metric in (metrics.gradient_log_norm, metrics.gradient_cosine, metrics.unseen_mass, metrics.entropy):
        np.testing.assert_allclose(metric(renamed), metric(ds), rtol=1e-10, atol=1e-12)
        np.testing.assert_allclose(metric(split), metric(ds), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("margin", [0.0, 3.0, 500.0, -500.0])
def test_the_ratio_law_of_dpo(margin):
    # Corollary 1 of Yan et al.: the two gradients in probability space stand as π⁺ to π⁻, wherever the margin is.
    beta = 0.1
    weight = beta * np.exp(-np.logaddexp(0, margin))
    logits = NORMAL.copy()
    logits[0, :2] = [0, -margin / beta]
    ds = record(logits, TWO_PROMPTS, weights=[[-weight] * 2, [weight] * 2])
    expected = metrics.chosen_log_prob(ds) - metrics.rejected_log_prob(ds)
    np.testing.assert_allclose(metrics.log_gradient_ratio(ds), expected, rtol=1e-15)
    magnitude = metrics.pair_gradient_log_magnitude(ds)
    np.testing.assert_allclose(magnitude.sel(term="rejected") - magnitude.sel(term="chosen"), expected, rtol=1e-12)
    np.testing.assert_allclose(
        last(magnitude).sel(term="chosen"), np.log(weight) - last(metrics.chosen_log_prob(ds)), rtol=1e-14
    )


def test_the_parameters_of_a_table_are_its_logits():
    logits = np.stack([NORMAL, NORMAL + 1])
    table = record(logits, CROWDED, axes={"seed": [0, 1]}).assign_attrs(experiment="tabular s1 dpo")
    norm, cosine = np.ones((2, 2, 2)), np.full((2, 2), 0.5)
    mlp = record(logits, CROWDED, axes={"seed": [0, 1]}, parameter_log_norm=norm, parameter_cosine=cosine)
    for metric in (metrics.gradient_log_norm, metrics.gradient_cosine):
        alone, ladder = metric(table), metric(trajectory.combine([table, mlp], "policy", ["tabular", "mlp"]))
        np.testing.assert_array_equal(alone.sel(space="parameter"), alone.sel(space="logit"))
        np.testing.assert_array_equal(ladder.sel(policy="tabular"), alone)
        np.testing.assert_array_equal(ladder.sel(policy="mlp"), metric(mlp))


def test_gradients_agree_with_the_compute_room():
    import torch

    from lab import DPO, MLP, Preferences, gradients

    preferences = Preferences([0, 0, 2], [0, 1, 3], [1, 2, 0], [1.0, 2.0, 1.0])
    policy = MLP(prompts=3, responses=5, width=4)
    state = 3 * torch.randn(2, policy.parameter_count, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    reference = torch.log_softmax(torch.as_tensor(NORMAL), -1).expand(2, 3, 5)
    parts = gradients.decompose(policy, state, DPO(beta=2.0), preferences, reference)
    pairs = {"pair_prompt": [0, 0, 2], "chosen": [0, 1, 3], "rejected": [1, 2, 0], "pair_weight": [0.25, 0.5, 0.25]}
    ds = record(
        parts.log_prob.numpy(),
        pairs,
        axes={"seed": [0, 1]},
        response_weight=parts.response_weight[:, None].expand(2, 2, 2, 3).numpy(),
    )
    norms, cosines = metrics.gradient_log_norm(ds).isel(step=-1), metrics.gradient_cosine(ds).isel(step=-1)
    for space in ("log_probability", "probability", "logit"):
        np.testing.assert_allclose(norms.sel(space=space), parts.log_norm(space).numpy(), rtol=1e-12)
        np.testing.assert_allclose(cosines.sel(space=space), parts.cosine(space).numpy(), rtol=1e-12, atol=1e-14)


# --- who gains ----------------------------------------------------------------------------------------------------


def test_gained_mass_sums_to_nothing_and_is_ranked():
    start = np.log([[0.45, 0.45, 0.06, 0.03, 0.01]])
    end = np.log([[0.30, 0.01, 0.05, 0.24, 0.40]])
    pairs = {"pair_prompt": [0], "chosen": [0], "rejected": [1], "pair_weight": [1.0]}
    ds = record(end, pairs, reference=start)
    gain = metrics.mass_gain(ds)
    np.testing.assert_allclose(gain.sum("response"), 0, atol=1e-15)
    np.testing.assert_allclose(gain[0, 0], [-0.15, -0.44, -0.01, 0.21, 0.39], atol=1e-15)
    table = metrics.gainers(ds).isel(seed=0, prompt=0)
    np.testing.assert_array_equal(table["rank"], [1, 2, 3])
    np.testing.assert_array_equal(table["response"], [4, 3, 2])
    np.testing.assert_allclose(table["gain"], [0.39, 0.21, -0.01], atol=1e-15)
    np.testing.assert_allclose(table["share"], [0.65, 0.35, 0], atol=1e-14)
    np.testing.assert_allclose(table["reference_prob"], [0.01, 0.03, 0.06])
    np.testing.assert_array_equal(table["reference_rank"], [3, 2, 1])


def test_prompts_with_fewer_unseen_responses_have_shorter_rankings():
    table = metrics.gainers(record(-NORMAL, CROWDED)).isel(seed=0)
    np.testing.assert_array_equal((table["response"] >= 0).sum("rank"), [1, 5, 3])
    np.testing.assert_array_equal(table["gain"].notnull().sum("rank"), [1, 5, 3])
    assert (table["response"].isel(prompt=0) == [3, -1, -1, -1, -1]).all()


# --- every metric -------------------------------------------------------------------------------------------------

# The functions of any record; those that ask for more of it are tested in their own files.
ARRAYS = """
    accuracy chosen_implicit_reward chosen_log_prob chosen_log_ratio chosen_prob entropy gradient_cosine
    gradient_log_norm kl_from_reference log_gradient_ratio log_ratio_margin log_unseen_mass margin mass_gain
    pair_gradient_log_magnitude prob reference_chosen_log_prob reference_rejected_log_prob rejected_implicit_reward
    rejected_log_prob rejected_log_ratio rejected_prob total_loss unseen_mask unseen_mass
""".split()


@pytest.mark.parametrize("name", ARRAYS)
def test_every_metric_carries_its_words(name):
    array = getattr(metrics, name)(record(NORMAL, CROWDED))
    assert array.name == name
    assert set(array.attrs) == {"long_name", "units"} and all(array.attrs.values())
    assert "Source:" in getattr(metrics, name).__doc__


@pytest.mark.parametrize("name", [name for name in ARRAYS if name != "unseen_mask"])
def test_a_run_without_numbers_stays_without_and_alone(name):
    whole = record(np.stack([NORMAL, NORMAL + 1]), CROWDED, axes={"seed": [0, 1]})
    broken = whole.copy(deep=True)
    for variable in ("log_prob", "loss", "response_weight"):
        broken[variable].values[1, 1] = np.nan
    good, bad = getattr(metrics, name)(whole), getattr(metrics, name)(broken)
    np.testing.assert_array_equal(bad.isel(seed=0), good.isel(seed=0))
    if "step" in bad.dims:
        assert bad.isel(seed=1, step=1).isnull().all()
    elif name == "mass_gain":
        assert bad.isel(seed=1).isnull().all()


@pytest.mark.parametrize("name", ARRAYS)
def test_float32_records_are_read_as_they_are(name):
    double, single = record(NORMAL, CROWDED), record(NORMAL, CROWDED, dtype=np.float32)
    metric = getattr(metrics, name)
    np.testing.assert_allclose(metric(single), metric(double), rtol=1e-4, atol=1e-5)
