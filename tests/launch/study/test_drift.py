"""The table of drift of the tiny actor, as a program, on seconds instead of hours."""

from __future__ import annotations

import contextlib
import json
from functools import partial

import numpy as np
import pytest

from tests.launch.programs import run_here
from tests.tiny import CHUNK, LATENT_DIM, SIZE, tiny  # noqa: F401

SECONDS, PEOPLE = 6, 2


PROGRAM = "study/drift.py"


run = partial(run_here, PROGRAM)


@pytest.fixture(scope="module")
def options(tiny):
    sizes = (f"--minutes={SECONDS / 60}", f"--people={PEOPLE}", "--segment_seconds=2", "--probe_people=20")
    return (*sizes, f"--motion={tiny['motion']}", f"--actor=plain={tiny['actor']}", "--keep_motion")


@pytest.fixture(scope="module")
def folder(options, tmp_path_factory):
    out = tmp_path_factory.mktemp("drift") / "report"
    done = run(*options, f"--out={out}")
    assert done.returncode == 0, done.stderr
    return out, done


def test_one_table_with_true_motion_and_the_actor(folder):
    out, done = folder
    content = json.loads((out / "drift.json").read_text(), parse_constant=lambda name: pytest.fail(name))
    assert list(content["measured"]) == ["true", "plain"]
    for name, measured in content["measured"].items():
        assert measured["segments"]["minutes"] == pytest.approx([1 / 60, 3 / 60, 5 / 60])
        curves = measured["segments"]["curves"]
        assert all(len(values) == 3 for values in curves.values()) and min(curves["fmd"]) > 0
        assert measured["segments"]["trends"]["fmd"]["slope_error"] >= 0
        assert name in done.stdout or name == "true"
    assert np.mean(content["measured"]["true"]["segments"]["curves"]["std_ratio"]) == pytest.approx(1.0, rel=1e-5)
    cost = content["measured"]["plain"]["cost"]
    assert cost["first_seconds"] > 0 and cost["rss_mb"][0] > 100 and len(cost["seconds_per_chunk"]) == 1
    assert cost["needed_seconds"] == pytest.approx((5 + 2) / 25)  # a chunk and two frames
    page = (out / "drift.html").read_text()
    assert page.count("data:image/png;base64,") == 3 and "FMD, last over first" in page
    assert done.stdout.splitlines()[-1] == str(out / "drift.html")


def test_the_motion_is_what_the_actor_performs(folder, tiny):
    import jax

    from data.performers.long import make_long_performance
    from data.puppets import body
    from xactor_jax.audio.log_mel import log_mel_features
    from xactor_jax.sampling.load import Models, load_stage
    from xactor_jax.sampling.pipeline import make_settings

    out, _ = folder
    true, own = (np.fromfile(out / f"{name}.f32", np.float32).reshape(-1, PEOPLE, LATENT_DIM) for name in ("true", "plain"))
    assert len(true) == len(own) == SECONDS * 25
    motion, actor = load_stage("motion", tiny["motion"]), load_stage("actor", tiny["actor"])
    seed = json.loads((out / "results" / "plain.json").read_text())["mark"]["data_seed"]
    audio = np.stack(
        [
            log_mel_features(make_long_performance(body, seed, i, SECONDS / 60).audio.astype(np.float32) / 32768)
            for i in range(PEOPLE)
        ]
    )
    key = jax.random.fold_in(jax.random.key(0), 0)
    settings = make_settings(Models(motion, actor), {}, {}).rollout
    expected = actor.model.rollout(actor.variables, key, audio, true[0], None, settings)
    np.testing.assert_allclose(np.moveaxis(own, 0, 1), expected, atol=1e-4)


def test_what_is_done_is_not_done_again_and_what_is_new_is(folder, options, tiny):
    out, _ = folder
    before = (out / "results" / "plain.json").stat().st_mtime_ns
    more = f"--actor=other_one={tiny['actor']},history_level=0,steps=1"
    done = run_here(PROGRAM, *options, more, f"--out={out}")
    assert done.returncode == 0, done.stderr
    assert "plain is done" in done.stderr and "true is done" in done.stderr and "other_one is done" not in done.stderr
    assert (out / "results" / "plain.json").stat().st_mtime_ns == before
    content = json.loads((out / "drift.json").read_text())
    other = content["measured"]["other_one"]
    assert other["mark"]["settings"]["steps"] == 1 and other["mark"]["settings"]["history_level"] == 0.0
    assert other["segments"]["curves"]["fmd"] != content["measured"]["plain"]["segments"]["curves"]["fmd"]


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("--actor=CKPT", "is not NAME=CKPT"),
        ("--actor=b=,steps=many", "steps must be of type int, not 'many'"),
        ("--actor=b=nowhere", "/nowhere: name a run's or an export's folder"),
        ("--people=0", "--people=0 is not possible"),
        ("--out=/proc/drift", "/proc/drift cannot be made"),
    ],
)
def test_what_is_wrong_is_one_sentence(options, tmp_path, option, message):
    done = run_here(PROGRAM, f"--out={tmp_path}/report", *options, option)
    assert done.returncode == 2 and len(done.stderr.splitlines()) == 1 and message in done.stderr


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    from data.performers.build import build

    out = tmp_path_factory.mktemp("clips") / "puppets"
    build(str(out), 12, 1, 1.0, SIZE, 0, 0, kind="puppets")
    return out


def test_the_clips_of_a_data_set_are_performed_again_and_again(clips, tiny, tmp_path):
    from data.records import open_clips

    options = ["--minutes=0.1", "--people=2", "--segment_seconds=2", "--probe_people=10", f"--data={clips}"]
    options += [f"--motion={tiny['motion']}", f"--actor=plain={tiny['actor']}"]
    done = run_here(PROGRAM, *options, f"--out={tmp_path}/out")
    assert done.returncode == 0, done.stderr
    measured = json.loads((tmp_path / "out" / "drift.json").read_text())["measured"]
    assert measured["plain"]["mark"]["data"] == str(clips) and len(measured["plain"]["segments"]["minutes"]) == 3
    assert (
        measured["true"]["segments"]["curves"]["jaw_correlation"] != measured["plain"]["segments"]["curves"]["jaw_correlation"]
    )
    assert len(open_clips(clips, "validation")) >= 1


def test_sound_and_true_motion_of_joined_clips_stay_together(clips, tiny, tmp_path):
    from data.records import open_clips
    from launch.study._clip_scene import Recorded
    from xactor_jax.labels import CONTROLS
    from xactor_jax.sampling.load import load_stage
    from xactor_jax.timing import SAMPLES_PER_FRAME

    motion = load_stage("motion", tiny["motion"])
    sizes = dict(minutes=SECONDS / 60, people=PEOPLE, probe_people=10, segment_seconds=2)
    recorded = Recorded(data=str(clips), motion=motion, **sizes)
    scene = recorded.make_scene(tmp_path, lambda _: None, silent)
    source = open_clips(clips, "validation")
    records = [source[i] for i in range(len(source))]
    for person in range(PEOPLE):
        first = person * len(records) // PEOPLE
        for second in range(SECONDS):  # every clip is a second long
            record = records[(first + second) % len(records)]
            part = slice(25 * second, 25 * (second + 1))
            np.testing.assert_array_equal(scene.emotion[person, part], record["emotion"])
            jaw = np.asarray(record["controls"])[:, CONTROLS.index("jaw")]
            np.testing.assert_array_equal(scene.rulers[0].truth.jaw[person, part], jaw)
            sound = scene.speech[person][part.start * SAMPLES_PER_FRAME : part.stop * SAMPLES_PER_FRAME]
            np.testing.assert_allclose(sound, record["audio"].reshape(-1), atol=1)


@contextlib.contextmanager
def silent(what, total):
    yield lambda frames: None
