"""The kernel for tables: when it is chosen, how it is cut, that it compiles for a GPU, that it is right."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch

import lab
from lab.training import Stage, plan_steps, planning, record_tables
from lab.training.kernels.launching import ELEMENTS, MOST_WARPS, TAPE, WARP, adam_schedule, block, settings
from lab.training.planning import IN_KERNEL
from tests import worlds
from tests.recorded import OPTIMIZERS, PAIRS, assert_close, from_record, losses

ROOT = Path(__file__).resolve().parent.parent
GPU = torch.device("cuda")
APART = PAIRS["several of unequal weight"]

needs_triton = pytest.mark.skipif(
    find_spec("triton") is None,
    reason="Triton is not installed: on Linux, `make kernels` installs it and runs this",
)
on_a_gpu = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="torch sees no GPU"),
]


# --- When it is chosen -----------------------------------------------------------------------------------------------


def chosen(monkeypatch, objective=None, optimizer=None, *, pairs=APART, device=GPU, **options):
    """The plan on a machine that has all that a kernel needs."""
    monkeypatch.setattr(planning, "find_spec", lambda name: name)
    monkeypatch.setenv("CC", "cc")
    world = worlds.problem(3, pairs)
    return plan_steps(world, objective or lab.DPO(0.1), optimizer or lab.SGD(1.0), device=device, **options)


@pytest.mark.parametrize("kind", IN_KERNEL)
def test_on_a_gpu_a_loss_of_the_margin_is_trained_by_the_kernel(kind, monkeypatch):
    for objective in losses(kind):
        for optimizer in OPTIMIZERS.values():
            assert chosen(monkeypatch, objective, optimizer).loop == "kernel"
    assert chosen(monkeypatch, batch=4).loop == "kernel"  # all pairs


@pytest.mark.parametrize(
    ("why", "options"),
    [
        ("the device is cpu", {"device": torch.device("cpu")}),
        ("does not know WeightedSum", {"objective": lab.WeightedSum((lab.DPO(0.1),), (1.0,))}),
        ("stages follow", {"then": (Stage(lab.DPO(0.1), lab.SGD(1.0), 3),)}),
        ("every step draws its pairs", {"batch": 2}),
        ("a response is in two pairs", {"pairs": worlds.preferences()}),
    ],
)
def test_the_plan_says_why_the_kernel_is_not_chosen(why, options, monkeypatch):
    found = chosen(monkeypatch, **options)
    assert found.loop == "margins" and why in found.why


def test_a_child_of_a_known_loss_is_another_loss(monkeypatch):
    class Steeper(lab.DPO):
        """Known by no kernel."""

    assert "does not know Steeper" in chosen(monkeypatch, Steeper(0.1)).why


def test_without_triton_or_a_compiler_the_plain_loop_is_chosen(monkeypatch):
    world = worlds.problem(3, APART)
    monkeypatch.setattr(planning, "find_spec", lambda name: None)
    assert "Triton, which builds the kernel" in plan_steps(world, lab.DPO(0.1), lab.SGD(1.0), device=GPU).why
    monkeypatch.setattr(planning, "find_spec", lambda name: name)
    monkeypatch.delenv("CC", raising=False)
    monkeypatch.setattr(planning.shutil, "which", lambda name: None)
    assert "no C compiler" in plan_steps(world, lab.DPO(0.1), lab.SGD(1.0), device=GPU).why


def test_importing_and_training_load_no_triton():
    code = (
        "import sys, lab\n"
        "lab.run('tabular s1 dpo sgd lr=1 steps=2 seeds=2')\n"
        "assert not [name for name in sys.modules if name.split('.')[0] == 'triton']\n"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, timeout=120)


# --- How it is cut ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("pairs", [2**k for k in range(13)])
@pytest.mark.parametrize("runs", [1, 7, 33, 10**6])
def test_a_block_holds_powers_of_two_and_few_pairs_a_thread(pairs, runs):
    wide, warps = block(runs, pairs)
    for count in (wide, warps):
        assert count & (count - 1) == 0 and count >= 1
    assert warps <= MOST_WARPS
    if wide > 1:
        assert wide * pairs <= ELEMENTS * WARP * max(warps, wide // WARP)
    assert wide < 2 * max(runs, WARP)


def test_few_pairs_of_a_run_stand_in_one_thread():
    for pairs in (1, 2, 4):
        wide, warps = block(10**6, pairs)
        assert wide >= WARP * warps


def test_settings_are_one_row_each_and_one_value_a_run():
    like = torch.empty(0, dtype=torch.float64)
    found = settings(lab.CDPO(worlds.BETAS, 0.1), lab.Momentum(0.3, 0.7), 3, like)
    assert torch.equal(found, torch.stack((worlds.BETAS, *(torch.full_like(worlds.BETAS, v) for v in (0.1, 0.3, 0.7)))))
    with pytest.raises(ValueError, match="3 values of a hyper-parameter for 5 runs"):
        settings(lab.DPO(worlds.BETAS), lab.SGD(1.0), 5, like)


def test_the_schedule_is_adams_correction():
    optimizer, mean, square = lab.Adam(0.1, 0.8, 0.99), 0.0, 0.0
    decays, rows = adam_schedule(optimizer, 5, torch.empty(0, dtype=torch.float64))
    assert decays.tolist() == pytest.approx([0.2, 0.99, 0.01], rel=1e-14)
    gradient = 3.0
    for step in range(5):
        mean, square = mean + decays[0] * (gradient - mean), decays[1] * square + decays[2] * gradient**2
        change = rows[step, 0] * mean / (square**0.5 + 1e-8 * rows[step, 1])
        assert float(change) == pytest.approx(gradient / (gradient + 1e-8), rel=1e-12)  # of one gradient for ever


# --- That it is right ------------------------------------------------------------------------------------------------


@needs_triton
def test_the_kernel_by_the_interpreter_is_the_plain_loop():
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/interpreted_kernels.py"],
        cwd=ROOT, env={**os.environ, "TRITON_INTERPRET": "1"}, capture_output=True, text=True, timeout=280,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]


@needs_triton
@pytest.mark.parametrize("rule", ["sgd", "momentum", "adam"])
@pytest.mark.parametrize("tape", [True, False])
def test_the_kernel_compiles_for_hopper_and_no_sum_leaves_its_thread(rule, tape):
    """The compiler needs no GPU. Four pairs a run, as in the benchmark: no barrier, no shared memory, no shuffle."""
    built = compiled(lab.DPO, rule, tape, PROMPTS=4)
    assert built.metadata.shared == 0
    assert "shfl" not in built.asm["ptx"] and "bar.sync" not in built.asm["ptx"]
    assert built.asm["ptx"].count("st.global") == (4 * 4 if tape else 22)


@needs_triton
@pytest.mark.parametrize("kind", IN_KERNEL)
def test_the_kernel_of_every_loss_compiles_for_hopper(kind):
    for tape in (True, False):
        assert len(compiled(kind, "adam", tape, PROMPTS=4).asm["cubin"]) > 0
    assert len(compiled(kind, "sgd", False, PROMPTS=2, EACH=4, each=3).asm["cubin"]) > 0
    assert len(compiled(kind, "sgd", True, PROMPTS=1, pairs=1, prompts=1, steps=1).asm["cubin"]) > 0


def compiled(kind, rule: str, tape: bool, **known: int):
    """The kernel as compiled for compute capability 9.0, with some of its arguments known; it takes in what is 1."""
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource, compile

    from lab.training.kernels.losses import LOSSES
    from lab.training.kernels.tables import advance

    value, slope = LOSSES[kind]
    sizes = {"every": 1, "each": 1, "EACH": 1, **known}
    wide, warps = block(10**6, sizes["PROMPTS"] * sizes["EACH"])
    recordings = ("chosen", "rejected", "unseen", "pair_gradient", "logit_norm")
    unused = (*recordings, "start_chosen", "start_rejected", "rest", "ratio") if tape else TAPE
    constants = {
        **dict.fromkeys(unused), **sizes, "VALUE": value, "SLOPE": slope, "RULE": rule, "TAPE": tape, "RUNS": wide
    }  # fmt: skip
    kinds = {"order": "*i32", **dict.fromkeys(("runs", "pairs", "prompts", "each", "steps"), "i32")}
    names = advance.arg_names
    signature = {name: "constexpr" if name in constants else kinds.get(name, "*fp64") for name in names}
    places = {(names.index(name),): value for name, value in constants.items()}
    source = ASTSource(advance, signature, constexprs=places)
    return compile(source, target=GPUTarget("cuda", 90, 32), options={"num_warps": warps})


class TestOnAGPU:
    pytestmark = on_a_gpu

    @pytest.mark.parametrize("optimizer", OPTIMIZERS)
    @pytest.mark.parametrize("kind", IN_KERNEL)
    def test_a_training_on_the_gpu_is_that_on_the_processor(self, kind, optimizer):
        world = worlds.problem(3, APART)
        for objective in losses(kind):
            arguments = (world, worlds.policy("tabular", world), objective, OPTIMIZERS[optimizer])
            here, there = (lab.train(*arguments, steps=40, device=device) for device in ("cpu", "cuda"))
            for name in here.data_vars:
                np.testing.assert_allclose(there[name], here[name], rtol=1e-9, atol=1e-9, err_msg=str(name))

    @pytest.mark.parametrize("pairs", ["one a prompt", "two a prompt, in any order", "no response unseen"])
    @pytest.mark.parametrize("kind", IN_KERNEL)
    def test_the_recordings_are_those_of_the_metrics(self, kind, pairs):
        world = worlds.problem(3, PAIRS[pairs])
        for objective in losses(kind):
            found = record_tables(world, objective, lab.Adam(0.3, eps=1e-4), steps=40, device="cuda")
            assert {value.device.type for value in found.values()} == {"cuda"}
            assert_close(found, from_record(world, objective, lab.Adam(0.3, eps=1e-4), steps=40), 1e-9)

    @pytest.mark.parametrize("runs", [1, 33, 1000, 4099])
    def test_any_number_of_runs_is_recorded(self, runs):
        world = worlds.problem(runs, PAIRS["one a prompt"])
        found = record_tables(world, lab.DPO(0.2), lab.Momentum(0.3), steps=5, every=2, device="cuda")
        assert_close(found, from_record(world, lab.DPO(0.2), lab.Momentum(0.3), steps=5, every=2), 1e-9)
