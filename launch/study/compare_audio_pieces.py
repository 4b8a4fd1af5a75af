"""How far wav2vec 2.0 features in pieces are from those of the whole recording: one line for each hidden state.

python launch/study/compare_audio_pieces.py --audio speech.flac [--checkpoint DIR]

Without a checkpoint the network is the base model with random weights. The difference is the root mean square over frames and
features, relative to that of the features, and relative to their standard deviation over time.
"""

from __future__ import annotations

import argparse
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2]))  # the project

from launch import _root  # noqa: F401
from launch._numbers import check_numbers
from xactor_jax.errors import exit_on_user_error
from xactor_jax.settings import SEED
from xactor_jax.settings import whole as whole_number


def parse() -> argparse.Namespace:
    about = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = about.add_argument
    add("--audio", required=True, help="a recording; the whole recording and its attention must fit into memory")
    add("--checkpoint", default="", metavar="DIR", help="folder that launch/import_weights.py made")
    add("--piece", type=float, default=5.0, help="length of a piece in seconds")
    add("--context", type=float, default=2.0, help="seconds of context on either side")
    add("--seed", type=int, default=0, help="seed of the random weights")
    return about.parse_args()


def load(arguments: argparse.Namespace):
    """Loads the features, which are computed in pieces."""
    from xactor_jax.audio.wav2vec2 import Wav2Vec2Settings
    from xactor_jax.audio.wav2vec2_features import PieceSettings, Wav2Vec2Features
    from xactor_jax.pretrained.audio import load_audio_features

    lengths = dict(piece=arguments.piece, context=arguments.context)
    if arguments.checkpoint:
        return load_audio_features({"kind": "wav2vec2", "checkpoint": arguments.checkpoint, **lengths})
    settings = Wav2Vec2Settings.base()
    return Wav2Vec2Features(settings, random_params(settings, arguments.seed), PieceSettings(**lengths), "random", "")


def random_params(settings, seed: int):
    """Random kernels that preserve the magnitude of their input; scales are 1, biases 0."""
    import jax
    import numpy as np

    from xactor_jax.audio.wav2vec2 import Wav2Vec2

    rng = np.random.default_rng(seed)
    waveform = jax.ShapeDtypeStruct((1, settings.receptive_field), np.float32)
    shapes = jax.eval_shape(Wav2Vec2(settings).init, jax.random.key(0), waveform)["params"]

    def draw(path, leaf):
        std = np.prod(leaf.shape[:-1]) ** -0.5 if path[-1].key == "kernel" else 0.0
        return (std * rng.normal(size=leaf.shape) + (path[-1].key == "scale")).astype(np.float32)

    return jax.tree_util.tree_map_with_path(draw, shapes)


def main() -> None:
    """Ends with exit status 2 and one sentence for an error that the user can fix."""
    arguments = parse()
    with exit_on_user_error():
        check_numbers(arguments, {"seed": whole_number(0, SEED)})
        import dataclasses

        import numpy as np

        from xactor_jax.media.audio_io import read_audio
        from xactor_jax.timing import FRAME_RATE, num_frames

        waveform, pieces = read_audio(arguments.audio), load(arguments)
        frames = num_frames(len(waveform))
        lengths = dataclasses.replace(pieces.settings, piece=frames / FRAME_RATE, context=1 / FRAME_RATE)
        whole = dataclasses.replace(pieces, settings=lengths)
        a, b = (x.whole(waveform).reshape(frames, -1, pieces.network.width) for x in (pieces, whole))
        print(f"{frames} frames; layer: difference / root mean square, difference / standard deviation over time")
        for layer in range(a.shape[1]):
            error, size = np.mean((a[:, layer] - b[:, layer]) ** 2), np.mean(b[:, layer] ** 2)
            print(f"{layer:3d}: {np.sqrt(error / size):.3f} {np.sqrt(error / b[:, layer].var(axis=0).mean()):.3f}")


if __name__ == "__main__":
    main()
