"""Records with what the renderer's frozen networks computed, and configs that they fit or do not."""

from __future__ import annotations

import dataclasses
import re

import jax.numpy as jnp
import numpy as np
import pytest
from ml_collections import ConfigDict

from configs.stages import default_config, ensure_data, stage_iterator
from data import embedded
from data.embedded import fill_in_frozen
from data.encoded import EncodedClip, open_encoded, write_encoded
from data.precomputed import check_precomputed, fill_in_precomputed
from tests.data.test_pipelines import assert_same, make_clip, make_encoded, processes_of, take, together
from tests.tiny import tiny_config, tiny_variables, write_checkpoint
from xactor_jax.checkpoints.start import FROM_START
from xactor_jax.errors import UserError
from xactor_jax.variables import Variables
from xactor_jax.video.frozen import chosen_hash

CELLS = (2, 2, 16)
"""Shape of a latent."""


def with_pictures(number: int) -> EncodedClip:
    """A clip whose latents are the number of the frame, and its embeddings the negative of that; both are exact in bfloat16."""
    clip = make_encoded(number)
    frame = np.arange(len(clip.emotion), dtype=np.float32).astype(jnp.bfloat16)
    return dataclasses.replace(
        clip,
        picture_latents=np.broadcast_to(frame[:, None, None, None], (len(frame), *CELLS)),
        picture_embeddings=np.broadcast_to(-frame[:, None], (len(frame), 5)),
        component_boxes=make_clip(number).component_boxes,
    )


METADATA = {
    "motion_hash": "m",
    "motion_checkpoint": "runs/m",
    "autoencoder_hash": "0123456789ab",
    "autoencoder_checkpoint": "runs/ae",
    "clip_hash": "c1",
    "clip_checkpoint": "runs/clip",
}


@pytest.fixture(scope="module")
def paths(tmp_path_factory):
    root = tmp_path_factory.mktemp("precomputed")
    clips = [with_pictures(i) for i in range(6)]
    write_encoded(root / "all", {"train": clips}, metadata=METADATA, networks=("autoencoder", "clip"))
    latents = [dataclasses.replace(clip, picture_embeddings=None) for clip in clips]
    known = {name: value for name, value in METADATA.items() if not name.startswith("clip")}
    write_encoded(root / "latents", {"train": latents}, metadata=known, networks=("autoencoder",))
    write_encoded(root / "none", {"train": [make_encoded(i) for i in range(6)]}, metadata={"motion_hash": "m"})
    return root


def config_of(paths, records: str, **data) -> ConfigDict:
    """A renderer without drafts that reads these records, and no clips."""
    c = default_config("video")
    c.data.update(path="/nowhere", encoded_path=str(paths / records), examples_per_clip=2, threads=0)
    c.data.update(**data)
    c.network.draft, c.network.motion_dim, c.batch_size = False, 4, 8
    c.autoencoder.update(image_size=16)  # with cells of 8 pixels
    return c


def test_values_come_back_as_they_were_written(paths):
    source = open_encoded(paths / "all", "train")
    for number in range(6):
        expected, record = with_pictures(number), source[number]
        for name in ("picture_latents", "picture_embeddings"):
            assert record[name].dtype == jnp.bfloat16
            np.testing.assert_array_equal(record[name], getattr(expected, name))
        np.testing.assert_array_equal(record["component_boxes"], expected.component_boxes)
    assert "picture_latents" not in open_encoded(paths / "none", "train")[0]


def test_clips_of_another_length_are_refused():
    clip = with_pictures(1)
    with pytest.raises(ValueError, match="differ in length"):
        dataclasses.replace(clip, picture_latents=clip.picture_latents[1:]).validate()


def test_without_pixels_no_clip_is_read(paths):
    """Latents and embeddings are those of the frames whose motion is in the batch; there is no folder of clips."""
    config = config_of(paths, "all", precomputed="all", apart=0.5)
    config.clip.depth = 1
    for batch in take(config, 6):
        assert {"frame_latents", "reference_latent", "reference_embedding"} < batch.keys()
        assert not {"frames", "reference"} & batch.keys()
        number = lambda motion: np.rint(100 * (motion[..., 0] - np.floor(motion[..., 0] + 1e-4)))
        np.testing.assert_array_equal(batch["frame_latents"][..., 0, 0, 0], number(batch["motion_latents"]))
        np.testing.assert_array_equal(batch["reference_latent"][..., 1, 1, 15], number(batch["reference_motion"]))
        np.testing.assert_array_equal(batch["reference_embedding"][..., 4], -number(batch["reference_motion"]))
        assert batch["frame_latents"].shape == (8, 8, *CELLS) and batch["frame_latents"].dtype == jnp.bfloat16


def test_the_parts_of_several_processes_are_the_batches_of_one(paths):
    config = config_of(paths, "latents", precomputed="latents")
    assert_same(together(config, processes_of(config, 2), 3), take(config, 3))


def test_latents_of_another_side_are_refused_before_training(paths):
    config = config_of(paths, "all", precomputed="latents")
    assert next(stage_iterator(config, "train"))
    config.autoencoder.image_size = 32
    with pytest.raises(UserError, match=r"are 2 × 2 × 16, not the 4 × 4 × 16 of autoencoder\.image_size=32: give"):
        stage_iterator(config, "train")


@pytest.mark.parametrize("records", ["none", "latents", "all"])
def test_auto_is_what_the_records_have(paths, records):
    config = config_of(paths, records)
    fill_in_precomputed(config)
    assert config.data.precomputed == records
    config.data.update(precomputed="auto", encoded_path="")  # made on first use, without pictures
    fill_in_precomputed(config)
    assert config.data.precomputed == "none"


def test_more_than_the_records_have_is_refused_with_the_command_that_makes_it(paths):
    for records, wanted in (("none", "latents"), ("latents", "all")):
        config = config_of(paths, records, precomputed=wanted)
        said = f"data.precomputed={wanted} needs .*/{records} lacks.* `python launch/encode.py --data /nowhere --motion CKPT "
        with pytest.raises(UserError, match=f"{said}--autoencoder CKPT .*--config.data.precomputed={records}"):
            fill_in_precomputed(config)


@pytest.fixture(scope="module")
def autoencoder(tmp_path_factory):
    """Folder and weights, as in a renderer's buffers."""
    config = tiny_config("autoencoder")
    variables = tiny_variables(config)
    folder = write_checkpoint(tmp_path_factory.mktemp("networks") / "autoencoder", config, variables)
    return folder, {"params": variables.params["autoencoder"], "buffers": variables.buffers}


def test_the_network_of_a_start_has_the_hash_of_its_own_checkpoint(autoencoder, tmp_path):
    """Where a renderer takes the autoencoder from `init_from`."""
    folder, tree = autoencoder
    config = tiny_config("video")
    config.network.draft = False
    write_checkpoint(tmp_path / "video", config, Variables({"trunk": np.ones(1, np.float32)}, {"autoencoder": tree}))
    config.init_from = str(tmp_path / "video")
    fill_in_frozen(config)
    assert config.pretrained.autoencoder == FROM_START
    own = chosen_hash(config, "autoencoder")
    config.pretrained.autoencoder = str(folder)
    assert chosen_hash(config, "autoencoder") == own
    config.pretrained.autoencoder = "random"
    assert chosen_hash(config, "autoencoder") == "random"


def test_another_autoencoder_is_refused_before_training(paths, autoencoder, tmp_path):
    folder, _ = autoencoder
    config = config_of(paths, "latents")
    config.pretrained.autoencoder = str(folder)
    own = chosen_hash(config, "autoencoder")
    both = rf"pictures encoded by the autoencoder 0123456789ab \(runs/ae\), not by {own} \({re.escape(str(folder))}\)"
    command = rf"`python launch/encode.py --data /nowhere --motion CKPT --autoencoder {re.escape(str(folder))} --out DIR`"
    with pytest.raises(UserError, match=f"{both}: encode the clips again by {command}") as error:
        ensure_data(config)
    assert "\n" not in str(error.value)
    config.data.precomputed = "none"  # computes from pixels
    check_precomputed(config)
    fitting = METADATA | {"autoencoder_hash": own}
    write_encoded(tmp_path / "e", {"train": [with_pictures(0)]}, metadata=fitting, networks=("autoencoder", "clip"))
    config.data.update(precomputed="all", encoded_path=str(tmp_path / "e"))
    check_precomputed(config)  # a renderer without CLIP
    config.clip.depth = 1
    with pytest.raises(UserError, match=r"by the clip c1 \(runs/clip\), not by random \(none is given\)"):
        check_precomputed(config)


def test_a_renderer_without_pixels_needs_no_clips(paths, autoencoder, tmp_path):
    folder, _ = autoencoder
    config = config_of(paths, "latents", path="")
    config.pretrained.autoencoder = str(folder)
    known = {name: value for name, value in METADATA.items() if not name.startswith("clip")}
    fitting = known | {"autoencoder_hash": chosen_hash(config, "autoencoder")}
    config.data.encoded_path = str(tmp_path / "e")
    clip = dataclasses.replace(with_pictures(0), picture_embeddings=None)
    write_encoded(tmp_path / "e", {"train": [clip]}, metadata=fitting, networks=("autoencoder",))
    assert ensure_data(config).data.path == "" and config.data.precomputed == "latents"
    config.train_motion = True
    with pytest.raises(UserError, match=r"data\.encoded_path is set without data\.path"):
        ensure_data(config)


def test_data_that_is_made_on_first_use_has_nothing_precomputed(monkeypatch):
    """A renderer without any path gets as far as making its data."""

    class Made(Exception):
        pass

    def make(config):
        assert config.data.precomputed == "none"
        raise Made

    monkeypatch.setattr(embedded, "ensure_encoded", make)
    with pytest.raises(Made):
        ensure_data(tiny_config("video"))
