# SPDX-License-Identifier: GPL-3.0-or-later
"""Bends of feature maps: where things go, what stays, and what an artist may count on while a curve moves."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from stylegan_reactive.generator import StyleGAN2, StyleGAN2Config, load_generator
from stylegan_reactive.generator.bend_operations import OPERATIONS
from stylegan_reactive.generator.bending import Bend, Channels
from stylegan_reactive.generator.mapping import MappingConfig
from stylegan_reactive.generator.resampling import BORDERS, weighted_sum

SMALL = StyleGAN2Config(
    mapping=MappingConfig(z_dim=8, c_dim=0, w_dim=16, widths=(16,)), resolution=32, channels=(16, 16, 12, 8)
)
# One way to open each operation, far enough to be seen in random maps.
OPEN: Mapping[str, Mapping[str, float]] = {
    "translate": {"x": 0.13, "y": -0.07},
    "scale": {"factor": 0.7, "centre_x": 0.1},
    "rotate": {"angle": 33.0},
    "shear": {"x": 0.3, "y": 0.1},
    "flip": {"horizontal": 1.0, "vertical": 0.3},
    "warp": {"strength": 0.08, "size": 0.4, "phase": 0.3, "seed": 2},
    "erode": {"radius": 0.11},
    "dilate": {"radius": 0.11},
    "blur": {"radius": 0.07},
    "sharpen": {"amount": 1.5},
    "threshold": {"amount": 0.8, "level": 0.2},
    "invert": {"amount": 0.9},
    "multiply": {"factor": -1.5},
    "noise": {"amount": 0.6, "phase": 1.3},
    "ablate": {"amount": 0.7},
}


def maps(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def spot(height: int, width: int, right: float, up: float) -> Tensor:
    """A soft spot, in fractions of the map right of its middle and above it."""
    x = (torch.arange(width) + 0.5) / width - 0.5 - right
    y = 0.5 - (torch.arange(height) + 0.5) / height - up
    return torch.exp(-((x[None] * width) ** 2 + (y[:, None] * height) ** 2) / 8)[None, None]


def place_of(x: Tensor) -> tuple[float, float]:
    """Where the spot is: right of the middle and above it, in fractions."""
    weights = x[0, 0].clamp(min=0)
    height, width = weights.shape
    columns = (torch.arange(width) + 0.5) / width - 0.5
    rows = 0.5 - (torch.arange(height) + 0.5) / height
    total = weights.sum()
    return float((weights.sum(0) * columns).sum() / total), float((weights.sum(1) * rows).sum() / total)


def bend(image: Tensor, operation: str, border: str = "reflect", **parameters: float | Tensor) -> Tensor:
    return Bend("any", operation, parameters, border=border)(image)


def test_every_operation_has_a_way_to_open_it() -> None:
    assert OPEN.keys() == OPERATIONS.keys()


@pytest.mark.parametrize("operation", OPERATIONS)
def test_a_bend_without_values_gives_the_very_same_map(operation: str) -> None:
    x = maps(2, 5, 9, 12)
    assert Bend("any", operation)(x) is x


@pytest.mark.parametrize("operation", OPERATIONS)
def test_an_open_bend_changes_the_map_and_never_its_input(operation: str) -> None:
    x = maps(2, 6, 16, 12)
    before = x.clone()
    bent = bend(x, operation, **OPEN[operation])
    assert torch.equal(x, before)
    assert bent.shape == x.shape
    assert float((bent - x).abs().mean()) > 0.05


@pytest.mark.parametrize("operation", OPERATIONS)
def test_a_bend_sets_in_without_a_jump(operation: str) -> None:
    x = maps(1, 4, 24, 20)
    for parameter in OPERATIONS[operation].parameters:
        if parameter.acts:
            little = bend(x, operation, **{parameter.name: parameter.default + 1e-4})
            assert float((little - x).abs().max()) < 0.02


@pytest.mark.parametrize("size", [7, 32, 96])
@pytest.mark.parametrize("operation", ["blur", "erode", "dilate", "translate", "scale", "rotate"])
def test_a_curve_through_all_values_never_makes_the_map_jump(operation: str, size: int) -> None:
    x = maps(1, 2, size, size)
    name = {"scale": "factor", "rotate": "angle", "translate": "x"}.get(operation, "radius")
    start, step = {"scale": (0.4, 0.001), "rotate": (80.0, 0.02)}.get(operation, (0.0, 0.05 / size))
    shots = [bend(x, operation, **{name: start + step * index}) for index in range(70)]
    changes = [float((after - before).abs().max()) for before, after in pairwise(shots)]
    assert max(changes) < 0.6  # the maps reach from -4 to 4, and a pixel is passed in 20 steps


@pytest.mark.parametrize("size", [(8, 8), (7, 9), (6, 10), (80, 96)])
@pytest.mark.parametrize("border", BORDERS)
def test_whole_pixels_are_moved_exactly(size: tuple[int, int], border: str) -> None:
    height, width = size
    x = maps(1, 2, height, width)
    moved = bend(x, "translate", border, x=3 / width, y=2 / height)
    expected = torch.zeros_like(x)
    for row in range(height):
        for column in range(width):
            r, c = row + 2, column - 3
            if border == "wrap":
                r, c = r % height, c % width
            elif border == "repeat":
                r, c = min(r, height - 1), max(c, 0)
            elif border == "reflect":
                r, c = min(r, 2 * height - 1 - r), max(c, -1 - c)
            if 0 <= r < height and 0 <= c < width:
                expected[..., row, column] = x[..., r, c]
    assert torch.allclose(moved, expected, atol=1e-5)


def test_moves_of_less_than_a_pixel_are_seen() -> None:
    x = spot(32, 32, 0.0, 0.0)
    for share in (0.1, 0.25, 0.5, 0.9):
        right, up = place_of(bend(x, "translate", x=share / 32, y=-share / 64))
        assert right == pytest.approx(share / 32, abs=2e-4)
        assert up == pytest.approx(-share / 64, abs=2e-4)


@pytest.mark.parametrize("size", [(32, 32), (33, 31), (32, 64), (90, 161)])
def test_directions_are_those_that_an_artist_expects(size: tuple[int, int]) -> None:
    height, width = size
    x = spot(height, width, 0.2, 0.1)
    assert place_of(bend(x, "translate", "zero", x=0.1, y=0.2)) == pytest.approx((0.3, 0.3), abs=0.01)
    assert place_of(bend(x, "scale", "zero", factor=1.5)) == pytest.approx((0.3, 0.15), abs=0.01)
    assert place_of(bend(x, "scale", "zero", x=0.5)) == pytest.approx((0.1, 0.1), abs=0.01)
    assert place_of(bend(x, "scale", "zero", factor=2, centre_x=0.2, centre_y=0.1)) == pytest.approx(
        (0.2, 0.1), abs=0.01
    )
    assert place_of(bend(x, "shear", "zero", x=1.0)) == pytest.approx((0.2 + 0.1 * height / width, 0.1), abs=0.01)
    assert place_of(bend(x, "shear", "zero", y=0.5)) == pytest.approx((0.2, 0.1 + 0.1 * width / height), abs=0.01)
    assert place_of(bend(x, "flip", horizontal=1)) == pytest.approx((-0.2, 0.1), abs=0.01)
    assert place_of(bend(x, "flip", vertical=1)) == pytest.approx((0.2, -0.1), abs=0.01)
    y = spot(height, width, 0.1, 0.0)  # a quarter turn counter-clockwise brings right to the top, as far in pixels
    assert place_of(bend(y, "rotate", "zero", angle=90)) == pytest.approx((0.0, 0.1 * width / height), abs=0.01)


@pytest.mark.parametrize("size", [(8, 8), (9, 9), (70, 70)])
def test_quarter_turns_and_full_turns_move_whole_pixels(size: tuple[int, int]) -> None:
    x = maps(1, 3, *size)
    assert torch.allclose(bend(x, "rotate", angle=90), x.rot90(1, (2, 3)), atol=1e-4)
    assert torch.allclose(bend(x, "rotate", angle=-180), x.rot90(2, (2, 3)), atol=1e-4)
    assert torch.allclose(bend(x, "rotate", angle=720), x, atol=1e-5)


def test_a_bend_means_the_same_at_every_resolution() -> None:
    def at(size: int, operation: str) -> Tensor:
        ramp = (torch.arange(size) + 0.5) / size
        picture = torch.sin(7 * ramp[:, None] + 3 * ramp[None] ** 2)[None, None]
        return torch.nn.functional.adaptive_avg_pool2d(bend(picture, operation, **OPEN[operation]), 16)

    for operation in ("translate", "scale", "rotate", "shear", "warp", "erode", "dilate", "blur", "invert"):
        assert float((at(64, operation) - at(128, operation)).abs().mean()) < 0.02, operation


def test_the_margin_of_a_map_does_not_count_as_picture() -> None:
    x = maps(1, 2, 36, 36)
    moved = Bend("any", "translate", {"x": 0.25, "y": 0.125})(x, margin=10)  # the picture has 16 pixels
    assert torch.allclose(moved[..., 4:, 4:][..., :28, :28], x[..., 6:34, :28], atol=1e-5)


def test_blur_keeps_the_mean_and_spreads_by_what_it_says() -> None:
    x = torch.zeros(1, 1, 65, 65)
    x[..., 32, 32] = 1
    for radius in (0.002, 0.01, 0.05):
        blurred = bend(x, "blur", radius=radius)[0, 0]
        offset = torch.arange(65) - 32.0
        assert float(blurred.sum()) == pytest.approx(1, abs=1e-5)
        assert float((blurred.sum(0) * offset**2).sum()) == pytest.approx((radius * 65) ** 2, rel=0.01, abs=1e-5)


def test_erosion_thins_and_dilation_thickens_evenly_around() -> None:
    x = torch.zeros(1, 1, 101, 101)
    x[..., 40:61, 40:61] = 1
    thick, thin = bend(x, "dilate", radius=0.1)[0, 0], bend(x, "erode", radius=0.05)[0, 0]
    assert float(thick[50].sum()) == pytest.approx(21 + 2 * 0.1 * 101, abs=1)
    assert float(thin[50].sum()) == pytest.approx(21 - 2 * 0.05 * 101, abs=1)
    for picture in (thick, thin):
        assert torch.allclose(picture, picture.flip(0)), "up and down are not treated alike"
        assert torch.allclose(picture, picture.T), "rows and columns are not treated alike"
    dot = torch.zeros(1, 1, 101, 101)
    dot[..., 50, 50] = 1
    disc = bend(dot, "dilate", radius=0.2)[0, 0]
    assert float(disc.sum()) == pytest.approx(3.1416 * 20.2**2, rel=0.1), "the neighbourhood is not round"


def test_sharpening_acts_even_where_its_radius_is_less_than_a_pixel() -> None:
    x = maps(1, 3, 4, 4)
    assert float(bend(x, "sharpen", amount=1.0).std()) > 1.2 * float(x.std())


def test_levels_follow_the_size_of_each_channel() -> None:
    x = maps(2, 4, 16, 16)
    loud = 500 * x + 1000 * torch.arange(4.0)[:, None, None]
    two = bend(loud, "threshold", amount=1, level=0.5)
    for sample, channel in ((0, 0), (1, 3)):
        values = two[sample, channel].unique()
        assert len(values) == 2
        assert values[0] == 0
        assert float(values[1]) == pytest.approx(float(loud[sample, channel].square().mean().sqrt()), rel=1e-4)
    above = x > (x.mean((2, 3), keepdim=True) + 0.5 * x.std((2, 3), keepdim=True, correction=0))
    assert torch.equal(two > 0, above)
    negative = bend(loud, "invert", amount=1)
    assert torch.allclose(negative.mean((2, 3)), loud.mean((2, 3)), rtol=1e-4, atol=0.1)
    assert torch.allclose(negative + loud, (2 * loud.mean((2, 3), keepdim=True)).expand_as(loud), rtol=1e-4, atol=0.1)
    noisy = bend(loud, "noise", amount=0.5) - loud
    assert torch.allclose(noisy.std((2, 3)) / loud.std((2, 3)), torch.tensor(0.5), atol=0.1)


def test_multiply_and_ablate_do_what_they_say() -> None:
    x = maps(1, 4, 8, 8)
    assert torch.equal(bend(x, "multiply", factor=-2.0), -2 * x)
    assert torch.equal(bend(x, "ablate", amount=1.0), torch.zeros_like(x))
    assert torch.allclose(bend(x, "ablate", amount=0.25), 0.75 * x)


def test_moving_noise_keeps_its_strength_and_never_repeats() -> None:
    x = torch.zeros(1, 8, 64, 64)
    x[..., ::2] = 2.0  # mean 1, deviation 1
    at = {phase: bend(x, "noise", amount=1.0, phase=phase) - x for phase in (-1.5, 0.0, 0.1, 0.5, 1.0, 1.37, 2.0)}
    for pattern in at.values():
        assert float(pattern.std()) == pytest.approx(1, abs=0.02)
    assert float((at[0.0] - at[0.1]).abs().mean()) < 0.2, "a tenth of a tick is another noise"
    for other in (1.0, 2.0):
        assert abs(float((at[0.0] * at[other]).mean())) < 0.03
    channels = at[0.0][0].flatten(1)
    assert float((torch.corrcoef(channels) - torch.eye(8)).abs().max()) < 0.1, "channels share their noise"
    assert torch.equal(bend(x, "noise", amount=1.0, phase=0.5), bend(x, "noise", amount=1.0, phase=0.5))
    assert not torch.equal(bend(x, "noise", amount=1.0, seed=1), bend(x, "noise", amount=1.0))


def test_the_noise_of_a_channel_is_the_same_whichever_others_are_bent() -> None:
    x = maps(1, 12, 8, 8)
    all_of_them = Bend("any", "noise", {"amount": 1.0})(x)
    some = Bend("any", "noise", {"amount": 1.0}, channels=Channels(indices=(3, 7)))(x)
    assert torch.allclose(some[:, [3, 7]], all_of_them[:, [3, 7]], atol=1e-6)


def test_warp_moves_as_far_as_it_says_and_comes_back_after_a_turn() -> None:
    ramp = torch.arange(128.0).expand(1, 1, 128, 128)
    moves = torch.stack([bend(ramp, "warp", strength=0.05, size=0.3, seed=seed) - ramp for seed in range(8)])
    inner = moves[..., 32:-32, 32:-32]
    assert float(inner.std()) == pytest.approx(0.05 * 128 / 2**0.5, rel=0.25)
    x = maps(1, 1, 32, 32)
    assert torch.allclose(bend(x, "warp", strength=0.1, phase=2.0), bend(x, "warp", strength=0.1), atol=1e-3)
    assert not torch.allclose(bend(x, "warp", strength=0.1, phase=0.5), bend(x, "warp", strength=0.1), atol=0.1)


@pytest.mark.parametrize("operation", OPERATIONS)
def test_a_sample_is_bent_alike_alone_and_in_a_batch_with_values_of_its_own(operation: str) -> None:
    x = maps(4, 6, 12, 16)
    values = {name: torch.tensor([value, value, 0.0, value]) for name, value in OPEN[operation].items()}
    for parameter in OPERATIONS[operation].parameters:
        if parameter.name in values:
            values[parameter.name][2] = parameter.default
    if "seed" not in values:
        first = next(iter(values))
        values[first][1] *= 0.5
    fraction = torch.tensor([1.0, 0.4, 0.9, 0.0])
    together = Bend("any", operation, values, channels=Channels(fraction=fraction, seed=5))
    batch = together(x)
    for index in range(4):
        alone = together.sample(index)(x[index : index + 1])
        assert torch.allclose(batch[index], alone[0], atol=1e-6)
    assert torch.equal(batch[2], x[2])
    assert torch.equal(batch[3], x[3])
    assert not torch.equal(batch[0], x[0])


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
@pytest.mark.parametrize("operation", OPERATIONS)
def test_type_and_memory_layout_stay(operation: str, dtype: torch.dtype) -> None:
    x = maps(2, 6, 12, 16)
    exact = bend(x, operation, **OPEN[operation])
    for layout in (torch.contiguous_format, torch.channels_last):
        given = x.to(dtype).contiguous(memory_format=layout)
        for channels in (Channels(), Channels(fraction=0.5)):
            bent = Bend("any", operation, OPEN[operation], channels=channels)(given)
            assert bent.dtype == dtype
            assert bent.is_contiguous(memory_format=layout)
        if operation != "threshold":  # where a value at the level may fall on either side
            whole = bend(given, operation, **OPEN[operation])
            assert float((whole.float() - exact).abs().mean()) < 0.02


def test_half_precision_never_overflows() -> None:
    x = torch.full((1, 2, 8, 8), 60000.0, dtype=torch.float16)
    x[..., ::2] *= -1
    for operation in ("multiply", "sharpen", "noise"):
        parameter = {"multiply": "factor"}.get(operation, "amount")
        assert bool(bend(x, operation, **{parameter: 50.0}).isfinite().all())


@pytest.mark.parametrize("size", [(1, 1), (1, 5), (4, 4), (2, 9)])
@pytest.mark.parametrize("border", BORDERS)
@pytest.mark.parametrize("operation", OPERATIONS)
def test_the_smallest_maps_can_be_bent(operation: str, border: str, size: tuple[int, int]) -> None:
    assert bool(bend(maps(1, 2, *size), operation, border, **OPEN[operation]).isfinite().all())


def test_chosen_channels_are_bent_and_all_others_left_alone() -> None:
    x = maps(1, 10, 4, 4)

    def bent(channels: Channels) -> list[int]:
        difference = (Bend("any", "multiply", {"factor": 3.0}, channels=channels)(x) - x).abs().amax(dim=(0, 2, 3))
        return difference.nonzero().flatten().tolist()

    assert bent(Channels()) == list(range(10))
    assert bent(Channels(first=2, last=4)) == [2, 3, 4]
    assert bent(Channels(first=7)) == [7, 8, 9]
    assert bent(Channels(indices=(9, 0))) == [0, 9]
    assert bent(Channels(indices=())) == []
    assert bent(Channels(fraction=0.0)) == []
    half = bent(Channels(fraction=0.5, seed=1))
    assert len(half) == 5
    assert half != bent(Channels(fraction=0.5, seed=2))
    assert set(bent(Channels(first=2, last=5, fraction=0.5))) < {2, 3, 4, 5}


def test_a_growing_fraction_adds_channels_one_by_one_and_never_swaps_any() -> None:
    x = maps(1, 7, 4, 4)
    amounts = []
    for step in range(141):
        bend = Bend("any", "multiply", {"factor": 2.0}, channels=Channels(fraction=step / 140, seed=3))
        amounts.append(((bend(x) - x) / x).amax(dim=(0, 2, 3)))
    steps = torch.stack(amounts).diff(dim=0)
    assert float(steps.min()) > -1e-5, "a channel went back"
    assert float(steps.max()) < 0.06, "a channel jumped in"
    assert torch.allclose(amounts[-1], torch.ones(7), atol=1e-5)
    assert float(amounts[70].sum()) == pytest.approx(3.5, abs=1e-4)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"operation": "spin"}, "no operation 'spin'.*rotate"),
        ({"operation": "rotate", "parameters": {"degrees": 3}}, "no parameter 'degrees'.*angle, centre_x"),
        ({"operation": "rotate", "border": "mirror"}, "no border 'mirror'.*reflect, repeat, wrap, zero"),
        ({"operation": "rotate", "side": "middle"}, "no side 'middle'.*input, output"),
        ({"operation": "blur", "parameters": {"radius": -0.1}}, "'radius' of the bend 'blur' is -0.1.*from 0 to 1"),
        ({"operation": "blur", "parameters": {"radius": float("nan")}}, "'radius'.*nan"),
        ({"operation": "warp", "parameters": {"seed": 1.5}}, "'seed'.*1.5.*whole"),
        ({"operation": "scale", "parameters": {"factor": torch.tensor([1.0, 0.0])}}, "'factor'.*0.01 to 100"),
        ({"operation": "scale", "parameters": {"factor": torch.ones(2, 2)}}, r"\[2, 2\], not \[batch\]"),
        ({"operation": "scale", "parameters": {"factor": "2"}}, "'2'; a number"),
    ],
)
def test_what_is_not_possible_is_refused_by_name(arguments: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Bend("any", **arguments)


def test_numbers_of_numpy_are_numbers() -> None:
    x = torch.randn(1, 4, 8, 8)
    halved = Bend("input", "ablate", {"amount": np.float32(0.5)}, channels=Channels(fraction=np.float32(1)))(x)
    assert torch.allclose(halved, x / 2)


def test_channels_that_do_not_exist_are_refused_by_name() -> None:
    x = maps(2, 4, 4, 4)
    for channels in (Channels(first=2, last=4), Channels(indices=(4,)), Channels(first=4)):
        with pytest.raises(ValueError, match="channel 4 is to be bent, but this layer has the channels 0 to 3"):
            Bend("any", "blur", {"radius": 0.1}, channels=channels)(x)
    for wrong in ({"first": 3, "last": 1}, {"first": -1}, {"indices": (1, 1)}, {"fraction": 1.2}):
        with pytest.raises(ValueError, match=r"channel"):
            Channels(**wrong)
    with pytest.raises(ValueError, match="'radius' of the bend 'blur' has 3 values for a batch of 2"):
        Bend("any", "blur", {"radius": torch.rand(3)})(x)


def test_devices_without_the_quick_kernel_read_the_same() -> None:
    pixels, index, weight = maps(20, 3), torch.randint(0, 20, (9, 4)), torch.rand(9, 4)

    class Elsewhere(torch.Tensor):
        device = torch.device("meta")

    slow = weighted_sum(pixels.as_subclass(Elsewhere), index, weight).as_subclass(torch.Tensor)
    assert torch.allclose(slow, weighted_sum(pixels, index, weight), atol=1e-6)


@pytest.fixture(scope="module")
def generator() -> StyleGAN2:
    torch.manual_seed(1)
    return StyleGAN2(SMALL)


def test_bends_reach_the_picture_at_either_side_of_each_layer_and_in_order(generator: StyleGAN2) -> None:
    ws = generator.mapping(maps(2, 8))
    plain = generator.synthesis(ws)
    for layer in ("input", "b8.conv0", "b32.conv1", "b32.torgb"):
        assert not torch.allclose(generator.synthesis(ws, bends=[Bend(layer, "multiply", {"factor": 3.0})]), plain)
    before = Bend("b16.conv1", "flip", {"horizontal": 1.0}, side="input")
    after = Bend("b16.conv1", "flip", {"horizontal": 1.0})
    assert not torch.allclose(generator.synthesis(ws, bends=[before]), generator.synthesis(ws, bends=[after]))
    assert torch.allclose(generator.synthesis(ws, bends=[after, after]), plain, atol=1e-5)
    move, turn = Bend("b16.conv1", "translate", {"x": 0.3}), Bend("b16.conv1", "rotate", {"angle": 90.0})
    one, other = (generator.synthesis(ws, bends=order) for order in ([move, turn], [turn, move]))
    assert not torch.allclose(one, other)
    idle = [Bend(layer, name) for layer in generator.layer_names for name in OPERATIONS]
    assert torch.equal(generator.synthesis(ws, bends=idle), plain)


def test_bent_pictures_are_the_same_alone_and_in_a_batch(generator: StyleGAN2) -> None:
    ws = generator.mapping(maps(3, 8))
    bends = [
        Bend("b8.conv0", "rotate", {"angle": torch.tensor([0.0, 40.0, -10.0])}),
        Bend("b16.conv1", "noise", {"amount": torch.tensor([0.5, 0.0, 1.0])}, channels=Channels(fraction=0.5)),
    ]
    together = generator.synthesis(ws, bends=bends)
    for index in range(3):
        alone = generator.synthesis(ws[index : index + 1], bends=[bend.sample(index) for bend in bends])
        assert torch.allclose(together[index], alone[0], atol=1e-5)


@pytest.mark.parametrize("side", ["input", "output"])
def test_a_bend_of_an_equivariant_network_moves_the_picture_as_far_as_it_says(shared_folder: Path, side: str) -> None:
    path = shared_folder / "reference" / "networks" / "sg3r_r64.pkl"
    if not path.is_file():
        pytest.skip(f"no reference network at {path}")
    network = load_generator(path)
    ws = network.mapping(maps(1, network.z_dim))
    plain = network.synthesis(ws)
    for layer in network.layer_names[2:11:4]:  # with maps of several sizes, none of which is the picture's
        moved = network.synthesis(ws, bends=[Bend(layer, "translate", {"x": 0.25}, side=side)])
        inner = (moved[..., 16:] - plain[..., :-16])[..., 8:-8, 8:-8]
        assert float(inner.abs().max()) < 1e-3


def test_a_picture_is_finite_at_the_limits_of_every_parameter(generator: StyleGAN2) -> None:
    ws = generator.mapping(maps(1, 8))
    for name, operation in OPERATIONS.items():
        for parameter in operation.parameters:
            for value, beyond in ((parameter.low, parameter.low - 1), (parameter.high, parameter.high * 2)):
                bends = [Bend("b8.conv0", name, {**OPEN[name], parameter.name: value}, border=b) for b in BORDERS]
                for bend in bends:
                    assert bool(generator.synthesis(ws, bends=[bend]).isfinite().all()), (name, parameter.name, value)
                with pytest.raises(ValueError, match="expected"):
                    Bend("b8.conv0", name, {parameter.name: beyond})


def test_the_table_tells_an_interface_all_that_it_needs() -> None:
    for operation in OPERATIONS.values():
        assert operation.description.endswith(".")
        assert any(parameter.acts for parameter in operation.parameters)
        for parameter in operation.parameters:
            assert parameter.low <= parameter.soft_low <= parameter.default <= parameter.soft_high <= parameter.high
            assert parameter.description
            assert parameter.unit in (
                "width", "height", "factor", "amount", "degrees", "turns", "ticks", "deviations", "seed",
            )  # fmt: skip
