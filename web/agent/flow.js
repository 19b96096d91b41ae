// Where the power goes, as a table drawn as bars.
import { known, power } from "../common/format.js";
import { html } from "../common/ui.js";
import { t } from "../common/words.js";

/** @typedef {import("../common/types.js").State} State */
/** @typedef {{key: string, name: string, watts: number|null, toward: string, partly?: boolean}} Flow */

/** @param {(number|null|undefined)[]} values */
const sum = (values) => (values.every(known) ? values.reduce((a, b) => Number(a) + Number(b), 0) : null);

/**
 * Grid, solar, storage, charging, and the rest, which is the house. Positive is consumption, so a solar meter that
 * feeds in is negative. Unknown makes the rest unknown.
 * @param {State} picture @returns {Flow[]}
 */
export function flows(picture) {
  /** @param {string} role */
  const of = (role) => picture.meters.filter((meter) => meter.role === role);
  const watts = (/** @type {import("../common/types.js").Meter[]} */ meters) =>
    sum(meters.map((meter) => (meter.stale ? null : meter.power_w)));
  const grid = of("grid");
  const solar = of("solar");
  const storage = of("storage");
  const gridW = grid.length ? watts(grid) : null;
  const solarW = watts(solar);
  const storageW = watts(storage);
  const heard = picture.charge_points.filter((point) => point.status !== "offline" && known(point.power_w));
  const heardW = sum(heard.map((point) => point.power_w));
  const partly = heard.length < picture.charge_points.length;
  const chargingW = partly ? null : heardW;
  const load = of("load");
  const houseW = load.length
    ? watts(load)
    : known(gridW) && known(solarW) && known(storageW) && known(chargingW)
      ? Math.max(0, gridW - solarW - storageW - chargingW)
      : null;
  /** @type {Flow[]} */
  const rows = [];
  if (grid.length) {
    rows.push({ key: "grid", name: t("Grid"), watts: gridW, toward: known(gridW) && gridW < 0 ? t("fed in") : t("drawn") });
  }
  if (solar.length) rows.push({ key: "solar", name: t("Solar"), watts: known(solarW) ? Math.abs(solarW) : null, toward: t("produced") });
  if (storage.length) {
    rows.push({ key: "storage", name: t("Battery"), watts: storageW, toward: known(storageW) && storageW < 0 ? t("discharging") : t("charging") });
  }
  if (picture.charge_points.length) rows.push({ key: "charging", name: t("Cars"), watts: heard.length ? heardW : null, partly, toward: t("used") });
  if (grid.length || load.length) rows.push({ key: "house", name: t("House"), watts: houseW, toward: t("used") });
  return rows;
}

/** @param {{picture: State}} props */
export function PowerFlow({ picture }) {
  const rows = flows(picture);
  if (rows.length < 2) return null;
  const most = Math.max(1000, ...rows.map((row) => Math.abs(row.watts ?? 0)));
  return html`<section aria-labelledby="flow">
    <h2 id="flow">${t("Power now")}</h2>
    <table class="bars flow">
      <colgroup><col class="what" /><col /><col class="side" /></colgroup>
      <thead class="unseen"><tr><th scope="col">${t("Where")}</th><th scope="col">${t("Power")}</th><th scope="col">${t("Direction")}</th></tr></thead>
      <tbody>
        ${rows.map(
          (row) => html`<tr key=${row.key} class=${`flow-${row.key}`}>
            <th scope="row">${row.name}</th>
            <td class="bar"><span class="fill" style=${{ inlineSize: `${(100 * Math.abs(row.watts ?? 0)) / most}%` }}></span>
              <span class="value">${row.partly && known(row.watts) ? "≥ " : ""}${power(known(row.watts) ? Math.abs(row.watts) : null)}</span></td>
            <td class="toward">${known(row.watts) && Math.abs(row.watts) >= 5 ? row.toward : ""}</td>
          </tr>`,
        )}
      </tbody>
    </table>
    ${known(picture.site.surplus_w) && picture.meters.some((meter) => meter.role === "solar")
      ? html`<p class="help" data-value="surplus">${t("Left by the sun")}: ${power(Math.max(0, picture.site.surplus_w ?? 0))}</p>`
      : null}
  </section>`;
}
