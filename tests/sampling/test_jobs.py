from __future__ import annotations

import json
import os

import numpy as np
import pytest

from xactor_jax.errors import UserError
from xactor_jax.sampling import jobs

GOOD = {"image": "p.png", "audio": "a.wav", "out": "v.mp4"}


def line(**changes) -> str:
    return json.dumps({**GOOD, **changes})


def test_a_job_may_change_the_defaults():
    request = jobs.parse_job(line(seed=3), {"seed": 1, "emotion": "sad"})
    assert (request.seed, request.emotion, request.out) == (3, "sad", "v.mp4")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "not JSON"),
        ("[1]", "not a JSON object"),
        ('{"image": "p.png"}', "without audio, out"),
        (line(speed=2), "unknown key 'speed'"),
        (line(seed="three"), "seed must be of type int"),
        (line(seed=True), "seed must be of type int"),
        (line(image=None), "image must be of type str"),
    ],
)
def test_a_line_that_makes_no_sense_is_refused(text, message):
    with pytest.raises(UserError, match=message):
        jobs.parse_job(text, {})


def test_bad_lines_and_second_writers_are_set_apart_with_their_numbers():
    lines = [(1, line()), (3, "{"), (4, line(seed=2)), (7, line(out="w.mp4"))]
    good, bad = jobs.parse_jobs(lines, {})
    assert [job.request.out for job in good] == ["v.mp4", "w.mp4"]
    assert [str(failure).split(":")[0] for failure in bad] == ["job in line 3", "job in line 4 (v.mp4)"]
    assert "written by an earlier job" in bad[1].reason


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (line(image="http://host/p.png"), "the image http://host/p.png is neither a local file nor in gs://"),
        (line(audio="s3://b/a.wav"), "the audio s3://b/a.wav is neither a local file nor in gs://"),
        (line(out="s3://b/v.mp4"), "the out s3://b/v.mp4 is neither"),
        (line(out=""), "the out '' is no path of a file"),
        (line(audio=""), "the audio '' is no path of a file"),
        (line(out="/"), "the out '/' is no path of a file"),
        (line(image="p\0.png"), "is no path of a file"),
        (line(save_motion="\ud800.npz"), "is no path of a file"),
        ("[" * 100_000, "not JSON"),
        (line(out="a\nb"), r"job in line 2 (a b): a b does not end in .mp4"),
    ],
)
def test_an_impossible_value_fails_only_its_job(tmp_path, text, reason):
    """It ended the whole list, as a traceback."""
    lines = [(1, line(out=str(tmp_path / "v.mp4"))), (2, text)]
    parsed, unreadable = jobs.parse_jobs(lines, {})
    good, refused = jobs.checked(jobs.unfinished(parsed))
    assert [job.name for job in good] == [f"job in line 1 ({tmp_path / 'v.mp4'})"]
    (failure,) = [*unreadable, *refused]
    assert reason in str(failure) and str(failure).startswith("job in line 2") and "\n" not in str(failure)


@pytest.mark.parametrize("count", [1, 2, 3, 8])
def test_shares_are_about_as_long_as_each_other(count):
    """Within 4/3 of what no split can do better than."""
    seconds = np.random.default_rng(0).exponential(20.0, 40)
    shares = np.array(jobs.balanced(list(seconds), count))
    loads = [seconds[shares == process].sum() for process in range(count)]
    assert set(shares) == set(range(count))
    assert max(loads) <= 4 / 3 * max(seconds.sum() / count, seconds.max())


def test_the_longest_job_is_not_joined_by_others():
    assert jobs.balanced([1.0, 9.0, 1.0, 1.0, 2.0], 2) == [1, 0, 1, 1, 1]


def test_blank_lines_do_not_count(tmp_path):
    (tmp_path / "jobs.jsonl").write_text("\n{}\n\n{}\n")
    assert jobs.read_lines(tmp_path / "jobs.jsonl") == [(2, "{}\n"), (4, "{}\n")]


@pytest.mark.parametrize("content", [None, "\n", b"\xff\xfe\x00"])
def test_a_list_that_is_none_is_refused(tmp_path, content):
    file = tmp_path / "jobs.jsonl"
    if content is not None:
        file.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(UserError, match="list of jobs"):
        jobs.read_lines(file)


def test_finished_jobs_are_left_out(tmp_path):
    lines = [(i, line(out=str(tmp_path / f"{i}.mp4"))) for i in range(3)]
    (tmp_path / "1.mp4").touch()
    (tmp_path / "1.json").write_text('{"synthetic": true}')
    (tmp_path / "2.mp4").touch()  # the JSON is missing: it was stopped
    todo = jobs.unfinished(jobs.parse_jobs(lines, {})[0])
    assert [job.request.out[-5:] for job in todo] == ["0.mp4", "2.mp4"]


def test_no_job_writes_what_another_one_reads_or_writes(tmp_path):
    """However the places are spelt; a video and another's JSON count as much as two videos do."""
    (tmp_path / "link").symlink_to(tmp_path)
    (tmp_path / "talk.mp4").write_bytes(b"x")
    here = lambda name: str(tmp_path / name)
    jobs_of = [
        line(out=here("a.mp4"), save_motion=here("m.npz")),
        line(out=here("link/./a.mp4")),
        line(out=here("b.mp4"), save_motion=here("link/m.npz")),
        line(out=here("A.MP4"), audio=here("talk.mp4")),
        line(out=here("A.mp4")),
        line(out=here("link/talk.mp4")),
    ]
    good, bad = jobs.parse_jobs(list(enumerate(jobs_of, 1)), {})
    assert [job.name.split(" (")[0] for job in good] == ["job in line 1", "job in line 4"]
    assert ["read by the job in line 4" in failure.reason for failure in bad] == [False, False, False, True]


def test_any_error_of_one_job_is_its_own(tmp_path):
    """Names that no file can have, and a home folder written as ~."""
    outs = [str(tmp_path / "v.mp4"), "", "/", "a\0.mp4", "x" * 300 + ".mp4", str(tmp_path / "w.mp4")]
    parsed, bad = jobs.parse_jobs([(i, line(out=out)) for i, out in enumerate(outs)], {})
    good, refused = jobs.checked(jobs.unfinished(parsed))
    assert [job.request.out for job in good] == [outs[0], outs[-1]] and len(bad + refused) == 4
    assert jobs.parse_job(line(image="~/p.png"), {}).image == os.path.expanduser("~/p.png")


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_a_list_may_begin_with_a_byte_order_mark(tmp_path, encoding):
    raw = line().replace("p.png", "josé\u2028.png")
    (tmp_path / "jobs.jsonl").write_bytes(f"{line(out='w.mp4')}\r\n{raw}\r\n".encode(encoding))
    good, bad = jobs.parse_jobs(jobs.read_lines(tmp_path / "jobs.jsonl"), {})
    assert [job.request.image for job in good] == ["p.png", "josé\u2028.png"] and not bad


def test_jobs_with_an_emotion_that_is_no_track_are_set_apart(tmp_path):
    out = str(tmp_path / "v.mp4")
    lines = [(1, line(out=out, emotion="happy@0.5:0-2,sad:2-")), (2, line(out="w.mp4", emotion="sad:2-1"))]
    good, bad = jobs.checked(jobs.parse_jobs(lines, {})[0])
    assert [job.request.out for job in good] == [out]
    assert [str(failure) for failure in bad] == [
        "job in line 2 (w.mp4): sad ends at 1 s and starts at 2 s: let it end after its start."
    ]


def test_jobs_that_cannot_be_written_are_set_apart(tmp_path):
    lines = [(1, line(out=str(tmp_path / "v.mp4"))), (2, line(out="nowhere/v.mp4"))]
    good, bad = jobs.checked(jobs.parse_jobs(lines, {})[0])
    assert len(good) == 1 and "nowhere does not exist" in str(bad[0])
