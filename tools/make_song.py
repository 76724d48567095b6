# SPDX-License-Identifier: GPL-3.0-or-later
"""Compose, play and encode the built-in song: `stylegan_reactive/assets/song.ogg` and its truth, `song.json`.

    python tools/make_song.py                 write both files
    python tools/make_song.py --check         play the song again and compare it with the files
    python tools/make_song.py --stems DIR     also write each instrument by itself, as WAV

The song needs no samples: every sound is computed. The same code gives the same song; only the Vorbis coder's own
rounding, and a serial number in the file, may differ from one machine to another.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from song_drums import effects, hats, kick, snare
from song_instruments import Stem, arpeggio, bass, bells, keys, lead, pad, perform, soft, sub
from song_master import loudness
from song_mixing import mix
from song_score import BAR, BEAT, DURATION, LAST_BEAT, SAMPLE_RATE, TEMPO, Score, compose
from song_synthesis import Sound

ASSETS = Path(__file__).resolve().parent.parent / "stylegan_reactive" / "assets"
TITLE = "Lantern Weather"
QUALITY = 0.45  # soundfile's compression level; Vorbis quality is one minus this
STRUCK = ("crash", "impact")  # effects that start with a blow; the others swell from nothing
LEAST_LIKENESS = 15.0  # dB by which the song must rise above its difference from the encoded file


def play(score: Score) -> dict[str, Stem]:
    """Every instrument of the desk by itself."""
    return {
        "kick": perform(score.of("kick"), kick),
        "snare": perform(score.of("snare"), snare),
        "hats": perform(score.of("hats"), hats),
        "effects": perform(score.of("effects"), effects),
        "sub": perform(score.of("bass", "sub"), sub),
        "bass": perform(score.of("bass", "pluck"), bass),
        "pad": perform(score.of("chords", "pad"), pad),
        "keys": perform(score.of("chords", "keys"), keys),
        "arpeggio": perform(score.of("arpeggio"), arpeggio),
        "lead": perform(score.of("lead", "saw", "second"), lead),
        "soft": perform(score.of("lead", "soft"), soft),
        "bells": perform(score.of("lead", "bell"), bells),
    }


def truth(score: Score, stems: dict[str, Stem], song: Sound) -> dict[str, Any]:
    """What is known about the song because we made it; times in seconds."""
    heard = {
        "kick": stems["kick"].onsets,
        "snare": stems["snare"].onsets,
        "hats": stems["hats"].onsets,
        "bass": stems["bass"].onsets,
        "chords": stems["keys"].onsets,
        "lead": stems["lead"].onsets + stems["soft"].onsets + stems["bells"].onsets,
        "arpeggio": stems["arpeggio"].onsets,
        "effects": tuple(
            onset
            for event, onset in zip(score.of("effects"), stems["effects"].onsets, strict=True)
            if event.articulation in STRUCK
        ),
    }
    beats = [round(beat * BEAT / SAMPLE_RATE, 6) for beat in range(LAST_BEAT + 1)]
    return {
        "title": TITLE,
        "licence": "CC0-1.0",
        "made": "composed and synthesised by tools/make_song.py",
        "sample_rate": SAMPLE_RATE,
        "duration": DURATION / SAMPLE_RATE,
        "tempo": TEMPO,
        "metre": [4, 4],
        "key": "A flat major",
        "loudness_lufs": round(loudness(song), 1),
        "beats": beats,
        "downbeats": beats[::4],
        "sections": [[seconds(s.start), seconds(s.end), s.name] for s in score.sections],
        "chords": [[seconds(c.start), seconds(c.end), c.name] for c in score.chords],
        "onsets": {name: separate(times) for name, times in heard.items()},
        "velocities": {
            name: [round(event.velocity, 3) for event in score.of(name)] for name in ("kick", "snare", "hats")
        },
        "notes": [
            {
                "instrument": event.instrument,
                "articulation": event.articulation,
                "start": seconds(event.start),
                "end": seconds(min(DURATION, event.start + event.length)),
                "midi": event.midi,
                "velocity": round(event.velocity, 3),
            }
            for event in score.events
            if event.midi is not None
        ],
    }


def seconds(sample: int) -> float:
    """Seconds of a sample, to the microsecond."""
    return round(sample / SAMPLE_RATE, 6)


def separate(times: tuple[float, ...]) -> list[float]:
    """Sorted onsets; those less than 10 ms apart (the notes of a chord) count once, as the first of them."""
    apart: list[float] = []
    for time in sorted(times):
        if not apart or time - apart[-1] >= 0.010:
            apart.append(time)
    return [round(time, 5) for time in apart]


def write_ogg(path: Path, sound: Sound) -> None:
    """Encode as Ogg Vorbis, a bar at a time (libsndfile fails on very long single writes)."""
    with soundfile.SoundFile(
        path, "w", SAMPLE_RATE, 2, format="OGG", subtype="VORBIS", compression_level=QUALITY
    ) as file:
        for start in range(0, len(sound), BAR):
            file.write(sound[start : start + BAR])


def write_json(path: Path, data: dict[str, Any]) -> None:
    """Write the truth with one line per list or note, so that a change can be read."""
    text = []
    for name, value in data.items():
        if name in ("sections", "chords", "notes"):
            rows = ",\n".join("  " + json.dumps(row) for row in value)
            text.append(f" {json.dumps(name)}: [\n{rows}\n ]")
        elif name in ("onsets", "velocities"):
            rows = ",\n".join(f"  {json.dumps(key)}: {json.dumps(row)}" for key, row in value.items())
            text.append(f" {json.dumps(name)}: {{\n{rows}\n }}")
        else:
            text.append(f" {json.dumps(name)}: {json.dumps(value)}")
    path.write_text("{\n" + ",\n".join(text) + "\n}\n", encoding="utf-8")


def check(song: Sound, data: dict[str, Any], folder: Path = ASSETS) -> list[str]:
    """Compare a song that was just played with the files in a folder; what differs, in words."""
    faults = []
    if not alike(json.loads((folder / "song.json").read_text(encoding="utf-8")), json.loads(json.dumps(data))):
        faults.append("song.json differs from what the score says now: run tools/make_song.py")
    encoded, _ = soundfile.read(folder / "song.ogg", always_2d=True)
    if encoded.shape != song.shape:
        return [*faults, f"song.ogg has shape {encoded.shape}, the song {song.shape}: run tools/make_song.py"]
    likeness = 10.0 * np.log10((song**2).sum() / max(((song - encoded) ** 2).sum(), 1e-12))
    print(f"song.ogg is {likeness:.1f} dB above its difference from the song as played now")
    if likeness < LEAST_LIKENESS:
        faults.append(f"song.ogg is not this song ({likeness:.1f} dB): run tools/make_song.py")
    return faults


def alike(one: Any, other: Any) -> bool:
    """Whether two values from JSON are equal but for a thousandth, which another machine's rounding may make."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(alike(one[name], other[name]) for name in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(alike, one, other))
    if isinstance(one, int | float) and isinstance(other, int | float):
        return abs(one - other) <= 0.001
    return bool(one == other)


def main() -> int:
    """Command line; returns the exit status."""
    parser = argparse.ArgumentParser(description="Compose, play and encode the built-in song.")
    parser.add_argument("--check", action="store_true", help="write nothing; compare with the files of the package")
    parser.add_argument("--stems", type=Path, help="folder for each instrument and the mix as WAV")
    options = parser.parse_args()
    score = compose()
    stems = play(score)
    song, parts = mix(stems, score)
    data = truth(score, stems, song)
    if options.stems:
        options.stems.mkdir(parents=True, exist_ok=True)
        for name, part in {**parts, "mix": song}.items():
            soundfile.write(options.stems / f"{name}.wav", part, SAMPLE_RATE, subtype="FLOAT")
    if options.check:
        faults = check(song, data)
        print("\n".join(faults) or "song.ogg and song.json are what this script makes")
        return 1 if faults else 0
    ASSETS.mkdir(parents=True, exist_ok=True)
    write_ogg(ASSETS / "song.ogg", song)
    write_json(ASSETS / "song.json", data)
    size = (ASSETS / "song.ogg").stat().st_size
    print(f"{TITLE}: {data['duration']:.3f} s, {data['loudness_lufs']} LUFS, song.ogg {size / 1000:.0f} kB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
