// How an installation is named in words, and how much went through its tunnels.
import { DASH, number } from "../common/format.js";
import { html } from "../common/ui.js";
import { t } from "../common/words.js";

/**
 * @typedef {{cloud_id: string, state: string, last_seen_at: string|null, version: string|null, created_at: string,
 *   source: string, note: string, tags: string[], received_bytes: number, sent_bytes: number, failed_logins: number,
 *   alarm_at: string|null, new_password: boolean}} Installation
 */

/** @param {string} state */
export const stateName = (state) =>
  ({
    connected: t("connected"),
    offline: t("offline"),
    disabled: t("disabled"),
    waiting: t("waits for approval"),
    alarm: t("offline for too long"),
  })[state] ?? state;

/** @param {{row: Installation}} props */
export function StateTag({ row }) {
  const colour = { connected: "good", disabled: "bad", waiting: "warn" }[row.state] ?? "";
  const missing = row.alarm_at !== null && row.state === "offline";
  return html`<span class=${`tag ${missing ? "bad" : colour}`} data-state=${row.state}>${stateName(missing ? "alarm" : row.state)}</span>`;
}

/** @param {number} bytes */
export function amount(bytes) {
  if (!bytes) return DASH;
  for (const [size, unit] of /** @type {[number, string][]} */ ([[1e9, "GB"], [1e6, "MB"], [1e3, "kB"]])) {
    if (bytes >= size) return `${number(bytes / size, 1)}\u00a0${unit}`;
  }
  return `${number(bytes)}\u00a0B`;
}
