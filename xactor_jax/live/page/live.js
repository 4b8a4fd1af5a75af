// Live mode: sends sound, receives pictures, and shows each picture when its sound is heard (docs/live.md).
//
// The clock is that of the sound output. Picture with time n (in samples) is shown at start + n / 16,000 seconds of that clock.
// A voice from a file starts when the first pictures have come; if pictures come too late, the clock is held. A microphone
// cannot be held: its voice is heard, and its pictures are shown, later by what the pictures need.

import { post, request } from "./api.js";
import { Connection } from "./connection.js";
import { toInt16 } from "./pcm.js";

const RATE = 16000;
const BUFFER = 0.4; // seconds of pictures that wait before the first is shown
const AHEAD = 2; // seconds of sound that are sent before they are heard, in addition to the server's delay
const BLOCK = 1600; // samples in a message of a file's sound
const HEADER = 24;
const LONGEST_DELAY = 30; // seconds, of the microphone's own voice

const TYPES = { 1: "image/jpeg", 2: "image/webp", 3: "image/png" };

// The header of a picture, and the picture.
export function parsePicture(buffer) {
  const view = new DataView(buffer);
  const magic = String.fromCharCode(...new Uint8Array(buffer, 0, 4));
  const [codec, start, number] = [view.getUint8(4), view.getUint16(6, true), view.getUint32(8, true)];
  const [time, length] = [Number(view.getBigUint64(12, true)), view.getUint32(20, true)];
  if (magic !== "XAF1" || start < HEADER || start + length !== buffer.byteLength) throw new Error("the server sent no picture");
  return { number, time, blob: new Blob([new Uint8Array(buffer, start, length)], { type: TYPES[codec] }) };
}

export class Live {
  // `tell` is called with numbers to show, `ended` once, with the reason.
  constructor(canvas, tell, ended) {
    Object.assign(this, { canvas, tell, ended, pictures: [], start: null, received: 0, next: 0, late: 0, over: "", sent: 0 });
  }

  async open(portrait, parameters) {
    this.context = new AudioContext();
    await this.context.resume();
    this.session = await post("sessions", parameters, portrait);
    this.canvas.width = this.canvas.height = this.session.size;
    const closed = (reason) => this.finish(this.over || reason);
    this.connection = new Connection(this.session.stream, (data) => this.took(data), closed);
    await this.connection.open();
    this.frame = requestAnimationFrame(() => this.show());
  }

  // Speaks a recording: any file that the browser can decode.
  async speakFile(blob) {
    const decoder = new OfflineAudioContext(1, 1, RATE); // decodes to its own rate
    const voice = await decoder.decodeAudioData(await blob.arrayBuffer());
    this.held = true; // the clock may be held
    this.source = new AudioBufferSourceNode(this.context, { buffer: voice });
    this.source.connect(this.context.destination);
    const mono = new Float32Array(voice.length);
    for (let c = 0; c < voice.numberOfChannels; c++)
      voice.getChannelData(c).forEach((x, i) => (mono[i] += x / voice.numberOfChannels));
    this.pcm = toInt16(mono);
    this.timer = setInterval(() => this.sendMore(), 100);
    this.sendMore();
  }

  sendMore() {
    const until = (Math.max(0, this.position()) / RATE + this.session.delay_seconds + AHEAD + BUFFER) * RATE;
    while (this.sent < Math.min(until, this.pcm.length)) {
      this.connection.send(this.pcm.slice(this.sent, this.sent + BLOCK));
      this.sent = Math.min(this.sent + BLOCK, this.pcm.length);
    }
    if (this.sent >= this.pcm.length) this.end();
  }

  // Speaks what a microphone hears; `monitor`: it is also played, in step with the pictures.
  async speakMicrophone(stream, monitor) {
    this.stream = stream;
    await this.context.audioWorklet.addModule(new URL("./pcm.js", import.meta.url));
    const source = new MediaStreamAudioSourceNode(this.context, { mediaStream: stream });
    this.worklet = new AudioWorkletNode(this.context, "pcm", { numberOfOutputs: 0 });
    this.delay = new DelayNode(this.context, { maxDelayTime: LONGEST_DELAY, delayTime: 0 });
    source.connect(this.worklet);
    source.connect(this.delay);
    if (monitor) this.delay.connect(this.context.destination);
    this.worklet.port.onmessage = ({ data }) => {
      this.began ??= data.start;
      if (this.ending) return;
      this.connection.send(new Int16Array(data.pcm));
      this.sent += data.pcm.byteLength / 2;
    };
  }

  // No more sound. The remaining pictures follow.
  end() {
    if (this.ending) return;
    this.ending = true;
    clearInterval(this.timer);
    for (const track of this.stream?.getTracks() ?? []) track.stop();
    this.connection?.end();
  }

  took(data) {
    if (typeof data === "string") {
      const message = JSON.parse(data);
      if (message.type === "end") Object.assign(this, { over: message.reason, dropped: message.dropped });
      return;
    }
    const picture = parsePicture(data);
    this.pictures.push(picture);
    this.received += 1;
    this.next = picture.number + 1;
    this.begin();
  }

  // Sets the clock when the first pictures are there.
  begin() {
    const first = this.pictures[0].time / RATE;
    const now = this.context.currentTime;
    if (this.start !== null) return;
    this.start = now + BUFFER - (this.held ? 0 : first);
    this.source?.start(this.start);
    this.lag();
  }

  // The microphone's voice is heard as much later as its pictures are shown.
  lag() {
    this.delay?.delayTime.setValueAtTime(Math.min(LONGEST_DELAY, this.start - this.began), this.context.currentTime);
  }

  // The sample that is heard now.
  position() {
    return this.start === null ? -1 : (this.context.currentTime - this.start) * RATE;
  }

  show() {
    const position = this.position();
    const due = this.pictures.filter(({ time }) => time <= position);
    if (due.length) this.draw(due.at(-1), due.length - 1);
    this.pictures.splice(0, due.length);
    this.keepStep(position);
    const seconds = Math.max(0, position / RATE);
    const lag = this.start === null || this.held ? null : this.start - this.began;
    const held = this.start !== null && this.context.state === "suspended";
    this.tell({ seconds, sent: this.sent / RATE, received: this.received, late: this.late, lag, held });
    if (this.over && !this.pictures.length) return this.finish(this.over);
    this.frame = requestAnimationFrame(() => this.show());
  }

  async draw(picture, skipped) {
    this.late += skipped;
    const image = await createImageBitmap(picture.blob);
    if (picture.number >= (this.newest ?? 0)) this.canvas.getContext("2d").drawImage(image, 0, 0);
    this.newest = Math.max(picture.number, this.newest ?? 0);
    image.close();
  }

  // Waits where pictures are late: holds the clock of a file, and moves that of a microphone.
  keepStep(position) {
    const next = this.next * (RATE / this.session.frame_rate); // the picture that has not come; lost ones do not count
    const starved = this.start !== null && !this.over && position >= next;
    if (starved && this.held && this.context.state === "running") this.context.suspend();
    if (starved && !this.held) {
      this.start += (position - next) / RATE + BUFFER;
      this.lag();
    }
    const enough = this.pictures.length >= BUFFER * this.session.frame_rate || this.over;
    if (this.held && this.context.state === "suspended" && enough) this.context.resume();
  }

  finish(reason) {
    if (this.finished) return;
    if (this.over && this.pictures.length) return; // they are still to be shown
    this.finished = true;
    cancelAnimationFrame(this.frame);
    this.end();
    this.context.close();
    this.ended(reason, this);
  }

  // Ends at once, and frees the place on the server.
  stop() {
    this.pictures = [];
    if (this.session && !this.over) request(`sessions/${this.session.id}`, { method: "DELETE" }).catch(() => {});
    this.connection?.close();
    this.finish("stopped");
  }
}
