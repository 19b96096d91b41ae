// A table of times: what a kWh costs in each. Prices stay as they are typed until the tariff is saved.
import { dayName, fieldNumber } from "../common/format.js";
import { Button, SelectField, TextField } from "../common/parts.js";
import { html } from "../common/ui.js";
import { t } from "../common/words.js";
import { typed } from "./typed.js";

/** A row being edited; what the form does not show (CO2) stays as it was. @typedef {Record<string, any> & {cost: string}} Row */

/** @param {any[]} windows @returns {Row[]} */
export const rowsOf = (windows) => windows.map((one) => ({ ...one, cost: fieldNumber(one.price) }));

/** @param {Row[]} rows */
export const windowsOf = (rows) =>
  rows.map(({ cost, ...rest }, place) => ({
    ...rest,
    price: typed(cost, `windows.${place}.price`),
    season_from: rest.season_from?.trim() || null,
    season_to: rest.season_to?.trim() || null,
  }));

/** @param {number[]} days */
const names = (days) => days.map((day) => dayName(day, "short")).join(", ");

/** Every day, the usual groups, single days, and what is stored. @param {number[]} days @returns {[string, string][]} */
function dayChoices(days) {
  const groups = [[], [0, 1, 2, 3, 4], [5, 6], ...[0, 1, 2, 3, 4, 5, 6].map((day) => [day])];
  if (!groups.some((group) => group.join() === days.join())) groups.push(days);
  return groups.map((group) => [group.join(), group.length ? names(group) : t("every day")]);
}

/** @param {{rows: Row[], problem: any, onRows: (rows: Row[]) => void}} props */
export function WindowRows({ rows, problem, onRows }) {
  /** @param {number} place @param {Record<string, any>} part */
  const change = (place, part) => onRows(rows.map((row, each) => (each === place ? { ...row, ...part } : row)));
  return html`${rows.map((row, place) => {
      /** @param {string} key */
      const named = (key) => ({ name: `windows.${place}.${key}`, problem, value: row[key] ?? "", onValue: (/** @type {string} */ text) => change(place, { [key]: text || null }) });
      return html`<fieldset key=${place}><legend>${t("Time {number}", { number: place + 1 })}</legend>
        <div class="three">
          <${TextField} label=${t("From")} type="time" ...${named("time_from")} />
          <${TextField} label=${t("To")} type="time" ...${named("time_to")} />
          <${TextField} label=${t("Price of a kWh")} inputmode="decimal" ...${named("price")} value=${row.cost}
            onValue=${(/** @type {string} */ cost) => change(place, { cost })} />
        </div>
        <div class="three">
          <${SelectField} label=${t("Days")} name=${`windows.${place}.days`} problem=${problem} value=${row.days.join()} options=${dayChoices(row.days)}
            onValue=${(/** @type {string} */ days) => change(place, { days: days ? days.split(",").map(Number) : [] })} />
          <${TextField} label=${t("Season from")} ...${named("season_from")} help=${t("Month and day, as 11-01; empty: all year.")} />
          <${TextField} label=${t("Season to")} ...${named("season_to")} />
        </div>
        <div class="buttons"><${Button} onClick=${() => onRows(rows.filter((_, each) => each !== place))}
          aria-label=${t("Remove “{name}”", { name: t("Time {number}", { number: place + 1 }) })}>${t("Remove")}<//></div>
      </fieldset>`;
    })}
    <p class="help">${t("The first time that fits says the price. After midnight a time belongs to the day on which it began.")}</p>
    <div class="buttons"><${Button} onClick=${() =>
      onRows([...rows, { cost: "", time_from: "22:00", time_to: "06:00", days: [], season_from: null, season_to: null, co2_g: null }])}>${t("Add a time")}<//></div>`;
}
