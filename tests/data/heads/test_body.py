"""Heads as a body of the performers: clips depend only on their numbers, have true units, and are drawn as one performance."""

from __future__ import annotations

import numpy as np
import pytest

from data import embedded, records
from data.frames import decode_frames
from data.heads import body
from data.heads.shape import make_shape
from data.performers.bodies import perform
from data.performers.build import split_persons
from data.performers.clips import make_clip
from data.performers.long import iter_frames, make_long_performance
from data.performers.performance import LONG, make_performance
from data.performers.recordings import bases_of, make_recorded_voice, speak
from data.performers.redraw import redrawer
from data.performers.tapes import BETWEEN, HIGH
from data.performers.voice import FACE, person_rng
from tests.tiny import tiny_config
from xactor_jax.clips import TrueClip
from xactor_jax.errors import UserError
from xactor_jax.labels import CONTROLS, UNITS

SIZE = 32


@pytest.fixture(scope="module")
def clip() -> records.Clip:
    return make_clip(body, 3, 4, 5, 12, SIZE, voice="formant")


def test_same_numbers_same_bytes(clip):
    again = make_clip(body, 3, 4, 5, 12, SIZE, voice="formant")
    assert list(clip.frames) == list(again.frames)
    np.testing.assert_array_equal(clip.units, again.units)


def test_the_clip_fits_together_and_its_units_are_those_of_the_performance(clip):
    clip.validate()
    performance = make_performance(3, 4, 5, 12)
    assert clip.controls.shape == (12, len(CONTROLS)) and clip.units.shape == (12, len(UNITS))
    np.testing.assert_array_equal(clip.units, performance.units)
    assert 0 <= clip.component_boxes.min() <= clip.component_boxes.max() <= 1


def test_the_person_stays_and_the_place_changes_from_clip_to_clip():
    acting = make_performance(3, 4, 0, 2).acting
    here, there, other = (body.make_figure(*numbers, acting) for numbers in ((3, 4, 0), (3, 4, 1), (3, 5, 0)))
    np.testing.assert_array_equal(here.shape.vertices, there.shape.vertices)
    np.testing.assert_array_equal(here.model.albedo, there.model.albedo)
    assert np.any(here.shape.vertices != other.shape.vertices)
    assert np.abs(here.render(acting, SIZE).astype(int) - there.render(acting, SIZE)).mean() > 3


def test_pieces_of_a_long_performance_are_the_whole():
    performance = make_performance(3, 4, LONG, 30)
    figure = body.make_figure(3, 4, LONG, performance.acting)
    parts = list(iter_frames(figure, performance, SIZE, piece=16))
    assert [len(part) for part in parts] == [16, 14]
    np.testing.assert_array_equal(np.concatenate(parts), figure.render(performance.acting, SIZE))


def ensure_clips(cache, kind, voice):
    """The data set of a config, made here and not in processes of its own, which would read the meshes again."""
    config = tiny_config("motion")
    config.data.update(persons=3, clips_per_person=1, clip_seconds=0.2, image_size=SIZE, seed=5, cache=str(cache))
    config.data.update(kind=kind, voice=voice)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(embedded.os, "cpu_count", lambda: 1)
        return embedded.ensure_clips(config)


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    return ensure_clips(tmp_path_factory.mktemp("heads"), "heads", "")


def test_the_data_set_says_what_it_is_and_holds_units(built):
    metadata = records.clips_metadata(built)
    assert metadata["kind"] == "heads" and metadata["voice"] == "recorded"
    record = records.open_clips(built, "test")[0]
    person = split_persons(3, 5)["test"][0]
    assert record["person"] == f"head{person:05d}"
    expected = perform(body, 5, person, 0, 5, split="test")
    np.testing.assert_array_equal(record["units"], expected.units)
    np.testing.assert_array_equal(record["audio"], expected.audio)


def test_people_are_drawn_again_in_their_place_with_another_s_movement(built):
    record = records.open_clips(built, "test")[0]
    frames = decode_frames(record["frames"])
    truth = {name: record[name] for name in ("person", "clip", "controls", "units")}
    target = TrueClip(frames=frames, waveform=np.zeros(0, np.float32), **truth)
    draw = redrawer(built)
    assert np.abs(draw(target, target).astype(int) - frames).mean() < 6
    part = target.cut(3, 640)
    assert np.abs(draw(part, part).astype(int) - frames[:3]).mean() < 6


VOICES = [("puppets", "formant", "recorded"), ("heads", "recorded", "formant")]


def test_the_config_chooses_the_body_and_each_recipe_has_a_folder(tmp_path, monkeypatch):
    """The voice that the body has is not in the folder's name."""
    asked = []
    monkeypatch.setattr(embedded, "build", lambda _, **settings: asked.append((settings["kind"], settings["voice"])))
    for kind, usual, other in VOICES:
        default, usual_voice, other_voice = (ensure_clips(tmp_path, kind, voice).name for voice in ("", usual, other))
        assert default == usual_voice != other_voice == f"{usual_voice}-{other}" and default.startswith(f"{kind}-")
    assert asked == [(kind, voice) for kind, *voices in VOICES for voice in ("", *voices)]
    with pytest.raises(UserError, match="choose one of puppets, heads"):
        ensure_clips(tmp_path, "robots", "")


@pytest.mark.slow  # quick: the one before, and what is built
@pytest.mark.parametrize(("kind", "usual", "other"), VOICES)
def test_what_the_config_chose_is_built(built, kind, usual, other):
    usual_clips, other_clips = (ensure_clips(built.parent, kind, voice) for voice in (usual, other))
    assert [records.clips_metadata(path)["kind"] for path in (usual_clips, other_clips)] == [kind] * 2
    assert [records.clips_metadata(path)["voice"] for path in (usual_clips, other_clips)] == [usual, other]
    assert (usual_clips == built) == (kind == "heads") and other_clips != built


def test_long_performances_have_the_voice_that_is_not_in_training():
    spoken = make_long_performance(body, 3, 4, 2 / 60)
    expected = perform(body, 3, 4, LONG, 50, split="test")
    np.testing.assert_array_equal(spoken.audio, expected.audio)


@pytest.mark.parametrize("people", [4, pytest.param(12, marks=pytest.mark.slow)])
def test_voices_go_with_faces(people):
    """The sex of the face decides; a man to whom only the held-out woman's voice is left has it lowered."""
    for person in range(people):
        man = make_shape(person_rng(3, person, FACE)).male > 0.5
        assert body.is_man(3, person) == man
        base = make_recorded_voice(3, person, bases_of("train"), man).base
        assert base in BETWEEN or (base in HIGH) != man
        lowered, own = (make_recorded_voice(3, person, bases_of("test"), m).f0 for m in (man, None))
        assert lowered < 0.9 if man else lowered == own
    spoken = perform(body, 3, 4, 0, 25, split="train")
    voice = make_recorded_voice(3, 4, bases_of("train"), body.is_man(3, 4))
    speech = speak(voice, spoken.mood, np.random.default_rng(np.random.SeedSequence([3, 4, 0]).spawn(2)[1]))
    np.testing.assert_array_equal(spoken.audio, speech.audio)
