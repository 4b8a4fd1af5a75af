// AudioWorklet: sound of any rate → 16 kHz, mono, signed 16 bit, in messages of 40 ms.
//
// Resampling by a windowed sinc: y(n) = Σ_k x(k) c sinc(c (t - k)) w((t - k) / R), with t = n r, r = input rate / 16,000, cut-off
// c = min(1, 1 / r) (so that nothing above 8 kHz is folded down), w Hann's window, and R = ZEROS / c samples on each side.
// Smith, "Digital Audio Resampling", 2002.

const RATE = 16000;
const ZEROS = 16;
const BLOCK = 640;

export class Resampler {
  constructor(rate) {
    this.ratio = rate / RATE;
    this.cutoff = Math.min(1, 1 / this.ratio);
    this.radius = ZEROS / this.cutoff;
    this.held = new Float32Array(0); // input that is still needed
    this.first = 0; // number of its first sample
    this.next = 0; // number of the next output sample
  }

  push(input) {
    const held = new Float32Array(this.held.length + input.length);
    held.set(this.held);
    held.set(input, this.held.length);
    this.held = held;
    const output = [];
    const last = this.first + held.length - 1;
    while (this.next * this.ratio + this.radius <= last) output.push(this.sampleAt(this.next++ * this.ratio));
    const drop = Math.floor(this.next * this.ratio - this.radius) - this.first;
    if (drop > 0) {
      this.held = held.slice(drop);
      this.first += drop;
    }
    return output;
  }

  sampleAt(time) {
    let sum = 0;
    const end = Math.min(this.held.length - 1, Math.floor(time + this.radius) - this.first);
    for (let i = Math.max(0, Math.ceil(time - this.radius) - this.first); i <= end; i++) {
      const x = (time - this.first - i) * this.cutoff;
      const sinc = x === 0 ? 1 : Math.sin(Math.PI * x) / (Math.PI * x);
      sum += this.held[i] * this.cutoff * sinc * (0.5 + 0.5 * Math.cos((Math.PI * x) / ZEROS));
    }
    return sum;
  }
}

export function toInt16(samples) {
  return Int16Array.from(samples, (x) => Math.max(-32768, Math.min(32767, Math.round(x * 32768))));
}

if (typeof AudioWorkletProcessor !== "undefined") {
  class Pcm extends AudioWorkletProcessor {
    constructor() {
      super();
      this.resampler = new Resampler(sampleRate);
      this.samples = [];
      this.start = null;
    }

    process([channels]) {
      if (!channels.length) return true;
      this.start ??= currentTime;
      const mono = new Float32Array(channels[0].length);
      for (const channel of channels) for (let i = 0; i < mono.length; i++) mono[i] += channel[i] / channels.length;
      for (const sample of this.resampler.push(mono)) this.samples.push(sample);
      while (this.samples.length >= BLOCK) {
        const block = toInt16(this.samples.splice(0, BLOCK));
        this.port.postMessage({ pcm: block.buffer, start: this.start }, [block.buffer]);
      }
      return true;
    }
  }
  registerProcessor("pcm", Pcm);
}
