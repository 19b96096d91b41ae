// The rows of a condition: what each asks, and its fields. Numbers are kept as they are typed until the rule is saved.
import { Problem } from "../common/api.js";
import { dayName, fieldNumber } from "../common/format.js";
import { Button, Field, SelectField, TextField, TickField } from "../common/parts.js";
import { html } from "../common/ui.js";
import { t } from "../common/words.js";
import { LEVELS, levelName } from "./ruletext.js";
import { typed } from "./typed.js";

/** @typedef {import("./ruletext.js").Condition} Condition */
/** A condition being edited: texts for numbers. @typedef {Record<string, any>} Draft */

/** How a number is typed: shown value = stored × factor. @type {Record<string, {unit: string, factor: number}>} */
const NUMBERS = {
  price_below: { unit: "", factor: 1 },
  price_above: { unit: "", factor: 1 },
  surplus_below_w: { unit: "kW", factor: 0.001 },
  surplus_above_w: { unit: "kW", factor: 0.001 },
  soc_below_pct: { unit: "%", factor: 1 },
  soc_above_pct: { unit: "%", factor: 1 },
  charging_at_least: { unit: "", factor: 1 },
  charging_at_most: { unit: "", factor: 1 },
  import_above_w: { unit: "kW", factor: 0.001 },
  export_above_w: { unit: "kW", factor: 0.001 },
};
const KINDS = ["time", "weekdays", "levels", "price_below", "price_above", "surplus_below_w", "surplus_above_w", "import_above_w", "export_above_w", "soc_below_pct", "soc_above_pct", "charging_at_least", "charging_at_most", "input"];

/** @param {string} kind */
export const kindName = (kind) =>
  ({
    time: t("Time of day"),
    weekdays: t("Days of the week"),
    levels: t("Price level"),
    price_below: t("Price below"),
    price_above: t("Price above"),
    surplus_below_w: t("Solar surplus below"),
    surplus_above_w: t("Solar surplus above"),
    import_above_w: t("Taken from the grid, more than"),
    export_above_w: t("Given to the grid, more than"),
    soc_below_pct: t("Car’s battery below"),
    soc_above_pct: t("Car’s battery above"),
    charging_at_least: t("Cars charging, at least"),
    charging_at_most: t("Cars charging, at most"),
    input: t("Input"),
  })[kind] ?? kind;

/** @param {string} kind @returns {Draft} */
const fresh = (kind) =>
  kind === "time" ? { time_from: "22:00", time_to: "06:00" } : kind === "weekdays" ? { weekdays: [0, 1, 2, 3, 4] } : kind === "levels" ? { levels: ["dear", "very-dear"] } : kind === "input" ? { input: "", input_set: true } : { [kind]: "" };

/** The fields of a kind. @param {string} kind */
const keysOf = (kind) => (kind === "time" ? ["time_from", "time_to"] : kind === "input" ? ["input", "input_set"] : [kind]);

/** @param {Draft} draft */
const kindsOf = (draft) => KINDS.filter((kind) => keysOf(kind).some((key) => key in draft));

/** @param {Condition} when @returns {Draft} */
export function draftOf(when) {
  /** @type {Draft} */
  const draft = {};
  for (const [key, value] of Object.entries(when)) {
    const number = NUMBERS[key];
    draft[key] = number && typeof value === "number" ? fieldNumber(value * number.factor) : value;
  }
  return draft;
}

/** A typed number as it is stored. @param {string} text @param {string} where @param {number} [factor] */
export const scaled = (text, where, factor = 1) => Math.round((typed(text, where) / factor) * 1e6) / 1e6;

/** @param {Draft} draft @param {string} where @returns {Condition} */
export function conditionOf(draft, where) {
  /** @type {Draft} */
  const when = {};
  for (const [key, value] of Object.entries(draft)) {
    const number = NUMBERS[key];
    if (number) when[key] = scaled(value, `${where}.${key}`, number.factor);
    else if (value !== "") when[key] = value;
  }
  if ("input" in draft && !draft.input) throw new Problem(0, "no-input", t("Choose an input."), `${where}.input`);
  return when;
}

/** @param {{kind: string, draft: Draft, inputs: [string, string][], where: string, problem: any, onValue: (part: Draft) => void}} props */
function Fields({ kind, draft, inputs, where, problem, onValue }) {
  /** @param {string} key */
  const named = (key) => ({ name: `${where}.${key}`, problem });
  if (kind === "time") {
    return html`<div class="three">${["time_from", "time_to"].map(
      (key) => html`<${Field} key=${key} label=${key === "time_from" ? t("Begin") : t("End")} ...${named(key)}>${(/** @type {any} */ a) => html`<input
        type="time" ...${a} value=${draft[key] ?? ""} onInput=${(/** @type {any} */ e) => onValue({ [key]: e.currentTarget.value })} />`}<//>`,
    )}</div>`;
  }
  if (kind === "weekdays" || kind === "levels") {
    const all = kind === "weekdays" ? [0, 1, 2, 3, 4, 5, 6] : LEVELS;
    /** @param {any} one */
    const name = (one) => (kind === "weekdays" ? dayName(one) : levelName(one));
    return html`<div class="three">${all.map(
      (one) => html`<${TickField} key=${one} label=${name(one)} name=${`${where}.${kind}.${one}`} checked=${draft[kind].includes(one)}
        onValue=${(/** @type {boolean} */ on) => onValue({ [kind]: all.filter((each) => (each === one ? on : draft[kind].includes(each))) })} />`,
    )}</div>`;
  }
  if (kind === "input") {
    const options = [["", t("choose")], ...inputs];
    if (draft.input && !inputs.some(([id]) => id === draft.input)) options.push([draft.input, draft.input]);
    return html`<div class="three"><${SelectField} label=${t("Input")} ...${named("input")} value=${draft.input} options=${options}
        onValue=${(/** @type {string} */ input) => onValue({ input })} />
      <${SelectField} label=${t("State")} ...${named("input_set")} value=${draft.input_set === false ? "off" : "on"} options=${[["on", t("on")], ["off", t("off")]]}
        onValue=${(/** @type {string} */ state) => onValue({ input_set: state === "on" })} /></div>`;
  }
  const unit = NUMBERS[kind]?.unit;
  const label = unit ? t("{what} ({unit})", { what: kindName(kind), unit }) : kind.startsWith("price") ? t("{what} (per kWh)", { what: kindName(kind) }) : kindName(kind);
  return html`<${TextField} label=${label} ...${named(kind)} inputmode=${kind.startsWith("surplus") || kind.startsWith("price") ? undefined : "decimal"}
    value=${draft[kind]} onValue=${(/** @type {string} */ text) => onValue({ [kind]: text })} />`;
}

/**
 * One condition: its parts, of which all must hold.
 * @param {{title: string, draft: Draft, inputs: [string, string][], where: string, problem: any, onDraft: (draft: Draft) => void,
 *   onRemove: () => void}} props
 */
export function ConditionRows({ title, draft, inputs, where, problem, onDraft, onRemove }) {
  const kinds = kindsOf(draft);
  const left = KINDS.filter((kind) => !kinds.includes(kind));
  /** @param {string} kind */
  const without = (kind) => Object.fromEntries(Object.entries(draft).filter(([key]) => !keysOf(kind).includes(key)));
  return html`<fieldset class="condition"><legend>${title}</legend>
    ${kinds.map(
      (kind) => html`<div class="part" key=${kind} role="group" aria-label=${kindName(kind)}>
        <div><strong class=${kind === "time" || kind === "weekdays" || kind === "levels" ? "" : "unseen"}>${kindName(kind)}</strong>
          <${Fields} kind=${kind} draft=${draft} inputs=${inputs} where=${where} problem=${problem}
            onValue=${(/** @type {Draft} */ part) => onDraft({ ...draft, ...part })} /></div>
        <${Button} onClick=${() => onDraft(without(kind))} aria-label=${t("Remove “{name}”", { name: kindName(kind) })}>${t("Remove")}<//>
      </div>`,
    )}
    ${left.length
      ? html`<${SelectField} label=${kinds.length ? t("And also") : t("What must hold")} name=${where} problem=${problem} value=""
          options=${[["", t("choose")], ...left.map((kind) => [kind, kindName(kind)])]}
          onValue=${(/** @type {string} */ kind) => kind && onDraft({ ...draft, ...fresh(kind) })} />`
      : null}
    <div class="buttons"><${Button} onClick=${onRemove}>${t("Remove the condition")}<//></div>
  </fieldset>`;
}
