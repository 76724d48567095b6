# SPDX-License-Identifier: GPL-3.0-or-later
"""By how much the pictures of unlike workers differ: threads, instructions of the processor, precision, graphics card.

Each kind paints the same latents in a process of its own; the first is what the others are compared with. Given are the
largest difference in levels of 256, the share of colour values that differ after rounding, and the largest difference
before rounding on the scale of -1 to 1.

    python benchmarks/farm_devices.py              the built-in network, and StyleGAN2 with random weights at 256 px
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(REPOSITORY))

import numpy as np  # noqa: E402
import torch  # noqa: E402

from stylegan_reactive.builtin_networks import BUILTIN_NETWORKS  # noqa: E402
from stylegan_reactive.generator import (  # noqa: E402
    Generator,
    StyleGAN2,
    StyleGAN2Config,
    load_generator,
)
from stylegan_reactive.generator.execution import prepare  # noqa: E402
from stylegan_reactive.generator.mapping import MappingConfig  # noqa: E402

PICTURES = 4
RANDOM = "random"


@dataclass(frozen=True)
class Kind:
    """A kind of worker."""

    name: str
    threads: int = 1
    precision: str = "float32"
    device: str = "cpu"
    environment: dict[str, str] = field(default_factory=dict)


AVX2 = {"ATEN_CPU_CAPABILITY": "avx2", "ONEDNN_MAX_CPU_ISA": "AVX2", "MKL_ENABLE_INSTRUCTIONS": "AVX2"}
OLD = {"ATEN_CPU_CAPABILITY": "default", "ONEDNN_MAX_CPU_ISA": "SSE41", "MKL_ENABLE_INSTRUCTIONS": "SSE4_2"}
KINDS = (
    Kind("processor, 1 thread"),
    Kind("processor, 2 threads", threads=2),
    Kind("processor, 4 threads", threads=4),
    Kind("processor without AVX-512", environment=AVX2),
    Kind("processor without AVX2, as other makes", environment=OLD),
    Kind("64 bits per value", precision="float64"),
    Kind("16 bits per value, float16 as on cards", precision="float16"),
    Kind("16 bits per value, bfloat16", precision="bfloat16"),
    Kind("graphics card, 32 bits", device="cuda"),
    Kind("graphics card, as the engine uses it", device="cuda", precision="auto"),
)


def network(name: str, device: str) -> Generator:
    """A built-in network, or a StyleGAN2 of published shape with random weights and pictures of about -1 to 1."""
    if name != RANDOM:
        return load_generator(str(next(one.path for one in BUILTIN_NETWORKS if one.name == name)), device=device)
    torch.manual_seed(0)
    resolution = 256
    channels = tuple(min(16384 // 2**power, 512) for power in range(2, resolution.bit_length()))
    generator = StyleGAN2(StyleGAN2Config(MappingConfig(512, 0, 512, (512,) * 8), resolution, channels))
    with torch.no_grad():
        for parameter, tensor in generator.synthesis.named_parameters():
            if parameter.endswith("noise_strength"):
                tensor.fill_(0.1)
    return generator.eval().requires_grad_(False).to(device)


@torch.inference_mode()
def paint(name: str, kind: Kind) -> np.ndarray:
    """Pictures of a kind of worker, float32 [pictures, channels, height, width]."""
    torch.set_num_threads(kind.threads)
    generator = network(name, kind.device)
    if kind.precision == "float64":
        generator = generator.double()
    else:
        prepare(generator, precision=kind.precision)
    pictures = []
    for seed in range(PICTURES):
        z = torch.randn(1, generator.z_dim, generator=torch.Generator().manual_seed(seed)).to(generator.device)
        if kind.precision == "float64":
            z = z.double()
        ws = generator.mapping(z, truncation_psi=0.7)
        pictures.append(generator.synthesis(ws).float().cpu().numpy())
    return np.concatenate(pictures)


def in_a_process(name: str, number: int, folder: Path) -> np.ndarray:
    """The pictures of one of `KINDS`, from a process that may use no more than it has."""
    path = folder / f"{name}-{number}.npy"
    command = [sys.executable, __file__, "--paint", name, str(number), str(path)]
    subprocess.run(command, check=True, env={**os.environ, **KINDS[number].environment}, capture_output=True)
    return np.load(path, allow_pickle=False)


def levels(pictures: np.ndarray, scale: float) -> np.ndarray:
    """Pictures as bytes are: 0 to 255."""
    return np.rint(np.clip(pictures / scale * 127.5 + 127.5, 0, 255)).astype(np.int16)


def main() -> int:
    """Exit status for the shell."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--paint", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.paint:
        name, number, path = options.paint
        np.save(path, paint(name, KINDS[int(number)]), allow_pickle=False)
        return 0
    with tempfile.TemporaryDirectory() as folder:
        for name in (*(one.name for one in BUILTIN_NETWORKS), RANDOM):
            print(f"{name}: compared with {KINDS[0].name}")
            first = in_a_process(name, 0, Path(folder))
            scale = float(np.percentile(np.abs(first), 99.5)) if name == RANDOM else 1.0
            for number, kind in enumerate(KINDS[1:], start=1):
                if kind.device == "cuda" and not torch.cuda.is_available():
                    print(f"  {kind.name:40}  there is none here")
                    continue
                other = in_a_process(name, number, Path(folder))
                away = np.abs(levels(other, scale) - levels(first, scale))
                most, share = int(away.max()), 100 * float((away > 0).mean())
                raw = float(np.abs(other - first).max()) / scale
                print(f"  {kind.name:40}  {most:3} levels  {share:8.4f} % differ  {raw:9.2g} before rounding")
    return 0


if __name__ == "__main__":
    sys.exit(main())
