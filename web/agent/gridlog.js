// The log of orders: when, by whom, to what limit; the minutes are in the file.
import { get, problemFrom } from "../common/api.js";
import { duration, moment } from "../common/format.js";
import { Button, ProblemBox, Table, TextField } from "../common/parts.js";
import { html, useEffect, useState } from "../common/ui.js";
import { t } from "../common/words.js";
import { kilowatts } from "./kilowatts.js";

/** @typedef {{began_at: string, ended_at: string|null, end: string|null, source: string, reason: string, limit_w: number,
 *   asked_w: number|null, minimum_w: number}} Order */
/** @typedef {{at: string, charging_w: number|null, charging_most_w: number|null, limit_w: number|null}} Minute */

const MOST_SHOWN = 50;

/** @param {string} source */
const sourceName = (source) =>
  ({ input: t("input"), modbus: "Modbus", api: "API", test: t("test") })[source] ?? source;

/** The highest that charging drew while an order held. @param {Order} order @param {Minute[]} minutes */
function most(order, minutes) {
  const from = Date.parse(order.began_at) + 60_000; // the minute in which it began still holds what was before
  const until = order.ended_at ? Date.parse(order.ended_at) - 60_000 : Infinity;
  const found = minutes.filter((one) => Date.parse(one.at) >= from && Date.parse(one.at) <= until && one.charging_most_w !== null);
  return found.length ? Math.max(...found.map((one) => one.charging_most_w ?? 0)) : null;
}

/** @param {{from: string, to: string}} range */
function query({ from, to }) {
  const wanted = new URLSearchParams();
  if (from) wanted.set("from", from);
  if (to) wanted.set("to", to);
  const text = wanted.toString();
  return text ? `?${text}` : "";
}

export function GridLog() {
  const [range, setRange] = useState({ from: "", to: "" });
  const [log, setLog] = useState(/** @type {{orders: Order[], minutes: Minute[]}|null} */ (null));
  const [problem, setProblem] = useState(/** @type {any} */ (null));
  const load = () =>
    get(`/grid-operator/evidence${query(range)}`).then(
      (answer) => {
        setLog(answer);
        setProblem(null);
      },
      (error) => setProblem(problemFrom(error)),
    );
  useEffect(() => void load(), [range.from, range.to]);
  return html`<section aria-labelledby="log"><h2 id="log">${t("Orders so far")}</h2>
    <form class="filter" onSubmit=${(/** @type {Event} */ e) => e.preventDefault()}>
      <${TextField} label=${t("From")} type="date" name="from" value=${range.from} problem=${problem}
        onValue=${(/** @type {string} */ from) => setRange({ ...range, from })} />
      <${TextField} label=${t("Until")} type="date" name="to" value=${range.to} problem=${problem}
        onValue=${(/** @type {string} */ to) => setRange({ ...range, to })} />
    </form>
    <${ProblemBox} problem=${problem} />
    <div class="buttons"><a class="button" id="evidence" href=${`/api/v1/grid-operator/evidence.csv${query(range)}`} download>${t("CSV file")}</a>
      <${Button} onClick=${() => void load()}>${t("Load again")}<//></div>
    <p class="help">${t("The file has every minute of these orders too, and five before and after. It is kept for two years.")}</p>
    ${log && log.orders.length === 0 ? html`<p>${t("There was no order.")}</p>` : null}
    ${log && log.orders.length
      ? html`<${Table} caption=${t("Orders so far")} class="stack" head=${[t("Begin"), t("Duration"), t("Ordered by"), t("Limit"), t("Highest charging")]}>
        ${[...log.orders].reverse().slice(0, MOST_SHOWN).map(
          (order) => html`<tr key=${order.began_at}>
            <th scope="row">${moment(order.began_at)}</th>
            <td><span class="label">${t("Duration")}: </span>${order.ended_at
              ? duration((Date.parse(order.ended_at) - Date.parse(order.began_at)) / 1000)
              : html`<span class="tag warn">${t("holds now")}</span>`}${order.end === "restart" ? html` <span class="tag">${t("restart")}</span>` : null}</td>
            <td><span class="label">${t("Ordered by")}: </span>${sourceName(order.source)}${order.reason !== order.source ? html` <span class="code">${order.reason}</span>` : null}</td>
            <td class="number"><span class="label">${t("Limit")}: </span>${kilowatts(order.limit_w)}</td>
            <td class="number"><span class="label">${t("Highest charging")}: </span>${kilowatts(most(order, log.minutes))}</td>
          </tr>`,
        )}
      <//>`
      : null}
  </section>`;
}
