// What was decided in the last 24 h: bars, and every change with its time and reason.
import { amps, exactly, hour } from "../common/format.js";
import { Button, Table } from "../common/parts.js";
import { html, useState } from "../common/ui.js";
import { t } from "../common/words.js";

/** @typedef {{at: string, setpoint_a: number, lowest_a: number, highest_a: number, changes: number,
 *   because: {code: string, text: string}}} Change */

const SLOTS = 96;
const FIRST = 30;

/**
 * The setpoint of every quarter of an hour, as a mean; null: not known.
 * @param {Change[]} changes oldest first @param {number} fromMs @param {number} toMs
 */
export function quarters(changes, fromMs, toMs) {
  const wide = (toMs - fromMs) / SLOTS;
  const area = new Array(SLOTS).fill(0);
  const covered = new Array(SLOTS).fill(0);
  changes.forEach((change, index) => {
    const begin = Math.max(fromMs, Date.parse(change.at));
    const next = changes[index + 1];
    const end = Math.min(toMs, next ? Date.parse(next.at) : toMs);
    for (let slot = Math.max(0, Math.floor((begin - fromMs) / wide)); slot < SLOTS; slot += 1) {
      const part = Math.min(end, fromMs + (slot + 1) * wide) - Math.max(begin, fromMs + slot * wide);
      if (part <= 0) break;
      area[slot] += part * change.setpoint_a;
      covered[slot] += part;
    }
  });
  return area.map((sum, slot) => (covered[slot] > 0 ? sum / covered[slot] : null));
}

/** @param {{changes: Change[], from: string, to: string}} props */
export function Day({ changes, from, to }) {
  const [shown, setShown] = useState(FIRST);
  const [fromMs, toMs] = [Date.parse(from), Date.parse(to)];
  const bars = quarters(changes, fromMs, toMs);
  const most = Math.max(16, ...bars.map((bar) => bar ?? 0));
  const newest = [...changes].reverse();
  return html`<section aria-labelledby="day">
    <h2 id="day">${t("The last 24 hours")}</h2>
    ${changes.length
      ? html`<div class="day" aria-hidden="true">${bars.map(
          (bar, slot) => html`<span key=${slot} style=${{ height: `${bar === null ? 0 : Math.max(2, (100 * bar) / most)}%`, opacity: bar ? 1 : 0.3 }}></span>`,
        )}</div>
        <div class="hours" aria-hidden="true"><span>${hour(from)}</span><span>${t("up to {amps}", { amps: amps(most, 0) })}</span><span>${hour(to)}</span></div>
        <${Table} caption=${t("What changed in the last 24 hours")} class="stack changes" head=${[t("Since"), t("Allowed"), t("Reason")]}>
          ${newest.slice(0, shown).map(
            (change, index) => html`<tr key=${change.at + index}>
              <th scope="row"><time datetime=${change.at}>${exactly(change.at)}</time></th>
              <td class="number"><span class="label">${t("Allowed")}: </span>${amps(change.setpoint_a, 0)}${change.changes > 1
                ? html` <span class="help">${t("before, {n} changes between {least} and {most}", { n: change.changes, least: amps(change.lowest_a, 0), most: amps(change.highest_a, 0) })}</span>`
                : null}</td>
              <td><span class="label">${t("Reason")}: </span>${change.because.text}</td>
            </tr>`,
          )}
        <//>
        ${newest.length > shown ? html`<${Button} class="big" onClick=${() => setShown(shown + 100)}>${t("Show more")}<//>` : null}`
      : html`<p>${t("Nothing is known of that time yet.")}</p>`}
  </section>`;
}
