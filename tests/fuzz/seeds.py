"""Good input of every kind, as small as it gets, from which damaged input is made."""

from __future__ import annotations

import json
import pathlib
import struct
import wave
import zlib

import av
import cv2
import numpy as np
import safetensors.numpy

from tests.media import builders

SECONDS = 1.0


def pictures(folder: pathlib.Path) -> list[pathlib.Path]:
    """Of every format that phones and editors write."""
    ramp = np.linspace(0, 255, 96 * 64).reshape(64, 96, 1)
    pixels = np.broadcast_to(ramp, (64, 96, 3)).astype(np.uint8)
    with_alpha = np.concatenate([pixels, pixels[..., :1]], axis=-1)
    files = []
    for name, image in (
        ("a.png", pixels),
        ("alpha.png", with_alpha),
        ("a.jpg", pixels),
        ("a.webp", pixels),
        ("a.tiff", pixels),
    ):
        files.append(folder / name)
        files[-1].write_bytes(cv2.imencode(files[-1].suffix, image)[1].tobytes())
    return files


def odd_pictures(folder: pathlib.Path) -> list[pathlib.Path]:
    """Small files that claim to be large."""
    chunk = lambda name, data: len(data).to_bytes(4, "big") + name + data + zlib.crc32(name + data).to_bytes(4, "big")
    for width, height in ((40_000, 40_000), (2_000_000, 1), (0, 5), (2**31 - 1, 2**31 - 1)):
        head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
        rest = chunk(b"IDAT", zlib.compress(bytes(100))) + chunk(b"IEND", b"")
        (folder / f"{width}x{height}.png").write_bytes(b"\x89PNG\r\n\x1a\n" + head + rest)
    return sorted(folder.iterdir())


def sounds(folder: pathlib.Path) -> list[pathlib.Path]:
    """Of every usual container."""
    files = [folder / "a.wav"]
    with wave.open(str(files[0]), "wb") as file:
        file.setparams((2, 2, 44100, 0, "NONE", ""))
        file.writeframes((8000 * np.sin(np.arange(44100) / 20)).astype("<i2").tobytes())
    for name, codec in (("a.flac", "flac"), ("a.mp3", "mp3"), ("a.ogg", "libopus"), ("a.m4a", "aac")):
        click = builders.click_track(SECONDS, 48000, [0.5])
        files.append(builders.write_media(folder / name, audio=click, audio_codec=codec))
    return files


def videos(folder: pathlib.Path) -> list[pathlib.Path]:
    """With and without sound, of every usual container."""
    frames, click = builders.numbered_frames(25), builders.click_track(SECONDS, 48000, [0.5])
    write = builders.write_media
    return [
        write(folder / "a.mp4", frames, audio=click),
        write(folder / "silent.mp4", frames),
        write(folder / "a.mkv", frames, audio=click),
        write(folder / "a.webm", frames, video_codec="libvpx", audio_codec="libopus", audio=click),
        write(folder / "a.avi", frames, video_codec="mpeg4", audio=click, audio_codec="mp3"),
        write(folder / "a.mpg", frames, video_codec="mpeg1video", audio=click, audio_codec="mp2"),
    ]


def _arrays() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    return {f"{i}.{name}": rng.normal(size=(4, i + 1)).astype(np.float32) for i in range(4) for name in ("weight", "bias")}


def weights(folder: pathlib.Path) -> list[pathlib.Path]:
    """A safetensors file, in which nothing would show a damaged number."""
    (folder / "a.safetensors").write_bytes(safetensors.numpy.save(_arrays()))
    return [folder / "a.safetensors"]


RARE = {"F8_E4M3": 2, "F8_E5M2": 2, "F8_E8M0": 2, "F4": 1, "BF16": 4, "C64": 16, "U64": 16, "BOOL": 2, "X": 2}
"""Number types of safetensors files, and the bytes of two numbers."""


def _tensor(kind: str, shape: list[int], start: int, end: int) -> dict[str, object]:
    return {"dtype": kind, "shape": shape, "data_offsets": [start, end]}


def odd_weights(folder: pathlib.Path) -> list[pathlib.Path]:
    """Heads that describe what cannot be, and numbers of rare types."""
    heads = {
        "negative": ({"a": _tensor("F32", [-1], 0, 4)}, 4),
        "overflow": ({"a": _tensor("F32", [2**62, 4], 0, 0)}, 0),
        "hole": ({"a": _tensor("F32", [1], 4, 8)}, 8),
        "overlap": ({name: _tensor("F32", [1], 0, 4) for name in "ab"}, 4),
        "nothing": ({"a": _tensor("F32", [0, 2**40], 0, 0)}, 0),
        "notes": ({"__metadata__": {"a": 1}}, 0),
        **{kind: ({"a": _tensor(kind, [2], 0, size)}, size) for kind, size in RARE.items()},
    }
    written = {name: (json.dumps(head).encode(), size) for name, (head, size) in heads.items()} | {"deep": (b"[" * 200_000, 0)}
    for name, (head, size) in written.items():
        (folder / f"{name}.safetensors").write_bytes(len(head).to_bytes(8, "little") + head + bytes(size))
    (folder / "long.safetensors").write_bytes(b"\xff" * 7 + b"\x0f{}")
    return sorted(folder.iterdir())


def odd_torch(folder: pathlib.Path) -> list[pathlib.Path]:
    """Archives that ask for much, or for something to be run."""
    from tests.pretrained.archives import dictionary, write_archive
    from tests.pretrained.test_torch_files import SMALL_AND_LARGE, touching

    contents = {**SMALL_AND_LARGE, **{name: dictionary({"a": trick}) for name, trick in touching("/nowhere/touched").items()}}
    return [write_archive(folder / f"{name}.pth", content, {"0": bytes(24)}) for name, content in contents.items()]


def torch_weights(folder: pathlib.Path) -> list[pathlib.Path]:
    """A file as PyTorch writes it, which has checksums."""
    from tests.pretrained.archives import write_tensors

    return [write_tensors(folder / "a.pth", _arrays())]


def motion(folder: pathlib.Path) -> list[pathlib.Path]:
    """Saved motion latents."""
    from xactor_jax.sampling.output import write_motion

    rng = np.random.default_rng(0)
    write_motion(str(folder / "a.npz"), rng.normal(size=(20, 8)).astype(np.float32), np.ones(8, np.float32), "0123456789ab")
    return [folder / "a.npz"]


def data_set(folder: pathlib.Path) -> pathlib.Path:
    """Clips of three persons."""
    from data.records import write_clips
    from tests.data.test_records import make_clip

    write_clips(
        folder / "clips",
        {
            "train": [make_clip(f"p{i}", f"{i}", kind=kind) for i, kind in enumerate(("jpeg", "h264", "jpeg"))],
            "test": [make_clip("z", "0")],
        },
    )
    return folder / "clips"


def encoded(folder: pathlib.Path) -> pathlib.Path:
    """Motion latents and audio features of a clip."""
    from data.encoded import write_encoded
    from tests.data.test_records import encoded_clip

    write_encoded(folder / "encoded", {"train": [encoded_clip(6)]}, metadata={"motion_hash": "x"})
    return folder / "encoded"


def export(folder: pathlib.Path) -> pathlib.Path:
    """An export of the motion stage."""
    from tests.tiny import tiny_config, tiny_variables
    from xactor_jax.checkpoints.exports import write_export

    config = tiny_config("motion")
    write_export(folder / "export", config, tiny_variables(config))
    return folder / "export"


def run(folder: pathlib.Path) -> pathlib.Path:
    """A run's folder with one checkpoint, as saved before the first step: nothing has to be compiled for it."""
    import jax
    from etils import epath

    from tests.training.checks import state_of
    from tests.training.toy import ToyTask, make_iterator_of, toy_config
    from xactor_jax.checkpoints.config_file import write_config
    from xactor_jax.parallel.mesh import make_mesh
    from xactor_jax.training.programs import make_programs
    from xactor_jax.training.saving import Checkpoints, make_workdir

    config, workdir = toy_config(), epath.Path(folder / "run")
    make_workdir(workdir)
    write_config(workdir, config)
    variables = jax.device_get(ToyTask().init(jax.random.key(0)))
    state = state_of(variables, make_programs(config, ToyTask(), make_mesh(config.mesh)).abstract)
    with Checkpoints(workdir, keep=1) as checkpoints:
        checkpoints.save(1, state, make_iterator_of(config)("train", 0, 1))
    return folder / "run"


JOB = {"image": "a.png", "audio": "a.wav", "out": "v.mp4", "seed": 3, "emotion": "happy@0.5:0-2"}
ODD_VALUES = (
    *({"out": value} for value in ("", ".", "/", "..", "x\0.mp4", "\ud800.mp4", "a" * 300 + ".mp4", "a/" * 5000 + "x.mp4")),
    *({"out": value} for value in ("gs://", "s3://b/x.mp4", "http://h/x.mp4", "file:///x.mp4", "x.mp4/", ".mp4", "a\nb.mp4")),
    *({"image": value} for value in ("", "\0", "http://h/x.png")),
    *({"audio": value} for value in ("", "\0", "/dev/zero", "concat:a|b", "http://127.0.0.1:9/x")),
    *({"seed": value} for value in (10**400, -1, 1.5, True, None)),
    *({"emotion": value} for value in ("happy:" + "9" * 5000 + "-", "x" * 10000, "happy," * 5000 + "happy")),
    *(
        {"face_index": -1},
        {"face_index": 10**30},
        {"save_motion": "."},
        {"save_motion": "x.npz\0"},
        {"x\ny": 1},
        {"crop": "x\ny"},
    ),
)
JOBS = (json.dumps(JOB) + "\n" + json.dumps({**JOB, "out": "w.mp4"}) + "\n",)
ODD_JOBS = (
    *(json.dumps({**JOB, **odd}) for odd in ODD_VALUES),
    *("[" * 100_000, '{"a":' * 50_000, "1", "null", '"x"', '{"seed": 1' + "0" * 5000 + "}", "\ufeff" + json.dumps(JOB)),
)
EMOTIONS = ("happy", "happy@0.6", "happy:0-20,sad:20-", "happy@0.5:0-20,sad:20-40", " happy @ 1 : 0 - 3 ")
ODD_EMOTIONS = (
    *(
        "happy@" + "0" * 5000 + ".5",
        "happy:0-" + "9" * 400,
        "happy@nan",
        "happy@1e-3",
        "happy@٣",
        "happy:0.1.2-3",
        ",",
        "happy,",
    ),
    *("@", ":", "happy::", "happy:-5", "HAPPY", "\0", "happy:1-1", "happy:2-1", "happy@1.0000000001", "happy@inf", "happy@-1"),
)
ROLLOUTS = ("steps=4", "history=none,eta=0.5", "schedule=pyramid,offset=2", "audio_guidance=1.5")
ODD_ROLLOUTS = (
    *(
        "steps=nan",
        "eta=nan",
        "audio_guidance=nan",
        "audio_guidance=1e400",
        "history_level=nan",
        "steps=1e9",
        "steps=-1",
        "steps=0",
    ),
    *("steps=99999999999999999999", "context=-5", "chunks=-1", "steps", "=", "steps==3", "use_reference=yes"),
)
PERSONS = ("file,person\na.mp4,p1\nb.mp4,p2\n", "file;person\na.mp4;p1\n", "\ufefffile,person\r\na.mp4,p1\r\n")
FELT = ('file,emotion\na.mp4,happy\nb.mp4,"happy:0-2,sad@0.4:2-"\nc.mp4,\n', "file;emotion\na.mp4;happy\n")
ODD_TABLES = (
    'file,emotion,person\n"a.mp4,happy,p\n',
    "file\n",
    "",
    "\0",
    "file,person,file\na,b,c\n",
    "person\n\n\n",
    ",,,\n,,\n",
    "\n",
)
BOXES = ("file,time,x0,y0,x1,y1\n" + "".join(f"a.mp4,{i / 5},40,40,160,160\n" for i in range(10)),)
ODD_BOXES = tuple(BOXES[0].replace("40,40", odd) for odd in ("nan,40", "inf,40", "-1e308,40", "1e999,1", "160,160", ",", "x,y"))
MANIFEST = ('file,status,reason,person\na.mp4,kept,,p\n"\'=b.mp4",rejected,no face,\n',)
METRICS = ("".join(json.dumps({"step": step, "train/loss": 1.0, "seconds/step": 0.1}) + "\n" for step in range(1, 31)),)
ODD_METRICS = ("", "[]\n", "null\n", '{"step": "x"}\n', '{"step": 1}\n{"st', "\0" * 100, '{"step": 1, "seconds/step": "x"}\n')
FLAGS = ("steps=10", "batch_size=8", "optimizer.learning_rate=1e-4", "network.widths=(8,)", "data.path=x", "seed=3")
ODD_FLAGS = (
    *("steps=-1", "steps=1e3", "steps=abc", "steps=", "steps=" + "9" * 30, "batch_size=0", "optimizer.learning_rate=nan"),
    *("network.widths=(1,2", "network.widths=[1]", 'network.widths=("a",)', "network=", "data=3", "mesh.data=0", "steps=True"),
    *("data.path=\0", "checkpoint.keep=0", "seed=-1", "seed=1.5", "network.variance=maybe", "x=1", "steps.x=1", "steps[0]=3"),
    *("precision=float8", "x" * 3000 + "=1", "network.widths.0=3"),
)
