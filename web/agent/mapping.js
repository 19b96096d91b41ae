// What stands in the mapping of a provider: an example that can be taken, and each of its lines explained.
import { Button } from "../common/parts.js";
import { html } from "../common/ui.js";
import { t } from "../common/words.js";

/** Prices, or a forecast of the sun: to be changed in a few places. @param {boolean} sun */
export const exampleOf = (sun) => ({
  url: "https://prices.example/v1/{date}",
  rows: ["/data"],
  start: "/begin",
  price: sun ? "/watts" : "/value",
  minutes: 60,
  unit: sun ? "W" : "EUR/MWh",
  time_format: "iso",
  timezone: "Europe/Paris",
  header: "Authorization",
  header_value: "Bearer {token}",
});

/** @type {() => [string, string][]} */
const lines = () => [
  ["url", t("The address. {fields} are filled in; with the day alone it is asked once for today and once for tomorrow.", { fields: "{date}, {next_date}, {from}, {to}, {from_s}, {to_s}, {from_ms}, {to_ms}" })],
  ["rows", t("Where in the answer the list is, as a path: /data is the field data; an empty text is the whole answer.")],
  ["start, end", t("In each row: where its time begins and ends. Without end it lasts so many minutes, or until the next row.")],
  ["price", t("In each row: the number, in the unit given.")],
  ["unit", "EUR/MWh, EUR/kWh, ct/kWh; W, kW"],
  ["time_format", "iso (2026-01-31T12:00), epoch-s, epoch-ms"],
  ["timezone", t("For times without a zone.")],
  ["header, header_value", t("Carries the token, where the provider asks for one; {token} stands for it.", { token: "{token}" })],
  ["co2", t("In each row: grams of CO2 for each kWh, where they are known.")],
  ["published", t("From then on tomorrow is asked for, as 13:00.")],
  ["columns, newest_first, body", t("For answers that hold one list for each column, for rows in reverse, and for providers that are asked by POST.")],
];

const ANSWER = '{"data": [{"begin": "2026-01-31T00:00", "value": 84.2}, {"begin": "2026-01-31T01:00", "value": 79.9}]}';

/** @param {{onExample: () => void}} props */
export function MappingHelp({ onExample }) {
  return html`<div class="buttons"><${Button} onClick=${onExample}>${t("Begin with an example")}<//></div>
    <details class="further mapping"><summary>${t("What stands in a mapping")}</summary>
      <p>${t("It says how to ask a provider, and where in its JSON the prices are. The example fits an answer like this:")}</p>
      <pre>${ANSWER}</pre>
      <dl class="facts">${lines().map(([name, text]) => html`<div key=${name}><dt><code>${name}</code></dt><dd>${text}</dd></div>`)}</dl>
    </details>`;
}
