// Numbers, times and units as the reader's language writes them. A value that is not known is a dash, never a zero.
import { language, t } from "./words.js";

export const DASH = "–";
const NBSP = "\u00a0";

/** @type {Map<number, Intl.NumberFormat>} */
const numberFormats = new Map();

/** @param {number} digits */
function fixed(digits) {
  let format = numberFormats.get(digits);
  if (!format) {
    format = new Intl.NumberFormat(language, { minimumFractionDigits: digits, maximumFractionDigits: digits });
    numberFormats.set(digits, format);
  }
  return format;
}

/** @param {unknown} value @returns {value is number} */
export const known = (value) => typeof value === "number" && Number.isFinite(value);

/** @param {number|null|undefined} value @param {number} [digits] */
export function number(value, digits = 0) {
  return known(value) ? fixed(digits).format(Math.abs(value) < 0.5 * 10 ** -digits ? 0 : value) : DASH;
}

/** What a kWh costs: cents, or their hundredths where it has some. @param {number|null|undefined} value */
export const price = (value) => number(value, known(value) && Math.abs(value * 100 - Math.round(value * 100)) > 1e-9 ? 4 : 2);

/** @param {number|null|undefined} value @param {number} [digits] */
export const amps = (value, digits = 1) => (known(value) ? number(value, digits) + NBSP + "A" : DASH);

/** @param {number|null|undefined} watts */
export function power(watts) {
  if (!known(watts)) return DASH;
  return Math.abs(watts) < 995 ? number(watts) + NBSP + "W" : number(watts / 1000, 1) + NBSP + "kW";
}

/** @param {number|null|undefined} wattHours */
export const energy = (wattHours) => (known(wattHours) ? number(wattHours / 1000, 2) + NBSP + "kWh" : DASH);

/** The time zone of all times on this page: the site's once it is known, until then the browser's. @type {string|undefined} */
let zone;
/** @type {Map<string, Intl.DateTimeFormat>} */
const timeFormats = new Map();

/** @param {Date|string|null|undefined} at @param {Intl.DateTimeFormatOptions} options @param {string|undefined} [where] */
function written(at, options, where = zone) {
  const date = at ? new Date(at) : null;
  if (!date || Number.isNaN(date.getTime())) return DASH;
  const key = JSON.stringify([options, where]);
  let format = timeFormats.get(key);
  if (!format) {
    format = new Intl.DateTimeFormat(language, { ...options, timeZone: where });
    timeFormats.set(key, format);
  }
  return format.format(date);
}

/** From now on times are those of that zone; one that this browser does not know changes nothing. @param {string|null|undefined} name */
export function showTimesOf(name) {
  try {
    if (name) zone = new Intl.DateTimeFormat(language, { timeZone: name }).resolvedOptions().timeZone;
  } catch {
    zone = undefined;
  }
}

/** Said where the site's clocks are not those of the reader: now, or in the other half of the year. */
export function zoneNote() {
  const own = Intl.DateTimeFormat().resolvedOptions().timeZone;
  const year = new Date().getUTCFullYear();
  const instants = [Date.now(), Date.UTC(year, 0, 1), Date.UTC(year, 6, 1)].map((ms) => new Date(ms));
  const all = /** @type {const} */ ({ dateStyle: "short", timeStyle: "short" });
  if (!zone || instants.every((at) => written(at, all, zone) === written(at, all, own))) return "";
  return t("Times are those of the site: {zone}.", { zone });
}

/** A day and a time. @param {string|null|undefined} at */
export const moment = (at) => written(at, { dateStyle: "medium", timeStyle: "short" });

/** The same to the second. @param {string} at */
export const exactly = (at) => (Number.isNaN(Date.parse(at)) ? at : written(at, { dateStyle: "short", timeStyle: "medium" }));

/** A time of the day, to the second. @param {Date|string} at */
export const clock = (at) => written(at, { timeStyle: "medium" });

/** A time of the day, to the minute. @param {Date|string} at */
export const hour = (at) => written(at, { hour: "2-digit", minute: "2-digit" });

/** Monday is 0. @param {number} day @param {"long"|"short"} [style] */
export const dayName = (day, style = "long") => written(new Date(Date.UTC(2024, 0, 1 + day)), { weekday: style }, "UTC");

/** How long something takes or took, in its two largest units. @param {number|null|undefined} seconds */
export function duration(seconds) {
  if (!known(seconds)) return DASH;
  const whole = Math.max(0, Math.round(seconds));
  if (whole < 60) return t("{n} s", { n: whole });
  if (whole < 3600) return t("{n} min", { n: Math.floor(whole / 60) });
  if (whole < 86400) return t("{h} h {min} min", { h: Math.floor(whole / 3600), min: Math.floor((whole % 3600) / 60) });
  return t("{d} d {h} h", { d: Math.floor(whole / 86400), h: Math.floor((whole % 86400) / 3600) });
}

/** What a person typed as a number, with comma or point; NaN when it is none. @param {string} text */
export function typedNumber(text) {
  const plain = text.trim().replace(/[\s\u00a0\u202f]/g, "").replace(",", ".");
  return /^[+-]?\d+(\.\d+)?$/.test(plain) ? Number(plain) : NaN;
}

/** A number as a form field shows it: no grouping, the language's decimal sign. @param {number|null|undefined} value */
export function fieldNumber(value) {
  if (!known(value)) return "";
  return new Intl.NumberFormat(language, { useGrouping: false, maximumFractionDigits: 3 }).format(value);
}
