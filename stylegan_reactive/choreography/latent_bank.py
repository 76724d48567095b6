# SPDX-License-Identifier: GPL-3.0-or-later
"""The latents that a patch names, as one network knows them: seeds, rows of files, loops through them, directions.

All that is kept here is a pure function of the network, the files and what the patch says: dropping it changes the time
that a frame takes and not one bit of the picture.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import torch

from ..errors import PatchError
from .checks import file_at
from .loops import Array, Latent, Loop, loop_in_w, loop_in_z
from .seeds import MOST_LATENTS, FileLatent, Latents
from .sources import ChromaLatent, DirectionLatent, LoopLatent

if TYPE_CHECKING:
    from .choreographer import Network
    from .patch import LatentSource

_LATENTS_KEPT = 1024  # 2 MB at 512 numbers each; more than any patch without animated seeds reads
_LISTS_KEPT = 64
_MAPPED_AT_ONCE = 256


def seeded_z(seed: int, z_dim: int) -> torch.Tensor:
    """The z of a seed, [1, z_dim], float32, standard normal.

    It is drawn with NumPy's legacy generator, whose stream is frozen by NumPy's compatibility policy (NEP 19), so it is
    the same on every machine and with every release; torch promises neither. It also is what StyleGAN's published
    scripts do: an artist's favourite seeds of a network keep their pictures.
    """
    z = np.random.RandomState(seed).randn(1, z_dim)
    return torch.from_numpy(z.astype(np.float32))


class LatentBank:
    """Latents of one network.

    Parameters
    ----------
    generator
        The network; read, never changed. Files are read through its ``tools``.
    """

    def __init__(self, generator: Network) -> None:
        self.generator = generator
        self.num_ws = generator.num_ws
        self._seed = functools.lru_cache(maxsize=_LATENTS_KEPT)(self._map_seed)
        self._file = functools.lru_cache(maxsize=_LISTS_KEPT)(self._map_file)
        self._ws = functools.lru_cache(maxsize=_LISTS_KEPT)(self._stack)
        self._loop = functools.lru_cache(maxsize=_LISTS_KEPT)(self._make_loop)
        self._direction = functools.lru_cache(maxsize=_LISTS_KEPT)(self._find_direction)

    def ws(self, latents: Latents, label: int | None, path: str) -> Latent:
        """The latents of a layer, one after the other.

        Parameters
        ----------
        label
            The class for which z are mapped; None for a network without classes.
        path
            Where the latents stand in the patch, for errors.

        Returns
        -------
        array
            Float32 [count, 1 or num_ws, w_dim], with 1 where each latent has the same w for all generator layers.

        Raises
        ------
        PatchError
            If a file is missing, damaged or made for another network, or has no latent of that number.
        """
        found: Latent = self._ws(latents, label, path)
        return found

    def loop(self, source: LoopLatent, label: int | None, reached: range, path: str) -> Loop:
        """A loop, ready to be asked for any phase; its speed is even on the generator layers that are reached.

        Raises as `ws` does, and if a loop in Z is to run through latents that have no z.
        """
        # Not the source itself: its phase may be keyed, and does not change the way.
        key = (source.latents, source.method, source.space, source.smoothness)
        loop: Loop = self._loop(key, label, reached, path)
        return loop

    def direction(self, source: DirectionLatent, reached: range, path: str) -> Latent:
        """The direction of an amount of 1 on the generator layers that are reached, float32 [1 or rows, w_dim].

        Raises as `ws` does, and if there is no direction of that number.
        """
        direction: Latent = self._direction(source.method, source.index, source.file, reached, path)
        return direction

    def prepare(self, source: LatentSource, reached: range, path: str, note: Callable[[str], None]) -> None:
        """Read what a source needs of files and of the network's weights, and note what had to be adapted.

        Raises as `ws`, `loop` and `direction` do; here it shows before the first frame.
        """
        if isinstance(source, DirectionLatent):
            self.direction(source, reached, path)
            if source.method == "file":
                self._note_depth(source.file, self._read_directions(source.file, path), note)
            return
        count = 0
        for index, item in enumerate(source.latents):
            if isinstance(item, FileLatent):
                latents = self._read(item, f"{path}.latents.{index}")
                count += len(latents)
                if item.space == "w":
                    self._note_depth(item.file, latents, note)
            else:
                count += 1
        _check_number(count, f"{path}.latents")
        if isinstance(source, LoopLatent) and _runs_in_z(source.method, source.space):
            self._zs(source.latents, f"{path}.latents")
        if isinstance(source, ChromaLatent) and count > len(source.envelopes):
            note(
                f"found {count} latents for {len(source.envelopes)} envelopes; "
                f"the last {count - len(source.envelopes)} are not used."
            )

    def _note_depth(self, file: str, latents: torch.Tensor, note: Callable[[str], None]) -> None:
        """Say what `fitted_depth` does."""
        layers, own = latents.shape[1], self.num_ws
        if layers not in (1, own):
            done = "the finest are left out" if layers > own else "that of the last one is used for the rest"
            note(f"{file} has latents for {layers} layers, this network has {own}; {done}.")

    # How they are found

    def _read(self, latent: FileLatent, path: str) -> torch.Tensor:
        """The rows of a file that the patch names; shared, do not write to them."""
        with file_at(f"{path}.file"):
            latents: torch.Tensor = self.generator.tools.latents(latent.file, latent.space)
        return _rows(latents, latent, path)

    def _read_directions(self, file: str, path: str) -> torch.Tensor:
        with file_at(f"{path}.file"):
            directions: torch.Tensor = self.generator.tools.directions(file)
        return directions

    def _map_seed(self, seed: int, label: int | None) -> Latent:
        return self._mapped(seeded_z(seed, self.generator.z_dim), label)

    def _map_file(self, latent: FileLatent, label: int | None, path: str) -> Latent:
        rows = self._read(latent, path)
        _check_number(len(rows), path)
        if latent.space == "z":  # one by one, as seeds: in a batch, others could change the last bits
            return np.concatenate([self._mapped(z[None], label) for z in rows])
        return fitted_depth(rows.numpy().copy(), self.num_ws)  # so that one row does not keep its whole file

    def _stack(self, latents: Latents, label: int | None, path: str) -> Latent:
        each = [
            self._file(item, label, f"{path}.{index}") if isinstance(item, FileLatent) else self._seed(item, label)
            for index, item in enumerate(latents)
        ]
        _check_number(sum(len(part) for part in each), path)
        rows = max(part.shape[1] for part in each)
        return np.concatenate([np.broadcast_to(part, (len(part), rows, part.shape[2])) for part in each])

    def _zs(self, latents: Latents, path: str) -> Array:
        each = []
        for index, item in enumerate(latents):
            if not isinstance(item, FileLatent):
                each.append(seeded_z(item, self.generator.z_dim))
            elif item.space == "z":
                each.append(self._read(item, f"{path}.{index}"))
            else:
                raise PatchError(
                    f"Patch, {path}.{index}: found latents in W ({item.file}), but this loop runs in Z. "
                    'Choose the method "spline", or "gaussian" in W.'
                )
        _check_number(sum(len(part) for part in each), path)
        return torch.cat(each).numpy().astype(np.float64)

    def _make_loop(self, key: tuple[Latents, str, str, float], label: int | None, reached: range, path: str) -> Loop:
        latents, method, space, smoothness = key
        if _runs_in_z(method, space):

            def mapped(z: Array) -> Latent:
                parts = torch.from_numpy(z.astype(np.float32)).split(_MAPPED_AT_ONCE)
                return np.concatenate([self._mapped(part, label)[:, 0] for part in parts])

            return loop_in_z(self._zs(latents, f"{path}.latents"), method, smoothness, mapped)
        return loop_in_w(on_layers(self.ws(latents, label, f"{path}.latents"), reached), method, smoothness)

    def _find_direction(self, method: str, index: int, file: str, reached: range, path: str) -> Latent:
        if method == "file" and not file:
            raise PatchError(f'Patch, {path}.file: found no file, but the method is "file". Choose one.')
        tools = self.generator.tools
        try:
            if method == "file":
                found = self._read_directions(file, path)
            else:
                found = tools.sefa(reached[0], reached[-1])[:, None]
        except ValueError as error:
            raise PatchError(f"Patch, {path}: {error}. Choose another range, or a direction of a file.") from error
        if index >= len(found):
            where = file if method == "file" else "this network"
            raise PatchError(
                f"Patch, {path}.index: found direction {index}, but {where} has {len(found)}, numbered 0 to "
                f"{len(found) - 1}."
            )
        return on_layers(fitted_depth(found.numpy()[index : index + 1], self.num_ws), reached)[0]

    @torch.no_grad()
    def _mapped(self, z: torch.Tensor, label: int | None) -> Latent:
        """z [count, z_dim] through the mapping network, [count, 1, w_dim]."""
        c = None
        if label is not None:
            c = torch.zeros(len(z), self.generator.c_dim, device=self.generator.device)
            c[:, label] = 1
        ws = self.generator.mapping(z.to(self.generator.device), c)[:, :1]
        w: Latent = ws.detach().to(device="cpu", dtype=torch.float32).contiguous().numpy()
        return w


def fitted_depth(latents: Latent, num_ws: int) -> Latent:
    """Latents [count, layers, w_dim] for a network of another depth: cut, or the last layer's repeated.

    With one layer, they stay as they are: [count, 1, w_dim].
    """
    layers = latents.shape[1]
    if layers in (1, num_ws):
        return latents
    return np.ascontiguousarray(latents[:, np.minimum(np.arange(num_ws), layers - 1)])


def on_layers(latents: Latent, reached: range) -> Latent:
    """The part of latents [count, 1 or num_ws, w_dim] that some generator layers read, [count, 1 or rows, w_dim]."""
    if latents.shape[1] == 1:
        return latents
    return latents[:, reached.start : reached.stop]


def _runs_in_z(method: str, space: str) -> bool:
    """Whether a loop runs in Z; a spline never does, great circles always do."""
    return method == "geodesic" or (method == "gaussian" and space == "z")


def _rows(latents: torch.Tensor, wanted: FileLatent, path: str) -> torch.Tensor:
    """The rows of a file's latents that the patch names."""
    if wanted.index is None:
        return latents
    if wanted.index >= len(latents):
        raise PatchError(
            f"Patch, {path}.index: found latent {wanted.index}, but {wanted.file} has {len(latents)}, numbered 0 to "
            f"{len(latents) - 1}."
        )
    return latents[wanted.index : wanted.index + 1]


def _check_number(count: int, path: str) -> None:
    """Refuse more latents than a layer takes."""
    if count > MOST_LATENTS:
        raise PatchError(
            f"Patch, {path}: found {count} latents with those in files, expected at most {MOST_LATENTS}. "
            "Name some of a file by their numbers, or choose a smaller file."
        )
