// What would hold at another time, with another price, another surplus: asked, without anything happening.
import { post } from "../common/api.js";
import { Button, Field, ProblemBox, TextField, useTask } from "../common/parts.js";
import { html, useState } from "../common/ui.js";
import { t } from "../common/words.js";
import { scaled } from "./ruleparts.js";

/** @typedef {import("./ruletext.js").Names} Names */
/** @typedef {import("./ruletext.js").Rule} Rule */

/** @param {{rules: Rule[], names: Names}} props */
export function RuleTry({ rules, names }) {
  const task = useTask();
  const [at, setAt] = useState("");
  const [price, setPrice] = useState("");
  const [surplus, setSurplus] = useState("");
  const [found, setFound] = useState(/** @type {Record<string, string[]>|null} */ (null));
  /** @param {Event} event */
  const submit = (event) => {
    event.preventDefault();
    void task.run(async () => {
      setFound(null);
      /** @type {Record<string, unknown>} */
      const facts = {};
      if (at) facts.at = at;
      if (price.trim()) facts.price = scaled(price, "price");
      if (surplus.trim()) facts.surplus_w = scaled(surplus, "surplus_w", 0.001);
      setFound((await post("/rules/try", facts)).rules);
    });
  };
  const holding = rules.filter((rule) => found && (rule.id ?? "") in found);
  return html`<section aria-labelledby="try"><h2 id="try">${t("What if …")}</h2>
    <form onSubmit=${submit} novalidate>
      <p class="help">${t("Which rules would hold then. What is left empty is as it is now; nothing is changed by this.")}</p>
      <div class="three">
        <${Field} label=${t("Time")} name="at" problem=${task.problem}>${(/** @type {any} */ a) => html`<input type="datetime-local" ...${a} value=${at}
          onInput=${(/** @type {any} */ e) => setAt(e.currentTarget.value)} />`}<//>
        <${TextField} label=${t("Price (per kWh)")} name="price" problem=${task.problem} value=${price} onValue=${setPrice} />
        <${TextField} label=${t("Solar surplus (kW)")} name="surplus_w" problem=${task.problem} value=${surplus} onValue=${setSurplus} />
      </div>
      <${ProblemBox} problem=${task.problem} />
      <div class="buttons"><${Button} type="submit" busy=${task.busy}>${t("Try")}<//></div>
    </form>
    <div role="status">${found === null
      ? null
      : holding.length === 0
        ? html`<p>${t("No rule would hold.")}</p>`
        : html`<ul>${holding.map((rule) => {
            const points = found[rule.id ?? ""] ?? [];
            return html`<li key=${rule.id}>${rule.name}: ${points.length ? points.map((id) => names.points[id] ?? id).join(", ") : t("for nobody, as things are")}</li>`;
          })}</ul>`}</div>
  </section>`;
}
