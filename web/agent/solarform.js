// How cars follow the sun: for the whole site, and for a charge point that has numbers of its own.
import { get, problemFrom, put } from "../common/api.js";
import { fieldNumber } from "../common/format.js";
import { Button, DoneBox, ProblemBox, SelectField, TextField, TickField, useTask } from "../common/parts.js";
import { html, useEffect, useState } from "../common/ui.js";
import { t } from "../common/words.js";
import { typed } from "./typed.js";

/** @typedef {{start_a: number, start_after_s: number, grace_s: number, import_w: number, three_after_s: number,
 *   phases: number|null, grid_pct: number}} Solar */
/** The same as it is being typed. @typedef {Record<keyof Solar, string>} SolarDraft */

/** @type {(keyof Solar)[]} */
const NUMBERS = ["start_a", "start_after_s", "grace_s", "import_w", "three_after_s", "grid_pct"];

/** @param {Solar} solar @returns {SolarDraft} */
export function draftedSolar(solar) {
  const typed = Object.fromEntries(NUMBERS.map((key) => [key, fieldNumber(solar[key])]));
  return /** @type {SolarDraft} */ ({ ...typed, phases: String(solar.phases ?? "") });
}

/** @param {SolarDraft} draft @returns {Solar} */
export function meantSolar(draft) {
  const numbers = NUMBERS.map((key) => [key, typed(draft[key], `solar.${key}`)]);
  return /** @type {Solar} */ ({ ...Object.fromEntries(numbers), phases: draft.phases ? Number(draft.phases) : null });
}

/**
 * `whole`: of the site, which has also what is aimed at where it meets the grid.
 * @param {{draft: SolarDraft, problem: any, whole?: boolean, onChange: (draft: SolarDraft) => void}} props
 */
export function SolarFields({ draft, problem, whole, onChange }) {
  /** @param {keyof Solar} key */
  const set = (key) => (/** @type {string} */ value) => onChange({ ...draft, [key]: value });
  /** @param {keyof Solar} key @param {string} label @param {string} [help] */
  const field = (key, label, help) => html`<${TextField} label=${label} name=${`solar.${key}`} inputmode="decimal" required
    value=${draft[key]} onValue=${set(key)} problem=${problem} help=${help} />`;
  return html`<div class="three">
      ${field("start_a", t("Starts at, A per phase"))}
      ${field("start_after_s", t("after, s"))}
      ${field("grace_s", t("Grace, s"), t("So long at the minimum when there is less."))}
    </div>
    <div class="three">
      ${field("grid_pct", t("From the grid, %"), t("At most this part of what is charged by the sun alone, while clouds pass."))}
      ${field("three_after_s", t("Three phases after, s"))}
      <${SelectField} label=${t("Phases used")} name="solar.phases" value=${draft.phases} onValue=${set("phases")} problem=${problem}
        options=${[
          ["", t("as the sun is")],
          ["1", t("always one")],
          ["3", t("always three")],
        ]} />
    </div>
    ${whole ? html`<div class="three">${field("import_w", t("Aim at the grid connection, W"), t("Below 0 something is left to the grid."))}</div>` : null}`;
}

/** The site's own settings, saved by themselves: none of them lets more current flow than the circuits allow. */
export function SunForm() {
  const task = useTask();
  const [draft, setDraft] = useState(/** @type {SolarDraft|null} */ (null));
  const [lock, setLock] = useState(false);
  const [problem, setProblem] = useState(/** @type {any} */ (null));
  const [done, setDone] = useState(/** @type {string|null} */ (null));
  /** @param {any} site */
  const take = (site) => {
    setDraft(draftedSolar(site.solar));
    setLock(site.storage_lock);
  };
  useEffect(() => {
    get("/site").then(take, (error) => setProblem(problemFrom(error)));
  }, []);
  if (!draft) return html`<${ProblemBox} problem=${problem} />`;
  /** @param {Event} event */
  const save = (event) => {
    event.preventDefault();
    setDone(null);
    void task.run(async () => {
      take(await put("/site", { solar: meantSolar(draft), storage_lock: lock }));
      setDone(t("Saved. Cars follow the sun so from the next cycle on."));
    });
  };
  return html`<form class="sun" aria-labelledby="sun" onSubmit=${save}>
    <h2 id="sun">${t("Sun")}</h2>
    <p>${t("How cars in the modes Solar only and Minimum + solar follow the sun. A charge point may have numbers of its own.")}</p>
    <${SolarFields} draft=${draft} problem=${task.problem} whole onChange=${setDraft} />
    <${TickField} label=${t("Storage batteries for the house give nothing while a car charges by more than the sun")} name="storage_lock"
      checked=${lock} onValue=${setLock} />
    <${ProblemBox} problem=${task.problem} />
    <${DoneBox} text=${done} />
    <div class="buttons"><${Button} type="submit" class="main" busy=${task.busy}>${t("Save sun settings")}<//></div>
  </form>`;
}
