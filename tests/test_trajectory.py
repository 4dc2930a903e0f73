"""The record: what it must be, and that a file of it is whole, lossless, or a clear error."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys

import h5py
import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from lab import trajectory

PROMPTS, RESPONSES, STEPS, PAIRS = 3, 5, 4, 2


def parts(axes, *, dtype=np.float64, extra=(), prompts=PROMPTS, responses=RESPONSES, steps=STEPS, seed=0):
    """The arguments of `assemble` for random numbers."""
    rng = np.random.default_rng(seed)
    sizes = {"step": steps, "prompt": prompts, "response": responses, "pair": PAIRS, "term": 2, "parameter": 7}
    runs = int(np.prod([len(values) for values in axes.values()]))
    names = ("log_prob", "reference_log_prob", "loss", "response_weight", *extra)
    arrays = {
        name: rng.standard_normal((runs, *(sizes[dim] for dim in trajectory.SCHEMA[name].dims))).astype(dtype)
        for name in names
    }
    arrays |= {"beta_chosen": np.full(runs, 0.1, dtype), "beta_rejected": np.full(runs, 0.1, dtype)}
    return {
        "arrays": arrays,
        "axes": axes,
        "steps": np.arange(steps),
        "pair_prompt": np.array([0, 2]),
        "chosen": np.array([1, 2]),
        "rejected": np.array([3, 0]),
        "pair_weight": np.array([0.25, 0.75]),
        "attrs": {"experiment": "tabular s1 dpo", "device": "cpu", "dtype": np.dtype(dtype).name},
    }


def record(axes=None, **options):
    return trajectory.assemble(**parts(axes or {"seed": range(3)}, **options))


def identical(one, other):
    xr.testing.assert_identical(one, other)
    for name in one.variables:
        assert one[name].dtype == other[name].dtype, name
        assert one[name].dims == other[name].dims, name
    assert {key: type(value) for key, value in one.attrs.items()} == {
        key: type(value) for key, value in other.attrs.items()
    }


# --- assembling ---------------------------------------------------------------------------------------------------


def test_runs_are_the_product_of_the_axes_in_c_order():
    given_parts = parts({"scenario": ["s1", "s2"], "lr": [0.1, 0.2, 0.3], "seed": [5, 6]}, extra=trajectory.SCHEMA)
    dataset = trajectory.assemble(**given_parts)
    log_prob = given_parts["arrays"]["log_prob"]
    run = 0
    for scenario in ("s1", "s2"):
        for lr in (0.1, 0.2, 0.3):
            for seed in (5, 6):
                cell = dataset["log_prob"].sel(scenario=scenario, lr=lr, seed=seed)
                np.testing.assert_array_equal(cell.values, log_prob[run])
                run += 1


def test_every_variable_has_the_dimensions_and_words_of_the_schema():
    dataset = record({"lr": [0.1, 0.2], "seed": range(3)}, extra=[name for name in trajectory.SCHEMA][6:])
    for name, (dims, long_name, units) in trajectory.SCHEMA.items():
        if dims:
            assert dataset[name].dims == ("lr", "seed", *dims)
        assert dataset[name].attrs == {"long_name": long_name, "units": units}
    assert dataset.attrs["format"] == trajectory.FORMAT and dataset.attrs["schema"] == trajectory.SCHEMA_VERSION


def test_a_beta_keeps_only_the_axes_it_varies_over():
    given_parts = parts({"beta": [0.1, 0.5], "lr": [1.0, 2.0], "seed": range(3)})
    given_parts["arrays"]["beta_chosen"] = np.repeat([0.1, 0.5], 6)
    given_parts["arrays"]["beta_rejected"] = np.full(12, np.nan)
    dataset = trajectory.assemble(**given_parts)
    assert dataset["beta_chosen"].dims == ("beta",)
    np.testing.assert_array_equal(dataset["beta_chosen"], [0.1, 0.5])
    assert dataset["beta_rejected"].dims == () and np.isnan(dataset["beta_rejected"])


def test_a_swept_beta_chosen_is_an_axis_and_still_found_by_its_name(tmp_path):
    given_parts = parts({"beta_rejected": [0.1, 0.5], "seed": range(3)})
    given_parts["arrays"]["beta_rejected"] = np.repeat([0.1, 0.5], 3)
    dataset = trajectory.assemble(**given_parts)
    np.testing.assert_array_equal(dataset["beta_rejected"], [0.1, 0.5])
    identical(dataset, trajectory.load(trajectory.save(dataset, tmp_path / "record.nc")))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"axes": {"seed": range(3), "lr": [1.0]}}, "the last one must be 'seed'; put it there"),
        ({"axes": {"step": [1], "seed": range(3)}}, r"axes \['step'\] carry names that the record keeps for itself"),
        ({"axes": {"seed": range(4)}}, r"'log_prob' has shape \(3, 4, 3, 5\); it must be \[run, step.* with 4 runs"),
        ({"axes": {"lr": [0.1, 0.1, 0.1], "seed": [0]}}, "axis 'lr' has values .* give different numbers"),
        ({"arrays": {"logits": np.zeros(3)}}, "unknown variable 'logits'; a record holds log_prob, reference_log_prob"),
        ({"steps": np.array([1, 2, 3, 4])}, r"steps are \[1 2 3 4\]; they must increase from 0"),
        ({"steps": np.array([0, 2, 2, 4])}, "they must increase from 0"),
        ({"chosen": np.array([1, 5])}, r"chosen is \[1 5\]; each must be a response, 0 .. 4"),
        ({"pair_prompt": np.array([-1, 0])}, r"pair_prompt is \[-1  0\]; each must be a prompt, 0 .. 2"),
        ({"pair_weight": np.array([1.0, 1.0])}, "must be 0 or more and sum to 1; divide by their sum"),
        ({"pair_weight": np.array([np.nan, 1.0])}, "must be 0 or more and sum to 1"),
    ],
)  # fmt: skip
def test_assemble_refuses(change, message):
    with pytest.raises(ValueError, match=message):
        trajectory.assemble(**{**parts({"seed": range(3)}), **change})


def test_validate_refuses_a_dataset_that_is_no_record():
    with pytest.raises(ValueError, match="not a record of the lab: its attribute 'format' is None.*lab.run"):
        trajectory.validate(xr.Dataset())
    with pytest.raises(ValueError, match="schema version 99, this lab reads version 1; run its experiment line again"):
        trajectory.validate(record().assign_attrs(schema=99))
    with pytest.raises(ValueError, match="the record lacks loss; it needs log_prob"):
        trajectory.validate(record().drop_vars("loss"))
    with pytest.raises(ValueError, match=r"'loss' has dimensions .*; it needs \('step', 'pair'\)"):
        trajectory.validate(record().assign(loss=("pair", np.zeros(PAIRS))))
    with pytest.raises(ValueError, match="'loss' has type int64; it needs float64 or float32"):
        trajectory.validate(record().assign(loss=record()["loss"].astype(int)))
    with pytest.raises(ValueError, match=r"terms are \['rejected', 'chosen'\]; they must be"):
        trajectory.validate(record().isel(term=[1, 0]))


def test_a_cell_of_a_sweep_is_still_a_record():
    swept = record({"lr": [0.1, 0.2], "seed": range(3)})
    trajectory.validate(swept.sel(lr=0.1))
    trajectory.validate(swept.isel(seed=0, lr=1))


def test_words_come_from_the_axis_or_the_line():
    words = ("tabular", "loglinear", "mlp")
    assert trajectory.find_word(record(), "policy", words) == "tabular"
    assert trajectory.find_word(record().assign_attrs(experiment="tabular,mlp s1"), "policy", words) is None
    assert trajectory.find_word(record().assign_attrs(experiment="s1 dpo"), "policy", words) is None
    joined = trajectory.combine([record(), record()], "policy", ["tabular", "mlp"])
    assert trajectory.find_word(joined, "policy", words).values.tolist() == ["tabular", "mlp"]
    assert trajectory.find_word(joined.sel(policy="mlp"), "policy", words) == "mlp"


# --- joining ------------------------------------------------------------------------------------------------------


def test_combine_puts_the_records_side_by_side():
    tables = [record({"lr": [0.1, 0.2], "seed": range(3)}, seed=seed) for seed in range(2)]
    joined = trajectory.combine(tables, "policy", ["tabular", "mlp"])
    assert joined["log_prob"].dims == ("policy", "lr", "seed", "step", "prompt", "response")
    for table, name in zip(tables, ("tabular", "mlp"), strict=True):
        for variable in table.data_vars:
            np.testing.assert_array_equal(
                joined.sel(policy=name)[variable].broadcast_like(table[variable]), table[variable]
            )
    assert joined["beta_chosen"].dims == (), "what does not vary gets no axis"
    assert joined.attrs == tables[0].attrs


def test_combine_fills_what_some_records_lack():
    full, bare = record(extra=["parameter_cosine"]), record()
    for order in ([full, bare], [bare, full]):
        joined = trajectory.combine(order, "objective", ["a", "b"])
        for table, name in zip(order, ("a", "b"), strict=True):
            cosine = joined["parameter_cosine"].sel(objective=name)
            if table is full:
                np.testing.assert_array_equal(cosine, full["parameter_cosine"])
            else:
                assert cosine.isnull().all()


def test_combine_joins_betas_that_vary_over_different_axes():
    swept = parts({"beta": [0.1, 0.5], "seed": range(3)})
    swept["arrays"]["beta_chosen"] = np.repeat([0.1, 0.5], 3)
    plain = parts({"beta": [0.1, 0.5], "seed": range(3)})
    plain["arrays"]["beta_chosen"] = np.full(6, np.nan)
    joined = trajectory.combine(
        [trajectory.assemble(**plain), trajectory.assemble(**swept)], "objective", ["sft", "dpo"]
    )
    assert joined["beta_chosen"].dims == ("objective", "beta")
    np.testing.assert_array_equal(joined["beta_chosen"], [[np.nan, np.nan], [0.1, 0.5]])


def test_combine_keeps_every_value_of_an_attribute():
    joined = trajectory.combine([record(), record(dtype=np.float32)], "dtype", ["float64", "float32"])
    assert joined.attrs["dtype"] == "float64; float32"
    assert joined["log_prob"].dtype == np.float64


def test_combine_refuses_what_does_not_fit():
    with pytest.raises(ValueError, match="2 records and 1 values for 'policy'; give one value a record"):
        trajectory.combine([record(), record()], "policy", ["mlp"])
    with pytest.raises(
        ValueError, match=r"differ in shape: width=8 has .*'response': 5.*, width=9 has .*'response': 6"
    ):
        trajectory.combine([record(), record(responses=6)], "width", [8, 9])
    with pytest.raises(ValueError, match="the records of batch=0 and batch=1 differ in 'rejected'"):
        other = trajectory.assemble(**{**parts({"seed": range(3)}), "rejected": np.array([0, 1])})
        trajectory.combine([record(), other], "batch", [0, 1])
    with pytest.raises(ValueError, match="differ in 'lr'"):
        trajectory.combine(
            [record({"lr": [0.1, 0.2], "seed": [0]}), record({"lr": [0.1, 0.3], "seed": [0]})], "batch", [0, 1]
        )
    with pytest.raises(ValueError, match="already has a dimension 'lr'"):
        trajectory.combine([record({"lr": [0.1, 0.2], "seed": [0]})], "lr", [3])
    with pytest.raises(ValueError, match="axis 'batch' has values .* give different numbers"):
        trajectory.combine([record(), record()], "batch", [1, 1])


# --- saving and loading -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_a_round_trip_loses_nothing(tmp_path, dtype):
    dataset = record(
        {"scenario": ["s1", "äöü-β"], "lr": [1e-300, 0.1], "seed": [3, 1, 2]},
        dtype=dtype,
        extra=list(trajectory.SCHEMA),
    )
    log_prob = dataset["log_prob"].values
    log_prob[0, 0, 0, 0, 0] = [np.nan, -np.inf, np.inf, -0.0, np.finfo(dtype).tiny]
    dataset.attrs |= {"empty": "", "note": "β⁺ → 0\nnext line", "number": 3, "share": 0.1}
    path = trajectory.save(dataset, tmp_path / "record.nc")
    loaded = trajectory.load(path)
    identical(dataset, loaded)
    assert loaded["log_prob"].values.tobytes() == log_prob.tobytes(), "to the bit, -0.0 and NaN too"
    identical(loaded, trajectory.load(trajectory.save(loaded, tmp_path / "again.nc")))


@settings(max_examples=12)
@given(st.lists(st.floats(width=64), min_size=12, max_size=12), st.text(st.characters(exclude_characters="\0",
       exclude_categories=("Cs",)), max_size=20))  # fmt: skip
def test_any_number_and_any_text_survive(tmp_path_factory, numbers, text):
    dataset = record({"seed": [0]})
    dataset["loss"].values.flat[:] = numbers[: dataset["loss"].size]
    dataset.attrs["experiment"] = text
    path = tmp_path_factory.mktemp("record") / "record.nc"
    identical(dataset, trajectory.load(trajectory.save(dataset, path)))


def test_a_loaded_record_does_not_hang_on_its_file(tmp_path):
    path = trajectory.save(record(), tmp_path / "record.nc")
    loaded = trajectory.load(path)
    path.unlink()
    assert np.isfinite(loaded["log_prob"].values).all()


def test_another_tool_can_read_the_file(tmp_path):
    path = trajectory.save(record(), tmp_path / "record.nc")
    with xr.open_dataset(path, engine="h5netcdf") as plain:
        xr.testing.assert_equal(plain["log_prob"], record()["log_prob"])
    with h5py.File(path) as plain:
        np.testing.assert_array_equal(plain["log_prob"][...], record()["log_prob"].values)


def test_a_file_that_another_tool_rewrote_is_read(tmp_path):
    path = trajectory.save(record(), tmp_path / "record.nc")
    with xr.open_dataset(path, engine="h5netcdf") as plain:
        plain.load().to_netcdf(tmp_path / "other.nc", engine="h5netcdf")
    xr.testing.assert_identical(trajectory.load(tmp_path / "other.nc"), record())


def test_save_replaces_a_file_and_leaves_nothing_else(tmp_path):
    path = tmp_path / "record.nc"
    trajectory.save(record(seed=1), path)
    trajectory.save(record(seed=2), path)
    identical(record(seed=2), trajectory.load(path))
    assert os.listdir(tmp_path) == ["record.nc"]


def test_save_refuses_a_place_that_cannot_be(tmp_path, monkeypatch):
    with pytest.raises(FileNotFoundError, match="there is no folder '.*missing'; make it first"):
        trajectory.save(record(), tmp_path / "missing" / "record.nc")
    with pytest.raises(IsADirectoryError, match="it is a folder; give the name of a file in it"):
        trajectory.save(record(), tmp_path)
    (tmp_path / "file").touch()
    with pytest.raises(NotADirectoryError, match="'.*file' is not a folder; give another path"):
        trajectory.save(record(), tmp_path / "file" / "record.nc")
    with pytest.raises(ValueError, match="not a record of the lab"):
        trajectory.save(xr.Dataset(), tmp_path / "record.nc")

    def refuse(*_):
        raise PermissionError(errno.EACCES, "Permission denied")

    # Root may write anywhere, so the refusal is played.
    monkeypatch.setattr("lab.trajectory.files.open", refuse, raising=False)
    with pytest.raises(
        PermissionError, match="cannot be written .*Permission denied.*change its permissions or give an"
    ):
        trajectory.save(record(), tmp_path / "record.nc")


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write anywhere")
def test_save_refuses_a_folder_that_cannot_be_written(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(PermissionError, match="the folder '.*' cannot be written"):
        trajectory.save(record(), tmp_path / "record.nc")


def test_a_failing_disk_keeps_the_old_file(tmp_path, monkeypatch):
    path = trajectory.save(record(seed=1), tmp_path / "record.nc")

    def full(_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("lab.trajectory.files.os.fsync", full)
    with pytest.raises(
        OSError, match="No space left on device; what was there before is unchanged; free .* MB"
    ) as caught:
        trajectory.save(record(seed=2), path)
    assert caught.value.errno == errno.ENOSPC
    monkeypatch.undo()
    identical(record(seed=1), trajectory.load(path))
    assert os.listdir(tmp_path) == ["record.nc"]


@pytest.mark.skipif(not hasattr(signal, "SIGXFSZ"), reason="needs a file size limit")
def test_a_write_that_the_system_cuts_short_keeps_the_old_file(tmp_path):
    path = trajectory.save(record(), tmp_path / "record.nc")
    code = (
        "import resource, signal, sys\n"
        "from lab import trajectory\n"
        "dataset = trajectory.load(sys.argv[1])\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n"
        "try:\n"
        "    trajectory.save(dataset, sys.argv[1])\n"
        "except OSError as error:\n"
        "    sys.exit(0 if 'what was there before is unchanged' in str(error) else 4)\n"
        "sys.exit(5)\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    identical(record(), trajectory.load(path))
    assert os.listdir(tmp_path) == ["record.nc"]


def test_load_names_a_missing_file(tmp_path):
    with pytest.raises(FileNotFoundError, match="cannot load '.*nothing.nc': there is no such file; check the name"):
        trajectory.load(tmp_path / "nothing.nc")
    with pytest.raises(IsADirectoryError, match="it is a folder"):
        trajectory.load(tmp_path)


def test_load_refuses_what_is_not_ours(tmp_path):
    path = tmp_path / "other"
    path.write_text("step,loss\n0,0.69\n")
    with pytest.raises(
        ValueError, match="cannot load '.*other': it is not a netCDF file; give a file that lab.save wrote"
    ):
        trajectory.load(path)
    xr.Dataset({"a": ("x", [1.0])}).to_netcdf(path, engine="scipy")
    with pytest.raises(
        ValueError, match="'.*other': it is not a record of the lab .it is a netCDF file of another kind"
    ):
        trajectory.load(path)
    xr.Dataset({"a": ("x", [1.0])}).to_netcdf(path, engine="h5netcdf")
    with pytest.raises(ValueError, match="not a record of the lab .its attribute 'format' is not 'dpolab-trajectory'"):
        trajectory.load(path)
    with h5py.File(path, "w") as plain:
        plain["numbers"] = [1.0, 2.0]
    with pytest.raises(ValueError, match="not a record of the lab"):
        trajectory.load(path)


def test_load_names_another_schema_version(tmp_path):
    path = tmp_path / "record.nc"
    record().assign_attrs(schema=7).to_netcdf(path, engine="h5netcdf")
    with pytest.raises(
        ValueError, match="has schema version 7, this lab reads version 1; delete it and .*: tabular s1"
    ):
        trajectory.load(path)


def test_load_refuses_a_record_that_breaks_the_schema(tmp_path):
    path = tmp_path / "record.nc"
    record().drop_vars("loss").to_netcdf(path, engine="h5netcdf")
    with pytest.raises(OSError, match="the file is damaged .the record lacks loss"):
        trajectory.load(path)


@pytest.mark.parametrize(
    ("keep", "error", "message"),
    [
        (slice(0), OSError, "the file is damaged .it is empty"),
        (slice(7), ValueError, "it is not a netCDF file"),
        (slice(8), OSError, "the file is damaged"),
        (slice(5000), OSError, "the file is damaged"),
        (slice(-50), OSError, "the file is damaged"),
    ],
)
def test_a_file_cut_short_is_an_error(tmp_path, keep, error, message):
    path = trajectory.save(record(), tmp_path / "record.nc")
    path.write_bytes(path.read_bytes()[keep])
    with pytest.raises(error, match=f"cannot load '.*record.nc': {message}.*; (delete it and run its exp|give a file)"):
        trajectory.load(path)


def test_a_changed_byte_never_becomes_a_wrong_number(tmp_path):
    path = trajectory.save(record(), tmp_path / "record.nc")
    content = path.read_bytes()
    rng = np.random.default_rng(0)
    for position in rng.choice(len(content), 60, replace=False):
        broken = bytearray(content)
        broken[position] ^= int(rng.integers(1, 256))
        path.write_bytes(broken)
        try:
            loaded = trajectory.load(path)
        except (OSError, ValueError) as error:
            assert "cannot load" in str(error)
        else:
            # Only the name of the digest itself can change without a trace.
            identical(record(), loaded)
