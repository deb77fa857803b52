// How long does a watcher take to apply 10,000 client_status_changed? Run: node bench/changes.js

import { Watcher } from "../src/index.js";

const COUNT = 10_000;
const ROUNDS = 9;

let socket;
class FakeSocket {
  constructor() {
    socket = this;
  }

  send() {}

  close() {}
}

globalThis.fetch = async () => new Response('{"status":"ok"}');
const watcher = new Watcher("http://127.0.0.1:8765", { webSocket: FakeSocket });
await new Promise((resolve) => setTimeout(resolve, 50));
socket.onopen();
let heard = 0;
watcher.addEventListener("change", () => (heard += 1));

const took = [];
for (let round = 0; round < ROUNDS; round += 1) {
  const status = round % 2 ? "offline" : "online";
  const texts = Array.from({ length: COUNT }, (_, n) => JSON.stringify({ type: "client_status_changed", id: `cam-${n}`, name: `cam-${n}`,
    status, reason: null, reason_code: null, lastHeartbeat: "2026-01-01T00:00:00.000Z" }));
  const begun = performance.now();
  for (const data of texts) socket.onmessage({ data });
  took.push(performance.now() - begun);
}
watcher.close();
took.sort((a, b) => a - b);
console.log(`${COUNT} changes applied in ${took[ROUNDS >> 1].toFixed(1)} ms (median of ${ROUNDS}, ${took[0].toFixed(1)} to ${took.at(-1).toFixed(1)}; ${heard} heard)`);
