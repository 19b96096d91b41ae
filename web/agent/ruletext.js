// A rule as a person would say it: "From 22:00 to 06:00 on weekdays: at most 10 A, for Garage 1."
import { amps, dayName, duration, number, power, price } from "../common/format.js";
import { modeName } from "../common/modes.js";
import { language, t, tn } from "../common/words.js";

/** @typedef {{time_from?: string, time_to?: string, weekdays?: number[], price_below?: number, price_above?: number,
 *   levels?: string[], surplus_below_w?: number, surplus_above_w?: number, soc_below_pct?: number, soc_above_pct?: number,
 *   charging_at_least?: number, charging_at_most?: number, input?: string, input_set?: boolean, import_above_w?: number,
 *   export_above_w?: number}} Condition */
/** @typedef {{id?: string, name: string, enabled: boolean, when: Condition[], match: "all"|"any", charge_points: string[],
 *   users: string[], limit_a: number|null, limit_w: number|null, mode: string|null, pause: boolean, keep_s: number,
 *   unknown: "holds"|"fails"|null}} Rule */
/** Names by ID. @typedef {{points: Record<string, string>, users: Record<string, string>, inputs: Record<string, string>}} Names */

export const LEVELS = ["very-cheap", "cheap", "normal", "dear", "very-dear"];
const and = new Intl.ListFormat(language, { type: "conjunction" });
const or = new Intl.ListFormat(language, { type: "disjunction" });

/** @param {string} level */
export const levelName = (level) =>
  ({
    "very-cheap": t("very cheap"),
    cheap: t("cheap"),
    normal: t("normal"),
    dear: t("dear"),
    "very-dear": t("very dear"),
  })[level] ?? level;

/** As `06:00`, in the reader's way. @param {string} time */
const clock = (time) =>
  new Intl.DateTimeFormat(language, { timeStyle: time.length > 5 ? "medium" : "short", timeZone: "UTC", hourCycle: "h23" }).format(
    new Date(`2024-01-01T${time}Z`),
  );

/** @param {number} value */
const percent = (value) => `${number(value)}\u00a0%`;

/** @param {number[]} days */
function daysText(days) {
  const key = [...days].sort().join("");
  if (key === "01234") return t("on weekdays");
  if (key === "56") return t("at weekends");
  return t("on {days}", { days: and.format([...days].sort().map((day) => dayName(day))) });
}

/** @param {Condition} when */
function timeText(when) {
  const parts = [];
  if (when.time_from && when.time_to) parts.push(t("from {from} to {to}", { from: clock(when.time_from), to: clock(when.time_to) }));
  else if (when.time_from) parts.push(t("from {from} to midnight", { from: clock(when.time_from) }));
  else if (when.time_to) parts.push(t("from midnight to {to}", { to: clock(when.time_to) }));
  if (when.weekdays?.length) parts.push(daysText(when.weekdays));
  return parts.join(" ");
}

/** What must hold beside the time, each as a clause. @param {Condition} when @param {Names} names */
function clauses(when, names) {
  const { levels, input } = when;
  /** @type {[unknown, () => string][]} */
  const all = [
    [when.price_below, () => t("the price is below {price}", { price: price(/** @type {number} */ (when.price_below)) })],
    [when.price_above, () => t("the price is above {price}", { price: price(/** @type {number} */ (when.price_above)) })],
    [levels?.length ? levels : undefined, () => t("the price is {levels}", { levels: or.format((levels ?? []).map(levelName)) })],
    [when.surplus_below_w, () => t("the surplus is below {power}", { power: power(when.surplus_below_w) })],
    [when.surplus_above_w, () => t("the surplus is above {power}", { power: power(when.surplus_above_w) })],
    [when.soc_below_pct, () => t("the car’s battery is below {percent}", { percent: percent(/** @type {number} */ (when.soc_below_pct)) })],
    [when.soc_above_pct, () => t("the car’s battery is above {percent}", { percent: percent(/** @type {number} */ (when.soc_above_pct)) })],
    [when.charging_at_least, () => tn("at least {n} car is charging", "at least {n} cars are charging", when.charging_at_least ?? 0)],
    [when.charging_at_most, () => tn("at most {n} car is charging", "at most {n} cars are charging", when.charging_at_most ?? 0)],
    [
      input,
      () => {
        const name = names.inputs[input ?? ""] ?? input;
        return when.input_set === false ? t("the input {name} is off", { name }) : t("the input {name} is on", { name });
      },
    ],
    [when.import_above_w, () => t("more than {power} is taken from the grid", { power: power(when.import_above_w) })],
    [when.export_above_w, () => t("more than {power} flows back to the grid", { power: power(when.export_above_w) })],
  ];
  return all.filter(([value]) => value !== undefined && value !== null).map(([, say]) => say());
}

/** @param {Condition} when @param {Names} names */
function conditionText(when, names) {
  const times = timeText(when);
  const facts = clauses(when, names);
  if (!facts.length) return times;
  const joined = and.format(facts);
  return times ? t("{times} while {facts}", { times, facts: joined }) : t("while {facts}", { facts: joined });
}

/** @param {Rule} rule */
function effectText(rule) {
  if (rule.pause) return t("pause");
  const parts = [];
  if (rule.limit_a !== null) parts.push(t("at most {amps}", { amps: amps(rule.limit_a, Number.isInteger(rule.limit_a) ? 0 : 1) }));
  if (rule.limit_w !== null) parts.push(t("at most {power}", { power: power(rule.limit_w) }));
  if (rule.mode === "off") parts.push(t("switched off"));
  else if (rule.mode !== null) parts.push(t("no more than “{mode}”", { mode: modeName(rule.mode) }));
  return parts.length ? and.format(parts) : t("nothing");
}

/** @param {Rule} rule @param {Names} names */
function whomText(rule, names) {
  const points = rule.charge_points.map((id) => names.points[id] ?? id);
  const users = rule.users.map((id) => t("the user {name}", { name: names.users[id] ?? id }));
  return points.length + users.length ? t("for {names}", { names: and.format([...points, ...users]) }) : t("for all charge points");
}

/** The whole rule in one sentence. @param {Rule} rule @param {Names} names */
export function ruleText(rule, names) {
  const texts = rule.when.map((one) => conditionText(one, names));
  let when = texts.length ? (rule.match === "any" ? or : and).format(texts) : t("always");
  if (rule.keep_s) when = t("{when}, and for {duration} after that", { when, duration: duration(rule.keep_s) });
  const sentence = t("{when}: {effect}, {whom}.", { when, effect: effectText(rule), whom: whomText(rule, names) });
  return sentence.charAt(0).toLocaleUpperCase(language) + sentence.slice(1);
}
