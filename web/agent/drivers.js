// Drivers: which there are and how sure each is, files that are none, and tables that an administrator puts in.
import { post, Problem, problemFrom, put } from "../common/api.js";
import { me } from "../common/frame.js";
import { announce, Button, Field, ProblemBox, Question, Table } from "../common/parts.js";
import { html, useState } from "../common/ui.js";
import { t } from "../common/words.js";
import { kindName } from "./deviceform.js";

/** @typedef {{name: string, title: string, kind: string, source?: string, transports: string[], quality?: string|null,
 *   uncertain?: number, uploaded?: boolean, used_by?: string[], fallback?: boolean,
 *   defaults?: Record<string, any>, settings?: {name: string, title: string}[], restart_needed?: boolean}} Driver */
/** @typedef {{file: string, reason: string}} Broken */
/** @typedef {{level: string, name: string, line: number|null, where: string, what: string, why: string, instead: string}} Finding */
/** @typedef {{ok: boolean, errors: number, warnings: number, findings: Finding[], title: string|null,
 *   replaces: "shipped"|"uploaded"|null, used_by: string[]}} Checked */

const LARGEST = 256 * 1024;

/** @param {string|null|undefined} quality */
export const qualityName = (quality) =>
  ({
    field: t("proven in the field"),
    manual: t("by the manual"),
    "single-source": t("from a single source"),
  })[quality ?? ""] ?? t("not said");

/** @param {{findings: Finding[]}} props */
export function Findings({ findings }) {
  return html`<ul class="findings">${findings.map(
    (each) => html`<li key=${each.name + each.where + each.what}>
      <p><span class=${`tag ${each.level === "error" ? "bad" : "warn"}`}>${each.level === "error" ? t("error") : t("warning")}</span>
        ${" "}${each.line ? html`${t("Line {line}", { line: each.line })}: ` : null}${each.where ? html`<code>${each.where}</code>: ` : null}<span lang="en">${each.what}</span></p>
      ${each.why ? html`<p class="help" lang="en">${each.why}</p>` : null}
      ${each.instead ? html`<p class="help">${t("Write instead: {text}", { text: each.instead })}</p>` : null}
    </li>`,
  )}</ul>`;
}

/** @param {{onChange: () => Promise<void>}} props */
function Upload({ onChange }) {
  const [problem, setProblem] = useState(/** @type {Problem|null} */ (null));
  const [found, setFound] = useState(/** @type {{name: string, text: string, checked: Checked}|null} */ (null));
  const [busy, setBusy] = useState(false);
  /** @param {any} event */
  const look = async (event) => {
    const chooser = event.currentTarget;
    const file = chooser.files[0];
    if (!file) return;
    setProblem(null);
    setFound(null);
    try {
      if (!file.name.endsWith(".toml")) throw new Problem(0, "not-toml", t("Choose a table, NAME.toml; code is not taken from a browser."));
      if (file.size > LARGEST) throw new Problem(0, "too-large", t("The file is too large for a driver."));
      const name = file.name.slice(0, -5);
      const text = await file.text();
      setFound({ name, text, checked: await post("/drivers/check", { name, text }) });
    } catch (error) {
      setProblem(problemFrom(error));
    } finally {
      chooser.value = "";
    }
  };
  const keep = async () => {
    if (!found || busy) return;
    setBusy(true);
    setProblem(null);
    try {
      await put(`/drivers/${encodeURIComponent(found.name)}`, { text: found.text, replace: found.checked.replaces !== null });
      announce(t("The driver {name} is there.", { name: found.name }));
      setFound(null);
      await onChange();
    } catch (error) {
      setProblem(problemFrom(error));
    } finally {
      setBusy(false);
    }
  };
  if (me.value.remote) return html`<p class="help">${t("A driver can be uploaded at the site only.")}</p>`;
  const bad = found !== null && !found.checked.ok;
  return html`<${Field} label=${t("Upload a driver")} name="driver-file"
      help=${t("A table, NAME.toml: it is checked first, and you see what was found. Code is taken from folders on the disk only.")}>${(/** @type {any} */ a) => html`<input
      type="file" accept=".toml" ...${a} onChange=${look} />`}<//>
    ${found && !bad ? null : html`<${ProblemBox} problem=${problem} />`}
    ${bad
      ? html`<div class="box bad" role="alert" data-refused><h3>${t("{name} is no driver yet", { name: found.name })}</h3><${Findings} findings=${found.checked.findings} /></div>`
      : null}
    ${found && !bad
      ? html`<${Question} title=${t("Keep {name} as a driver?", { name: found.name })} yes=${t("Keep it")} busy=${busy} problem=${problem} onYes=${() => void keep()}
          onNo=${() => {
            setProblem(null);
            setFound(null);
          }}>
          <p>${found.checked.title}</p>
          ${found.checked.replaces ? html`<p class="box warn">${t("It takes the place of the driver of this name.")}</p>` : null}
          ${found.checked.used_by.length ? html`<p class="box warn">${t("These devices are steered by it at once: {devices}", { devices: found.checked.used_by.join(", ") })}</p>` : null}
          ${found.checked.findings.length ? html`<${Findings} findings=${found.checked.findings} />` : html`<p>${t("Nothing was found that is wrong with it.")}</p>`}
        <//>`
      : null}`;
}

/** @param {{drivers: Driver[], broken: Broken[], onChange: () => Promise<void>}} props */
export function Drivers({ drivers, broken, onChange }) {
  const [search, setSearch] = useState("");
  const wanted = search.trim().toLowerCase();
  const found = drivers.filter((driver) => `${driver.name} ${driver.title}`.toLowerCase().includes(wanted));
  return html`<section aria-labelledby="drivers"><h2 id="drivers">${t("Drivers")}</h2>
    ${broken.length
      ? html`<div class="box bad" data-broken-drivers><h3>${t("Files that are no drivers")}</h3><dl class="broken">${broken.map(
          (file) => html`<div key=${file.file}><dt><code>${file.file}</code></dt><dd>${file.reason}</dd></div>`,
        )}</dl></div>`
      : null}
    <${Upload} onChange=${onChange} />
    <div class="narrow field"><label for="driver-search">${t("Search")}</label>
      <input id="driver-search" type="search" value=${search} onInput=${(/** @type {any} */ e) => setSearch(e.currentTarget.value)} /></div>
    <${Table} caption=${t("Drivers")} class="stack" head=${[t("Device"), t("Kind"), t("Connections"), t("How sure it is")]}>
      ${found.map(
        (driver) => html`<tr key=${driver.name}><th scope="row"><a href=${`driver.htm?name=${encodeURIComponent(driver.name)}`}>${driver.title || driver.name}</a>${" "}<code>${driver.name}</code>
            ${driver.uploaded ? html`<span class="tag">${t("uploaded")}</span>` : null}
            ${driver.restart_needed ? html`<span class="tag warn">${t("changed code: restart the program")}</span>` : null}</th>
          <td>${kindName(driver.kind)}</td>
          <td><span class="label">${t("Connections")}: </span>${driver.transports.join(", ")}</td>
          <td><span class="label">${t("How sure it is")}: </span>${qualityName(driver.quality)}</td></tr>`,
      )}
    <//>
  </section>`;
}
