// The electrical tree with its limits. What changes is confirmed old → new before it is sent.
import { get, Problem, problemFrom, put } from "../common/api.js";
import { fieldNumber, showTimesOf } from "../common/format.js";
import { me, start } from "../common/frame.js";
import { Button, DoneBox, ProblemBox, Question, SelectField, TextField, TickField, useTask, Warnings } from "../common/parts.js";
import { html, useEffect, useState } from "../common/ui.js";
import { t } from "../common/words.js";
import { asTree } from "./circuits.js";
import { idFor } from "./deviceform.js";
import { changesBetween } from "./sitechanges.js";
import { SunForm } from "./solarform.js";
import { typed, typedOrNull } from "./typed.js";

/** @typedef {{id: string, name: string, parent: string|null, limit_a: number[], reserve_a: number, fallback_a: number,
 *   meter: string|null, charging_limit_a: number[]|null, limit_w: number|null, charging_limit_w: number|null,
 *   breaker: {curve: string, rated_a: number}|null}} Circuit */
/** @typedef {{name: string, unbalance_a: number|null, unbalance_with_house: boolean, first_come: boolean, measure_cars?: boolean, language?: string,
 *   timezone?: string, warnings?: {where: string, text: string}[], circuits: Circuit[]}} Site */
/** A circuit as it is being typed. @typedef {{id: string, name: string, parent: string, limits: string[], reserve: string,
 *   fallback: string, meter: string, charging: string[], watts: string, chargingWatts: string, curve: string,
 *   rated: string}} Draft */

const EMPTY = { charging: ["", "", ""], watts: "", chargingWatts: "", curve: "", rated: "" };

/** By what the server names: the field of this page. @type {Record<string, string>} */
const FIELDS = { limit_a: "limit_0", charging_limit_a: "charging_0", "breaker.rated_a": "rated_a", "breaker.curve": "curve" };

/** @param {Circuit} circuit @returns {Draft} */
const drafted = (circuit) => ({
  id: circuit.id,
  name: circuit.name,
  parent: circuit.parent ?? "",
  limits: circuit.limit_a.map((limit) => fieldNumber(limit)),
  reserve: fieldNumber(circuit.reserve_a),
  fallback: fieldNumber(circuit.fallback_a),
  meter: circuit.meter ?? "",
  charging: circuit.charging_limit_a?.map((limit) => fieldNumber(limit)) ?? EMPTY.charging,
  watts: fieldNumber(circuit.limit_w),
  chargingWatts: fieldNumber(circuit.charging_limit_w),
  curve: circuit.breaker?.curve ?? "",
  rated: fieldNumber(circuit.breaker?.rated_a),
});

/** @param {string} text @param {string} where */
const amount = (text, where) => typed(text, where, { least: 0, sentence: t("A limit is a number of amperes, 0 or more: correct the marked field.") });

/** @param {string} text @param {string} where */
const maybe = (text, where) => typedOrNull(text, where, { least: 0 });

/** All three, or none. @param {Draft} draft */
const charging = (draft) =>
  draft.charging.every((text) => text.trim() === "")
    ? null
    : draft.charging.map((text, phase) => amount(text, `${draft.id}.charging_${phase}`));

/** @param {Draft} draft @returns {Circuit} */
const meant = (draft) => ({
  id: draft.id,
  name: draft.name.trim() || draft.id,
  parent: draft.parent || null,
  limit_a: draft.limits.map((text, phase) => amount(text, `${draft.id}.limit_${phase}`)),
  reserve_a: amount(draft.reserve, `${draft.id}.reserve_a`),
  fallback_a: amount(draft.fallback, `${draft.id}.fallback_a`),
  meter: draft.meter || null,
  charging_limit_a: charging(draft),
  limit_w: maybe(draft.watts, `${draft.id}.limit_w`),
  charging_limit_w: maybe(draft.chargingWatts, `${draft.id}.charging_limit_w`),
  breaker: draft.curve ? { curve: draft.curve, rated_a: amount(draft.rated, `${draft.id}.rated_a`) } : null,
});

/**
 * @param {{draft: Draft, depth: number, others: Draft[], meters: {id: string, name: string}[],
 *   warnings: {where: string, text: string}[], problem: any, onChange: (draft: Draft) => void, onRemove: () => void}} props
 */
function CircuitForm({ draft, depth, others, meters, warnings, problem, onChange, onRemove }) {
  /** @param {keyof Draft} key */
  const set = (key) => (/** @type {string} */ value) => onChange({ ...draft, [key]: value });
  return html`<fieldset class=${`circuit-form depth-${Math.min(depth, 3)}`} data-circuit=${draft.id}>
    <legend>${draft.name || draft.id}</legend>
    <${Warnings} warnings=${warnings} />
    <div class="three">
      <${TextField} label=${t("Name")} name=${`${draft.id}.name`} value=${draft.name} onValue=${set("name")} problem=${problem} maxlength="80" />
      <${SelectField} label=${t("Fed by")} name=${`${draft.id}.parent`} value=${draft.parent} onValue=${set("parent")} problem=${problem}
        options=${[["", t("the grid connection")], ...others.map((other) => [other.id, other.name || other.id])]} />
      <${SelectField} label=${t("Meter")} name=${`${draft.id}.meter`} value=${draft.meter} onValue=${set("meter")} problem=${problem}
        options=${[["", t("none")], ...meters.map((meter) => [meter.id, meter.name || meter.id])]} />
    </div>
    <div class="phases">
      ${[0, 1, 2].map(
        (phase) => html`<${TextField} key=${phase} label=${t("Limit L{n}, A", { n: phase + 1 })} name=${`${draft.id}.limit_${phase}`}
          inputmode="decimal" required value=${draft.limits[phase]} problem=${problem}
          onValue=${(/** @type {string} */ value) => onChange({ ...draft, limits: draft.limits.map((limit, at) => (at === phase ? value : limit)) })} />`,
      )}
    </div>
    <div class="three">
      <${TextField} label=${t("Reserve, A")} name=${`${draft.id}.reserve_a`} inputmode="decimal" value=${draft.reserve} onValue=${set("reserve")}
        problem=${problem} help=${t("Kept free below the limit.")} />
      <${TextField} label=${t("Fallback, A")} name=${`${draft.id}.fallback_a`} inputmode="decimal" value=${draft.fallback}
        onValue=${set("fallback")} problem=${problem} help=${t("What charging may draw while the meter is silent.")} />
      <div class="field end"><${Button} class="danger" onClick=${onRemove}>${t("Remove circuit")}<//></div>
    </div>
    <${FurtherLimits} draft=${draft} problem=${problem} onChange=${onChange} />
  </fieldset>`;
}

/**
 * What only some circuits have; open where something is set, or where the server found a fault.
 * @param {{draft: Draft, problem: any, onChange: (draft: Draft) => void}} props
 */
function FurtherLimits({ draft, problem, onChange }) {
  /** @param {keyof Draft} key */
  const set = (key) => (/** @type {string} */ value) => onChange({ ...draft, [key]: value });
  const used = draft.charging.some(Boolean) || draft.watts || draft.chargingWatts || draft.curve;
  const faulty = new RegExp(`^${draft.id}\\.(charging_|limit_w|rated_a|curve)`).test(problem?.where ?? "");
  const [open] = useState(Boolean(used));
  return html`<details class="further" open=${open || faulty}>
    <summary>${t("Limits for charging alone, in watts, and the breaker")}</summary>
    <div class="phases">
      ${[0, 1, 2].map(
        (phase) => html`<${TextField} key=${phase} label=${t("Charging alone L{n}, A", { n: phase + 1 })} name=${`${draft.id}.charging_${phase}`}
          inputmode="decimal" value=${draft.charging[phase]} problem=${problem}
          onValue=${(/** @type {string} */ value) => onChange({ ...draft, charging: draft.charging.map((old, at) => (at === phase ? value : old)) })} />`,
      )}
    </div>
    <div class="three">
      <${TextField} label=${t("All that flows, W")} name=${`${draft.id}.limit_w`} inputmode="decimal" value=${draft.watts} onValue=${set("watts")}
        problem=${problem} help=${t("Over all phases, with the house; empty for no such limit.")} />
      <${TextField} label=${t("Charging alone, W")} name=${`${draft.id}.charging_limit_w`} inputmode="decimal" value=${draft.chargingWatts}
        onValue=${set("chargingWatts")} problem=${problem} help=${t("Over all phases; empty for no such limit.")} />
    </div>
    <div class="three">
      <${SelectField} label=${t("Breaker curve")} name=${`${draft.id}.curve`} value=${draft.curve} onValue=${set("curve")} problem=${problem}
        options=${[["", t("not entered")], ["B", "B (3–5 ×)"], ["C", "C (5–10 ×)"]]} />
      ${draft.curve
        ? html`<${TextField} label=${t("Rated current, A")} name=${`${draft.id}.rated_a`} inputmode="decimal" required value=${draft.rated}
            onValue=${set("rated")} problem=${problem} />`
        : null}
    </div>
    <p class="help">${t("With its breaker entered, a circuit lets short peaks of the house pass that the breaker surely bears. Leave it out where the grid operator or a contract set the limit.")}</p>
  </details>`;
}

/** What this browser knows to offer. @returns {string[]} */
const zones = () => Intl.supportedValuesOf?.("timeZone") ?? [];

function SitePage() {
  const task = useTask();
  const [site, setSite] = useState(/** @type {Site|null} */ (null));
  const [meters, setMeters] = useState(/** @type {{id: string, name: string}[]} */ ([]));
  const [drafts, setDrafts] = useState(/** @type {Draft[]} */ ([]));
  const [name, setName] = useState("");
  const [unbalance, setUnbalance] = useState("");
  const [zone, setZone] = useState("");
  const [withHouse, setWithHouse] = useState(false);
  const [firstCome, setFirstCome] = useState(false);
  const [measure, setMeasure] = useState(true);
  const [problem, setProblem] = useState(/** @type {any} */ (null));
  const [asked, setAsked] = useState(/** @type {{wish: Site, changes: any[]}|null} */ (null));
  const [done, setDone] = useState(/** @type {string|null} */ (null));
  /** @param {Site} fresh */
  const take = (fresh) => {
    setSite(fresh);
    setName(fresh.name);
    setUnbalance(fieldNumber(fresh.unbalance_a));
    setWithHouse(fresh.unbalance_with_house ?? false);
    setFirstCome(fresh.first_come ?? false);
    setMeasure(fresh.measure_cars ?? true);
    setZone(fresh.timezone ?? "");
    showTimesOf(fresh.timezone);
    setDrafts(fresh.circuits.map(drafted));
  };
  const load = async () => {
    try {
      const [fresh, things] = await Promise.all([get("/site"), get("/devices")]);
      take(fresh);
      setMeters(things.devices.filter((/** @type {any} */ device) => device.kind === "meter"));
      setProblem(null);
    } catch (error) {
      setProblem(problemFrom(error));
    }
  };
  useEffect(() => void load(), []);
  if (!site) return problem ? html`<${ProblemBox} problem=${problem} />` : html`<p class="loading">${t("Loading …")}</p>`;
  /** @param {Event} event */
  const review = (event) => {
    event.preventDefault();
    setDone(null);
    setProblem(null);
    task.forget();
    try {
      const wish = {
        ...site,
        name: name.trim(),
        unbalance_a: unbalance.trim() === "" ? null : amount(unbalance, "unbalance_a"),
        unbalance_with_house: withHouse,
        first_come: firstCome,
        ...(site.measure_cars === undefined ? {} : { measure_cars: measure }),
        ...(site.timezone === undefined ? {} : { timezone: zone.trim() }),
        circuits: drafts.map(meant),
      };
      const changes = changesBetween(site, wish, meters);
      if (changes.length) setAsked({ wish, changes });
      else setDone(t("Nothing has changed."));
    } catch (error) {
      setProblem(problemFrom(error));
    }
  };
  const save = () =>
    asked &&
    task.run(async () => {
      const saved = await put("/site", { ...asked.wish, solar: undefined, storage_lock: undefined }); // they have a form of their own
      take(saved?.circuits ? saved : await get("/site"));
      setAsked(null);
      setDone(t("Saved. The new limits hold from the next cycle on."));
    });
  /** What the server names by place or id is marked at its field here. @param {any} fault */
  const placed = (fault) => {
    const match = /^circuits\.([^.]+)(?:\.([\w.]+))?/.exec(fault?.where ?? "");
    if (!match) return fault;
    const id = drafts[Number(match[1])]?.id ?? match[1];
    const key = FIELDS[match[2] ?? ""] ?? match[2] ?? "name";
    return new Problem(fault.status, fault.code, fault.message, `${id}.${key}`);
  };
  const add = () => {
    const title = drafts.length ? t("New circuit") : t("Grid connection");
    const id = idFor(title, drafts.map((draft) => draft.id));
    const parent = drafts.find((draft) => draft.parent === "")?.id ?? "";
    setDrafts([...drafts, { id, name: title, parent, limits: ["", "", ""], reserve: "0", fallback: "0", meter: "", ...EMPTY }]);
  };
  const tree = asTree(/** @type {any} */ (drafts));
  return html`<div><form onSubmit=${review}>
    ${me.value.remote ? html`<p class="box warn">${t("Through the cloud limits can be lowered, but not raised: that is done at the site.")}</p>` : null}
    <div class="three">
      <${TextField} label=${t("Name of the site")} name="name" required maxlength="80" value=${name} onValue=${setName} problem=${problem} />
      <${TextField} label=${t("Unbalance limit, A")} name="unbalance_a" inputmode="decimal" value=${unbalance} onValue=${setUnbalance} problem=${problem}
        help=${t("Most that charging may differ between two phases; empty for no limit.")} />
      <${TextField} label=${t("Time zone")} name="timezone" required value=${zone} onValue=${setZone} problem=${problem ?? task.problem} list="zones"
        help=${t("Goals, rules and tariffs go by its clock, like Europe/Paris.")} />
      <datalist id="zones">${zones().map((name) => html`<option key=${name} value=${name}></option>`)}</datalist>
    </div>
    <${TickField} label=${t("House load counts in the unbalance limit")} name="unbalance_with_house" checked=${withHouse} onValue=${setWithHouse} />
    <${TickField} label=${t("Who was plugged in first is served first")} name="first_come" checked=${firstCome} onValue=${setFirstCome}
      help=${t("Inside a priority; otherwise turns rotate when not all cars can charge.")} />
    <${TickField} label=${t("Cars with a plan are measured beforehand")} name="measure_cars" checked=${measure} onValue=${setMeasure}
      help=${t("For some seconds, where that makes a cheaper plan; it closes the contactor once more.")} />
    <h2>${t("Circuits")}</h2>
    ${drafts.length ? null : html`<p>${t("Begin with the grid connection: the main fuse and its limit on each phase.")}</p>`}
    ${tree.map(([row, depth]) => {
      const draft = /** @type {Draft} */ (/** @type {unknown} */ (row));
      return html`<${CircuitForm} key=${draft.id} draft=${draft} depth=${depth} others=${drafts.filter((other) => other.id !== draft.id)}
        meters=${meters} warnings=${(site.warnings ?? []).filter((one) => one.where.startsWith(`circuits.${draft.id}.`))} problem=${placed(problem ?? task.problem)}
        onChange=${(/** @type {Draft} */ fresh) => setDrafts(drafts.map((old) => (old.id === fresh.id ? fresh : old)))}
        onRemove=${() => setDrafts(drafts.filter((old) => old.id !== draft.id))} />`;
    })}
    <${ProblemBox} problem=${problem} />
    <${DoneBox} text=${done} />
    <div class="buttons">
      <${Button} onClick=${add}>${t("Add circuit")}<//>
      <${Button} onClick=${() => void load()}>${t("Discard changes")}<//>
      <${Button} type="submit" class="main">${t("Review and save")}<//>
    </div>
  </form>
  ${asked
    ? html`<${Question} title=${t("Save these changes?")} yes=${t("Save")} busy=${task.busy} problem=${task.problem}
        onYes=${() => void save()} onNo=${() => {
          setAsked(null);
        }}>
        <div class="scroll" tabindex="0" role="region" aria-label=${t("Changes")}><table class="changes">
          <thead><tr><th scope="col">${t("What")}</th><th scope="col">${t("Old")}</th><th scope="col">${t("New")}</th></tr></thead>
          <tbody>${asked.changes.map(
            (change, index) => html`<tr key=${index} class=${change.raises ? "raises" : ""}><th scope="row">${change.what}</th><td>${change.old}</td>
              <td>→ <strong>${change.new}</strong>${change.raises ? html` <span class="tag warn">${change.word}</span>` : null}</td></tr>`,
          )}</tbody></table></div>
        <p>${t("A limit above what the fuse bears is a fire hazard. Check the new numbers.")}</p>
      <//>`
    : null}
  <${SunForm} /></div>`;
}

await start({ title: () => t("Site"), view: SitePage });
