// The form of one rule.
import { Problem } from "../common/api.js";
import { fieldNumber } from "../common/format.js";
import { has } from "../common/frame.js";
import { modeName } from "../common/modes.js";
import { Button, ProblemBox, SelectField, TextField, TickField, useTask } from "../common/parts.js";
import { html, useEffect, useRef, useState } from "../common/ui.js";
import { t } from "../common/words.js";
import { ConditionRows, conditionOf, draftOf, scaled } from "./ruleparts.js";
import { ruleText } from "./ruletext.js";

/** @typedef {import("./ruletext.js").Rule} Rule */
/** @typedef {import("./ruletext.js").Names} Names */

const MODES = ["off", "solar", "min-solar", "plan"];

/** @type {Rule} */
export const FRESH = {
  name: "",
  enabled: true,
  when: [{ time_from: "22:00", time_to: "06:00" }],
  match: "all",
  charge_points: [],
  users: [],
  limit_a: null,
  limit_w: null,
  mode: null,
  pause: false,
  keep_s: 0,
  unknown: null,
};

/** @param {{title: string, all: [string, string][], chosen: string[], none: string, onChosen: (ids: string[]) => void}} props */
function Chosen({ title, all, chosen, none, onChosen }) {
  const shown = [...all, ...chosen.filter((id) => !all.some(([one]) => one === id)).map((id) => [id, t("{id} (does not exist)", { id })])];
  return html`<fieldset><legend>${title}</legend>
    ${shown.length ? null : html`<p class="help">${none}</p>`}
    <div class="three">${shown.map(
      ([id, name]) => html`<${TickField} key=${id} label=${name} name=${`for-${id}`} checked=${chosen.includes(id)}
        onValue=${(/** @type {boolean} */ on) => onChosen(on ? [...chosen, id] : chosen.filter((one) => one !== id))} />`,
    )}</div>
  </fieldset>`;
}

/**
 * `number` is the rule's place in the list, as the server names it.
 * @param {{rule: Rule, number: number, names: Names, onSave: (rule: Rule) => Promise<void>, onNo: () => void}} props
 */
export function RuleForm({ rule, number, names, onSave, onNo }) {
  const task = useTask();
  const where = `rules.${number}`;
  const [name, setName] = useState(rule.name);
  const [drafts, setDrafts] = useState(() => rule.when.map(draftOf));
  const [match, setMatch] = useState(rule.match);
  const [points, setPoints] = useState(rule.charge_points);
  const [users, setUsers] = useState(rule.users);
  const [pause, setPause] = useState(rule.pause);
  const [limitA, setLimitA] = useState(fieldNumber(rule.limit_a));
  const [limitW, setLimitW] = useState(rule.limit_w === null ? "" : fieldNumber(rule.limit_w / 1000));
  const [mode, setMode] = useState(rule.mode ?? "");
  const [keep, setKeep] = useState(rule.keep_s ? fieldNumber(rule.keep_s / 60) : "");
  const [unknown, setUnknown] = useState(rule.unknown ?? "");
  /** @returns {Rule} */
  const wished = () => {
    const wish = {
      ...rule,
      name: name.trim(),
      when: drafts.map((draft, at) => conditionOf(draft, `${where}.when.${at}`)),
      match,
      charge_points: points,
      users,
      pause,
      limit_a: pause || !limitA.trim() ? null : scaled(limitA, `${where}.limit_a`),
      limit_w: pause || !limitW.trim() ? null : scaled(limitW, `${where}.limit_w`, 0.001),
      mode: pause || !mode ? null : mode,
      keep_s: drafts.length && keep.trim() ? scaled(keep, `${where}.keep_s`, 1 / 60) : 0,
      unknown: /** @type {"holds"|"fails"|null} */ (unknown || null),
    };
    if (!wish.pause && wish.limit_a === null && wish.limit_w === null && !wish.mode) {
      throw new Problem(0, "no-effect", t("Say what the rule does: a limit, a mode or a pause."), `${where}.limit_a`);
    }
    return wish;
  };
  /** The sentence, as far as it can be said yet. */
  const said = () => {
    try {
      return ruleText(wished(), names);
    } catch {
      return "";
    }
  };
  /** @param {Event} event */
  const submit = (event) => {
    event.preventDefault();
    void task.run(async () => onSave(wished()));
  };
  const form = useRef(/** @type {any} */ (null));
  useEffect(() => {
    form.current?.scrollIntoView({ block: "start" });
    form.current?.querySelector("input")?.focus({ preventScroll: true });
  }, []);
  const inputs = /** @type {[string, string][]} */ (Object.entries(names.inputs));
  const modes = MODES.filter((one) => has(`mode:${one}`) || one === rule.mode);
  const several = drafts.length > 1;
  return html`<form ref=${form} class="box rule-form" onSubmit=${submit} novalidate aria-label=${rule.id ? t("Change rule") : t("Add rule")}>
    <h2>${rule.id ? t("Change rule {name}", { name: rule.name }) : t("Add rule")}</h2>
    <${TextField} label=${t("Name")} help=${t("Shown where the rule is the reason.")} name=${`${where}.name`} problem=${task.problem} required maxlength="80"
      value=${name} onValue=${setName} />
    <h3>${t("When it holds")}</h3>
    ${drafts.length ? null : html`<p>${t("Always.")}</p>`}
    ${several
      ? html`<${SelectField} label=${t("Several conditions")} name=${`${where}.match`} value=${match} onValue=${setMatch}
          options=${[["all", t("all of them must hold")], ["any", t("one of them is enough")]]} />`
      : null}
    ${drafts.map(
      (draft, at) => html`<${ConditionRows} key=${at} title=${several ? t("Condition {n}", { n: at + 1 }) : t("The condition")} draft=${draft} inputs=${inputs}
        where=${`${where}.when.${at}`} problem=${task.problem}
        onDraft=${(/** @type {any} */ other) => setDrafts(drafts.map((one, place) => (place === at ? other : one)))}
        onRemove=${() => setDrafts(drafts.filter((_, place) => place !== at))} />`,
    )}
    <div class="buttons"><${Button} onClick=${() => setDrafts([...drafts, {}])}>${t("Add a condition")}<//></div>
    ${drafts.length
      ? html`<${TextField} label=${t("Goes on to hold after that (minutes)")} name=${`${where}.keep_s`} problem=${task.problem} inputmode="decimal" value=${keep} onValue=${setKeep} />
        <${SelectField} label=${t("What is not known")} name=${`${where}.unknown`} value=${unknown} onValue=${setUnknown}
          help=${t("By itself, an unknown input, grid power, surplus or number of cars counts as if the rule held; an unknown time, price or battery does not.")}
          options=${[["", t("by itself")], ["holds", t("counts as if the rule held")], ["fails", t("counts as if it did not hold")]]} />`
      : null}
    <h3>${t("What it does")}</h3>
    <p class="help">${t("Rules only lower: of several, the lowest counts. What is set by hand holds before all rules until the car is unplugged.")}</p>
    <${TickField} label=${t("Pause")} name=${`${where}.pause`} checked=${pause} onValue=${setPause} />
    ${pause
      ? null
      : html`<div class="three">
        <${TextField} label=${t("At most, per phase (A)")} name=${`${where}.limit_a`} problem=${task.problem} inputmode="decimal" value=${limitA} onValue=${setLimitA} />
        <${TextField} label=${t("At most, in all (kW)")} name=${`${where}.limit_w`} problem=${task.problem} inputmode="decimal" value=${limitW} onValue=${setLimitW} />
        <${SelectField} label=${t("No more than the mode")} name=${`${where}.mode`} problem=${task.problem} value=${mode} onValue=${setMode}
          options=${[["", t("as chosen")], ...modes.map((one) => [one, modeName(one)])]} /></div>
        ${mode && mode !== "off" ? html`<p class="help">${t("A mode of a rule replaces a chosen one only downwards: Off, Solar only, Minimum + solar, Plan, Fast.")}</p>` : null}`}
    <h3>${t("For whom")}</h3>
    <p class="help">${t("Each charge point by itself. Nothing chosen: the rule is for all.")}</p>
    <${Chosen} title=${t("Charge points")} all=${Object.entries(names.points)} chosen=${points} none=${t("No charge points yet.")} onChosen=${setPoints} />
    <${Chosen} title=${t("Wherever one of these users charges")} all=${Object.entries(names.users)} chosen=${users} none=${t("No users yet.")} onChosen=${setUsers} />
    <p class="sentence" data-value="sentence">${said()}</p>
    <${ProblemBox} problem=${task.problem} />
    <div class="buttons"><${Button} onClick=${onNo}>${t("Cancel")}<//>
      <${Button} type="submit" class="main" busy=${task.busy}>${rule.id ? t("Save") : t("Add rule")}<//></div>
  </form>`;
}
