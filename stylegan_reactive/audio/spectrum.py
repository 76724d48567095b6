# SPDX-License-Identifier: GPL-3.0-or-later
"""Short-time Fourier spectra of a song that arrives in blocks.

Two windows serve every feature: a short one that knows when (onsets, loudness) and a long one that knows which note
(chroma). Positions are whole samples, so nothing drifts however long the song is.
"""

from dataclasses import dataclass

import numpy as np
from scipy import fft

from .decode import RATE


@dataclass(frozen=True)
class Grid:
    """Where the windows of a stream of spectra lie.

    Parameters
    ----------
    window
        Samples in one window.
    hop
        Samples from one window to the next; divides ``window``.
    """

    window: int
    hop: int

    def centres(self, count: int) -> np.ndarray:
        """Centre of each of the first ``count`` windows, in samples from the song's start: int64 [count].

        The first window ends where the song starts and holds only silence, so that a hit on the first sample is a
        rise from silence like any other.
        """
        return np.arange(count, dtype=np.int64) * self.hop - self.window // 2

    @property
    def rate(self) -> float:
        """Windows per second."""
        return RATE / self.hop

    def bins(self, low: float, high: float) -> slice:
        """Bins with centre frequencies from ``low`` up to but not including ``high``, in Hz. The constant is left out.

        Where the range holds no bin at all, the nearest one is taken.
        """
        width = RATE / self.window
        first = max(1, int(np.ceil(low / width)))
        end = min(self.window // 2 + 1, int(np.ceil(high / width)))
        first = min(first, self.window // 2)
        return slice(first, max(end, first + 1))


TIMING = Grid(window=1024, hop=256)
"""23 ms windows, 172 in a second: short enough to tell on which video frame an attack sounds."""

PITCH = Grid(window=8192, hop=1024)
"""186 ms windows, 43 in a second: long enough to tell the semitones of a bass apart."""


class SpectrumStream:
    """Turn blocks of sound into magnitude spectra; what a block leaves unfinished waits for the next.

    Magnitudes are scaled so that a sine of amplitude 1 peaks at 1.
    """

    def __init__(self, grid: Grid) -> None:
        self.grid = grid
        window = 0.5 - 0.5 * np.cos(2 * np.pi * (np.arange(grid.window) + 0.5) / grid.window)  # Hann, symmetric
        self._window = (window * 2 / window.sum()).astype(np.float32)
        self._waiting = np.zeros(grid.window, np.float32)

    def feed(self, samples: np.ndarray) -> np.ndarray:
        """Append float32 [samples] and return the magnitudes of all windows that are now complete.

        Returns
        -------
        numpy.ndarray
            float32 [windows, window // 2 + 1]; possibly no windows.
        """
        grid = self.grid
        sound = np.concatenate([self._waiting, samples])
        count = (len(sound) - grid.window) // grid.hop + 1
        if count < 1:
            self._waiting = sound
            return np.zeros((0, grid.window // 2 + 1), np.float32)
        windows = np.lib.stride_tricks.sliding_window_view(sound, grid.window)[:: grid.hop][:count]
        self._waiting = sound[count * grid.hop :]
        return np.abs(fft.rfft(windows * self._window, axis=1))
