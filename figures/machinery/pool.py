"""Experiments first, then the figures that wait for them, on several worker processes."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterable
from concurrent.futures import FIRST_COMPLETED, Executor, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field

from figures.machinery import work
from figures.machinery.answer import Answer
from figures.machinery.plan import DRAWING, Plan, cost
from figures.machinery.provenance import Commit
from figures.machinery.settings import Settings

LOOK_EVERY = 0.1  # seconds between two looks at the workers' progress


@dataclass(eq=False)
class _Item:
    """An experiment or a figure: `flies` while a worker is at it, `tries` counts the workers that died over it."""

    name: str
    is_run: bool
    cost: float
    slot: int = 0
    share: float = 0.0
    tries: int = 0
    flies: bool = False
    answer: Answer | None = None
    needs: list[_Item] = field(default_factory=list)


class Progress:
    """What is finished, under way and left, for whoever shows it."""

    def __init__(self, runs: dict[str, _Item], figures: dict[str, _Item]) -> None:
        self._runs, self._figures = runs, figures

    @property
    def total(self) -> float:
        """Estimated seconds of everything."""
        return sum(item.cost for item in (*self._runs.values(), *self._figures.values()))

    @property
    def done(self) -> float:
        """Estimated seconds of what is finished."""
        items = (*self._runs.values(), *self._figures.values())
        return sum(item.cost * (1.0 if item.answer else item.share) for item in items)

    @property
    def now(self) -> str:
        """What is worked on: figures being drawn, and figures whose experiments run, with their finished share."""
        said = []
        for item in self._figures.values():
            if item.flies:
                said.append(f"drawing {item.name}")
            elif item.answer is None and any(need.flies for need in item.needs):
                total = sum(need.cost for need in item.needs)
                share = sum(need.cost * (1.0 if need.answer else need.share) for need in item.needs) / total
                said.append(f"training {item.name} {share:.0%}")
        return ", ".join(said[:3]) + (" ..." if len(said) > 3 else "")


def carry_out(
    plans: Iterable[Plan],
    settings: Settings,
    commit: Commit,
    *,
    check: bool,
    finished: Callable[[str, Answer], None],
    watch: Callable[[Progress], None],
) -> None:
    """Run what is missing and draw (or check) the figures.

    Args:
        plans: The figures to work on.
        settings: What was asked for.
        commit: State of the checkout.
        check: Compare key numbers and draw nothing.
        finished: Called with each figure's answer as it comes.
        watch: Called with the progress, several times a second.

    Raises:
        KeyboardInterrupt: When interrupted; no worker is left.
    """
    runs: dict[str, _Item] = {}
    figures: dict[str, _Item] = {}
    for each in plans:
        for line in each.waits_for:
            runs.setdefault(line, _Item(line, True, cost(line), slot=len(runs)))
        figures[each.name] = _Item(each.name, False, DRAWING, needs=[runs[line] for line in each.waits_for])
    if not figures:
        return
    pool = _Pool(settings, commit, check, len(runs))
    progress = Progress(runs, figures)
    try:
        while waiting := [item for item in figures.values() if item.answer is None]:
            for item in waiting:
                failed = next((need for need in item.needs if need.answer and not need.answer.good), None)
                if failed is not None and failed.answer is not None:
                    item.answer = failed.answer
                    if not check:
                        work.fail(item.name, failed.answer, settings)
                    finished(item.name, item.answer)
            ready = [item for item in waiting if item.answer is None and all(need.answer for need in item.needs)]
            still = [run for run in runs.values() if run.answer is None and _wanted(run, waiting)]
            for item in pool.step([*ready, *still]):
                if not item.is_run and item.answer is not None:
                    finished(item.name, item.answer)
            watch(progress)
    finally:
        pool.end()


def _wanted(run: _Item, waiting: list[_Item]) -> bool:
    return any(run in item.needs and item.answer is None for item in waiting)


class _Here(Executor):
    """One job at a time needs no other process: quicker to start, and open to a debugger."""

    def submit(self, task: Callable[..., Answer], /, *given: object) -> Future[Answer]:  # type: ignore[override]
        future: Future[Answer] = Future()
        future.set_result(task(*given))
        return future


class _Pool:
    """Worker processes that are replaced when one of them dies."""

    def __init__(self, settings: Settings, commit: Commit, check: bool, slots: int) -> None:
        self._settings, self._commit, self._check = settings, commit, check
        self._context = multiprocessing.get_context("spawn")
        self._shares = self._context.RawArray("d", max(slots, 1))
        self._flying: dict[Future[Answer], _Item] = {}
        self._pool: Executor | None = None
        self._before = set(multiprocessing.active_children())

    def step(self, ready: list[_Item]) -> list[_Item]:
        """Start what there is room for, wait a moment, and return what got its answer."""
        flying = set(self._flying.values())
        # Whatever may have killed its worker runs alone, so that it takes no other work with it.
        alone = any(item.tries for item in flying)
        for item in sorted((item for item in ready if item not in flying), key=lambda item: item.tries):
            room = 1 if item.tries or alone else self._settings.jobs
            if len(self._flying) < room:
                item.flies = True
                self._flying[self._submit(item)] = item
                alone = alone or bool(item.tries)
        done, _ = wait(self._flying, timeout=LOOK_EVERY, return_when=FIRST_COMPLETED)
        for item in self._flying.values():
            if item.is_run:
                item.share = self._shares[item.slot]
        answered = [item for item in map(self._collect, done) if item.answer is not None]
        if any(isinstance(future.exception(), BrokenProcessPool) for future in done):
            answered += self._mend()
        return answered

    def end(self) -> None:
        """Stop every worker, at once where it is still at work."""
        if self._pool is None:
            return
        if self._flying:
            for process in set(multiprocessing.active_children()) - self._before:
                process.terminate()
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _submit(self, item: _Item) -> Future[Answer]:
        if self._pool is None and self._settings.jobs == 1:
            self._pool = _Here()
        elif self._pool is None:
            self._pool = ProcessPoolExecutor(
                self._settings.jobs, self._context, initializer=work.begin, initargs=(self._shares,)
            )
        if item.is_run:
            return self._pool.submit(work.run_line, item.name, item.slot, self._settings)
        if self._check:
            return self._pool.submit(work.check_figure, item.name, self._settings)
        seconds = sum(need.answer.seconds for need in item.needs if need.answer)
        return self._pool.submit(work.draw_figure, item.name, self._settings, self._commit, seconds)

    def _collect(self, future: Future[Answer]) -> _Item:
        item = self._flying.pop(future)
        item.flies = False
        problem = future.exception()
        if problem is None:
            item.answer = future.result()
        elif isinstance(problem, BrokenProcessPool):
            self._count(item)
        else:
            item.answer = Answer("FAILED", f"{type(problem).__name__}: {problem} in: {item.name}")
        return item

    def _count(self, item: _Item) -> None:
        item.tries += 1
        if item.tries > 1:
            item.answer = Answer(
                "FAILED",
                f"its worker process was killed twice, perhaps for want of memory, in: {item.name}; try --jobs 1",
            )
            if not item.is_run and not self._check:
                work.fail(item.name, item.answer, self._settings)

    def _mend(self) -> list[_Item]:
        """Count what else flew with a dead worker, and let the next piece of work start new ones."""
        lost = list(self._flying.values())
        self._flying.clear()
        for item in lost:
            item.flies = False
            self._count(item)
        assert self._pool is not None
        self._pool.shutdown(wait=True, cancel_futures=True)
        self._pool = None
        return [item for item in lost if item.answer is not None]
