// Rules as a file: taken along, and brought in again after a look at what would change.
import { post, Problem, problemFrom, put } from "../common/api.js";
import { announce, Button, Field, ProblemBox, Question } from "../common/parts.js";
import { html, useState } from "../common/ui.js";
import { t } from "../common/words.js";

/** @typedef {{id: string, name: string, fields?: string[]}} Named */
/** @typedef {{added: Named[], removed: Named[], changed: Named[], moved: Named[]}} Changes */
/** @typedef {{where: string, text: string}} Warning */
/** @typedef {{body: any, changes: Changes, warnings: Warning[]}} Checked */

const LARGEST = 768 * 1024;

/** What the field of a rule is called in the form. @param {string} field */
const fieldName = (field) =>
  ({
    name: t("Name"),
    enabled: t("Switched on"),
    when: t("When it holds"),
    match: t("Several conditions"),
    charge_points: t("Charge points"),
    users: t("Users"),
    limit_a: t("At most, per phase (A)"),
    limit_w: t("At most, in all (kW)"),
    mode: t("Mode"),
    pause: t("Pause"),
    keep_s: t("Goes on to hold after that (minutes)"),
    unknown: t("What is not known"),
  })[field] ?? field;

/** @param {{changes: Changes}} props */
function Differences({ changes }) {
  const nothing = !changes.added.length && !changes.removed.length && !changes.changed.length && !changes.moved.length;
  if (nothing) return html`<p>${t("Nothing would change: these are the rules that stand already.")}</p>`;
  return html`<ul class="differences">
    ${changes.added.map((rule) => html`<li key=${`+${rule.id}`}><span class="tag good">${t("new")}</span> ${rule.name}</li>`)}
    ${changes.changed.map((rule) => html`<li key=${`~${rule.id}`}><span class="tag warn">${t("different")}</span> ${rule.name}: ${(rule.fields ?? []).map(fieldName).join(", ")}</li>`)}
    ${changes.removed.map((rule) => html`<li key=${`-${rule.id}`}><span class="tag bad">${t("removed")}</span> ${rule.name}</li>`)}
    ${changes.moved.length ? html`<li><span class="tag warn">${t("another order")}</span></li>` : null}
  </ul>`;
}

/** @param {{revision: string, onDone: () => Promise<void>}} props */
export function RuleFiles({ revision, onDone }) {
  const [problem, setProblem] = useState(/** @type {Problem|null} */ (null));
  const [checked, setChecked] = useState(/** @type {Checked|null} */ (null));
  const [busy, setBusy] = useState(false);
  /** @param {any} event */
  const look = async (event) => {
    const chooser = event.currentTarget;
    const file = chooser.files[0];
    if (!file) return;
    setProblem(null);
    try {
      if (file.size > LARGEST) throw new Problem(0, "too-large", t("The file is too large for rules."));
      let body;
      try {
        body = JSON.parse(await file.text());
      } catch {
        throw new Problem(0, "bad-json", t("The file is not JSON; choose one that was exported here."));
      }
      const answer = await post("/rules/check", body);
      setChecked({ body, changes: answer.changes, warnings: answer.warnings });
    } catch (error) {
      setProblem(problemFrom(error));
    } finally {
      chooser.value = "";
    }
  };
  const take = async () => {
    if (!checked || busy) return;
    setBusy(true);
    try {
      await put("/rules", { ...checked.body, revision });
      setChecked(null);
      announce(t("The rules of the file are taken."));
      await onDone();
    } catch (error) {
      setProblem(problemFrom(error));
    } finally {
      setBusy(false);
    }
  };
  return html`<section aria-labelledby="files"><h2 id="files">${t("Rules as a file")}</h2>
    <div class="buttons"><a class="button" id="export" href="/api/v1/rules.json" download="rules.json">${t("Export")}</a></div>
    <${Field} label=${t("Import a file")} name="file" help=${t("It takes the place of all rules. Before that you see what would change.")}>${(/** @type {any} */ a) => html`<input
      type="file" accept="application/json,.json" ...${a} onChange=${look} />`}<//>
    ${checked ? null : html`<${ProblemBox} problem=${problem} />${problem?.where ? html`<p class="fault">${t("In the file: {where}", { where: problem.where })}</p>` : null}`}
    ${checked
      ? html`<${Question} title=${t("Take the rules of this file?")} yes=${t("Take them")} busy=${busy} problem=${problem} onYes=${take}
          onNo=${() => {
            setProblem(null);
            setChecked(null);
          }}>
          <${Differences} changes=${checked.changes} />
          ${checked.warnings.map((warning) => html`<p key=${warning.where + warning.text} class="fault">${warning.text}</p>`)}
        <//>`
      : null}
  </section>`;
}
