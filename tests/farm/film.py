# SPDX-License-Identifier: GPL-3.0-or-later
"""Run in Blender: a short film of the built-in song with a network file of its own, rendered in one go, and submitted.

film.py FOLDER BUNDLE
"""

import shutil
import sys
import time
from pathlib import Path

import bpy

import stylegan_reactive
from stylegan_reactive.blender.farm_bundle import JobOptions, bundle_steps
from stylegan_reactive.blender.session import session
from stylegan_reactive.builtin_networks import BUILTIN_NETWORKS

FIRST, FRAMES = 40, 8
folder, bundle = map(Path, sys.argv[1:])

bpy.ops.wm.read_factory_settings(use_empty=True)
stylegan_reactive.register()
network = folder / "a network.safetensors"
shutil.copyfile(BUILTIN_NETWORKS[0].path, network)
scene = bpy.context.scene
settings = scene.stylegan_reactive
settings.size = (96, 64)
settings.checkpoint = str(network)
bpy.ops.stylegan_reactive.use_builtin_song()
song = folder / "a song.ogg"
shutil.copyfile(settings.song, song)
settings.song = str(song)
bpy.ops.stylegan_reactive.set_up()
bpy.ops.stylegan_reactive.bake()
scene.frame_start, scene.frame_end = FIRST, FIRST + FRAMES - 1
scene.render.filepath = "//film.mp4"
bpy.ops.wm.save_as_mainfile(filepath=str(folder / "film.blend"))
bpy.ops.render.render(animation=True)

scene.name = "Unsaved Name"  # what is not saved goes along, and stays unsaved
network_before, saved_before = settings.checkpoint, (folder / "film.blend").read_bytes()
dirty_before, clips = bpy.data.is_dirty, len(bpy.data.images)
stopped = bundle_steps(scene, bundle, JobOptions())  # Esc in the midst leaves nothing behind
for _ in range(3):
    next(stopped)
stopped.close()
end = time.monotonic() + 30
while any(folder.glob("bundle*")) and time.monotonic() < end:
    time.sleep(0.05)
assert not any(folder.glob("bundle*")), list(folder.iterdir())

bpy.ops.stylegan_reactive.submit_to_farm(filepath=str(bundle), farm="openjd", chunk=4, device="here")
notice = session.notice(scene)
assert "The job is in" in notice.text, notice
assert (folder / "film.blend").read_bytes() == saved_before
assert Path(bpy.data.filepath) == folder / "film.blend"
assert (bpy.data.is_dirty, len(bpy.data.images), settings.checkpoint) == (dirty_before, clips, network_before)
assert settings.song == str(song)

scene.render.filepath = "//onego/frame_######"
if hasattr(scene.render.image_settings, "media_type"):
    scene.render.image_settings.media_type = "IMAGE"
scene.render.image_settings.file_format = "PNG"
scene.render.image_settings.color_mode = "RGB"
bpy.ops.render.render(animation=True)
session.close()
