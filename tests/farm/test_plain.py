# SPDX-License-Identifier: GPL-3.0-or-later
"""The plain part of the farm: ranges of frames, what a bundle says of itself, and what a worker is told it lacks."""

import json
import os
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from stylegan_reactive.farm.frames import FilmRange, FrameFiles, FrameRangeError, frames_in, runs_of
from stylegan_reactive.farm.jobs import flamenco_job, openjd_template
from stylegan_reactive.farm.manifest import (
    BundledFile,
    BundleError,
    Manifest,
    bundled_files,
    changed_files,
    fingerprint,
    read_manifest,
    write_manifest,
)
from stylegan_reactive.farm.preflight import Worker, problems, room_needed

JOB = Manifest(
    name="film",
    addon="1.2.0",
    fingerprint="abc",
    blender=(5, 0),
    device="cpu",
    scene="Scene",
    range=FilmRange(1, 100),
    fps=24.0,
    width=512,
    height=512,
    frame_ending=".png",
    film_name="film.mp4",
    frame_bytes=512 * 512 * 3,
    video="MPEG4 H264 AAC",
    files=(BundledFile("files/song.ogg", "0" * 64, 3),),
)
FIT = Worker(blender=(5, 0), addon="1.2.0", fingerprint="abc", python="/p", device="cpu", free_bytes=10**12)


def test_ranges_are_read_as_both_farms_write_them() -> None:
    assert frames_in("1-3,8") == [1, 2, 3, 8]
    assert frames_in("4..6, 5") == [4, 5, 6]
    assert frames_in("-2-1") == [-2, -1, 0, 1]
    for wrong in ("", "a", "5-1", "1-3-5", "1-99999999999"):
        with pytest.raises(FrameRangeError):
            frames_in(wrong)


def test_chunks_hold_every_frame_of_the_film_once() -> None:
    film = FilmRange(-3, 40, 2)
    chunks = [film.chunk(start, 7) for start in range(film.first, film.last + 1, 7)]
    assert [frame for chunk in chunks for frame in chunk] == list(film.frames())
    assert list(runs_of([1, 2, 3, 7, 9, 10])) == [(1, 3), (7, 7), (9, 10)]
    assert list(runs_of([1, 3, 5, 9], step=2)) == [(1, 5), (9, 9)]


def test_only_finished_frames_count_as_there(tmp_path: Path) -> None:
    files = FrameFiles(tmp_path / "frames", ".png")
    assert files.missing([1, 2]) == [1, 2]
    (files.folder / ".partial-host-1").mkdir(parents=True)
    (files.folder / ".partial-host-1" / "frame_000001.png").write_bytes(b"half")
    files.path(2).write_bytes(b"whole")
    assert files.missing([1, 2]) == [1]


def test_a_manifest_comes_back_as_it_was_written(tmp_path: Path) -> None:
    write_manifest(tmp_path, JOB)
    assert read_manifest(tmp_path) == JOB


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"format": 99}', '{"format": 1, "name": 3}'])
def test_a_broken_manifest_is_told_in_words(tmp_path: Path, text: str) -> None:
    (tmp_path / "manifest.json").write_text(text, encoding="utf-8")
    with pytest.raises(BundleError, match="Submit the film again"):
        read_manifest(tmp_path)


@pytest.mark.parametrize(
    "lie",
    [
        {"film_name": "../../film.mp4"},
        {"film_name": "/film.mp4"},
        {"film_name": "C:film.mp4"},
        {"film_name": "..\\film.mp4"},
        {"film_name": ".."},
        {"film_name": 7},
        {"frame_ending": "/../../../x"},
        {"frame_ending": "\\..\\x"},
        {"device": ["cpu"]},
        {"scene": "a\0b"},
        {"width": "512"},
        {"range": {"first": 1, "last": 10, "step": 0}},
        {"range": {"first": 1, "last": 10**12, "step": 1}},
        {"range": {"first": 9, "last": 1, "step": 1}},
        {"files": [{"path": "../../.ssh/id", "sha256": "0", "size": 1}]},
        {"files": [{"path": "/etc/passwd", "sha256": "0", "size": 1}]},
        {"files": [{"path": "files\\..\\..\\x", "sha256": "0", "size": 1}]},
        {"files": [{"path": "c:/x", "sha256": "0", "size": 1}]},
        {"files": [{"path": "files/a", "sha256": 0, "size": 1}]},
    ],
)
def test_a_manifest_that_leads_elsewhere_is_refused(tmp_path: Path, lie: dict[str, object]) -> None:
    (tmp_path / "manifest.json").write_text(json.dumps({**asdict(JOB), **lie}), encoding="utf-8")
    with pytest.raises(BundleError, match="Submit the film again"):
        read_manifest(tmp_path)


def test_a_manifest_that_nests_without_end_is_refused(tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_text("[" * 200_000, encoding="utf-8")
    with pytest.raises(BundleError, match="Submit the film again"):
        read_manifest(tmp_path)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no pipes with names")
def test_a_pipe_in_the_place_of_a_file_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "song.ogg")
    (told,) = changed_files(tmp_path, [BundledFile("song.ogg", "0" * 64, 0)])
    assert "is no file" in told


def test_results_of_two_jobs_are_told_apart() -> None:
    assert JOB.identity == replace(JOB).identity
    assert replace(JOB, files=(BundledFile("files/song.ogg", "1" * 64, 3),)).identity != JOB.identity


def test_a_farm_may_fill_in_its_job(tmp_path: Path) -> None:
    for name in ("film.blend", "template.json", "flamenco/job.json"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("as written")
    assert [one.path for one in bundled_files(tmp_path)] == ["film.blend"]


def test_every_file_of_a_bundle_that_was_touched_is_named(tmp_path: Path) -> None:
    for name in ("film.blend", "files/song.ogg", "files/network.pkl", "output/frames/frame_000001.png"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode())
    files = bundled_files(tmp_path)
    assert [one.path for one in files] == ["files/network.pkl", "files/song.ogg", "film.blend"]
    assert changed_files(tmp_path, files) == []
    (tmp_path / "film.blend").write_bytes(b"longer than before")
    (tmp_path / "files/song.ogg").write_bytes(b"files/SONG.ogg")
    (tmp_path / "files/network.pkl").unlink()
    told = changed_files(tmp_path, files)
    assert [line.split()[0] for line in told] == ["files/network.pkl", "files/song.ogg", "film.blend"]


@pytest.mark.parametrize(
    ("worker", "words"),
    [
        (replace(FIT, blender=(4, 5)), "Install Blender 5.0"),
        (replace(FIT, addon="1.1.0"), "Install version 1.2.0"),
        (replace(FIT, fingerprint="xyz"), "Install the same zip"),
        (replace(FIT, engine_error="The engine is not installed yet."), "not installed yet"),
        (replace(FIT, device="cuda", device_name="Card"), "demands the processor"),
        (replace(FIT, changed=("files/song.ogg was changed.",)), "files/song.ogg"),
        (replace(FIT, missing=("/fonts/a.ttf",)), "/fonts/a.ttf"),
        (replace(FIT, encoder_error="Blender cannot write film.mp4"), "cannot write"),
        (replace(FIT, free_bytes=10**6), "Make room"),
    ],
)
def test_a_worker_that_lacks_something_is_stopped_and_told_what_to_do(worker: Worker, words: str) -> None:
    found = problems(JOB, worker, needed_bytes=room_needed(JOB, 100))
    assert len(found) == 1
    assert found[0].stops
    assert words in found[0].text


def test_a_worker_that_fits_may_begin() -> None:
    assert problems(JOB, FIT, needed_bytes=room_needed(JOB, 100)) == []


def test_a_job_for_any_device_takes_them_all() -> None:
    assert problems(replace(JOB, device=""), replace(FIT, device="cuda")) == []


def test_room_is_reckoned_from_the_frames_that_are_there() -> None:
    assert room_needed(JOB, 50, present=10, present_bytes=1000) == 5000


def test_a_job_that_demands_a_card_asks_the_farm_for_one() -> None:
    asked = {
        device: [
            step["name"]
            for step in openjd_template(replace(JOB, device=device), 10)["steps"]
            if "hostRequirements" in step
        ]
        for device in ("cpu", "cuda", "")
    }
    assert asked == {"cpu": [], "cuda": ["Check", "Render"], "": []}


def test_flamenco_is_told_where_the_bundle_lies(tmp_path: Path) -> None:
    job = flamenco_job(tmp_path, JOB, 25, "darwin")
    assert job["settings"]["blendfile"] == f"{tmp_path.as_posix()}/film.blend"
    assert (job["settings"]["frames"], job["settings"]["chunk_size"]) == ("1-100", 25)
    assert job["submitter_platform"] == "darwin"
    json.dumps(job, allow_nan=False)


def test_another_build_of_the_add_on_has_another_fingerprint(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_bytes(b"x = 1\n")
    first = fingerprint(tmp_path)
    (tmp_path / "a.py").write_bytes(b"x = 1\r\n")
    assert fingerprint(tmp_path) == first
    (tmp_path / "a.py").write_bytes(b"x = 2\n")
    assert fingerprint(tmp_path) != first
