// Requests to the server (docs/live.md). The token of the page's address goes with each of them.

const token = new URLSearchParams(location.search).get("token") ?? "";

// An answer, or an error with the server's own sentence.
export async function request(path, options = {}) {
  const headers = token ? { Authorization: `Bearer ${token}` } : {};
  const answer = await fetch(path, { ...options, headers });
  if (!answer.ok) {
    const said = await answer.json().catch(() => ({}));
    throw new Error(said.error ?? `the server answered ${answer.status} ${answer.statusText}`);
  }
  return answer;
}

export const json = async (path, options) => (await request(path, options)).json();

export const post = (path, parameters, body) => json(`${path}?${query(parameters)}`, { method: "POST", body });

// The parameters that have a value.
export function query(parameters) {
  const given = Object.entries(parameters).filter(([, value]) => value !== "" && value !== null && value !== undefined);
  return new URLSearchParams(given).toString();
}

// The address of a WebSocket, where a browser cannot set headers.
export function socketAddress(path) {
  const address = new URL(path, location.href);
  address.protocol = location.protocol === "https:" ? "wss:" : "ws:";
  if (token) address.searchParams.set("token", token);
  return address.href;
}
