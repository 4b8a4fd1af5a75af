import dataclasses
import json

import grain
import numpy as np
import pytest
from etils import epath
from grain import ReadOptions
from ml_collections import ConfigDict

from configs.stages import default_config, training_iterator
from data.encoded import EncodedClip, write_encoded
from data.frames import encode_frames
from data.records import Clip, write_clips
from xactor_jax.errors import UserError
from xactor_jax.training.saving import restore_iterator

LENGTHS = (6, 9, 20, 7, 30, 8)  # frames of each clip


def frame(clip: int, index: int) -> np.ndarray:
    """A flat picture that says which frame of which clip it is."""
    return np.full((16, 16, 3), (40 * clip, 8 * index, 128), np.uint8)


def make_clip(number: int, kind: str = "jpeg") -> Clip:
    frames = LENGTHS[number]
    boxes = np.tile(np.linspace(0, 1, frames, dtype=np.float32)[:, None, None], (1, 2, 4))
    return Clip(
        person=f"p{number // 2}",
        clip=f"c{number}",
        frames=encode_frames(np.stack([frame(number, i) for i in range(frames)]), kind),
        audio=np.zeros(640 * frames, np.int16),
        emotion=np.full(frames, number % 5, np.int32),
        emotion_intensity=np.ones(frames, np.float32),
        controls=np.zeros((0, 14), np.float32),
        component_boxes=boxes,
    )


def make_encoded(number: int) -> EncodedClip:
    frames = LENGTHS[number]
    values = number + np.arange(frames, dtype=np.float32)[:, None] / 100
    return EncodedClip(
        person=f"p{number // 2}",
        clip=f"c{number}",
        motion_latents=np.repeat(values, 4, axis=1),
        audio_features=np.repeat(-values, 3, axis=1),
        emotion=np.full(frames, number % 5, np.int32),
        emotion_intensity=0.1 * values[:, 0],
        controls=np.zeros((0, 14), np.float32),
    )


@pytest.fixture(scope="module")
def paths(tmp_path_factory):
    root = tmp_path_factory.mktemp("pipelines")
    write_clips(root / "clips", {"train": [make_clip(i) for i in range(6)]}, name="clips")
    write_encoded(root / "encoded", {"train": [make_encoded(i) for i in range(6)]}, metadata={})
    return root


@pytest.fixture(scope="module")
def h264_paths(paths, tmp_path_factory):
    root = tmp_path_factory.mktemp("h264")
    write_clips(root / "clips", {"train": [make_clip(i, "h264") for i in range(6)]}, name="clips")
    (root / "encoded").symlink_to(paths / "encoded")
    return root


def config_of(stage: str, paths, **data) -> ConfigDict:
    """The stage's config for these records, with settings of its `data`."""
    c = default_config(stage)
    c.data.update(path=str(paths / "clips"), encoded_path=str(paths / "encoded"), examples_per_clip=2, threads=0)
    c.data.update(**data)
    c.batch_size = 8
    return c


@pytest.fixture
def config(paths) -> ConfigDict:
    return config_of("motion", paths)


def take(config, count=4, split="train", **shard):
    iterator = training_iterator(config, split, **shard)
    return [next(iterator) for _ in range(count)]


def assert_same(a, b):
    for x, y in zip(a, b, strict=True):
        assert x.keys() == y.keys()
        for name in x:
            np.testing.assert_array_equal(x[name], y[name])


def test_motion_pairs_come_from_one_clip_as_bytes(config):
    for batch in take(config):
        assert {k: (v.shape, v.dtype.name) for k, v in batch.items()} == {
            **dict.fromkeys(("target", "reference"), ((8, 16, 16, 3), "uint8")),
            "component_boxes": ((8, 2, 4), "float32"),
        }
        target, reference = (np.rint(batch[k].mean((1, 2))) for k in ("target", "reference"))
        np.testing.assert_array_equal(np.rint(target[:, 0] / 40), np.rint(reference[:, 0] / 40))
        assert np.all(np.abs(target[:, 1] - reference[:, 1]) > 4)
        place = np.rint(target[:, 1] / 8) / (np.array(LENGTHS)[np.rint(target[:, 0] / 40).astype(int)] - 1)
        np.testing.assert_allclose(batch["component_boxes"][:, 0, 0], place, atol=1e-3)


def test_order_depends_only_on_the_seed(config):
    first = take(config)
    assert_same(first, take(config))
    config.data.threads = 3
    assert_same(first, take(config))
    config.seed = 1
    assert any(np.any(a["target"] != b["target"]) for a, b in zip(first, take(config), strict=True))


def test_state_restores_the_next_batch(config):
    iterator = training_iterator(config, "train")
    [next(iterator) for _ in range(3)]
    state, expected = iterator.get_state(), [next(iterator) for _ in range(3)]
    other = training_iterator(config, "train")
    other.set_state(state)
    assert_same(expected, [next(other) for _ in range(3)])


@pytest.mark.parametrize("stage", ["motion", "autoencoder", "video"])
def test_both_formats_of_frames_give_the_same_examples(paths, h264_paths, stage):
    """Frames differ by 8 grey levels from their neighbours and by 40 from those of other clips."""
    for ours, theirs in zip(*(take(config_of(stage, where), 3) for where in (paths, h264_paths)), strict=True):
        for name, values in ours.items():
            tolerance = 3.0 if values.dtype == np.uint8 else 0.0
            np.testing.assert_allclose(values.astype(np.float32), theirs[name].astype(np.float32), atol=tolerance)


def test_state_restores_the_next_batch_of_h264(h264_paths):
    batches = take(config_of("video", h264_paths), 5)
    iterator = training_iterator(config_of("video", h264_paths, threads=2), "train")
    iterator.set_state({**iterator.get_state(), "next_index": 3})
    assert_same(batches[3:], [next(iterator), next(iterator)])


def test_batches_that_are_made_ahead_are_bounded_by_their_size(paths, monkeypatch):
    given = []
    monkeypatch.setattr(grain, "ReadOptions", lambda **options: given.append(options) or ReadOptions(**options))
    batch = take(config_of("video", paths, threads=2), 1)[0]
    size = sum(x.nbytes for x in batch.values()) / 2**20
    for batches in (0.1, 1.1, 2.9, 7.9, 50.0):
        take(config_of("video", paths, threads=2, prefetch_mib=batches * size), 1)
    assert given == [{"num_threads": 2, "prefetch_buffer_size": ahead} for ahead in (8, 1, 1, 2, 7, 8)]


def together(config, iterators, count):
    """Batches of all processes, each put together from their parts."""
    steps = [[next(iterator) for iterator in iterators] for _ in range(count)]
    return [{name: np.concatenate([part[name] for part in parts]) for name in parts[0]} for parts in steps]


def processes_of(config, count):
    return [training_iterator(config, "train", i, count) for i in range(count)]


@pytest.mark.parametrize("count", [2, 4])
def test_the_parts_of_several_processes_are_the_batches_of_one(config, count):
    assert_same(together(config, processes_of(config, count), 4), take(config))


CHANGES = [((4, 1, 2), 0), ((1, 4, 2), 2)]
MORE_CHANGES = [((4, 1, 2), 2), ((1, 4, 2), 0), ((2, 4, 1), 0), ((2, 4, 1), 2)]


@pytest.mark.parametrize(("counts", "threads"), [*CHANGES, *(pytest.param(*c, marks=pytest.mark.slow) for c in MORE_CHANGES)])
def test_no_example_is_lost_or_doubled_when_the_number_of_processes_changes(config, tmp_path, counts, threads):
    """Five batches by so many processes, saved as the trainer saves, five by so many, five by so many: fifteen of one."""
    config.data.threads = threads
    seen, state = [], None
    for count in counts:
        iterators = processes_of(config, count)
        if state is not None:
            for iterator in iterators:  # this process is the first of one, and finds the position of another number of them
                restore_iterator(epath.Path(state), iterator)
        seen += together(config, iterators, 5)
        state = tmp_path / f"by_{count}"
        state.mkdir()
        for i, iterator in enumerate(iterators):
            (state / f"process_{i}-of-{count}.json").write_text(json.dumps(iterator.get_state()))
    assert_same(seen, take(config, 15))
    clips = [int(np.rint(x / 40)) for batch in seen for x in batch["target"][:, 0, 0, 0]]
    epochs = np.reshape(clips, (10, 2 * len(LENGTHS)))  # two examples of each clip an epoch
    np.testing.assert_array_equal(np.sort(epochs, axis=1), np.tile(np.repeat(range(len(LENGTHS)), 2), (10, 1)))


def test_every_clip_is_read_once_an_epoch(config):
    config.batch_size = 12
    for batch in take(config, 3):
        clips = np.rint(batch["target"][:, 0, 0, 0] / 40)
        assert sorted(clips) == sorted(2 * list(range(6)))


def test_reference_motion_is_of_another_clip_of_the_person_where_there_is_one(paths, tmp_path):
    """Clips are named c0 to c5, two of each person; latents say which clip they are of."""
    config = config_of("actor", paths, window=8)
    number = lambda x: np.rint(np.floor(x + 1e-4)).astype(int)
    for batch in take(config, 6):
        clip, reference = (number(x) for x in (batch["motion_latents"][:, 0, 0], batch["reference_motion"][:, 0]))
        np.testing.assert_array_equal(reference, clip ^ 1)
    write_encoded(tmp_path / "single", {"train": [make_encoded(i) for i in range(5)]}, metadata={})
    config.data.encoded_path = str(tmp_path / "single")
    for batch in take(config, 6):
        clip, reference = (number(x) for x in (batch["motion_latents"][:, 0, 0], batch["reference_motion"][:, 0]))
        np.testing.assert_array_equal(reference, np.where(clip == 4, 4, clip ^ 1))
    config.data.reference = "somewhere"
    with pytest.raises(UserError, match="use other_clip or same_clip"):
        take(config, 1)


def test_actor_windows_are_aligned_padded_and_masked(paths):
    config = config_of("actor", paths, window=8, reference="same_clip")
    seen = set()
    for batch in take(config, 6):
        assert batch["motion_latents"].shape == (8, 8, 4) and batch["audio_features"].shape == (8, 8, 3)
        np.testing.assert_array_equal(batch["motion_latents"][..., 0], -batch["audio_features"][..., 0])
        clip = np.rint(np.floor(batch["reference_motion"][:, 0] + 1e-4)).astype(int)
        seen |= set(clip.tolist())
        np.testing.assert_array_equal(batch["mask"].sum(1), np.minimum(8, np.array(LENGTHS)[clip]))
        np.testing.assert_array_equal(batch["emotion"][:, 0], clip % 5)
        assert batch["emotion_intensity"].dtype == np.float32
        np.testing.assert_allclose(batch["emotion_intensity"], 0.1 * batch["motion_latents"][..., 0], atol=1e-6)
        assert not np.any(batch["motion_latents"][batch["mask"] == 0])
        steps = np.diff(batch["motion_latents"][..., 0], axis=1)[batch["mask"][:, 1:] == 1]
        np.testing.assert_allclose(steps, 0.01, atol=1e-5)
    assert seen == set(range(6))


def test_a_clip_whose_emotion_the_network_has_no_place_for_is_named(paths):
    config = config_of("actor", paths, window=8)
    config.network.emotions = 3
    with pytest.raises(UserError, match=r"clip c[34] has the emotion (angry|surprised).*network.emotions=8"):
        take(config, 6)


def test_video_windows_match_frames_with_their_latents(paths):
    for batch in take(config_of("video", paths, apart=0.0), 6):
        assert batch["frames"].shape == (8, 8, 16, 16, 3)
        index = np.rint(batch["frames"][:, :, 0, 0, 1] / 8)
        latent = batch["motion_latents"][..., 0]
        np.testing.assert_allclose((latent - np.floor(latent + 1e-4)) * 100, index, atol=1e-2)
        reference = np.rint(batch["reference"][:, 0, 0, 1] / 8)
        motion = batch["reference_motion"][:, 0]
        np.testing.assert_allclose((motion - np.floor(motion + 1e-4)) * 100, reference, atol=1e-2)


def test_video_frames_apart_come_from_the_whole_clip_only_in_training(paths):
    flags = set()
    for batch in take(config_of("video", paths, apart=0.5), 6):
        index = np.rint(batch["frames"][:, :, 0, 0, 1] / 8)
        latent = batch["motion_latents"][..., 0]
        np.testing.assert_allclose((latent - np.floor(latent + 1e-4)) * 100, index, atol=1e-2)
        forward = np.isin(np.diff(index, axis=1), (0, 1)).all(axis=1)  # 0: a clip shorter than the window
        np.testing.assert_array_equal(forward, ~batch["frames_apart"])
        flags |= set(batch["frames_apart"].tolist())
    assert flags == {True, False}


def test_autoencoder_frames(paths):
    frames = take(config_of("autoencoder", paths), 1)[0]["frames"]
    assert frames.shape == (8, 16, 16, 3) and frames.dtype == np.uint8


def test_errors_name_what_to_do(config, paths, tmp_path):
    config.batch_size = 9
    with pytest.raises(UserError, match="batch_size 9 is not a multiple"):
        take(config)
    config.batch_size = 8
    with pytest.raises(UserError, match="no split 'test'"):
        take(config, split="test")
    write_encoded(tmp_path / "less", {"train": [make_encoded(i) for i in range(5)]}, metadata={})
    config = config_of("video", paths, encoded_path=str(tmp_path / "less"))
    with pytest.raises(UserError, match="encode the clips again"):
        take(config)
    config.data.path = str(tmp_path / "nothing")
    with pytest.raises(UserError, match=r"launch/prepare\.py"):
        take(config)


def test_pairs_have_the_truth_of_their_target(tmp_path):
    """Controls and units of the frame that is seen; a clip that knows none of them says so."""
    frames = LENGTHS[2]
    numbers = np.arange(frames, dtype=np.float32)[:, None]
    truth = {"controls": numbers + np.arange(14) / 100, "units": -numbers - np.arange(52) / 100}
    known = dataclasses.replace(make_clip(2), **truth)
    config = default_config("motion")
    config.batch_size, config.data.path, config.loss.truth = 8, str(tmp_path / "clips"), 1.0
    write_clips(tmp_path / "clips", {"train": [known, make_clip(4)]}, name="clips")
    batch = next(training_iterator(config, "train"))
    seen = batch["target"][:, 0, 0].astype(int)
    for (clip, frame_number, _), values, has_truth in zip(seen // (40, 8, 1), batch["truth"], batch["known"], strict=True):
        if clip == 2:
            number = np.float32(frame_number)
            np.testing.assert_allclose(values[:14], number + np.arange(14) / 100, atol=1e-5)
            np.testing.assert_allclose(values[14:], -number - np.arange(52) / 100, atol=1e-5)
        assert np.all(has_truth == (clip == 2))
    assert set(seen[:, 0] // 40) == {2, 4}
