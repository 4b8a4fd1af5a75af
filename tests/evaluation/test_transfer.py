"""Reenactment across puppets by renderers whose quality is known by construction."""

from __future__ import annotations

import json

import numpy as np
import pytest

from data.frames import decode_frames
from data.performers.bodies import person_name
from data.performers.build import build
from data.performers.performance import make_performance
from data.performers.redraw import redrawer
from data.puppets import body, face
from data.puppets.identity import make_identity
from data.records import open_clips
from data.storage import HASHES
from xactor_jax.clips import TrueClip, read
from xactor_jax.evaluation import side_by_side
from xactor_jax.evaluation.identity import face_pixels, fit_identity
from xactor_jax.evaluation.transfer import make_cases, transfer, transfer_scores

SIZE, FRAMES, PEOPLE, SEED = 48, 12, 12, 77
NAMES = {person_name(body, person): person for person in range(PEOPLE)}


def drawn(person, controls):
    return face.render(make_identity(SEED, NAMES[person]), controls, SIZE)


def draw(target, driver):
    return drawn(target.person, driver.controls)


def clip_of(person: int, clip: int, frames: int = FRAMES) -> TrueClip:
    controls = make_performance(SEED, person, clip, frames).controls.astype(np.float32)
    name = person_name(body, person)
    empty = np.zeros(0, np.float32)
    return TrueClip(person=name, clip=str(clip), frames=drawn(name, controls), waveform=empty, controls=controls)


@pytest.fixture(scope="module")
def known() -> list[TrueClip]:
    """What the probe of identity is fitted on."""
    return [clip_of(person, clip, 60) for person in range(PEOPLE) for clip in (1, 2)]


@pytest.fixture(scope="module")
def scene(known) -> side_by_side.Scene:
    """Motion latents are brightnesses, which the renderers here do not look at."""
    clips = [clip_of(person, 0) for person in range(PEOPLE)]
    encode = lambda frames: frames.mean(axis=(1, 2)).astype(np.float32)
    latents = [read(encode, clip) for clip in clips]
    return side_by_side.Scene(clips, latents, make_cases(clips, latents, encode, draw), fit_identity(known, 5))


def test_every_portrait_is_driven_by_somebody_else(scene):
    cases = scene.cases
    assert sorted(cases.targets) == sorted(cases.drivers) == sorted(NAMES)
    assert all(target != driver for target, driver in zip(cases.targets, cases.drivers, strict=True))
    by_name = {clip.person: clip for clip in scene.clips}
    for k, (target, driver) in enumerate(zip(cases.targets, cases.drivers, strict=True)):
        np.testing.assert_array_equal(cases.references[k], by_name[target].frames[0])
        np.testing.assert_array_equal(cases.driver[k], by_name[driver].frames)
        np.testing.assert_array_equal(cases.true[k], drawn(target, by_name[driver].controls))
        np.testing.assert_allclose(cases.true_motion[k], cases.true[k].mean(axis=(1, 2)), rtol=1e-5)


def test_the_probe_recognises_faces_only_by_their_inside(scene, known):
    assert scene.probe.share(scene.cases.true, scene.cases.targets) > 0.95
    assert scene.probe.share(scene.cases.driver, scene.cases.targets) < 0.05
    frames = known[0].frames[:2].copy()
    framed = frames.copy()
    framed[:, :10] = framed[:, :, :12] = framed[:, :, -12:] = 0
    np.testing.assert_array_equal(face_pixels(frames), face_pixels(framed))


def renderer_of(scene, cross, same):
    """A renderer that gives `cross` for the driver's motion and `same` for the truth's."""
    return lambda images, reference, motion: cross if motion is scene.cases.driver_motion else same


def scores_of(scene, cross, same):
    return transfer_scores(scene.cases, transfer(renderer_of(scene, cross, same), scene.cases), scene.probe)


def test_a_renderer_that_shows_the_driver_is_detected(scene, rng):
    cases = scene.cases
    noisy = np.clip(cases.true.astype(int) + rng.choice([-8, 8], cases.true.shape), 0, 255)
    good, best = noisy.astype(np.uint8), np.clip(cases.true.astype(int) + 2, 0, 255).astype(np.uint8)
    scores = scores_of(scene, good, best)
    assert scores["gain_db"] > 2 and 8 < scores["loss_db"] < 14
    assert scores["identity"]["cross"] > 0.9 and scores["identity"]["cross_is_driver"] < 0.1
    assert scores["identity"]["true_frames"] > 0.95
    copied = scores_of(scene, cases.driver, best)
    assert copied["gain_db"] < 0 and copied["identity"]["cross"] < 0.1 and copied["identity"]["cross_is_driver"] > 0.9


def test_a_renderer_that_never_moves_gains_nothing(scene):
    still = np.broadcast_to(scene.cases.references[:, None], scene.cases.true.shape).copy()
    scores = scores_of(scene, still, still)
    assert scores["gain_db"] == 0 and scores["loss_db"] == 0 and scores["identity"]["cross"] > 0.9


def test_only_changes_begin_at_the_portrait(scene):
    """A renderer that paints a face as bright as its motion latent says, whatever the portrait."""
    cases = scene.cases
    paint = lambda images, reference, motion: np.broadcast_to(motion[:, :, None, None], cases.true.shape).astype(np.uint8)
    rendered = transfer(paint, cases)
    expected = cases.true_motion[:, :1] + cases.driver_motion - cases.driver_motion[:, :1]
    np.testing.assert_array_equal(rendered.relative, paint(None, None, expected))
    np.testing.assert_array_equal(rendered.posed, paint(None, None, cases.driver_motion))
    scores = transfer_scores(cases, rendered, scene.probe)
    assert scores["relative_gain_db"] > scores["posed_gain_db"]  # people differ in brightness by more than frames do


def test_a_single_person_cannot_drive_another(scene):
    assert make_cases(scene.clips[:1], scene.latents[:1], lambda frames: None, draw) is None


def test_renderers_side_by_side(scene):
    true = np.stack([clip.frames for clip in scene.clips])
    shifted = np.clip(true.astype(int) + 4, 0, 255).astype(np.uint8)
    measured = {name: side_by_side.measure(lambda *_, v=v: v, scene) for name, v in {"a": shifted, "b": true}.items()}
    compared = side_by_side.compare(measured)
    assert compared["a"]["against_first_db"] is None
    assert compared["b"]["against_first_db"] == pytest.approx(10 * np.log10(255**2 / 16), abs=0.5)
    assert compared["a"]["gain_db"] > 3 and compared["a"]["seconds_per_frame"] >= 0
    table = side_by_side.rows(compared)
    assert [line[0] for line in table] == ["a", "b", "the reference repeated"]
    assert table[-1][1] == f"{compared['a']['repeated']['psnr']:.2f}" and all(
        len(line) == len(side_by_side.HEAD) for line in table
    )


def test_people_of_a_data_set_are_drawn_again(tmp_path):
    build(tmp_path / "puppets", persons=4, clips_per_person=1, seconds=0.4, size=32, seed=5, processes=1, progress=False)
    record = open_clips(tmp_path / "puppets", "test")[0]
    names = {name: record[name] for name in ("person", "clip", "controls", "units")}
    frames = decode_frames(record["frames"])
    clip = TrueClip(frames=frames, waveform=np.zeros(0, np.float32), **names)
    again = redrawer(tmp_path / "puppets")(clip, clip)
    assert again.shape == frames.shape and np.abs(again.astype(int) - frames).mean() < 6
    index = tmp_path / "puppets" / "index.json"
    written = {name: value for name, value in json.loads(index.read_text()).items() if name != HASHES}
    index.write_text(json.dumps(written).replace('"seed": 5', '"seed": 6'))
    assert redrawer(tmp_path / "puppets") is None
    index.write_text(index.read_text().replace('"seed"', '"other"'))
    assert redrawer(tmp_path / "puppets") is None
