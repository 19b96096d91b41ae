// What differs between the site as it is and as it is wished, one row each, old and new.
import { amps, DASH, number } from "../common/format.js";
import { t } from "../common/words.js";

/** @typedef {import("./site.js").Circuit} Circuit */
/** @typedef {import("./site.js").Site} Site */
/** `raises`: it lets more current flow; `word` says then what was done. @typedef {{what: string, old: string, new: string,
 *   raises: boolean, word?: string}} Change */

/** @param {Site} old @param {Site} wish @param {{id: string, name: string}[]} meters @returns {Change[]} */
export function changesBetween(old, wish, meters) {
  /** @type {Change[]} */
  const changes = [];
  /** @param {string} what @param {string} before @param {string} after @param {boolean} [raises] @param {string} [word] */
  const note = (what, before, after, raises = false, word = t("raised")) => {
    if (before !== after) changes.push({ what, old: before, new: after, raises, word });
  };
  /** @param {Site} site @param {string|null} id */
  const circuitName = (site, id) => (id ? site.circuits.find((one) => one.id === id)?.name || id : t("the grid connection"));
  /** @param {string|null} id */
  const meterName = (id) => (id ? meters.find((meter) => meter.id === id)?.name || id : t("none"));
  /**
   * @param {string} name @param {string} what @param {number|null} before @param {number|null} after @param {boolean} up
   * @param {string} [word]
   */
  const noteAmps = (name, what, before, after, up, word) =>
    note(name ? `${name}: ${what}` : what, before === null ? DASH : amps(before), after === null ? DASH : amps(after), up, word);
  /** Limits that may be absent. @param {Circuit|null} before @param {Circuit} circuit */
  const further = (before, circuit) => {
    const name = circuit.name;
    [0, 1, 2].forEach((phase) => {
      const was = before?.charging_limit_a?.[phase] ?? null;
      const will = circuit.charging_limit_a?.[phase] ?? null;
      noteAmps(name, t("charging alone L{n}", { n: phase + 1 }), was, will, higher(was, will));
    });
    /** @param {string} what @param {number|null|undefined} was @param {number|null|undefined} will */
    const noteWatts = (what, was, will) => note(`${name}: ${what}`, watts(was), watts(will), higher(was ?? null, will ?? null));
    noteWatts(t("all that flows"), before?.limit_w, circuit.limit_w);
    noteWatts(t("charging alone"), before?.charging_limit_w, circuit.charging_limit_w);
    const was = before?.breaker ?? null;
    const will = circuit.breaker ?? null;
    const more = will !== null && (was === null || will.curve !== was.curve || will.rated_a > was.rated_a);
    note(`${name}: ${t("breaker")}`, breaker(was), breaker(will), more, t("bears more"));
  };
  note(t("Name of the site"), old.name, wish.name);
  note(t("Time zone"), old.timezone ?? "", wish.timezone ?? "");
  noteAmps("", t("Unbalance limit"), old.unbalance_a, wish.unbalance_a, higher(old.unbalance_a, wish.unbalance_a));
  note(t("House load counts in the unbalance limit"), yes(old.unbalance_with_house), yes(wish.unbalance_with_house), old.unbalance_with_house);
  note(t("Who was plugged in first is served first"), yes(old.first_come), yes(wish.first_come));
  for (const circuit of wish.circuits) {
    const before = old.circuits.find((one) => one.id === circuit.id);
    if (!before) {
      changes.push({ what: circuit.name, old: DASH, new: circuit.limit_a.map((limit) => amps(limit)).join(" / "), raises: false });
      further(null, circuit);
      continue;
    }
    note(t("{circuit}: name", { circuit: before.name }), before.name, circuit.name);
    note(t("{circuit}: fed by", { circuit: circuit.name }), circuitName(old, before.parent), circuitName(wish, circuit.parent));
    note(t("{circuit}: meter", { circuit: circuit.name }), meterName(before.meter), meterName(circuit.meter));
    circuit.limit_a.forEach((limit, phase) => {
      const was = before.limit_a[phase] ?? 0;
      noteAmps(circuit.name, t("limit L{n}", { n: phase + 1 }), was, limit, limit > was);
    });
    noteAmps(circuit.name, t("reserve"), before.reserve_a, circuit.reserve_a, circuit.reserve_a < before.reserve_a, t("lowered"));
    noteAmps(circuit.name, t("fallback"), before.fallback_a, circuit.fallback_a, circuit.fallback_a > before.fallback_a);
    further(before, circuit);
  }
  for (const circuit of old.circuits) {
    if (!wish.circuits.some((one) => one.id === circuit.id)) {
      changes.push({ what: circuit.name, old: circuit.limit_a.map((limit) => amps(limit)).join(" / "), new: t("removed"), raises: false });
    }
  }
  return changes;
}

/** @param {number|null|undefined} value */
const watts = (value) => (value === null || value === undefined ? DASH : `${number(value)}\u00a0W`);

/** @param {{curve: string, rated_a: number}|null} one */
const breaker = (one) => (one ? `${one.curve}\u00a0${number(one.rated_a)}` : DASH);

/** @param {boolean|undefined} on */
const yes = (on) => (on ? t("yes") : t("no"));

/** No limit is the highest. @param {number|null} before @param {number|null} after */
const higher = (before, after) => before !== null && (after === null || after > before);
