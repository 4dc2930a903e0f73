"""What stands in for a GPU where there is none: a recorder for its graphs, and a device without numbers."""

from __future__ import annotations

import contextlib
import weakref
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, fields, is_dataclass
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from lab.optimizers import Optimizer

# Calls whose answer the processor has to wait for, or whose output's size is only known when they are done.
WAITING = ("_local_scalar_dense", "item", "is_nonzero", "equal", "nonzero", "masked_select", "unique", "allclose")


def waits(function: Any, arguments: tuple[object, ...], keywords: dict[str, object]) -> bool:
    """Whether a GPU would have to be waited for, whatever the device here is."""
    name = function.overloadpacket.__name__
    given = [each for each in tree_leaves((arguments, keywords)) if isinstance(each, Tensor)]
    by_mask = name in ("index", "index_put", "index_put_") and any(each.dtype == torch.bool for each in given)
    return by_mask or any(name.strip("_").startswith(word.strip("_")) for word in WAITING)


class _Calls(TorchDispatchMode):
    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        assert not waits(func, args, kwargs), f"{func} waits for the device"
        out = func(*args, **kwargs)
        # A tensor without dimensions is a number, and goes along with the call.
        given = {each.device.type for each in tree_leaves((args, kwargs)) if isinstance(each, Tensor) and each.ndim}
        made = {each.device.type for each in tree_leaves(out) if isinstance(each, Tensor)}
        if given:
            assert len(given | made) < 2, f"{func} takes numbers from {sorted(given)} to {sorted(made)}"
        return out


class _Makers(TorchFunctionMode):
    def __torch_function__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        if func in (torch.tensor, torch.as_tensor, torch.asarray) and not isinstance(args[0], Tensor):
            assert out.device.type == "cpu", f"{func.__name__} makes numbers on the processor and sends them"
        return out


@contextlib.contextmanager
def no_waiting() -> Iterator[None]:
    """Refuse whatever makes the processor wait for a device: answers of it, and numbers that are sent there."""
    with _Makers(), _Calls():
        yield


@dataclass
class Call:
    """A recorded call: the very tensors it was given, numbers as they were, and the tensors that it gave."""

    function: Any
    arguments: tuple[object, ...]
    keywords: dict[str, object]
    given: Any


class Recorder(TorchDispatchMode):
    """Records calls as a CUDA graph does: tensors by where they are, Python's numbers for good."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[Call] = []
        self.made: list[Tensor] = []  # kept, so that the memory of one is not another's
        self.before: dict[int, tuple[Tensor, Tensor]] = {}  # outer memory, and what stood there

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        assert not waits(func, args, kwargs), f"{func} cannot be captured: it waits for the device"
        inner = {each.untyped_storage().data_ptr() for each in self.made}
        for tensor in (each for each in tree_leaves((args, kwargs)) if isinstance(each, Tensor)):
            memory = tensor.untyped_storage().data_ptr()
            if memory not in inner and memory not in self.before:
                whole = tensor.new_empty(0).set_(tensor.untyped_storage())
                self.before[memory] = whole, whole.clone()
        out = func(*args, **kwargs)
        self.made += [each for each in tree_leaves(out) if isinstance(each, Tensor)]
        self.calls.append(Call(func, args, kwargs, out))
        return out

    def undo(self) -> None:
        """Put outer memory back: a capture computes nothing."""
        for whole, values in self.before.values():
            whole.copy_(values)

    def replay(self) -> None:
        """Make the same calls on the same memory, and put what they give where it was put before."""
        for call in self.calls:
            changes = call.function._schema.is_mutable
            places = {
                each.untyped_storage().data_ptr()
                for each in tree_leaves((call.arguments, call.keywords))
                if isinstance(each, Tensor)
            }
            given = [each for each in tree_leaves(call.given) if isinstance(each, Tensor)]
            is_view = all(each.untyped_storage().data_ptr() in places for each in given)
            if is_view and not changes:
                continue
            found = [
                each
                for each in tree_leaves(call.function(*call.arguments, **call.keywords))
                if isinstance(each, Tensor)
            ]
            for there, value in zip(given, found, strict=True):
                if not changes:
                    there.copy_(value)


class Captures:
    """Stands for `lab.training.graphs.capture`, and counts."""

    def __init__(self) -> None:
        self.captured = self.replayed = 0

    def __call__(self, work: Callable[[], None]) -> Callable[[], None]:
        recorder = Recorder()
        with recorder:
            work()
        recorder.undo()
        self.captured += 1

        def replay() -> None:
            self.replayed += 1
            recorder.replay()

        return replay


def on_meta(value: Any) -> Any:
    """Return a setting with its tensors on the device without numbers, unchecked: a check would ask for them."""
    if isinstance(value, Tensor):
        return value.to("meta") if value.ndim else value
    if isinstance(value, tuple):
        return tuple(on_meta(part) for part in value)
    if is_dataclass(value) and not isinstance(value, type):
        moved = object.__new__(type(value))
        for field in fields(value):
            object.__setattr__(moved, field.name, on_meta(getattr(value, field.name)))
        return moved
    return value


class Held(TorchDispatchMode):
    """Counts the bytes of tensors that are there at once."""

    def __init__(self) -> None:
        super().__init__()
        self.now = self.most = 0
        self.known: set[int] = set()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        for tensor in (each for each in tree_leaves(out) if isinstance(each, Tensor)):
            memory = tensor.untyped_storage()
            if memory._cdata not in self.known:
                self.known.add(memory._cdata)
                self.now += memory.nbytes()
                self.most = max(self.most, self.now)
                weakref.finalize(memory, self._leave, memory._cdata, memory.nbytes())
        return out

    def _leave(self, which: int, size: int) -> None:
        self.known.discard(which)
        self.now -= size


@dataclass(frozen=True)
class Watched(Optimizer):
    """An optimiser that has all watched that is done from its first to its third move: two whole steps."""

    inner: Optimizer
    watch: Callable[[], contextlib.AbstractContextManager[object]] = no_waiting
    moved: list[int] = field(default_factory=list)
    watching: contextlib.ExitStack = field(default_factory=contextlib.ExitStack)

    def memory(self, parameters):
        return self.inner.memory(parameters)

    def learning_rate(self, like):
        return self.inner.learning_rate(like)

    def update(self, gradient, memory, step):
        return self.inner.update(gradient, memory, step)

    def advance(self, parameters, gradient, memory, step):
        self.inner.advance(parameters, gradient, memory, step)
        self.moved.append(step)
        if len(self.moved) == 1:
            self.watching.enter_context(self.watch())
        if len(self.moved) == 3:
            self.watching.pop_all().close()


class WatchedUpdates(Watched):
    """The same for a loop that asks for updates."""

    def update(self, gradient, memory, step):
        moved = torch.zeros_like(gradient)
        self.advance(moved, gradient, memory, step)
        return moved
