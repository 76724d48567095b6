# SPDX-License-Identifier: GPL-3.0-or-later
"""Whatever a film uses comes into its bundle, under a relative path; what is not there is named, all of it."""

from pathlib import Path

from tests.conftest import RunBlender

BUILD = """
    import os, struct, sys, wave, zlib
    from pathlib import Path

    import bpy

    import stylegan_reactive
    from stylegan_reactive.blender.farm_packing import collect, external_files
    from stylegan_reactive.farm.manifest import BundleError

    bpy.ops.wm.read_factory_settings(use_empty=True)
    stylegan_reactive.register()
    folder = Path(sys.argv[1])
    (folder / "shots").mkdir(parents=True)


    def picture(path):
        image = bpy.data.images.new("made", 4, 4)
        image.filepath_raw, image.file_format = str(path), "PNG"
        image.save()
        bpy.data.images.remove(image)


    def sound(path):
        with wave.open(str(path), "wb") as file:
            file.setnchannels(1), file.setsampwidth(2), file.setframerate(8000)
            file.writeframes(bytes(8000))


    scene = bpy.context.scene
    settings = scene.stylegan_reactive
    picture(folder / "wood.png")
    for number in (1, 2, 3):
        picture(folder / "shots" / f"shot_{number:03d}.png")
    for name in ("song.wav", "noise.wav"):
        sound(folder / name)
        strips = scene.sequence_editor_create().strips
        strips.new_sound(name, str(folder / name), 1 + len(strips), 1)
    bpy.data.images.load(str(folder / "wood.png")).use_fake_user = True
    sequence = bpy.data.images.load(str(folder / "shots" / "shot_001.png"))
    sequence.source, sequence.use_fake_user = "SEQUENCE", True
    strip = strips.new_image("cut", str(folder / "shots" / "shot_002.png"), 5, 1)
    strip.elements.append("shot_003.png")
    (folder / "rows.npy").write_bytes(b"rows")
    (folder / "net.pkl").write_bytes(b"network")
    settings.song, settings.checkpoint = str(folder / "song.wav"), str(folder / "net.pkl")
    layer = settings.latent_layers.add()
    layer.take({"name": "rows", "source": {"kind": "static", "latents": [{"file": str(folder / "rows.npy")}]}})
    off = settings.latent_layers.add()
    off.take({"name": "off", "enabled": False, "source": {"kind": "static", "latents": [{"file": "/gone/away.npy"}]}})
    bundle = (folder / "bundle").resolve()
    bundle.mkdir()
    bpy.ops.wm.save_as_mainfile(filepath=str(bundle / "film.blend"))
"""


def test_everything_that_a_film_uses_comes_along_under_a_relative_path(run_blender: RunBlender, tmp_path: Path) -> None:
    output = run_blender(
        BUILD
        + """
    collect(bundle)
    outside = [path for path in external_files() if bundle not in path.parents]
    assert not outside, outside
    assert settings.checkpoint == "//files/net.pkl", settings.checkpoint
    assert settings.song == "//files/song.wav"
    assert layer.plain()["source"]["latents"][0]["file"] == str(bundle / "files" / "rows.npy")
    assert {sound.filepath for sound in bpy.data.sounds} == {"//files/song.wav", "//files/noise.wav"}
    assert bpy.data.images["wood.png"].packed_file is not None
    files = bundle / "files"
    found = sorted(path.relative_to(files).as_posix() for path in files.rglob("*") if path.is_file())
    print("FOUND", *found)
    """,
        tmp_path / "artist",
    )
    (found,) = [line.split()[1:] for line in output.splitlines() if line.startswith("FOUND")]
    shots = [name for name in found if "shot_" in name]
    assert [name for name in found if name not in shots] == [
        "net.pkl",
        "noise.wav",
        "rows.npy",
        "song.wav",
    ]
    assert sorted(Path(name).name for name in shots) == [
        "shot_001.png",
        "shot_002.png",
        "shot_002.png",
        "shot_003.png",
        "shot_003.png",
    ]


def test_all_files_that_are_missing_are_named_at_once(run_blender: RunBlender, tmp_path: Path) -> None:
    output = run_blender(
        BUILD
        + """
    for name in ("net.pkl", "noise.wav", "wood.png", "shots/shot_003.png"):
        (folder / name).unlink()
    try:
        collect(bundle)
    except BundleError as error:
        print("TOLD", " ".join(str(error).split()))
    """,
        tmp_path / "artist",
    )
    told = next(line for line in output.splitlines() if line.startswith("TOLD"))
    for name in ("net.pkl", "noise.wav", "wood.png", "shot_003.png"):
        assert name in told
    assert "away.npy" not in told, "a layer that is off needs nothing"
    assert "Choose them again" in told
