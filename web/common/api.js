// Calls to the API. What goes wrong arrives as a Problem: a stable code, a sentence for people, perhaps a field's name.
import { language, t } from "./words.js";

export class Problem extends Error {
  /** @param {number} status @param {string} code @param {string} sentence @param {string} [where] */
  constructor(status, code, sentence, where) {
    super(sentence);
    this.status = status;
    this.code = code;
    this.where = where;
  }
}

/** What a code without a usable sentence of its own means. @param {number} status */
function sentenceFor(status) {
  if (status === 401) return t("You are not logged in any more. Log in again.");
  if (status === 403) return t("This is not allowed for your login.");
  if (status === 404) return t("This does not exist (any more). Load the page again.");
  if (status === 429) return t("Too many tries. Wait a little and try again.");
  if (status >= 502) return t("The installation does not answer. Charging goes on there; try again in a moment.");
  return t("This did not work. Try again; if it happens again, look at the log on the page “System”.");
}

/** @param {Response} answer */
export async function problemOf(answer) {
  try {
    const said = await answer.json();
    return new Problem(
      answer.status,
      String(said.code || answer.status),
      said.detail || said.title || sentenceFor(answer.status),
      said.field || said.where || undefined,
    );
  } catch {
    return new Problem(answer.status, `http-${answer.status}`, sentenceFor(answer.status));
  }
}

/** @param {unknown} error */
export function problemFrom(error) {
  if (error instanceof Problem) return error;
  return new Problem(0, "no-connection", t("No connection to the server. Check your network and try again."));
}

/**
 * One request to /api/v1. Raises: Problem.
 * @param {string} method @param {string} path @param {unknown} [body] @param {number} [timeoutMs]
 * @returns {Promise<any>}
 */
export async function call(method, path, body, timeoutMs = 20_000) {
  const abort = new AbortController();
  const timer = setTimeout(() => abort.abort(), timeoutMs);
  /** @type {RequestInit} */
  const request = {
    method,
    cache: "no-store",
    credentials: "same-origin",
    redirect: "error",
    signal: abort.signal,
    headers: { Accept: "application/json", "Accept-Language": language },
  };
  if (body !== undefined) {
    request.headers = { ...request.headers, "Content-Type": "application/json" };
    request.body = JSON.stringify(body);
  }
  try {
    const answer = await fetch(`/api/v1${path}`, request);
    if (!answer.ok) throw await problemOf(answer);
    if (answer.status === 204) return null;
    const text = await answer.text();
    return text ? JSON.parse(text) : null;
  } catch (error) {
    throw problemFrom(error);
  } finally {
    clearTimeout(timer);
  }
}

/** @param {string} path */
export const get = (path) => call("GET", path);
/** @param {string} path @param {unknown} body */
export const put = (path, body) => call("PUT", path, body);
/** @param {string} path @param {unknown} [body] @param {number} [timeoutMs] */
export const post = (path, body = {}, timeoutMs = 20_000) => call("POST", path, body, timeoutMs);
/** @param {string} path */
export const remove = (path) => call("DELETE", path);
