// The connection of a live session. If it breaks, it is opened again, and the sound that did not arrive is sent again: the server
// keeps a session for some time, and says how much sound it has (docs/live.md).

import { socketAddress } from "./api.js";

const RATE = 16000;
const KEPT = 60; // seconds of sound that are kept, to be sent again
const PATIENCE = 30; // seconds in which a broken connection may be opened again
const [FIRST_WAIT, LONGEST_WAIT] = [200, 4000]; // milliseconds between two tries
const BLOCK = RATE / 4; // samples in a message of sound that is sent again
const LOST = 1006; // the code of a connection that broke

const pause = (milliseconds) => new Promise((done) => setTimeout(done, milliseconds));

export class Connection {
  // `took` is called with every message but the first, `closed` once, with the reason.
  constructor(path, took, closed) {
    Object.assign(this, { path, took, closed, blocks: [], samples: 0, ready: false, ending: false, over: false });
  }

  // Returns when the server is ready for sound.
  open() {
    return new Promise((done, failed) => {
      this.socket = new WebSocket(socketAddress(this.path));
      this.socket.binaryType = "arraybuffer";
      this.socket.addEventListener("message", ({ data }) => {
        const message = typeof data === "string" ? JSON.parse(data) : null;
        if (message?.type === "start") return done(this.resume(message.samples));
        this.over ||= message?.type === "end";
        this.took(data);
      });
      this.socket.addEventListener("close", ({ code, reason }) => {
        const text = reason || `the connection ended (${code})`;
        failed(new Error(text)); // without effect on a connection that was open
        if (this.ready) this.broke(code, text);
      });
    });
  }

  broke(code, text) {
    this.ready = false;
    if (code === LOST && !this.over) this.reopen();
    else this.closed(text);
  }

  async reopen() {
    const until = performance.now() + 1000 * PATIENCE;
    for (let wait = FIRST_WAIT; performance.now() < until && !this.over; wait = Math.min(2 * wait, LONGEST_WAIT)) {
      await pause(wait);
      const opened = await this.open().then(() => true, () => false);
      if (opened) return;
    }
    this.closed("the connection was lost");
  }

  // The server has this many samples: sends those that it lacks.
  resume(samples) {
    this.ready = true;
    const kept = Int16Array.from(this.blocks.flatMap((block) => [...block]));
    const first = this.samples - kept.length;
    if (samples < first) return this.close();
    for (let start = samples - first; start < kept.length; start += BLOCK) this.socket.send(kept.slice(start, start + BLOCK));
    if (this.ending) this.end();
  }

  // Sends sound, or keeps it until the connection is open again.
  send(pcm) {
    this.blocks.push(pcm);
    this.samples += pcm.length;
    while (this.blocks.length * pcm.length > KEPT * RATE) this.blocks.shift();
    if (this.ready) this.socket.send(pcm);
  }

  // No more sound.
  end() {
    this.ending = true;
    if (this.ready) this.socket.send(JSON.stringify({ type: "end" }));
  }

  // Ends the connection at once.
  close() {
    this.over = true;
    this.socket?.close();
  }
}
