# SPDX-License-Identifier: GPL-3.0-or-later
"""How loud the song is from frame to frame: root mean square of its samples, of a band of them, or of spectra."""

from fractions import Fraction

import numpy as np
from scipy import signal

from .collecting import Collected
from .decode import RATE
from .framing import trailing_mean
from .spectrum import Grid

SLICE = 64
"""Samples whose energy is summed at once: 1.5 ms, well below a video frame."""

SILENCE = 1e-4
"""Root mean square below which the song counts as silent: -80 dB of full scale."""

ORDER = 4
"""Of the filter that cuts a band out: 24 dB per octave on each side. It looks back only."""

Band = tuple[float, float]
"""Lowest and highest frequency, in Hz."""


class EnergyStream:
    """Sum the energy of sound that arrives in blocks, slice by slice.

    Parameters
    ----------
    band
        Only of what sounds between these frequencies, in Hz; none: of everything.
    """

    def __init__(self, band: Band | None = None) -> None:
        self._filter = _band_filter(band)
        self._state = None if self._filter is None else np.zeros((len(self._filter), 2))
        self._waiting = np.zeros(0, np.float32)
        self._kept = Collected()

    def feed(self, samples: np.ndarray) -> None:
        """Append float32 [samples]."""
        if self._filter is not None and len(samples):
            filtered, self._state = signal.sosfilt(self._filter, samples, zi=self._state)
            samples = filtered.astype(np.float32)
        sound = np.concatenate([self._waiting, samples])
        whole = len(sound) // SLICE * SLICE
        self._waiting = sound[whole:]
        self._kept.add(np.square(sound[:whole]).reshape(-1, SLICE).sum(axis=1))

    def result(self) -> np.ndarray:
        """Energy of each slice of the song: float32 [slices]; the last slice may be shorter."""
        self._kept.add(np.square(self._waiting).sum(keepdims=True))
        return self._kept.result()


class SpectrumEnergyStream:
    """Sum the energy of magnitude spectra that arrive in blocks, window by window.

    Parameters
    ----------
    grid
        Of the spectra.
    band
        Only of the bins between these frequencies, in Hz; none: of all.
    """

    def __init__(self, grid: Grid, band: Band | None = None) -> None:
        self._bins = grid.bins(*(band or (0.0, RATE)))
        self._kept = Collected()

    def feed(self, magnitudes: np.ndarray) -> None:
        """Append float32 [windows, bins]."""
        self._kept.add(np.square(magnitudes[:, self._bins]).sum(axis=1))

    def result(self) -> np.ndarray:
        """Sum of the squared magnitudes of each window: float32 [windows]."""
        return self._kept.result()


def rms_envelope(
    energy: np.ndarray,
    fps: Fraction,
    frames: int,
    *,
    seconds: float = 0.0,
) -> np.ndarray:
    """Root mean square of the samples in each video frame, scaled so that the loudest parts are 1.

    Parameters
    ----------
    energy
        Of each slice, as ``EnergyStream`` gives it.
    fps, frames
        The video's rate, and its length in frames.
    seconds
        Time over which is averaged, ending with each frame; 0: the frame itself.

    Returns
    -------
    numpy.ndarray
        float32 [frames], 0 to 1: divided by its 99th percentile and clipped. Zero in a silent song.
    """
    mean = trailing_mean(energy, fps, frames, seconds, slice_length=SLICE) / SLICE
    rms = np.sqrt(np.maximum(mean, 0.0))
    loud = float(np.percentile(rms, 99)) if frames else 0.0
    if loud < SILENCE:
        loud = float(rms.max(initial=0.0))
    if loud < SILENCE:
        return np.zeros(frames, np.float32)
    return np.minimum(rms / loud, 1.0).astype(np.float32)


def _band_filter(band: Band | None) -> np.ndarray | None:
    """Second-order sections of a Butterworth filter; edges below 1 Hz and at the top leave their side open."""
    if band is None:
        return None
    low, high = band
    top = 0.98 * RATE / 2
    if low < 1.0 and high >= top:
        return None
    if low < 1.0:
        return np.asarray(signal.butter(ORDER, high, "lowpass", fs=RATE, output="sos"))
    if high >= top:
        return np.asarray(signal.butter(ORDER, min(low, top), "highpass", fs=RATE, output="sos"))
    return np.asarray(signal.butter(ORDER, (low, high), "bandpass", fs=RATE, output="sos"))
