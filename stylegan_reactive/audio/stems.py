# SPDX-License-Identifier: GPL-3.0-or-later
"""What an envelope can listen to beside the mix: the artist's own stems, or what the mix alone tells of them.

Stems are files of the same length as the song (of the artist, or made by ``neural.separate``); each is heard like a
song of its own. Where there are none, proxies stand in: the mix's spectra, weighted bin by bin. They rest on three
observations. A note rings on and a hit does not: what is there for most of a moment is no drum (Fitzgerald,
"Harmonic/Percussive Separation Using Median Filtering", 2010). A hit has no pitch:
what outweighs its neighbours in frequency is no drum. And basses play where little else does. Nothing is made sound
again: the weights go to the features' own spectra.
"""

import re
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np

from ..errors import SongError
from .decode import RATE, SongReader
from .hpss import STRIKING, Blocks, above, across_of, below, reach_of, ringing_and_held, running_median, share
from .spectrum import Grid

PROXIES: Mapping[str, str] = {
    "drums": "What strikes",
    "bass": "What rings below 200 Hz",
    "other": "What rings above 200 Hz, voices included",
    "vocals": "What neither rings nor strikes, where voices are: 200 to 6000 Hz",
}
"""Stems that can be guessed from the mix, and what is taken for them."""

BASS_BELOW = 200.0
"""Hz. The highest note of a bass guitar's usual range is a G of 196 Hz."""

VOICE_BELOW = 6000.0
"""Hz. Above there are breath and sibilants, and the cymbals."""

RINGING = 0.4
"""Seconds of the median over time, which lets go what lasts for less than half of it: kicks and snares ring that long.
Twice what ``hpss`` takes: a note that is cut there is still whole here."""

TOLD_BY_TIME = STRIKING / 2
"""Hz. Below, the median over frequency reaches the end of the spectrum, and only time can tell a kick from a bass."""

MARGIN = 2.0
"""Times by which a hit must outweigh what rings to have half of a bin, as in ``hpss``."""

ENDINGS = (".wav", ".flac", ".aif", ".aiff", ".ogg", ".opus", ".mp3", ".m4a", ".aac")
"""Files that are looked at in a folder of stems."""

LENGTH_TOLERANCE = 1.0
"""Seconds by which a stem may be longer or shorter than the song: programs add or cut silence at the end."""

NAMES: Mapping[str, tuple[str, ...]] = {
    "drums": ("drums", "drum", "drumkit", "percussion", "perc", "beat", "beats"),
    "bass": ("bass", "basses", "sub", "subbass"),
    "vocals": ("vocals", "vocal", "vox", "voice", "voices", "singing", "acapella"),
    "other": ("other", "others", "rest", "music", "accompaniment", "instrumental"),
}
"""Words in a file's name by which a stem is known; any other stem bears its file's name."""

RESERVED = ("mix", "harmonic", "percussive")
"""Sources that are no stems."""


class StemStream:
    """Weigh magnitude spectra that arrive in blocks, once for each stem that is asked for.

    What rings is the median over 0.4 seconds, at most half of that away, so that 0.4 seconds wait until what follows
    them is known. Memory does not grow.

    Parameters
    ----------
    grid
        Of the spectra.
    names
        Of ``PROXIES``.
    """

    def __init__(self, grid: Grid, names: Iterable[str]) -> None:
        self.names = tuple(names)
        self._reach = reach_of(RINGING, grid)
        self._blocks = Blocks(grid, 2 * self._reach)
        self._across = across_of(grid)
        bins = grid.window // 2 + 1
        frequency = np.arange(bins) * (RATE / grid.window)
        self._low = below(BASS_BELOW, frequency)
        self._voice = below(VOICE_BELOW, frequency) * (1 - self._low)
        self._by_time = frequency < TOLD_BY_TIME

    def feed(self, magnitudes: np.ndarray) -> Mapping[str, np.ndarray]:
        """Append float32 [windows, bins].

        Returns
        -------
        Mapping
            Name → float32 [windows, bins], for the windows of which enough is known now; possibly none.
        """
        return self._weigh(*self._blocks.feed(magnitudes))

    def finish(self) -> Mapping[str, np.ndarray]:
        """Return the windows that were still waiting."""
        rest = self._blocks.waiting
        weighed = self._weigh(*self._blocks.feed(self._blocks.silence))
        return {name: magnitudes[:rest] for name, magnitudes in weighed.items()}

    def _weigh(self, mix: np.ndarray, coarse: np.ndarray) -> Mapping[str, np.ndarray]:
        if len(mix) == 0:
            return dict.fromkeys(self.names, mix)
        reach, every = self._reach, self._blocks.every
        rings, held = ringing_and_held(coarse, reach)
        strikes = running_median(coarse[2 * reach : -2 * reach], self._across)
        pitchless = np.repeat(share(strikes, MARGIN * held), every, axis=0)
        held = np.repeat(held, every, axis=0)
        weighed = {}
        for name in self.names:
            if name == "drums":
                weighed[name] = mix * self._of_drums(mix, held, pitchless)
            elif name == "vocals":
                rest = np.maximum(
                    0, 1 - pitchless - np.repeat(share(rings[reach:-reach], MARGIN * strikes), every, axis=0)
                )
                weighed[name] = mix * rest * self._voice
            else:
                weighed[name] = np.minimum(mix, held) * (self._low if name == "bass" else 1 - self._low)
        return weighed

    def _of_drums(self, mix: np.ndarray, held: np.ndarray, pitchless: np.ndarray) -> np.ndarray:
        """How much of each bin strikes: what stands above what is held, and has no pitch: 0 to 1."""
        standing = above(mix, held, MARGIN)
        return np.where(self._by_time, standing, np.minimum(standing, pitchless))


def find_stems(folder: str | Path, song: str | Path) -> dict[str, Path]:
    """Find an artist's own stems of a song, by their files' names.

    ``My Song - Drums.wav``, ``drums.flac`` and ``03_drum kit.wav`` are all the drums; files with other names are stems
    by these names, such as ``guitar``. The song itself may lie among them.

    Parameters
    ----------
    folder
        With the stems; folders in it are not looked at.
    song
        The mix, whose length the stems must have.

    Returns
    -------
    dict
        Name of the stem → file, sorted by name.

    Raises
    ------
    SongError
        There is no such folder or no sound in it, two files are the same stem, or one cannot be read or is not as
        long as the song.
    """
    folder, song = Path(folder), Path(song)
    if not folder.is_dir():
        raise SongError(f"The folder of stems “{folder}” does not exist. Choose it again.")
    files = sorted(
        path for path in folder.iterdir() if path.suffix.lower() in ENDINGS and not path.name.startswith(".")
    )
    stems: dict[str, Path] = {}
    for path in files:
        name = stem_name(path.stem, song.stem)
        if name in RESERVED or (song.exists() and path.samefile(song)):
            continue
        if name in stems:
            raise SongError(
                f"“{stems[name].name}” and “{path.name}” in “{folder}” would both be the stem “{name}”. Rename one."
            )
        stems[name] = path
    if not stems:
        raise SongError(
            f"There are no stems in “{folder}”. Put sound files into it whose names say what they are, "
            f"such as {', '.join(f'{name}.wav' for name in NAMES)}."
        )
    with SongReader(song) as reader:
        length = reader.expected_samples / reader.rate
    for path in stems.values():
        with SongReader(path) as reader:
            own = reader.expected_samples / reader.rate
        if abs(own - length) > LENGTH_TOLERANCE:
            raise SongError(
                f"The stem “{path.name}” lasts {own:.1f} s and the song {length:.1f} s. "
                "Export all stems from the song's start to its end."
            )
    return dict(sorted(stems.items()))


def stem_name(title: str, song: str) -> str:
    """The name of a stem from its file's name without ending: one of ``NAMES``, or in small letters what it says."""
    words = re.findall(r"[^\W\d_]+", title.lower())
    known = {word: name for name, says in NAMES.items() for word in says}
    in_song = re.findall(r"[^\W\d_]+", song.lower())
    if in_song and words[: len(in_song)] == in_song:  # a song may be called “Drums in the Night”
        words = words[len(in_song) :]
    found = [known[word] for word in words if word in known]
    return found[-1] if found else "_".join(words) or "_".join(re.findall(r"\w+", title.lower())) or "stem"
