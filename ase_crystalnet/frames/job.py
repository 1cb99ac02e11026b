"""One frame to analyse, wherever it is done, and results in order."""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol

from ase_crystalnet.errors import InputError
from ase_crystalnet.geometry.remarks import remark_large_cell
from ase_crystalnet.io.trajectories.addresses import FrameAddress, FrameLoader
from ase_crystalnet.io.trajectories.conditions import conditions_of
from ase_crystalnet.io.trajectories.stream import StreamFrame, load_frame

if TYPE_CHECKING:
    from ase_crystalnet.results.frame import FrameAnalysis

__all__ = ["FrameJob", "Future", "Result", "in_order", "named"]


Result = tuple[StreamFrame, "FrameAnalysis"]


@dataclass(frozen=True)
class FrameJob:
    """What is to be done with each frame. It is pickled once for each worker.

    Attributes
    ----------
    analyzer : CrystalNet
        Or anything with its method `analyze` that can be pickled.
    centers, spacing
        As in `CrystalNet.analyze`.
    """

    analyzer: Any
    centers: Any = "atoms"
    spacing: float | None = None

    def __call__(
        self, frame: StreamFrame, progress: Callable[[int, int], None] | None = None
    ) -> FrameAnalysis:
        """Analyse a frame.

        Raises
        ------
        InputError
            If it cannot be analysed, naming file and frame.
        """
        if frame.number == 0 and getattr(self.analyzer, "mode", "") == "local":
            remark_large_cell(frame.atoms, self.analyzer.window_atoms)
        with named(frame):
            analysis = self.analyzer.analyze(
                frame.atoms, centers=self.centers, spacing=self.spacing, progress=progress
            )
        origin = {"source": frame.source, "frame": frame.number, **conditions_of(frame.atoms)}
        return replace(analysis, metadata={**analysis.metadata, **origin})

    def at(self, loader: FrameLoader, address: FrameAddress) -> Result:
        """Read a frame and analyse it."""
        frame = load_frame(loader, address)
        return frame, self(frame)


@contextlib.contextmanager
def named(frame: StreamFrame) -> Iterator[None]:
    """Name file and frame in an InputError."""
    try:
        yield
    except InputError as error:
        raise InputError(f"{frame.source}: frame {frame.number} (from 0): {error}") from error


class Future(Protocol):
    """A result to come, of `concurrent.futures` or of Dask."""

    def result(self) -> Any: ...
    def cancel(self) -> Any: ...


def in_order(
    submit: Callable[[FrameAddress], Future],
    addresses: Iterable[FrameAddress],
    ahead: Callable[[], int],
) -> Iterator[Result]:
    """Yield results in the order of the addresses, with `ahead()` of them under way at most.

    An error of a frame, or in finding one, is raised when its turn comes, as if all were done here.
    """
    waiting: deque[Future] = deque()
    source = iter(addresses)
    failure: Exception | None = None
    ended = False
    try:
        while True:
            while not ended and len(waiting) < ahead():
                try:
                    waiting.append(submit(next(source)))
                except StopIteration:
                    ended = True
                except Exception as error:
                    ended, failure = True, error
            if not waiting:
                break
            yield waiting.popleft().result()
        if failure is not None:
            raise failure
    finally:
        for future in waiting:
            future.cancel()
