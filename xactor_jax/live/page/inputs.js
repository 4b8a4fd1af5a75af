// The portrait and the voice: from files, camera, microphone or the server's synthetic examples.

import { json, request } from "./api.js";

const $ = (id) => document.getElementById(id);

// What was chosen. `portrait` and `voice` are Blobs; the microphone of live mode has no voice yet.
export const chosen = { portrait: null, voice: null, microphone: false };

let report = () => {};
let changed = () => {};

// Calls an action of the person, and shows its error.
const trying = (action) => async (...given) => {
  try {
    await action(...given);
  } catch (error) {
    report(error);
  }
};

export function connectInputs(onError, onChange) {
  report = onError;
  changed = onChange;
  $("portrait-file").addEventListener("change", trying(({ target }) => usePortrait(target.files[0], "auto")));
  $("voice-file").addEventListener("change", trying(({ target }) => useVoice(target.files[0], target.files[0].name)));
  $("camera").addEventListener("click", trying(openCamera));
  $("snap").addEventListener("click", trying(takePicture));
  $("microphone").addEventListener("click", trying(useMicrophone));
  $("record").addEventListener("click", trying(toggleRecording));
  showExamples().catch(onError);
}

async function usePortrait(blob, crop) {
  if (!blob) return;
  chosen.portrait = blob;
  $("crop").value = crop;
  $("before").src = URL.createObjectURL(blob);
  $("before").hidden = false;
  changed();
}

async function useVoice(blob, name) {
  if (!blob) return;
  Object.assign(chosen, { voice: blob, microphone: false });
  $("microphone").ariaPressed = "false";
  $("voice-name").textContent = name;
  $("voice-player").src = URL.createObjectURL(blob);
  $("voice-player").hidden = false;
  changed();
}

async function showExamples() {
  const examples = await json("examples");
  for (const { name, url, crop } of examples.portraits) {
    const picture = await (await request(url)).blob();
    const button = document.createElement("button");
    button.type = "button";
    button.title = name;
    const image = document.createElement("img");
    image.src = URL.createObjectURL(picture);
    image.alt = name;
    button.append(image);
    button.addEventListener("click", trying(() => usePortrait(picture, crop)));
    $("examples").append(button);
  }
  const voice = async () => useVoice(await (await request(examples.voice)).blob(), "a synthetic voice");
  $("voice-example").addEventListener("click", trying(voice));
}

async function openCamera() {
  const stream = await navigator.mediaDevices.getUserMedia({ video: { width: { ideal: 1280 }, facingMode: "user" } });
  $("camera-view").srcObject = stream;
  $("viewfinder").hidden = false;
}

async function takePicture() {
  const view = $("camera-view");
  const canvas = new OffscreenCanvas(view.videoWidth, view.videoHeight);
  canvas.getContext("2d").drawImage(view, 0, 0);
  for (const track of view.srcObject.getTracks()) track.stop();
  $("viewfinder").hidden = true;
  await usePortrait(await canvas.convertToBlob({ type: "image/png" }), "auto");
}

// Sound of a microphone as the person speaks: nothing may alter it, since the networks were trained on plain recordings.
export const openMicrophone = () =>
  navigator.mediaDevices.getUserMedia({ audio: { echoCancellation: false, noiseSuppression: false, autoGainControl: false } });

async function useMicrophone() {
  Object.assign(chosen, { microphone: true, voice: null });
  $("microphone").ariaPressed = "true";
  $("voice-name").textContent = "The microphone: press Live, or record a voice for a file.";
  $("voice-player").hidden = true;
  changed();
}

let recorder = null;

async function toggleRecording() {
  if (recorder) return recorder.stop();
  const stream = await openMicrophone();
  const pieces = [];
  recorder = new MediaRecorder(stream);
  recorder.addEventListener("dataavailable", ({ data }) => pieces.push(data));
  recorder.addEventListener("stop", () => {
    for (const track of stream.getTracks()) track.stop();
    const blob = new Blob(pieces, { type: recorder.mimeType });
    recorder = null;
    $("record").textContent = "Record";
    useVoice(blob, "a recording from the microphone");
  });
  recorder.start();
  $("record").textContent = "Stop recording";
}

// Length of the chosen voice in seconds; null where the browser cannot tell.
export async function voiceSeconds() {
  const player = $("voice-player");
  if (player.readyState < 1) await new Promise((done) => ["loadedmetadata", "error"].forEach((e) => player.addEventListener(e, done, { once: true })));
  return Number.isFinite(player.duration) ? player.duration : null;
}
