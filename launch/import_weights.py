"""Makes a checkpoint of released weights: python launch/import_weights.py --what wav2vec2 --from model.safetensors --to DIR.

Reads .safetensors and PyTorch files (.bin, .pt, .pth), the latter without running anything in them.
"""

from __future__ import annotations

import argparse

import _root  # noqa: F401  (puts the project on the path)

from xactor_jax.errors import exit_on_user_error

FROM = "the released weights, local or gs://; of a network in several files their folder, or ROLE=FILE of each"


def parse() -> argparse.Namespace:
    about = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = about.add_argument
    add("--what", required=True, metavar="KIND", help="kind of network: wav2vec2, xnemo_motion, …; an unknown one lists all")
    add("--from", dest="source", required=True, nargs="+", metavar="FILE", help=FROM)
    add("--config", default="", help="their config.json (default: the one beside them), or configs/NAME.py:PRESET")
    add("--to", dest="target", required=True, metavar="DIR", help="folder to write, local or gs://")
    add("--dtype", default="float32", choices=("float32", "float16"), help="of the numbers written")
    return about.parse_args()


def named(argument: str) -> tuple[str, str]:
    """(role, file) of ROLE=FILE."""
    role, _, file = argument.rpartition("=")
    return role, file


def main() -> None:
    """Ends with status 2 and one sentence on what a person can put right."""
    arguments = parse()
    with exit_on_user_error():
        from xactor_jax.pretrained.importing import import_weights
        from xactor_jax.training.checkpoints import checkpoint_hash

        source = arguments.source[0] if len(arguments.source) == 1 else dict(map(named, arguments.source))
        import_weights(arguments.what, source, arguments.target, arguments.config, arguments.dtype)
        print(f"{arguments.target}: {checkpoint_hash(arguments.target)}")


if __name__ == "__main__":
    main()
