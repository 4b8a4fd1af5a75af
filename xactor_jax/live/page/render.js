// A file of the whole recording, made by the server with the code of launch/sample.py.

import { json, post, request } from "./api.js";

const PAUSE = 500; // milliseconds between two looks at the progress

const pause = () => new Promise((done) => setTimeout(done, PAUSE));

// Makes the file. `tell` is called with (frames written, all frames). Returns the video and its record, as Blobs.
export async function makeFile(portrait, voice, parameters, tell) {
  const body = new Blob([portrait, voice]);
  const { id } = await post("renders", { ...parameters, portrait_bytes: portrait.size }, body);
  try {
    for (;;) {
      const { state, written, frames, error } = await json(`renders/${id}`);
      tell(written, frames);
      if (state === "failed") throw new Error(error);
      if (state === "done") break;
      await pause();
    }
    const part = async (name) => (await request(`renders/${id}/${name}`)).blob();
    return { video: await part("talking.mp4"), record: await part("talking.json") };
  } finally {
    request(`renders/${id}`, { method: "DELETE" }).catch(() => {});
  }
}
