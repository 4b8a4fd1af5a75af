"""Published data sets, as small trees of the forms that they have."""

from __future__ import annotations

import json
import pathlib

import pytest

from data.annotations import Rules, annotate
from data.layouts import LAYOUTS, layout_of
from data.sources import find_sounds, list_files
from xactor_jax.errors import UserError

INFO = {
    "clips": {
        "M2Ohb0FAaJU_1": {"attributes": {"emotion": {"sep_flag": False, "labels": "surprise"}}},
        "_0tf2n3rlJU_0": {
            "attributes": {
                "emotion": {
                    "sep_flag": True,
                    "labels": [
                        {"emotion": "neutral", "start_sec": 0, "end_sec": 1.5},
                        {"emotion": "happy", "start_sec": 1.28, "end_sec": 3.28},
                    ],
                }
            }
        },
    }
}

TREES = {
    "hdtf": {
        "WDA_BarackObama_000.mp4": ("WDA_BarackObama", ""),
        "WRA_CathyMcMorrisRodgers2_001.mp4": ("WRA_CathyMcMorrisRodgers", ""),
        "RD_Radio10_000.mp4": ("RD_Radio10", ""),
        "_videos_raw/RD_Radio10.mp4": (None, ""),
    },
    "mead": {
        "M003/video/front/angry/level_1/001.mp4": ("M003", "angry@0.33"),
        "M003/video/front/neutral/level_1/001.mp4": ("M003", "neutral"),
        "W009/video/front/contempt/level_3/021.mp4": ("W009", "contemptuous"),
        "W009/video/left_30/contempt/level_3/021.mp4": (None, ""),
        "M003/audio/angry/level_1/001.m4a": (None, ""),
    },
    "ravdess": {
        "Video_Speech_Actor_01/Actor_01/01-01-03-02-01-01-01.mp4": ("01", "happy"),
        "Video_Speech_Actor_01/Actor_01/01-01-06-01-02-02-01.mp4": ("01", "afraid@0.5"),
        "Video_Speech_Actor_02/Actor_02/01-01-02-01-01-01-02.mp4": ("02", "neutral"),
        "Video_Speech_Actor_01/Actor_01/02-01-03-02-01-01-01.mp4": (None, ""),
    },
    "crema-d": {
        "VideoFlash/1001_DFA_ANG_XX.flv": ("1001", "angry"),
        "VideoFlash/1091_IEO_FEA_LO.flv": ("1091", "afraid@0.33"),
        "VideoFlash/1040_ITH_SAD_X.flv": ("1040", "sad"),
        "AudioWAV/1001_DFA_ANG_XX.wav": ("1001", "angry"),
    },
    "vfhq": {
        "Clip+G0DGRma_p48+P0+C0+F11208-11383.mp4": ("G0DGRma_p48+P0", ""),
        "Clip+--MJTR3evMw+P1+C0+F205-350.mp4": ("--MJTR3evMw+P1", ""),
        "youtube_videos/G0DGRma_p48.mp4": (None, ""),
    },
    "celebv-hq": {
        "35666/M2Ohb0FAaJU_1.mp4": ("M2Ohb0FAaJU", "surprised"),
        "35666/_0tf2n3rlJU_0.mp4": ("_0tf2n3rlJU", "neutral:0-1.5,happy:1.5-3.28"),
        "35666/abcdefghi_1_2.mp4": ("abcdefghi_1", ""),
        "raw/M2Ohb0FAaJU.mp4": (None, ""),
    },
    "voxceleb2": {
        "dev/mp4/id00012/21Uxsk56VDQ/00001.mp4": ("id00012", ""),
        "dev/mp4/id00017/01dfn2spqyE/00001.mp4": ("id00017", ""),
        "dev/aac/id00012/21Uxsk56VDQ/00001.m4a": ("id00012", ""),
    },
    "talkinghead-1kh": {
        "train/cropped_clips/--Y9imYnfBw_0000_S0_E271_L504_T63_R792_B351.mp4": ("--Y9imYnfBw", ""),
        "train/1min_clips/--Y9imYnfBw_0000.mp4": (None, ""),
        "train/raw_videos/--Y9imYnfBw.mp4": (None, ""),
    },
    "hallo3": {
        "one/videos/0001.mp4": ("one_videos_0001", ""),
        "two/videos/0001.mp4": ("two_videos_0001", ""),
        "two/raw/0001.mp4": (None, ""),
    },
}
"""Layout → path → who is seen, and what is felt."""


def make(folder: pathlib.Path, files: dict) -> pathlib.Path:
    for file in files:
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        (folder / file).write_bytes(b"x")
    return folder


@pytest.mark.parametrize("name", LAYOUTS)
def test_persons_clips_and_emotions(tmp_path: pathlib.Path, name: str) -> None:
    root = make(tmp_path / "set", TREES[name])
    if name == "celebv-hq":
        (tmp_path / "celebvhq_info.json").write_text(json.dumps(INFO))
    sources, warnings = list_files((str(root),), str(tmp_path / "out")), []
    annotations = annotate(sources, Rules(videos=(str(root),), layout=name), warnings.append)
    assert {file: (annotations.person[file], annotations.emotion[file]) for file in TREES[name]} == TREES[name] and not warnings


@pytest.mark.parametrize(
    ("name", "video", "sound"),
    [
        ("mead", "M003/video/front/angry/level_1/001.mp4", "M003/audio/angry/level_1/001.m4a"),
        ("voxceleb2", "dev/mp4/id00012/21Uxsk56VDQ/00001.mp4", "dev/aac/id00012/21Uxsk56VDQ/00001.m4a"),
        ("crema-d", "VideoFlash/1001_DFA_ANG_XX.flv", "AudioWAV/1001_DFA_ANG_XX.wav"),
    ],
)
def test_sounds_in_folders_of_their_own(tmp_path: pathlib.Path, name: str, video: str, sound: str) -> None:
    root = make(tmp_path / "set", TREES[name])
    found = find_sounds(list_files((str(root),), str(tmp_path / "out")), False, name)
    assert {path: source.relative for path, source in found.items()} == {str(root / video): sound}


def test_a_part_of_a_data_set_is_known_too(tmp_path: pathlib.Path) -> None:
    """Where preparing begins below the folder that names the person, and other rules go before the layout's."""
    root = make(tmp_path / "MEAD", TREES["mead"]) / "M003"
    sources = list_files((str(root),), str(tmp_path / "out"))
    file = "video/front/angry/level_1/001.mp4"
    annotations = annotate(sources, Rules(videos=(str(root),), layout="mead"), print)
    assert (annotations.person[file], annotations.emotion[file]) == ("M003", "angry@0.33")
    rules = Rules(videos=(str(root),), layout="mead", persons="path:(front)/", emotions="path:/(neutral)/")
    annotations = annotate(sources, rules, print)
    assert (annotations.person[file], annotations.emotion[file]) == ("front", "")


def test_mistakes(tmp_path: pathlib.Path) -> None:
    root = make(tmp_path / "set", {"a.mp4": None, "M2Ohb0FAaJU_1.mp4": None})
    sources, rules = list_files((str(root),), str(tmp_path / "out")), Rules(videos=(str(root),), layout="mead")
    with pytest.raises(UserError, match=r"--layout mead names nobody in 2 videos, such as .*: its clips are called as M003/"):
        annotate(sources, rules, print)
    with pytest.raises(UserError, match="there is no layout 'lrs3': choose one of hdtf, mead"):
        layout_of("lrs3")
    (tmp_path / "celebvhq_info.json").write_text("{")
    with pytest.raises(UserError, match=r"celebvhq_info\.json is no JSON .*: fetch it again"):
        annotate(sources, Rules(videos=(str(root),), layout="celebv-hq"), print)
