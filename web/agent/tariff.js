// What a kWh costs, and what the sun may give: where that is known from, and a picture of it.
import { get, post, Problem, problemFrom, put } from "../common/api.js";
import { fieldNumber, known, moment, number } from "../common/format.js";
import { start } from "../common/frame.js";
import { said } from "../common/modes.js";
import { Button, DoneBox, Field, ProblemBox, SelectField, Table, TextField, useTask, Warnings } from "../common/parts.js";
import { html, useEffect, useState } from "../common/ui.js";
import { t } from "../common/words.js";
import { exampleOf, MappingHelp } from "./mapping.js";
import { rowsOf, WindowRows, windowsOf } from "./tariffwindows.js";
import { typed, typedOrNull } from "./typed.js";

/** @typedef {{name: string, kind: string, title: string, source: string, needs_token: boolean, notes: string[],
 *   fields: {name: string, title: string, default: string}[]}} Provider */
/** @typedef {{start_at: string, end_at: string, price: number}} Slot */

const OWN = "-own-";

/** JSON that a person typed. @param {string} text @param {string} where */
function typedJson(text, where) {
  try {
    return JSON.parse(text);
  } catch {
    throw new Problem(0, "no-json", t("This is not JSON: correct the marked field."), where);
  }
}

/** @param {any} props  label, name, value, onValue, problem, help */
const TextArea = ({ label, name, value, onValue, problem, help }) =>
  html`<${Field} label=${label} name=${name} problem=${problem} help=${help}>${(/** @type {any} */ a) => html`<textarea rows="8" spellcheck=${false}
    ...${a} value=${value} onInput=${(/** @type {any} */ e) => onValue(e.currentTarget.value)}></textarea>`}<//>`;

/** A provider, its fields and its token. @param {{feed: any, providers: Provider[], problem: any, sun?: boolean, onFeed: (feed: any) => void}} props */
function FeedFields({ feed, providers, problem, sun = false, onFeed }) {
  const provider = providers.find((one) => one.name === feed.plugin);
  return html`
    <${SelectField} label=${t("Provider")} name="feed.plugin" value=${feed.plugin || OWN} problem=${problem}
      onValue=${(/** @type {string} */ name) => onFeed({ ...feed, plugin: name === OWN ? "" : name, values: {} })}
      options=${[...providers.map((one) => [one.name, one.title]), [OWN, t("another, by a mapping")]]} />
    ${provider
      ? provider.fields.map(
          (one) => html`<${TextField} key=${one.name} label=${one.title} name=${`feed.values.${one.name}`} problem=${problem}
            value=${feed.values[one.name] ?? one.default} onValue=${(/** @type {string} */ value) => onFeed({ ...feed, values: { ...feed.values, [one.name]: value } })} />`,
        )
      : html`<${TextArea} label=${t("Mapping, as JSON")} name="feed.mapping" problem=${problem} value=${feed.text}
          onValue=${(/** @type {string} */ text) => onFeed({ ...feed, text })} />
        <${MappingHelp} onExample=${() => onFeed({ ...feed, text: JSON.stringify(exampleOf(sun), null, 2) })} />`}
    ${!provider || provider.needs_token
      ? html`<${TextField} label=${t("Token")} name="feed.token" type="password" autocomplete="off" problem=${problem} value=${feed.token}
          onValue=${(/** @type {string} */ token) => onFeed({ ...feed, token })} help=${feed.has_token ? t("One is stored; empty leaves it as it is.") : t("From the provider, if it asks for one.")} />`
      : null}`;
}

/** @param {any} feed */
const draftOf = (feed) => ({ ...feed, token: "", text: feed.mapping ? JSON.stringify(feed.mapping, null, 2) : "" });

/** @param {any} feed */
const meant = (feed) => ({
  plugin: feed.plugin,
  values: feed.values,
  mapping: feed.plugin || !feed.text.trim() ? null : typedJson(feed.text, "feed.mapping"),
  token: feed.token || null,
});

/** @param {{slots: Slot[], currency: string}} props */
function Chart({ slots, currency }) {
  const now = Date.now();
  const shown = slots.filter((slot) => Date.parse(slot.end_at) > now - 6 * 3_600_000).slice(0, 200);
  if (!shown.length) return html`<p>${t("No price is known.")}</p>`;
  const top = Math.max(...shown.map((slot) => Math.abs(slot.price)), 1e-6);
  const unit = t("{currency} per kWh", { currency });
  return html`<div class="prices" role="img" aria-label=${t("Prices from {start} to {end}; the table has them all.", {
    start: moment(shown[0]?.start_at),
    end: moment(shown.at(-1)?.end_at),
  })}>
      ${shown.map(
        (slot) => html`<span key=${slot.start_at} class=${Date.parse(slot.start_at) <= now && now < Date.parse(slot.end_at) ? "now" : ""}
          title=${`${moment(slot.start_at)}: ${number(slot.price, 4)} ${unit}`} style=${{ blockSize: `${Math.max(2, (Math.abs(slot.price) / top) * 100)}%` }}></span>`,
      )}
    </div>
    <details><summary>${t("Prices as a table")}</summary>
      <${Table} caption=${t("Prices")} head=${[t("From"), t("To"), unit]}>
        ${shown.map((slot) => html`<tr key=${slot.start_at}><td>${moment(slot.start_at)}</td><td>${moment(slot.end_at)}</td><td class="number">${number(slot.price, 4)}</td></tr>`)}
      <//></details>`;
}

/** @param {{kind: string, onDone: () => void}} props */
function Upload({ kind, onDone }) {
  const task = useTask();
  const [text, setText] = useState("");
  return html`<${TextArea} label=${t("A file: CSV, JSON or ENTSO-E XML")} name="text" problem=${task.problem} value=${text} onValue=${setText}
      help=${t("start, end and price per kWh (or power_w) in its first line.")} />
    <${ProblemBox} problem=${task.problem} />
    <div class="buttons"><${Button} busy=${task.busy} onClick=${() =>
      task.run(async () => {
        await post("/tariff/file", { text, kind });
        setText("");
        onDone();
      })}>${t("Take this file")}<//></div>`;
}

/** @param {{data: any, onDone: (data: any) => void}} props */
function TariffForm({ data, onDone }) {
  const task = useTask();
  const old = data.tariff;
  const [source, setSource] = useState(old.source);
  const [currency, setCurrency] = useState(old.currency);
  const [price, setPrice] = useState(fieldNumber(old.price));
  const [windows, setWindows] = useState(rowsOf(old.windows));
  const [feed, setFeed] = useState(draftOf(old.feed));
  const [numbers, setNumbers] = useState({ factor: fieldNumber(old.factor), offset: fieldNumber(old.offset), vat_pct: fieldNumber(old.vat_pct) });
  const providers = data.providers.filter((/** @type {Provider} */ one) => one.kind === "tariff");
  const listed = source === "http" || source === "file";
  /** @param {Event} event */
  const save = (event) => {
    event.preventDefault();
    void task.run(async () => {
      const wish = {
        ...old,
        source,
        currency: currency.trim().toUpperCase(),
        price: typedOrNull(price, "price"),
        windows: source === "table" ? windowsOf(windows) : old.windows,
        feed: source === "http" ? meant(feed) : { ...old.feed, mapping: old.feed.mapping },
        factor: typed(numbers.factor, "factor"),
        offset: typed(numbers.offset, "offset"),
        vat_pct: typed(numbers.vat_pct, "vat_pct"),
      };
      onDone(await put("/tariff", wish));
    });
  };
  /** @param {"factor"|"offset"|"vat_pct"} key */
  const set = (key) => (/** @type {string} */ value) => setNumbers({ ...numbers, [key]: value });
  return html`<form data-form="tariff" onSubmit=${save}>
    <div class="three">
      <${SelectField} label=${t("Prices come from")} name="source" value=${source} onValue=${setSource} problem=${task.problem}
        options=${[["none", t("nowhere")], ["fixed", t("one fixed price")], ["table", t("a table of times")], ["http", t("a provider")], ["file", t("a file")]]} />
      <${TextField} label=${t("Currency")} name="currency" maxlength="3" value=${currency} onValue=${setCurrency} problem=${task.problem} />
      ${source === "fixed" || source === "table"
        ? html`<${TextField} label=${source === "table" ? t("Price of a kWh at other times") : t("Price of a kWh")} name="price" inputmode="decimal" value=${price} onValue=${setPrice} problem=${task.problem} />`
        : null}
    </div>
    ${source === "table"
      ? html`<${WindowRows} rows=${windows} problem=${task.problem} onRows=${setWindows} />`
      : null}
    ${source === "http" ? html`<${FeedFields} feed=${feed} providers=${providers} problem=${task.problem} onFeed=${setFeed} />` : null}
    ${listed
      ? html`<div class="three">
          <${TextField} label=${t("Factor")} name="factor" inputmode="decimal" value=${numbers.factor} onValue=${set("factor")} problem=${task.problem} />
          <${TextField} label=${t("Added to each kWh")} name="offset" inputmode="decimal" value=${numbers.offset} onValue=${set("offset")} problem=${task.problem} help=${t("Grid fees, levies.")} />
          <${TextField} label=${t("VAT, %")} name="vat_pct" inputmode="decimal" value=${numbers.vat_pct} onValue=${set("vat_pct")} problem=${task.problem} />
        </div>`
      : null}
    <${ProblemBox} problem=${task.problem} />
    <div class="buttons"><${Button} type="submit" class="main" busy=${task.busy}>${t("Save")}<//></div>
  </form>`;
}

/** @param {{data: any, onDone: (data: any) => void}} props */
function SunForm({ data, onDone }) {
  const task = useTask();
  const old = data.sun_forecast;
  const [source, setSource] = useState(old.source);
  const [feed, setFeed] = useState(draftOf(old.feed));
  const [factor, setFactor] = useState(fieldNumber(old.factor));
  const [house, setHouse] = useState(fieldNumber(old.house_w));
  const providers = data.providers.filter((/** @type {Provider} */ one) => one.kind === "sun");
  /** @param {Event} event */
  const save = (event) => {
    event.preventDefault();
    void task.run(async () => {
      const wish = { source, feed: source === "http" ? meant(feed) : old.feed, factor: typed(factor, "factor"), house_w: typed(house, "house_w") };
      onDone(await put("/sun-forecast", wish));
    });
  };
  return html`<form onSubmit=${save}>
    <div class="three">
      <${SelectField} label=${t("The forecast comes from")} name="source" value=${source} onValue=${setSource} problem=${task.problem}
        options=${[["none", t("nowhere")], ["http", t("a provider")], ["file", t("a file")]]} />
      <${TextField} label=${t("Part that is counted on")} name="factor" inputmode="decimal" value=${factor} onValue=${setFactor} problem=${task.problem} />
      <${TextField} label=${t("Kept for the house, W")} name="house_w" inputmode="decimal" value=${house} onValue=${setHouse} problem=${task.problem} />
    </div>
    ${source === "http" ? html`<${FeedFields} feed=${feed} providers=${providers} problem=${task.problem} sun onFeed=${setFeed} />` : null}
    <${ProblemBox} problem=${task.problem} />
    <div class="buttons"><${Button} type="submit" class="main" busy=${task.busy}>${t("Save")}<//></div>
  </form>`;
}

/** @param {{state: any}} props */
const Known = ({ state }) => html`
  ${state.trouble ? html`<p class="box warn">${said(state.trouble)}</p>` : null}
  <p>${state.known_until ? t("Known until {time}.", { time: moment(state.known_until) }) : t("Nothing is known yet.")}</p>`;

function TariffPage() {
  const [data, setData] = useState(/** @type {any} */ (null));
  const [prices, setPrices] = useState(/** @type {any} */ (null));
  const [problem, setProblem] = useState(/** @type {any} */ (null));
  const [done, setDone] = useState(/** @type {string|null} */ (null));
  const load = async () => {
    try {
      const [fresh, known_] = await Promise.all([get("/tariff"), get("/prices")]);
      setData(fresh);
      setPrices(known_);
      setProblem(null);
    } catch (error) {
      setProblem(problemFrom(error));
    }
  };
  useEffect(() => void load(), []);
  if (!data) return problem ? html`<${ProblemBox} problem=${problem} />` : html`<p class="loading">${t("Loading …")}</p>`;
  const saved = async () => {
    setDone(t("Saved."));
    await load();
    setTimeout(() => void load(), 3000); // a provider has answered by then, or has not
  };
  return html`
    <${DoneBox} text=${done} />
    <${Warnings} warnings=${data.warnings} />
    <${TariffForm} data=${data} onDone=${() => void saved()} />
    ${data.tariff.source === "file" ? html`<${Upload} kind="prices" onDone=${() => void saved()} />` : null}
    ${data.tariff.source === "none" ? null : html`<section aria-labelledby="prices"><h2 id="prices">${t("Prices")}</h2>
      <${Known} state=${data.prices} />
      ${known(prices?.price) ? html`<p>${t("Now: {amount} {currency} per kWh", { amount: number(prices.price, 4), currency: prices.currency })}</p>` : null}
      <${Chart} slots=${prices?.slots ?? []} currency=${prices?.currency ?? ""} /></section>`}
    <section aria-labelledby="sun"><h2 id="sun">${t("Forecast of the sun")}</h2>
      <p>${t("With it a plan does not buy what the sun will likely give. It is ready in time all the same.")}</p>
      <${SunForm} data=${data} onDone=${() => void saved()} />
      ${data.sun_forecast.source === "none" ? null : html`<${Known} state=${data.sun} />`}
      ${data.sun_forecast.source === "file" ? html`<${Upload} kind="sun" onDone=${() => void saved()} />` : null}
    </section>
    ${data.broken.length
      ? html`<section><h2>${t("Files that are no provider")}</h2><ul>${data.broken.map((/** @type {any} */ one) => html`<li key=${one.file}><code>${one.file}</code>: ${one.reason}</li>`)}</ul></section>`
      : null}`;
}

await start({ title: () => t("Tariff"), view: TariffPage });
