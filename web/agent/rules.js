// Rules on top of modes: what they say, which of them hold now, and their order.
import { get, problemFrom, put } from "../common/api.js";
import { has, start } from "../common/frame.js";
import { announce, Button, ProblemBox, Question, TickField, useTask } from "../common/parts.js";
import { html, useEffect, useState } from "../common/ui.js";
import { t } from "../common/words.js";
import { RuleFiles } from "./rulefiles.js";
import { FRESH, RuleForm } from "./ruleform.js";
import { ruleText } from "./ruletext.js";
import { RuleTry } from "./ruletry.js";

/** @typedef {import("./ruletext.js").Rule} Rule */
/** @typedef {import("./ruletext.js").Names} Names */
/** @typedef {{rules: Rule[], revision: string, warnings: {where: string, text: string}[]}} Rules */

const ASK_MS = 3000;

/** @param {{id: string, name: string}[]} all @returns {Record<string, string>} */
const byId = (all) => Object.fromEntries(all.map((one) => [one.id, one.name]));

/** Whom a rule that holds meets. @param {{points: string[]|undefined, names: Names}} props */
function Holds({ points, names }) {
  if (!points) return null;
  const shown = points.slice(0, 5).map((id) => names.points[id] ?? id);
  if (points.length > shown.length) shown.push("…");
  return html`<p class="tag good">${shown.length ? t("Holds now: {names}", { names: shown.join(", ") }) : t("Holds now, for nobody as things are")}</p>`;
}

/**
 * @param {{rule: Rule, number: number, last: boolean, names: Names, holds: string[]|undefined, warnings: string[], busy: boolean,
 *   onSwitch: (on: boolean) => void, onMove: (by: number) => void, onChange: () => void, onRemove: () => void}} props
 */
function RuleItem({ rule, number, last, names, holds, warnings, busy, onSwitch, onMove, onChange, onRemove }) {
  return html`<li class=${`box rule${rule.enabled ? "" : " off"}`} data-rule=${rule.id}>
    <h3>${rule.name}</h3>
    <p data-value="sentence">${ruleText(rule, names)}</p>
    <${Holds} points=${rule.enabled ? holds : undefined} names=${names} />
    ${warnings.map((text) => html`<p key=${text} class="fault">${text}</p>`)}
    <div class="buttons">
      <${TickField} label=${t("On")} aria-label=${t("{name}: switched on", { name: rule.name })} name=${`on-${rule.id}`} checked=${rule.enabled} disabled=${busy} onValue=${onSwitch} />
      <${Button} disabled=${busy || number === 0} aria-label=${t("Move {name} up", { name: rule.name })} onClick=${() => onMove(-1)}>↑<//>
      <${Button} disabled=${busy || last} aria-label=${t("Move {name} down", { name: rule.name })} onClick=${() => onMove(1)}>↓<//>
      <${Button} disabled=${busy} onClick=${onChange}>${t("Change")}<//>
      <${Button} disabled=${busy} class="danger" onClick=${onRemove}>${t("Remove")}<//>
    </div>
  </li>`;
}

function Page() {
  const task = useTask();
  const [stored, setStored] = useState(/** @type {Rules|null} */ (null));
  const [names, setNames] = useState(/** @type {Names} */ ({ points: {}, users: {}, inputs: {} }));
  const [holding, setHolding] = useState(/** @type {Record<string, string[]>} */ ({}));
  const [problem, setProblem] = useState(/** @type {any} */ (null));
  const [editing, setEditing] = useState(/** @type {number|null} */ (null));
  const [leaving, setLeaving] = useState(/** @type {Rule|null} */ (null));
  const look = async () => {
    try {
      setHolding((await get("/rules/now")).rules);
      setProblem(null);
    } catch (error) {
      setProblem(problemFrom(error));
    }
  };
  const load = async () => {
    try {
      setStored(await get("/rules"));
      await look();
    } catch (error) {
      setProblem(problemFrom(error));
    }
  };
  useEffect(() => {
    void load();
    Promise.all([get("/state"), get("/users"), has("inputs") ? get("/inputs") : { inputs: [] }]).then(
      ([picture, people, inputs]) => setNames({ points: byId(picture.charge_points), users: byId(people.users), inputs: byId(inputs.inputs) }),
      (error) => setProblem(problemFrom(error)),
    );
    const timer = setInterval(() => {
      if (!document.hidden) void look();
    }, ASK_MS);
    return () => clearInterval(timer);
  }, []);
  if (!has("rules")) return html`<p class="box warn">${t("This installation does not know rules yet; update it.")}</p>`;
  if (!stored) return problem ? html`<${ProblemBox} problem=${problem} />` : html`<p class="loading">${t("Loading …")}</p>`;
  const rules = stored.rules;
  /** @param {Rule[]} wish */
  const save = async (wish) => {
    setStored(await put("/rules", { rules: wish, revision: stored.revision }));
    void look();
  };
  /** @param {number} from @param {number} by */
  const move = (from, by) => {
    const wish = [...rules];
    const [rule] = wish.splice(from, 1);
    if (rule) wish.splice(from + by, 0, rule);
    void task.run(() => save(wish));
  };
  /** @param {number} number */
  const warningsOf = (number) =>
    stored.warnings.filter((one) => one.where === `rules.${number}` || one.where.startsWith(`rules.${number}.`)).map((one) => one.text);
  return html`
    <p>${t("Rules lower what the mode and the circuits allow, never more. They are wishes, not protection: what must hold always is a limit of a circuit.")}</p>
    ${rules.length === 0 ? html`<p>${t("No rules yet.")}</p>` : null}
    <ol class="rules">${rules.map(
      (rule, number) => html`<${RuleItem} key=${rule.id} rule=${rule} number=${number} last=${number === rules.length - 1} names=${names}
        holds=${holding[rule.id ?? ""]} warnings=${warningsOf(number)} busy=${task.busy || editing !== null}
        onSwitch=${(/** @type {boolean} */ enabled) => task.run(() => save(rules.map((one) => (one === rule ? { ...one, enabled } : one))))}
        onMove=${(/** @type {number} */ by) => move(number, by)} onChange=${() => setEditing(number)} onRemove=${() => setLeaving(rule)} />`,
    )}</ol>
    <${ProblemBox} problem=${task.problem ?? problem} />
    ${task.problem?.code === "changed-meanwhile" ? html`<div class="buttons"><${Button} onClick=${() => { task.forget(); void load(); }}>${t("Load again")}<//></div>` : null}
    ${editing === null
      ? html`<div class="buttons"><${Button} class="main" onClick=${() => setEditing(rules.length)}>${t("Add rule")}<//></div>`
      : html`<${RuleForm} key=${editing} rule=${rules[editing] ?? FRESH} number=${editing} names=${names} onNo=${() => setEditing(null)}
          onSave=${async (/** @type {Rule} */ wish) => {
            await save(editing < rules.length ? rules.map((one, number) => (number === editing ? wish : one)) : [...rules, wish]);
            announce(t("The rule {name} is saved.", { name: wish.name }));
            setEditing(null);
          }} />`}
    <${RuleTry} rules=${rules} names=${names} />
    <${RuleFiles} revision=${stored.revision} onDone=${load} />
    ${leaving
      ? html`<${Question} danger title=${t("Remove {name}?", { name: leaving.name })} yes=${t("Remove")} busy=${task.busy} problem=${task.problem}
          onYes=${() => task.run(async () => {
            await save(rules.filter((one) => one !== leaving));
            announce(t("{name} is removed.", { name: leaving.name }));
            setLeaving(null);
          })}
          onNo=${() => {
            task.forget();
            setLeaving(null);
          }}>
          <p>${ruleText(leaving, names)}</p>
        <//>`
      : null}`;
}

await start({ title: () => t("Rules"), view: Page });
