"""The page in a headless Chromium, with a real upload and a microphone that plays a file."""

from __future__ import annotations

import json
import pathlib
import re
import shutil

import numpy as np
import pytest
import soundfile

from launch import _live_page
from tests.live.server import Proxy, serving
from tests.media.builders import click_track
from tests.sampling.conftest import make_image, make_sound
from xactor_jax.emotion import parse_emotion
from xactor_jax.live.engine import Engine
from xactor_jax.live.limits import Limits
from xactor_jax.live.renders import Renders
from xactor_jax.sampling import api
from xactor_jax.sampling.api import Pipeline

PAGE = pathlib.Path(_live_page.__file__).resolve().parents[1] / "xactor_jax" / "live" / "page"
MILLISECONDS = 240_000
"""The longest wait: the machine may be slow."""


def test_every_control_that_the_scripts_name_is_on_the_page():
    html = (PAGE / "index.html").read_text()
    named = {name for script in PAGE.glob("*.js") for name in re.findall(r'\$\("([\w-]+)"\)', script.read_text())}
    there = re.findall(r'\bid="([\w-]+)"', html)
    assert len(named) > 20 and named <= set(there) and len(there) == len(set(there))


def test_nothing_comes_from_elsewhere():
    """No library, font or picture of another site: what people choose goes only to this server."""
    text = "".join(file.read_text() for file in PAGE.iterdir())
    assert re.findall(r"(?:https?:)?//[\w-]+\.\w", re.sub(r"(?m)^\s*//.*$", "", text)) == []
    imported = set(re.findall(r'from "\./(\w+\.js)"', text))
    assert imported and all((PAGE / name).is_file() for name in imported)


@pytest.fixture(scope="module")
def server(programs):
    limits = Limits(sessions=3, idle_seconds=600.0)
    with serving(Engine(programs, limits), renders=Renders(programs.models, limits, "blazeface")) as running:
        yield running


@pytest.fixture(scope="module")
def voice(tmp_path_factory) -> str:
    return make_sound(tmp_path_factory.mktemp("voice") / "voice.wav", 1.0)


@pytest.fixture(scope="module")
def browser(voice):
    """A Chromium whose microphone plays the voice."""
    playwright, chromium = pytest.importorskip("playwright.sync_api"), shutil.which("chromium")
    if chromium is None:
        pytest.skip("there is no chromium")
    fake = [
        "--use-fake-device-for-media-stream",
        "--use-fake-ui-for-media-stream",
        f"--use-file-for-fake-audio-capture={voice}",
    ]
    with playwright.sync_playwright() as running:
        browser = running.chromium.launch(executable_path=chromium, args=["--no-sandbox", *fake])
        yield browser
        browser.close()


@pytest.fixture
def network(server):
    """The way to the server."""
    proxy = Proxy(server.address)
    yield proxy
    proxy.listener.close()


@pytest.fixture
def page(network, browser, tmp_path, monkeypatch):
    """The page with a portrait that was uploaded. Errors of its scripts fail the test."""
    monkeypatch.setattr(_live_page, "make_examples", lambda: {})
    page, errors = browser.new_page(), []
    page.set_default_timeout(MILLISECONDS)
    page.on("pageerror", lambda error: errors.append(error))
    page.goto(f"http://{network.address}/")
    page.wait_for_function("document.querySelectorAll('#emotion option').length > 1")
    page.set_input_files("#portrait-file", make_image(tmp_path / "p.png"))
    page.wait_for_selector("#before:visible")
    page.select_option("#crop", "none")
    yield page
    page.close()
    assert errors == []


def numbers(page) -> dict[str, str]:
    """The numbers that the page shows."""
    return dict(zip(page.locator("#numbers dt").all_inner_texts(), page.locator("#numbers dd").all_inner_texts(), strict=True))


@pytest.mark.slow  # quick: test_a_file_is_that_of_the_same_call_in_python
def test_an_upload_becomes_a_file_to_download_after_consent(page, server, programs, voice, tmp_path):
    page.set_input_files("#voice-file", voice)
    page.fill("#seed", "5")
    assert page.is_disabled("#make") and page.is_disabled("#live")
    page.check("#consent")
    page.click("#make")
    page.wait_for_selector("#downloads:visible")
    for name in ("video", "record"):
        with page.expect_download() as download:
            page.click(f"#download-{name}")
        download.value.save_as(tmp_path / name)
    said = json.loads((tmp_path / "record").read_text())
    Pipeline(programs.models, programs.settings)(tmp_path / "p.png", voice, seed=5, crop="none", mark="AI-generated").save(
        tmp_path / "v.mp4"
    )
    assert (tmp_path / "video").read_bytes() == (tmp_path / "v.mp4").read_bytes()
    assert said["synthetic"] is True and said["seed"] == 5 and said["frames"] == 25


@pytest.mark.slow  # quick: test_a_recorded_session_equals_the_offline_video
@pytest.mark.parametrize("source", ["file", "microphone"])
def test_a_voice_is_shown_live(page, voice, source):
    if source == "file":
        page.set_input_files("#voice-file", voice)
    else:
        page.click("#microphone")
    page.check("#consent")
    page.click("#live")
    page.wait_for_function("document.querySelectorAll('#numbers dd')[2]?.textContent > 12")
    if source == "microphone":
        page.click("#stop")
    page.wait_for_function("document.querySelector('#message').textContent.includes('ended')")
    assert "the sound has ended" in page.inner_text("#message")
    count = int(numbers(page)["pictures"])
    assert count == 25 if source == "file" else count > 12
    assert abs(count / 25 - float(numbers(page)["sent"].removesuffix(" s"))) < 0.1
    drawn = page.evaluate("[...document.querySelector('#live-view').getContext('2d').getImageData(0, 0, 32, 32).data]")
    assert np.std(drawn) > 20 and page.evaluate("document.querySelector('#live-view').width") == 32


@pytest.mark.slow  # quick: test_a_session_goes_on_after_its_connection_broke
def test_a_live_session_goes_on_when_the_network_fails_for_a_moment(page, network, tmp_path):
    page.set_input_files("#voice-file", make_sound(tmp_path / "long.wav", 8.0))
    page.check("#consent")
    page.click("#live")
    page.wait_for_function("document.querySelectorAll('#numbers dd')[2]?.textContent > 12")
    assert network.broken() > 0
    page.wait_for_function("document.querySelector('#message').textContent.includes('ended')")
    assert "the sound has ended" in page.inner_text("#message")
    shown = numbers(page)
    assert shown["sent"] == "8.0 s" and 150 < int(shown["pictures"]) <= 200  # those on their way were lost


@pytest.mark.slow
def test_the_emotion_is_drawn_by_hand(page, voice):
    page.set_input_files("#voice-file", voice)
    page.wait_for_function("document.querySelector('#voice-player').readyState > 0")
    box = page.locator("#track").bounding_box()
    for name, (start, end), height in (("happy", (0.01, 0.38), 0.5), ("sad", (0.62, 0.99), 1.0)):
        page.select_option("#emotion", name)
        page.mouse.move(box["x"] + start * box["width"], box["y"] + (1 - height) * box["height"])
        page.mouse.down()
        page.mouse.move(box["x"] + end * box["width"], box["y"] + (1 - height) * box["height"])
        page.mouse.up()
    text = page.inner_text("#track-text")
    assert text == "happy@0.5:0-0.4,sad@1:0.6-" and str(parse_emotion(text)) == "happy@0.5:0-0.4,sad:0.6-"


@pytest.mark.slow
@pytest.mark.parametrize("rate", [48_000, 44_100, 8_000])
def test_the_microphone_is_resampled_without_what_cannot_be_heard(page, rate):
    """Tones: one in the band stays as it is, one above 8 kHz is gone. The blocks are those of AudioWorklet."""
    code = """async ([rate, tone]) => {
        const { Resampler } = await import("./pcm.js");
        const [resampler, out] = [new Resampler(rate), []];
        const sample = (i) => Math.sin((2 * Math.PI * tone * i) / rate);
        for (let start = 0; start < rate; start += 128)
            out.push(...resampler.push(Float32Array.from({ length: 128 }, (_, i) => sample(start + i))));
        return out;
    }"""
    made = np.array(page.evaluate(code, [rate, 1000]))
    expected = np.sin(2 * np.pi * 1000 * np.arange(len(made)) / 16_000)
    assert abs(len(made) - 16_000) < 130
    np.testing.assert_allclose(made[200:], expected[200:], atol=2e-3)
    if rate > 16_000:
        assert np.abs(page.evaluate(code, [rate, 10_000])[200:]).max() < 0.01
