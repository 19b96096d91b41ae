// One driver: how sure it is, what it does when it hears nothing, every value with where it stands, what is left alone.
import { get, problemFrom, remove } from "../common/api.js";
import { number } from "../common/format.js";
import { go, me, start } from "../common/frame.js";
import { Button, ProblemBox, Question, Table, useTask } from "../common/parts.js";
import { html, useEffect, useState } from "../common/ui.js";
import { t } from "../common/words.js";
import { kindName } from "./deviceform.js";
import { qualityName } from "./drivers.js";

/** @typedef {{name: string, address: number|string, type: string, scale: number, unit: string, group: string, reads: boolean,
 *   writes: boolean, volatile: boolean|null, page: number|null, note: string, uncertain: string|null}} Register */
/** @typedef {import("./drivers.js").Driver & {sources: string[], notes: string[], tested_firmware: string[], uncertainties: string[],
 *   accepted: {name: string, why: string}[], variants: string[], phases: boolean, registers: Register[],
 *   setpoint: {lowest_a: number, highest_a: number, step_a: number, pause: string[], resume: string[], read_back: boolean}|null,
 *   watchdog: {fed_by: string, timeout_s: number, shown: boolean, programmable: boolean, fallback: boolean}|null,
 *   unmapped: {name: string, why: string}[], never: {address: number, count: number, why: string}[]}} Whole */

const name = new URLSearchParams(location.search).get("name") ?? "";
const path = `/drivers/${encodeURIComponent(name)}`;

/** @param {Whole} driver */
function fallback({ watchdog, kind }) {
  if (kind !== "charger") return t("It is not steered.");
  if (!watchdog) return t("It has no watchdog: when it hears nothing it goes on as it was told last, and its highest current stays reserved.");
  const seconds = { seconds: watchdog.timeout_s };
  if (!watchdog.shown) return t("After {seconds} s it takes a current of its own, which it does not show; its highest current stays reserved.", seconds);
  if (!watchdog.programmable) return t("After {seconds} s it takes a current of its own, which it shows and which is set elsewhere.", seconds);
  return watchdog.fallback
    ? t("Programmable: after {seconds} s without a word it takes the current that is planned for it.", seconds)
    : t("After {seconds} s without a word it stops.", seconds);
}

/** @param {{title: string, items: any[]}} props */
function List({ title, items }) {
  return items.length ? html`<section><h2>${title}</h2><ul lang="en">${items.map((item, at) => html`<li key=${at}>${item}</li>`)}</ul></section>` : null;
}

/** @param {{registers: Register[]}} props */
function Registers({ registers }) {
  return html`<section aria-labelledby="values"><h2 id="values">${t("Values")}</h2>
    <${Table} caption=${t("Values")} class="stack" head=${[t("Name"), t("Address"), t("Type"), t("Scale"), t("Remarks")]}>
      ${registers.map(
        (one) => html`<tr key=${one.name} data-register=${one.name}><th scope="row"><code>${one.name}</code>
            ${one.uncertain ? html` <span class="tag warn">${t("uncertain")}</span>` : null}</th>
          <td><span class="label">${t("Address")}: </span><code>${one.address}</code></td>
          <td><span class="label">${t("Type")}: </span>${one.type}</td>
          <td><span class="label">${t("Scale")}: </span>${number(one.scale, one.scale < 0.01 ? 3 : one.scale < 1 ? 2 : 0)} ${one.unit}</td>
          <td>${one.uncertain ? html`<p lang="en">${one.uncertain}</p>` : null}
            ${one.note ? html`<p class="help" lang="en">${one.note}</p>` : null}
            ${one.writes ? html`<p class="help">${one.volatile === false ? t("written; it wears the device's memory, so only when it differs") : t("written")}</p>` : null}
            ${one.page ? html`<p class="help">${t("page {page}", { page: one.page })}</p>` : null}</td></tr>`,
      )}
    <//>
  </section>`;
}

function Page() {
  const task = useTask();
  const [driver, setDriver] = useState(/** @type {Whole|null} */ (null));
  const [problem, setProblem] = useState(/** @type {any} */ (null));
  const [going, setGoing] = useState(false);
  useEffect(() => {
    get(path).then(setDriver, (error) => setProblem(problemFrom(error)));
  }, []);
  const sure = () =>
    task.run(async () => {
      await remove(path);
      go("devices.htm");
    });
  const back = html`<p><a href="devices.htm">${t("Back to the devices")}</a></p>`;
  if (!driver) return html`${back}${problem ? html`<${ProblemBox} problem=${problem} />` : html`<p class="loading">${t("Loading …")}</p>`}`;
  const rule = driver.setpoint;
  return html`${back}
    <h2>${driver.title}</h2>
    <dl class="facts" data-driver=${driver.name}>
      <div><dt>${t("Name")}</dt><dd><code>${driver.name}</code>${driver.uploaded ? html` <span class="tag">${t("uploaded")}</span>` : null}</dd></div>
      <div><dt>${t("Kind")}</dt><dd>${kindName(driver.kind)}</dd></div>
      <div><dt>${t("Connections")}</dt><dd>${driver.transports.join(", ")}</dd></div>
      <div><dt>${t("How sure it is")}</dt><dd data-quality>${qualityName(driver.quality)}</dd></div>
      <div><dt>${t("Tried with firmware")}</dt><dd>${driver.tested_firmware.join(", ") || t("not said")}</dd></div>
      <div><dt>${t("When it hears nothing")}</dt><dd data-fallback>${fallback(driver)}</dd></div>
      ${rule
        ? html`<div><dt>${t("Takes")}</dt><dd>${t("{lowest} to {highest} A in steps of {step} A", {
            lowest: number(rule.lowest_a, 0),
            highest: number(rule.highest_a, 0),
            step: number(rule.step_a, Number.isInteger(rule.step_a) ? 0 : rule.step_a < 0.1 ? 3 : 1),
          })}${rule.read_back ? null : html`; ${t("it does not show what it was told")}`}${driver.phases ? html`; ${t("it switches between one and three phases")}` : null}</dd></div>`
        : null}
      <div><dt>${t("Used by")}</dt><dd>${driver.used_by?.join(", ") || t("no device")}</dd></div>
    </dl>
    <${List} title=${t("What the installer must know")} items=${driver.notes} />
    <${List} title=${t("What is not certain")} items=${driver.uncertainties} />
    <${List} title=${t("Known and accepted")} items=${driver.accepted.map((each) => html`<code>${each.name}</code>: ${each.why}`)} />
    <${List} title=${t("Sources")} items=${driver.sources} />
    <${List} title=${t("Variants")} items=${driver.variants} />
    <${Registers} registers=${driver.registers} />
    <${List} title=${t("Left alone")} items=${[
      ...driver.unmapped.map((each) => html`<code>${each.name}</code>: ${each.why}`),
      ...driver.never.map((each) => html`${t("never written: {address}", { address: each.address })}: ${each.why}`),
    ]} />
    ${driver.uploaded && !me.value.remote ? html`<div class="buttons"><${Button} class="danger" onClick=${() => setGoing(true)}>${t("Remove")}<//></div>` : null}
    ${going
      ? html`<${Question} danger title=${t("Remove {name}?", { name: driver.name })} yes=${t("Remove")} busy=${task.busy} problem=${task.problem}
          onYes=${() => void sure()} onNo=${() => {
            task.forget();
            setGoing(false);
          }}>
          <p>${t("The uploaded table goes. A driver of the same name that came with the program takes over; without one, a table that devices rest on stays.")}</p>
        <//>`
      : null}`;
}

await start({ title: () => t("Driver"), view: Page });
