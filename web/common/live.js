// The live picture: an event stream read with fetch, so that a 401 is seen and it can be given up at any time.
//
// Theory of operation. `run` is one endless loop: open the stream, read until it ends or is silent for 20 s (the server
// sends something every 15 s), wait a random time that grows with failures, again. If streams open but bring nothing
// (some proxies hold them back), the picture is polled for a while instead. A page that nobody sees closes its
// stream after 30 s and opens it again at once when it is looked at.
import { call, problemFrom, problemOf } from "./api.js";
import { pictureOf, withDelta } from "./merge.js";
import { EventCutter } from "./sse.js";
import { signal } from "./ui.js";
import { language } from "./words.js";

/** @typedef {import("./types.js").State} State */
/** @typedef {"connecting"|"live"|"polling"|"lost"} Line */

const SILENT_MS = 20_000;
const FIRST_EVENT_MS = 8_000;
const POLL_MS = 3_000;
const HIDDEN_MS = 30_000;
const LONGEST_WAIT_MS = 30_000;

/** The last known picture, or null before the first. */
export const state = signal(/** @type {State|null} */ (null));
/** How the line between this browser and the server is. */
export const line = signal(/** @type {Line} */ ("connecting"));
/** Since when it is lost. */
export const lostSince = signal(/** @type {Date|null} */ (null));
/** Why, as a Problem; an agent that the cloud cannot reach is told apart by its code. */
export const trouble = signal(/** @type {import("./api.js").Problem|null} */ (null));
/** When the picture was last heard of, on this browser's monotonic clock. */
export const heardMs = signal(0);
/** Ticks once a second, for ages. */
export const nowMs = signal(performance.now());

let lastId = "";
let failures = 0;
let barren = 0;
/** @type {AbortController|null} */
let current = null;
/** @type {(() => void)|null} */
let wake = null;
let hidden = false;

/** @param {number} ms */
function pause(ms) {
  return new Promise((/** @type {(value?: unknown) => void} */ done) => {
    const timer = setTimeout(done, ms);
    wake = () => {
      clearTimeout(timer);
      done();
    };
  });
}

function heard() {
  heardMs.value = performance.now();
  nowMs.value = heardMs.value;
  failures = 0;
  lostSince.value = null;
  trouble.value = null;
}

/** @param {import("./sse.js").StreamEvent} event */
function take(event) {
  const data = JSON.parse(event.data);
  if (event.event === "snapshot") state.value = pictureOf(data);
  else if (event.event === "delta" && state.value) state.value = withDelta(state.value, data);
  if (event.id) lastId = event.id;
}

/** One stream, from opening to end. Raises: Problem or whatever fetch raises. */
async function readStream() {
  const abort = new AbortController();
  current = abort;
  let timer = setTimeout(() => abort.abort(), FIRST_EVENT_MS);
  /** @type {Record<string, string>} */
  const headers = { Accept: "text/event-stream", "Accept-Language": language };
  if (lastId && state.value) headers["Last-Event-ID"] = lastId;
  let brought = false;
  try {
    const answer = await fetch("/api/v1/events", { headers, signal: abort.signal, cache: "no-store", redirect: "error" });
    if (!answer.ok || !answer.body) throw await problemOf(answer);
    const cutter = new EventCutter();
    const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      clearTimeout(timer);
      timer = setTimeout(() => abort.abort(), SILENT_MS);
      for (const event of cutter.feed(value)) take(event);
      if (state.value) {
        brought = true;
        barren = 0;
        line.value = "live";
      }
      heard();
    }
  } catch (error) {
    if (error instanceof RangeError || error instanceof SyntaxError) lastId = "";
    throw error;
  } finally {
    clearTimeout(timer);
    abort.abort();
    if (!brought) barren += 1;
    current = null;
  }
}

/** Ask for the whole picture every few seconds for about a minute. */
async function pollAWhile() {
  for (let turn = 0; turn < 20 && !hidden; turn += 1) {
    state.value = pictureOf(await call("GET", "/state"));
    line.value = "polling";
    lastId = "";
    heard();
    await pause(POLL_MS);
  }
}

/** @param {(problem: import("./api.js").Problem) => boolean} isFinal  true: the login is gone, stop. */
async function run(isFinal) {
  for (;;) {
    try {
      if (barren >= 2 && barren % 2 === 0) {
        barren += 1;
        await pollAWhile();
      } else {
        await readStream();
      }
    } catch (error) {
      const problem = problemFrom(error);
      if (isFinal(problem)) return;
      if (!hidden) trouble.value = problem;
    }
    if (hidden) {
      await pause(86_400_000);
      continue;
    }
    if (failures > 0 || performance.now() - heardMs.value > SILENT_MS - 1000) line.value = "lost";
    lostSince.value ??= new Date();
    failures += 1;
    await pause(Math.random() * Math.min(LONGEST_WAIT_MS, 500 * 2 ** Math.min(failures, 10)));
  }
}

/** Start to follow; for the life of the page. @param {(problem: import("./api.js").Problem) => boolean} isFinal */
export function follow(isFinal) {
  /** @type {ReturnType<typeof setTimeout>|undefined} */
  let hideTimer;
  document.addEventListener("visibilitychange", () => {
    clearTimeout(hideTimer);
    if (document.hidden) {
      hideTimer = setTimeout(() => {
        hidden = true;
        current?.abort();
      }, HIDDEN_MS);
    } else {
      hidden = false;
      // A sleeping machine stops the timers: what was open may be long dead.
      if (performance.now() - heardMs.value > SILENT_MS) current?.abort();
      wake?.();
    }
  });
  window.addEventListener("online", () => wake?.());
  // A page that was left may be kept for "back", its stream too: six of them, and the browser opens no more connections.
  window.addEventListener("pagehide", () => {
    hidden = true;
    current?.abort();
  });
  window.addEventListener("pageshow", () => {
    hidden = document.hidden;
    if (!hidden) wake?.();
  });
  setInterval(() => {
    nowMs.value = performance.now();
  }, 1000);
  void run(isFinal);
}
