# SPDX-License-Identifier: GPL-3.0-or-later
"""Neural separation with the real classes of Demucs and Open-Unmix, small and with weights made here."""

import hashlib
import pickle
import threading
from pathlib import Path

import numpy as np
import pytest
import soundfile

from stylegan_reactive.audio.neural import cached_stems, overlap_add, separate
from stylegan_reactive.audio.neural_models import MODELS, Network, download
from stylegan_reactive.errors import SongError

RATE = 44100
STEMS = ["drums", "bass", "other", "vocals"]


def bursts(seconds: float, rate: int = RATE) -> np.ndarray:
    """Stereo noise that starts and stops, so that a shift in time would show."""
    random = np.random.default_rng(3)
    time = np.arange(round(seconds * rate)) / rate
    return (random.uniform(-0.5, 0.5, (len(time), 2)) * (time % 0.7 < 0.2)[:, None]).astype(np.float32)


@pytest.fixture
def demucs_weights(tmp_path: Path) -> Path:
    """A file as Demucs writes it, of a network that fits into a test."""
    torch = pytest.importorskip("torch")
    htdemucs = pytest.importorskip("demucs.htdemucs", reason="the package demucs is not installed")
    torch.manual_seed(0)
    named = {
        "sources": STEMS, "channels": 16, "nfft": 1024, "depth": 4, "bottom_channels": 16, "t_layers": 1, "t_heads": 2,
        "t_hidden_scale": 1.0, "segment": 1,
    }  # fmt: skip
    network = htdemucs.HTDemucs(**named)
    path = tmp_path / "small.th"
    torch.save({"klass": htdemucs.HTDemucs, "args": [], "kwargs": named, "state": network.state_dict()}, path)
    return path


@pytest.fixture
def stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Weights of a network that gives every stem a quarter: for what has nothing to do with networks."""
    network = Network(tuple(STEMS), RATE, RATE, True, lambda sound: np.stack([0.25 * sound] * 4))
    monkeypatch.setattr("stylegan_reactive.audio.neural.load_network", lambda *_: network)
    path = tmp_path / "stand_in.th"
    path.write_bytes(b"weights")
    return path


@pytest.fixture
def unmix_weights(tmp_path: Path) -> Path:
    """A folder as Open-Unmix has it, of networks that pass on a known share of what they hear."""
    torch = pytest.importorskip("torch")
    load = pytest.importorskip("stylegan_reactive.audio.neural_models")
    try:
        with load._torchaudio_not_needed():
            from openunmix.model import OpenUnmix
    except ImportError:
        pytest.skip("the package openunmix is not installed")
    folder = tmp_path / "umx"
    folder.mkdir()
    torch.manual_seed(0)
    for name in STEMS:
        network = OpenUnmix(nb_bins=257, nb_channels=2, hidden_size=8, nb_layers=1, max_bin=200)
        state = network.state_dict()
        state["output_scale"].zero_()
        state["output_mean"].fill_(3.0 if name == "drums" else 1.0)
        torch.save(state, folder / f"{name}-12345678.pth")
    return folder


@pytest.mark.parametrize(("rate", "channels"), [(44100, 2), (22050, 1), (48000, 3)])
def test_demucs_makes_finite_stems_of_the_songs_length(write_song, tmp_path, demucs_weights, rate, channels):
    song = bursts(2.3, rate)[:, [0, 1, 0][:channels]]
    told = []
    stems = separate(
        write_song(song, rate=rate),
        tmp_path / "cache",
        weights=demucs_weights,
        progress=lambda part, text: told.append(part),
    )
    assert sorted(stems) == sorted(STEMS)
    for path in stems.values():
        samples, own = soundfile.read(path)
        assert abs(len(samples) / own - len(song) / rate) < 2 / rate
        assert np.isfinite(samples).all()
        assert np.ptp(samples) > 0
    assert told == sorted(told)
    assert told[-1] == 1.0


def test_open_unmix_puts_each_sound_into_its_stems_when_it_sounds(write_song, tmp_path, unmix_weights, monkeypatch):
    monkeypatch.setattr("stylegan_reactive.audio.neural_models.UNMIX_SEGMENT", 2.0)
    song = bursts(5.0)  # three segments
    stems = separate(write_song(song), tmp_path / "cache", model="umxl", weights=unmix_weights)
    sounds = {name: soundfile.read(path)[0] for name, path in stems.items()}
    np.testing.assert_allclose(sum(sounds.values()), song, atol=2e-3)
    for sound in sounds.values():
        assert np.corrcoef(sound[:, 0], song[:, 0])[0, 1] > 0.999
    assert np.std(sounds["drums"]) > 1.5 * np.std(sounds["bass"])


def test_second_separation_is_the_first_without_package_or_weights(write_song, tmp_path, stand_in, monkeypatch):
    song, cache = write_song(bursts(1.2)), tmp_path / "cache"
    assert cached_stems(song, cache, weights=stand_in) == {}
    first = separate(song, cache, weights=stand_in)
    dates = {path: path.stat().st_mtime_ns for path in first.values()}
    monkeypatch.setattr("stylegan_reactive.audio.neural.load_network", lambda *_: pytest.fail("was loaded again"))
    assert separate(song, cache, weights=stand_in) == first
    assert cached_stems(song, cache, weights=stand_in) == first
    assert {path: path.stat().st_mtime_ns for path in first.values()} == dates
    assert cached_stems(write_song(bursts(1.3), name="b.wav"), cache, weights=stand_in) == {}


@pytest.mark.parametrize("damage", ["cut", "changed", "gone"])
def test_damaged_stem_is_made_again(write_song, tmp_path, stand_in, damage):
    song, cache = write_song(bursts(1.2)), tmp_path / "cache"
    stems = separate(song, cache, weights=stand_in)
    whole = stems["bass"].read_bytes()
    if damage == "gone":
        stems["bass"].unlink()
    else:
        stems["bass"].write_bytes(whole[: len(whole) // 2] if damage == "cut" else whole[:-1] + b"\0")
    again = separate(song, cache, weights=stand_in)
    assert again["bass"].read_bytes() == whole


def test_cancelled_separation_leaves_nothing(write_song, tmp_path, stand_in):
    class Cancelled(Exception):
        pass

    def cancel(part: float, text: str) -> None:
        if part > 0.5:
            raise Cancelled

    song, cache = write_song(bursts(3)), tmp_path / "cache"
    with pytest.raises(Cancelled):
        separate(song, cache, weights=stand_in, progress=cancel)
    assert list(cache.iterdir()) == []
    assert cached_stems(song, cache, weights=stand_in) == {}


def test_two_separations_at_once_end_with_the_same_stems(write_song, tmp_path, stand_in):
    song, cache = write_song(bursts(1.5)), tmp_path / "cache"
    results: list[object] = [None, None]

    def run(place: int) -> None:
        try:
            results[place] = separate(song, cache, weights=stand_in)
        except BaseException as error:
            results[place] = error

    threads = [threading.Thread(target=run, args=(place,)) for place in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results[0] == results[1] == cached_stems(song, cache, weights=stand_in)
    assert len(list(cache.iterdir())) == 1


def test_silence_stays_silent(write_song, tmp_path, demucs_weights):
    stems = separate(write_song(np.zeros(RATE, np.float32)), tmp_path / "cache", weights=demucs_weights)
    for path in stems.values():
        assert np.abs(soundfile.read(path)[0]).max() < 1e-3


def test_weights_that_run_code_are_refused_and_run_nothing(write_song, tmp_path):
    pytest.importorskip("torch")
    pytest.importorskip("demucs", reason="the package demucs is not installed")
    trace = tmp_path / "ran"

    class Attack:
        def __reduce__(self):
            return (Path.touch, (trace,))

    weights = tmp_path / "bad.th"
    weights.write_bytes(pickle.dumps({"klass": Attack(), "args": (), "kwargs": {}, "state": {}}))
    with pytest.raises(SongError, match=r"bad\.th"):
        separate(write_song(bursts(1)), tmp_path / "cache", weights=weights)
    assert not trace.exists()


def test_damaged_and_foreign_weights_are_refused(write_song, tmp_path, demucs_weights):
    torch = pytest.importorskip("torch")
    song, cache = write_song(bursts(1)), tmp_path / "cache"
    whole = demucs_weights.read_bytes()
    cut = tmp_path / "cut.th"
    cut.write_bytes(whole[: len(whole) // 2])
    other = tmp_path / "other.th"
    torch.save({"weight": torch.zeros(3)}, other)
    huge = tmp_path / "huge.th"
    package = {**torch.load(demucs_weights, weights_only=False)}
    torch.save({**package, "kwargs": {**package["kwargs"], "channels": 1 << 14}}, huge)
    for weights in (cut, other, huge):
        with pytest.raises(SongError, match=weights.name):
            separate(song, cache, weights=weights)
    with pytest.raises(SongError, match="do not exist"):
        separate(song, cache, weights=tmp_path / "gone.th")
    with pytest.raises(SongError, match="vocals-bccbd9aa"):
        separate(song, cache, model="umxl", weights=tmp_path)


def test_nothing_is_downloaded_unless_allowed(write_song, tmp_path, monkeypatch):
    monkeypatch.setattr("urllib.request.urlopen", lambda *_, **__: pytest.fail("went online"))
    with pytest.raises(SongError, match=r"Allow online access.*955717e8"):
        separate(write_song(bursts(1)), tmp_path / "cache")


def test_unknown_network_is_refused_by_name(write_song, tmp_path):
    with pytest.raises(SongError, match=r"no separation network “spleeter”.*htdemucs"):
        separate(write_song(bursts(1)), tmp_path / "cache", model="spleeter")


@pytest.mark.parametrize("model", ["htdemucs", "umxl"])
def test_missing_package_is_named(write_song, tmp_path, monkeypatch, model):
    pytest.importorskip("torch")
    package = MODELS[model].package
    monkeypatch.setitem(__import__("sys").modules, package, None)
    for name in [name for name in __import__("sys").modules if name.startswith(f"{package}.")]:
        monkeypatch.setitem(__import__("sys").modules, name, None)
    for address in MODELS[model].addresses:
        (tmp_path / address.rpartition("/")[2]).write_bytes(b"weights")
    weights = next(tmp_path.glob("*.th")) if model == "htdemucs" else tmp_path
    with pytest.raises(SongError, match=f"needs the package “{package}”.*pip install {package}"):
        separate(write_song(bursts(1)), tmp_path / "cache", model=model, weights=weights)


def test_download_is_whole_or_not_there(tmp_path):
    content = b"weights" * 400000
    source = tmp_path / "source"
    source.write_bytes(content)
    good = tmp_path / "kept" / f"net-{hashlib.sha256(content).hexdigest()[:8]}.th"
    told = []
    download(source.as_uri(), good, lambda part, text: told.append(part))
    assert good.read_bytes() == content
    assert told[-1] == 1.0
    bad = tmp_path / "kept" / "net-00000000.th"
    with pytest.raises(SongError, match="arrived damaged"):
        download(source.as_uri(), bad, lambda part, text: None)
    with pytest.raises(SongError, match="cannot be downloaded"):
        download((tmp_path / "gone").as_uri(), bad, lambda part, text: None)
    assert [path.name for path in good.parent.iterdir()] == [good.name]


@pytest.mark.parametrize("length", [1, 99, 100, 101, 174, 175, 176, 1000, 1001])
def test_segments_join_without_a_seam(length):
    network = Network(("all", "half"), RATE, 100, False, lambda sound: np.stack([sound, 0.5 * sound]))
    sound = np.random.default_rng(length).standard_normal((2, length)).astype(np.float32)
    blocks = iter(np.array_split(sound, 7, axis=1))
    joined = np.concatenate(list(overlap_add(blocks, network)), axis=2)
    np.testing.assert_allclose(joined[0], sound, atol=1e-5)
    np.testing.assert_allclose(joined[1], 0.5 * sound, atol=1e-5)
