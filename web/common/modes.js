// The words for modes, states and roles: one table each, so that no page invents its own.
import { number, price } from "./format.js";
import { t } from "./words.js";

/** @param {string} mode */
export function modeName(mode) {
  return (
    {
      off: t("Off"),
      solar: t("Solar only"),
      "min-solar": t("Minimum + solar"),
      fast: t("Fast"),
      plan: t("Plan"),
    }[mode] ?? mode
  );
}

export const MODES = ["off", "solar", "min-solar", "fast", "plan"];

/** @param {string} status */
export function statusName(status) {
  return (
    {
      free: t("Free"),
      plugged: t("Plugged in"),
      charging: t("Charging"),
      fault: t("Fault"),
      offline: t("Does not answer"),
    }[status] ?? status
  );
}

/** @param {string} role */
export function roleName(role) {
  return (
    {
      grid: t("Grid connection"),
      circuit: t("Circuit with charging"),
      load: t("House load"),
      solar: t("Solar"),
      storage: t("Storage battery"),
    }[role] ?? role
  );
}

/** The tunnel's state as a sentence. @param {string} state */
export function cloudStateName(state) {
  return (
    {
      off: t("Switched off"),
      "no-server": t("No default server in this build, enter one"),
      resolving: t("Looking up the address of the cloud server"),
      connecting: t("Connecting to the cloud server"),
      authenticating: t("Connected, logging in"),
      connected: t("Connected to the cloud server"),
      refused: t("The cloud server refused the login"),
      displaced: t("Another installation has connected with this Cloud ID"),
      waiting: t("Not connected, waiting for the next try"),
    }[state] ?? state
  );
}

/** What was told as code and fields, else the sentence that came along. @param {import("./types.js").Because|undefined} because */
export function said(because) {
  if (!because) return "";
  if (!because.sentence) return because.text || because.code;
  /** @type {Record<string, unknown>} */
  const fields = {};
  for (const [name, value] of Object.entries(because.fields ?? {})) {
    if (typeof value !== "number") fields[name] = value;
    else if (name === "price") fields[name] = price(value);
    else fields[name] = number(value, Number.isInteger(value) ? 0 : 1);
  }
  return t(because.sentence, fields);
}
