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

/** @param {number|null|undefined} value @param {number} [digits] */
export const amps = (value, digits = 1) => (known(value) ? number(value, digits) + NBSP + "A" : DASH);

/** @param {number|null|undefined} watts */
export function power(watts) {
  if (!known(watts)) return DASH;
  return Math.abs(watts) < 995 ? number(watts) + NBSP + "W" : number(watts / 1000, 1) + NBSP + "kW";
}

/** @param {number|null|undefined} wattHours */
export const energy = (wattHours) => (known(wattHours) ? number(wattHours / 1000, 2) + NBSP + "kWh" : DASH);

const dateTime = new Intl.DateTimeFormat(language, { dateStyle: "medium", timeStyle: "short" });
const clockTime = new Intl.DateTimeFormat(language, { timeStyle: "medium" });

/** @param {string|null|undefined} at */
export function moment(at) {
  const date = at ? new Date(at) : null;
  return date && !Number.isNaN(date.getTime()) ? dateTime.format(date) : DASH;
}

const toTheSecond = new Intl.DateTimeFormat(language, { dateStyle: "short", timeStyle: "medium" });

/** @param {string} at */
export const exactly = (at) => (Number.isNaN(Date.parse(at)) ? at : toTheSecond.format(new Date(at)));

/** @param {Date|string} at */
export function clock(at) {
  const date = new Date(at);
  return Number.isNaN(date.getTime()) ? DASH : clockTime.format(date);
}

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
