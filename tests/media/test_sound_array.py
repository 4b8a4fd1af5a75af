"""Sound in memory is what the same samples in a file are."""

from __future__ import annotations

import av
import numpy as np
import pytest
import soundfile

from tests.media.test_sound_track import packets, write
from xactor_jax.media.audio_io import SoundForm, read_blocks
from xactor_jax.media.sound_array import array_blocks, sound_array
from xactor_jax.media.sound_track import SoundFile


@pytest.mark.parametrize(("rate", "channels", "kind"), [(44_100, 2, "PCM_16"), (48_000, 1, "FLOAT"), (8_000, 1, "PCM_16")])
def test_samples_are_those_of_a_file(tmp_path, rng, rate, channels, kind):
    samples = rng.uniform(-0.7, 0.7, (rate // 2 + 77, channels))
    samples = (32_767 * samples).astype(np.int16) if kind == "PCM_16" else samples.astype(np.float32)
    soundfile.write(tmp_path / "x.wav", samples, rate, subtype=kind)
    array = sound_array(samples[:, 0] if channels == 1 else samples, rate)
    for form in (SoundForm(), SoundForm(44_100, "stereo")):
        of_file, of_array = (
            np.concatenate(list(x), axis=1) for x in (read_blocks(tmp_path / "x.wav", form), array_blocks(array, form))
        )
        np.testing.assert_array_equal(of_array, of_file)


def test_a_video_has_it_at_its_own_rate(tmp_path, rng):
    samples = rng.uniform(-0.5, 0.5, (96_000, 2)).astype(np.float32)
    soundfile.write(tmp_path / "x.wav", samples, 48_000, subtype="FLOAT")
    of_array = write(tmp_path / "a.mp4", sound_array(samples, 48_000))
    with av.open(str(of_array)) as container:
        assert container.streams.audio[0].rate == 48_000 and container.streams.audio[0].layout.name == "stereo"
    assert packets(of_array) == packets(write(tmp_path / "b.mp4", SoundFile(str(tmp_path / "x.wav"))))
