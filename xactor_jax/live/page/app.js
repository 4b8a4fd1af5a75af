// The page: connects its controls. Nothing is sent before consent is given.

import { json } from "./api.js";
import { chosen, connectInputs, openMicrophone, voiceSeconds } from "./inputs.js";
import { Live } from "./live.js";
import { makeFile } from "./render.js";
import { Track } from "./track.js";

const $ = (id) => document.getElementById(id);
const FILE_SETTINGS = ["steps", "guidance_scale", "actor_steps", "audio_guidance"];
const DRAWN_SECONDS = 20; // length of the drawn emotion of a microphone

let live = null;
let making = false;

function say(text, isError = false) {
  $("message").textContent = text;
  $("message").className = isError ? "error" : "";
}

const fail = (error) => say(error.message ?? String(error), true);

function showNumbers(numbers) {
  const entries = Object.entries(numbers).flatMap(([name, value]) => {
    const [term, text] = [document.createElement("dt"), document.createElement("dd")];
    [term.textContent, text.textContent] = [name, value];
    return [term, text];
  });
  $("numbers").replaceChildren(...entries);
}

// What can be pressed now.
function update() {
  const ready = $("consent").checked && chosen.portrait && !live && !making;
  $("live").disabled = !(ready && (chosen.voice || chosen.microphone));
  $("make").disabled = !(ready && chosen.voice);
  $("stop").disabled = !live;
}

async function inputsChanged() {
  update();
  const seconds = chosen.voice ? await voiceSeconds() : null;
  track.reset(seconds ?? DRAWN_SECONDS);
}

function emotion() {
  const [drawn, name, intensity] = [track.text(), $("emotion").value, Number($("intensity").value)];
  return drawn || (name && intensity < 1 ? `${name}@${intensity}` : name);
}

const parameters = () => ({ seed: $("seed").value, emotion: emotion(), crop: $("crop").value, mark: $("mark").value });

async function startLive() {
  const microphone = chosen.microphone;
  live = new Live($("live-view"), showLive, liveEnded);
  update();
  $("after").hidden = true;
  $("live-view").hidden = false;
  say("The session is being made.");
  const stream = microphone ? await openMicrophone() : null;
  await live.open(chosen.portrait, parameters());
  await (microphone ? live.speakMicrophone(stream, $("monitor").checked) : live.speakFile(chosen.voice));
  say(microphone ? "Speak. Stop ends the voice; the rest of the pictures follow." : "The first pictures are being made.");
}

function showLive({ seconds, sent, received, late, lag, held }) {
  if (received) say(held ? "Waiting for pictures: they come more slowly than the voice." : "");
  const numbers = { heard: `${seconds.toFixed(1)} s`, sent: `${sent.toFixed(1)} s`, pictures: received, "not shown": late };
  showNumbers(lag !== null ? { ...numbers, "later than the voice": `${lag.toFixed(2)} s` } : numbers);
}

function liveEnded(reason, { received, dropped }) {
  live = null;
  say(`The session has ended: ${reason}. ${received} pictures came${dropped ? `, ${dropped} were dropped by the server` : ""}.`);
  update();
}

async function make() {
  making = true;
  update();
  const settings = Object.fromEntries(FILE_SETTINGS.map((name) => [name, $(name).value]));
  $("progress").hidden = false;
  $("downloads").hidden = true;
  say("The file is being made. The first frames take longest.");
  const made = await makeFile(chosen.portrait, chosen.voice, { ...parameters(), ...settings }, (written, frames) => {
    $("progress").value = frames ? written / frames : 0;
    if (written) say(`${written} of ${frames} frames`);
  });
  showFile(made);
}

function showFile({ video, record }) {
  const address = URL.createObjectURL(video);
  $("after").src = address;
  $("after").hidden = false;
  $("live-view").hidden = true;
  for (const [id, href, name] of [["download-video", address, "talking.mp4"], ["download-record", URL.createObjectURL(record), "talking.json"]])
    Object.assign($(id), { href, download: name });
  $("downloads").hidden = false;
  say("Done. The video says in its metadata that it is synthetic.");
}

function option(value, text = value) {
  return Object.assign(document.createElement("option"), { value, textContent: text });
}

async function readInfo() {
  const info = await json("info");
  $("crop").replaceChildren(...info.crops.map((name) => option(name)));
  $("emotion").replaceChildren(option("", "from the voice"), ...info.emotions.map((name) => option(name)));
  track.emotions = info.emotions;
  $("live-view").width = $("live-view").height = info.size;
}

const track = new Track($("track"), (text) => ($("track-text").textContent = text));
$("emotion").addEventListener("change", ({ target }) => (track.emotion = target.value));
$("track-clear").addEventListener("click", () => track.reset());
$("consent").addEventListener("change", update);
$("stop").addEventListener("click", () => (chosen.microphone ? live?.end() : live?.stop()));
$("live").addEventListener("click", () =>
  startLive().catch((error) => {
    live?.stop();
    live = null;
    fail(error);
    update();
  }),
);
$("make").addEventListener("click", () =>
  make()
    .catch(fail)
    .finally(() => {
      making = false;
      $("progress").hidden = true;
      update();
    }),
);
readInfo()
  .then(() => connectInputs(fail, inputsChanged))
  .catch(fail);
