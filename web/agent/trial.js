// The test of a device: its steps as they come, a question first where a car is charging, and the way to its report.
import { get, post, problemFrom, remove } from "../common/api.js";
import { Button, ProblemBox, Question, useTask } from "../common/parts.js";
import { html, useState } from "../common/ui.js";
import { t } from "../common/words.js";

/** @typedef {{id: string, name: string}} Named */
/** @typedef {{name: string, ok: boolean, text: string}} Step */

const TEST_MS = 180_000;
const LOOK_MS = 1_000;

/** @param {string} device @param {number} [report] */
export const reportPage = (device, report) => `report.htm?device=${encodeURIComponent(device)}${report ? `&report=${report}` : ""}`;

/** @param {{device: Named, steps: Step[]|null, ok: boolean, report: number|null, busy: boolean, problem: any,
 *   onCancel: () => void, onClose: () => void}} props */
function TestResult({ device, steps, ok, report, busy, problem, onCancel, onClose }) {
  return html`<section class="box" aria-live="polite" aria-labelledby="test" data-test=${busy ? "running" : ok ? "ok" : "bad"}>
    <h2 id="test">${t("Test of {name}", { name: device.name })}</h2>
    ${busy ? html`<p class="loading">${t("Testing; this takes up to three minutes. Charging there is interrupted.")}</p><progress></progress>` : null}
    <${ProblemBox} problem=${problem} />
    ${steps
      ? html`<ul class="steps">${steps.map(
          (step) => html`<li key=${step.name} class=${step.ok ? "ok" : "bad"}><strong>${step.ok ? t("passed") : t("failed")}</strong>${" "}${step.text || step.name}</li>`,
        )}</ul>
        ${busy ? null : html`<p class=${`box ${ok ? "good" : "bad"}`}>${ok ? t("Everything works.") : t("Something does not work yet: see above.")}</p>`}`
      : null}
    <div class="buttons">${
      busy
        ? html`<${Button} class="danger" onClick=${onCancel}>${t("Cancel the test")}<//>`
        : html`${report ? html`<a class="button" href=${reportPage(device.id, report)}>${t("Commissioning report")}</a>` : null}
          <${Button} onClick=${onClose}>${t("Close")}<//>`
    }</div>
  </section>`;
}

/** @returns {{busy: boolean, begin: (device: Named) => void, shown: any}} `shown` is what is to be seen of it */
export function useTrial() {
  const testing = useTask();
  const ending = useTask();
  const [tested, setTested] = useState(/** @type {{device: Named, steps: Step[]|null, ok: boolean, report: number|null}|null} */ (null));
  const [charging, setCharging] = useState(/** @type {Named|null} */ (null));
  /** @param {Named} device @param {boolean} [anyway] also while a car is charging there */
  const test = (device, anyway = false) =>
    testing.run(async () => {
      const path = `/devices/${encodeURIComponent(device.id)}/test`;
      setCharging(null);
      setTested({ device, steps: null, ok: false, report: null });
      const looking = setInterval(async () => {
        const now = await get(path).catch(() => null);
        if (now?.running) setTested((known) => known && { ...known, steps: now.steps });
      }, LOOK_MS);
      try {
        const result = await post(path + (anyway ? "?while_charging=1" : ""), {}, TEST_MS);
        clearInterval(looking);
        setTested({ device, steps: result.steps, ok: result.ok, report: result.report });
      } catch (error) {
        if (problemFrom(error).code !== "car-charging") throw error;
        setTested(null);
        setCharging(device);
      } finally {
        clearInterval(looking);
      }
    });
  const stop = () => tested && ending.run(() => remove(`/devices/${encodeURIComponent(tested.device.id)}/test`));
  const shown = html`${tested
      ? html`<${TestResult} device=${tested.device} steps=${tested.steps} ok=${tested.ok} report=${tested.report}
          busy=${testing.busy} problem=${testing.problem ?? ending.problem} onCancel=${() => void stop()} onClose=${() => setTested(null)} />`
      : null}
    ${charging
      ? html`<${Question} danger title=${t("Test {name} while a car is charging?", { name: charging.name })} yes=${t("Test")} busy=${testing.busy}
          onYes=${() => void test(charging, true)} onNo=${() => setCharging(null)}>
          <p>${t("Charging there is held to the least current, paused for some seconds, and then goes on.")}</p><//>`
      : null}`;
  return { busy: testing.busy, begin: (device) => void test(device), shown };
}
