# SPDX-License-Identifier: GPL-3.0-or-later
"""Networks that separate a song into stems, by their own packages.

They are Demucs (Rouard, Massa and Défossez, "Hybrid Transformers for Music Source Separation", 2023) and Open-Unmix
(Stöter, Uhlich, Liutkus and Mitsufuji, "Open-Unmix: A Reference Implementation for Music Source Separation", 2019).

The packages are optional and loaded when a network is. Weights are data: they are read by torch's restricted reader or
from safetensors, a file can name no class but the packages' own networks, and a network is only made once its shapes
are known to be those of the file. What a file holds is never run.
"""

import contextlib
import hashlib
import inspect
import json
import os
import re
import sys
import tempfile
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from types import MappingProxyType, ModuleType
from typing import Any

import numpy as np

from .. import archives
from ..errors import SongError

Tell = Callable[[float, str], None]

LONGEST_SEGMENT = 12.0
"""Seconds that a network hears at once, at most: what memory is spent on."""

UNMIX_SEGMENT = 12.0
"""Seconds that Open-Unmix hears at once: it was trained on 6, and its memory in time reaches further."""

MOST_PARTS = 64
"""Layers, heads and such that a network may have: some ten times what is published."""

LARGEST_SIZE = 1 << 20
"""Any other number that describes a network: channels, rates, windows."""

DATA_ERRORS = (
    *(RuntimeError, ValueError, TypeError, LookupError, AssertionError, AttributeError),
    *(ArithmeticError, MemoryError, EOFError),
)
"""What torch and the packages meet in damaged weights."""

TIMEOUT = 30.0
"""Seconds without an answer after which a download counts as failed."""


@dataclass(frozen=True)
class Model:
    """A network whose weights are published.

    Attributes
    ----------
    package
        That holds its class.
    description
        For the artist.
    addresses
        Of the files with its weights; behind the last ``-`` of each name stand the first digits of its SHA-256.
    shares
        For several networks in one: how much each has of each stem; none: all the same.
    """

    package: str
    description: str
    addresses: tuple[str, ...]
    shares: tuple[tuple[float, ...], ...] | None = None


_DEMUCS = "https://dl.fbaipublicfiles.com/demucs/hybrid_transformer/"
_UNMIX = "https://zenodo.org/records/"

MODELS: Mapping[str, Model] = MappingProxyType(
    {
        "htdemucs": Model(
            "demucs", "Drums, bass, vocals and other; the best for its time", (f"{_DEMUCS}955717e8-8726e21a.th",)
        ),
        "htdemucs_ft": Model(
            "demucs",
            "The same, a little better, four times slower",
            tuple(
                f"{_DEMUCS}{name}.th"
                for name in ("f7e0c4bc-ba3fe64a", "d12395a8-e57c48e6", "92cfc3b6-ef3bcb9c", "04573f0d-f3cf25b2")
            ),
            ((1.0, 0.0, 0.0, 0.0), (0.0, 1.0, 0.0, 0.0), (0.0, 0.0, 1.0, 0.0), (0.0, 0.0, 0.0, 1.0)),
        ),
        "htdemucs_6s": Model("demucs", "With guitar and piano too, less clean", (f"{_DEMUCS}5c90dfd2-34c22ccb.th",)),
        "umxl": Model(
            "openunmix",
            "Drums, bass, vocals and other; fast. Not for commercial use",
            tuple(
                f"{_UNMIX}5069601/files/{name}.pth"
                for name in ("vocals-bccbd9aa", "drums-69e0ebd4", "bass-2ca1ce51", "other-c8c5b3e6")
            ),
        ),
        "umxhq": Model(
            "openunmix",
            "The same, learnt from fewer songs",
            tuple(
                f"{_UNMIX}3370489/files/{name}.pth"
                for name in ("vocals-b62c91ce", "drums-9619578f", "bass-8d85a5bd", "other-b52fbbf7")
            ),
        ),
    }
)
"""Networks by the names that their packages give them."""


@dataclass(frozen=True)
class Network:
    """A network that is ready to separate.

    Attributes
    ----------
    stems
        Their names.
    rate
        Samples per second that it hears.
    segment
        Samples that it hears at once.
    standardises
        Whether it wants sound with mean 0 and standard deviation 1.
    separate
        From float32 [2, segment] to float32 [stems, 2, segment].
    """

    stems: tuple[str, ...]
    rate: int
    segment: int
    standardises: bool
    separate: Callable[[np.ndarray], np.ndarray]


def model_named(name: str) -> Model:
    """A model by its name; raises SongError with those that exist."""
    try:
        return MODELS[name]
    except KeyError:
        raise SongError(f"There is no separation network “{name}”. Choose {', '.join(MODELS)}.") from None


def fingerprint(model: Model, weights: Path | None) -> str:
    """Short hash of the weights; for the published ones it is known without having them."""
    digest = hashlib.sha256()
    for file in () if weights is None else _local_files(model, weights):
        with file.open("rb") as opened:
            digest.update(hashlib.file_digest(opened, "sha256").digest())
    if weights is None:
        digest.update(" ".join(model.addresses).encode())
    return digest.hexdigest()[:12]


def weight_files(name: str, weights: Path | None, folder: Path, *, online: bool, tell: Tell) -> list[Path]:
    """Find a model's weights, or download them.

    Parameters
    ----------
    weights
        A file, or a folder with the files of a model that has several; none: the published ones.
    folder
        Where downloads are kept.
    online
        Whether the artist allows to download.
    tell
        Told how far the download is; its exception cancels.

    Raises
    ------
    SongError
        They are not there and may not, or cannot, be downloaded.
    """
    model = model_named(name)
    if weights is not None:
        return _local_files(model, weights)
    files = [folder / address.rpartition("/")[2] for address in model.addresses]
    missing = [(address, file) for address, file in zip(model.addresses, files, strict=True) if not file.is_file()]
    if missing and not online:
        raise SongError(
            f"The weights of {name} are not on this computer. Allow online access in Blender's preferences, so that "
            f"they can be downloaded, or name a file that has them ({', '.join(file.name for _, file in missing)})."
        )
    for number, (address, file) in enumerate(missing):
        start, share = number / len(missing), 1 / len(missing)
        download(address, file, lambda part, text, start=start, share=share: tell(start + share * part, text))  # type: ignore[misc]
    return files


def download(address: str, file: Path, tell: Tell) -> None:
    """Load a file from the network; it is there whole, with the hash that its name promises, or not at all."""
    promised = file.stem.rpartition("-")[2]
    file.parent.mkdir(parents=True, exist_ok=True)
    handle, partial = tempfile.mkstemp(prefix=".partial-", dir=file.parent)
    try:
        digest = hashlib.sha256()
        with os.fdopen(handle, "wb") as target, urllib.request.urlopen(address, timeout=TIMEOUT) as source:
            size, have = int(source.headers.get("Content-Length") or 0), 0
            while block := source.read(1 << 20):
                target.write(block)
                digest.update(block)
                have += len(block)
                tell(have / max(size, have), f"Downloading {file.name}, {have / 1e6:.0f} MB")
        if not digest.hexdigest().startswith(promised):
            raise SongError(f"The download of {file.name} arrived damaged. Try again.")
        os.replace(partial, file)
    except (OSError, ValueError, urllib.error.URLError) as error:
        raise SongError(f"The weights {file.name} cannot be downloaded ({error}). Check the connection.") from error
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(partial)


def load_network(name: str, files: Sequence[Path], device: str) -> Network:
    """Make a network and give it its weights; raises SongError where its package or the files will not do."""
    model = model_named(name)
    try:
        import torch
    except ImportError as error:
        raise _missing_package(name, "torch") from error
    try:
        return (_demucs if model.package == "demucs" else _unmix)(model, files, torch.device(device))
    except ImportError as error:
        raise _missing_package(name, model.package, error) from error
    except SongError:
        raise
    except (*DATA_ERRORS, OSError) as error:
        named = ", ".join(file.name for file in files)
        raise SongError(f"“{named}” does not hold the weights of {name} ({_short(error)}). Choose others.") from error


def _demucs(model: Model, files: Sequence[Path], device: Any) -> Network:
    import torch
    from demucs.apply import BagOfModels, apply_model
    from demucs.demucs import Demucs
    from demucs.hdemucs import HDemucs
    from demucs.htdemucs import HTDemucs

    classes = {"HTDemucs": HTDemucs, "HDemucs": HDemucs, "Demucs": Demucs}
    networks = [_demucs_of(file, classes) for file in files]
    network = networks[0] if len(networks) == 1 else BagOfModels(networks, model.shares)
    network.to(device).eval()
    if network.audio_channels != 2:
        raise SongError(f"“{files[0]}” separates {network.audio_channels} channels, not 2. Choose other weights.")
    seconds = min([LONGEST_SEGMENT, *(float(one.segment) for one in networks)])

    def separate(sound: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            mix = torch.from_numpy(np.ascontiguousarray(sound))[None].to(device)
            return apply_model(network, mix, shifts=0, split=False, device=device)[0].float().cpu().numpy()

    rate = int(network.samplerate)
    return Network(tuple(network.sources), rate, int(seconds * rate), True, separate)


def _demucs_of(file: Path, classes: Mapping[str, Any]) -> Any:
    """One network of a bag, from a package of its class, its parameters and its tensors."""
    import torch

    kind, arguments, named, state = (_safe_tensors if file.suffix == ".safetensors" else _torch_package)(file, classes)
    if not isinstance(state, dict) or "__quantized" in state:
        raise SongError(f"“{file}” holds packed weights, which need another package. Choose htdemucs.")
    named = {key: value for key, value in named.items() if key in inspect.signature(kind).parameters}
    _check_description(file, inspect.signature(kind).bind(*arguments, **named).arguments)
    _check_numbers(file, state)
    with torch.device("meta"):  # nothing is reserved before the shapes are known to be those of the file
        shapes = {key: value.shape for key, value in kind(*arguments, **named).state_dict().items()}
    if shapes != {key: value.shape for key, value in state.items()}:
        raise SongError(f"“{file}” is damaged: its tensors are not those of its network. Download it again.")
    network = kind(*arguments, **named)
    network.load_state_dict(state)
    return network


def _check_description(file: Path, arguments: Mapping[str, Any]) -> None:
    """Refuse a network of so many parts that only counting them would take for ever."""
    for name, value in arguments.items():
        many = MOST_PARTS if re.search("depth|layers|heads|sources", name) else LARGEST_SIZE
        size = len(value) if isinstance(value, list | tuple | str) else value
        if isinstance(size, int | float | Fraction) and not -many <= size <= many:
            raise SongError(f"“{file}” describes an impossible network: {name} is {_short(value)}. Choose others.")


def _check_numbers(file: Path, state: Mapping[str, Any]) -> None:
    """Refuse tensors that come to more numbers than a file has room for: views of the same few."""
    if sum(tensor.numel() for tensor in state.values()) > file.stat().st_size:
        raise SongError(f"“{file}” is damaged: its tensors come to more than it holds. Download it again.")


def _torch_package(file: Path, classes: Mapping[str, Any]) -> tuple[Any, Sequence[Any], Mapping[str, Any], Any]:
    import torch

    with torch.serialization.safe_globals([*classes.values(), Fraction]):
        package = _torch_load(file)
    if not isinstance(package, dict) or package.get("klass") not in classes.values():
        raise SongError(f"“{file}” holds no Demucs network. Choose a .th or .safetensors file of Demucs.")
    return package["klass"], package["args"], package["kwargs"], package["state"]


def _safe_tensors(file: Path, classes: Mapping[str, Any]) -> tuple[Any, Sequence[Any], Mapping[str, Any], Any]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(str(file), framework="pt") as opened:
            about = opened.metadata() or {}
            state = {key: opened.get_tensor(key) for key in opened.keys()}  # noqa: SIM118
    except SafetensorError as error:
        raise SongError(f"“{file}” is damaged ({_short(error)}). Download it again.") from error
    name = about.get("klass", "").rpartition(".")[2]
    if name not in classes or "structure" in about:
        raise SongError(f"“{file}” holds no Demucs network. Choose a .th or .safetensors file of Demucs.")
    return classes[name], _plain(json.loads(about["args"])), _plain(json.loads(about["kwargs"])), state


def _plain(value: Any) -> Any:
    """Numbers that are no numbers in JSON: Demucs writes fractions as dictionaries."""
    if isinstance(value, dict):
        if value.get("_type") == "fraction":
            return Fraction(value["numerator"], value["denominator"])
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list) else value


def _unmix(model: Model, files: Sequence[Path], device: Any) -> Network:
    import torch

    with _torchaudio_not_needed():
        from openunmix.model import OpenUnmix, Separator

    targets: dict[str, Any] = {}
    bins = 0
    for file in files:
        state = _torch_load(file)
        tensors = {key: value for key, value in state.items() if isinstance(value, torch.Tensor)}
        _check_numbers(file, tensors)
        layers = sum(key.startswith("lstm.weight_ih_l") and not key.endswith("_reverse") for key in tensors)
        heard, (hidden, inputs) = len(tensors["input_mean"]), tensors["fc1.weight"].shape
        bins = len(tensors["output_mean"])
        if inputs != 2 * heard:
            raise SongError(f"“{file}” separates {inputs // heard} channels, not 2. Choose other weights.")
        network = OpenUnmix(
            nb_bins=bins,
            nb_channels=2,
            hidden_size=hidden,
            nb_layers=layers,
            unidirectional="lstm.weight_ih_l0_reverse" not in tensors,
            max_bin=heard,
        )
        missing, _ = network.load_state_dict(tensors, strict=False)
        if missing:
            raise SongError(f"“{file}” is damaged: it lacks {missing[0]}. Download it again.")
        targets[file.stem.partition("-")[0]] = network
    window = 2 * (bins - 1)
    separator = Separator(targets, niter=1, n_fft=window, n_hop=window // 4, nb_channels=2).to(device).eval()

    def separate(sound: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            return separator(torch.from_numpy(np.ascontiguousarray(sound))[None].to(device))[0].cpu().numpy()

    rate = int(separator.sample_rate)
    return Network(tuple(targets), rate, int(UNMIX_SEGMENT * rate), False, separate)


def _torch_load(file: Path) -> Any:
    import pickle
    import struct
    import zipfile

    import torch
    from safetensors import SafetensorError

    kinds = (*DATA_ERRORS, OSError, pickle.UnpicklingError, zipfile.BadZipFile, struct.error, SafetensorError)
    try:
        if zipfile.is_zipfile(file):
            with archives.opened(file):  # nothing in it is packed, and nothing lies over something else
                pass
        return torch.load(file, map_location="cpu", weights_only=True)
    except kinds as error:
        raise SongError(
            f"“{file}” is no file of weights, is damaged, or holds more than weights ({_short(error)}). "
            "Download it again, from where its network is published."
        ) from error


def _local_files(model: Model, weights: Path) -> list[Path]:
    """The files of a model's weights at a place that the artist has named."""
    weights = Path(weights)
    if not weights.exists():
        raise SongError(f"The weights “{weights}” do not exist. Choose them again.")
    if weights.is_file() and len(model.addresses) == 1:
        return [weights]
    folder = weights if weights.is_dir() else weights.parent
    there = sorted(file for file in folder.iterdir() if file.suffix in (".th", ".pth", ".pt", ".safetensors"))
    found = []
    for address in model.addresses:
        name = Path(address).stem.partition("-")[0]
        fitting = [file for file in there if file.stem.partition("-")[0] == name]
        if not fitting and len(model.addresses) == len(there) == 1:
            fitting = there
        if not fitting:
            raise SongError(f"“{folder}” does not hold {Path(address).name}. Put all files of the network there.")
        found.append(fitting[0])
    return found


@contextlib.contextmanager
def _torchaudio_not_needed() -> Iterator[None]:
    """Let Open-Unmix be imported without torchaudio, which it names at its start and only resamples with.

    Resampling is done here. Where torchaudio is installed and fits, it is what Open-Unmix gets.
    """
    try:
        import torchaudio  # noqa: F401
    except (ImportError, OSError):
        for name in [name for name in sys.modules if name.partition(".")[0] == "torchaudio"]:
            del sys.modules[name]
        sys.modules["torchaudio"] = ModuleType("torchaudio")
        try:
            yield
        finally:
            del sys.modules["torchaudio"]
    else:
        yield


def _missing_package(name: str, package: str, error: ImportError | None = None) -> SongError:
    wanted = package if error is None or not error.name else error.name.partition(".")[0]
    reason = "" if wanted == package else f" ({wanted} is missing)"
    return SongError(
        f"Separation with {name} needs the package “{package}”{reason}. "
        f"Install it in the engine's Python: pip install {package}."
    )


def _short(error: object) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= 160 else text[:157] + "..."
