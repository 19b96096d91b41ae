// Why one charge point gets what it gets: the sentence, the chain of the decision, what would change it, the last 24 h.
import { get, problemFrom } from "../common/api.js";
import { Banner } from "../common/banner.js";
import { amps, clock, known } from "../common/format.js";
import { loginGone, start } from "../common/frame.js";
import { follow, state } from "../common/live.js";
import { announce, Button, ProblemBox } from "../common/parts.js";
import { html, useEffect, useRef, useState } from "../common/ui.js";
import { t } from "../common/words.js";
import { Day } from "./day.js";

/** @typedef {{code: string, text: string, allows_a?: number|null}} Fact */
/** @typedef {{step: string, name: string, allows_a: number|null, binds: boolean, facts: Fact[]}} Link */
/** @typedef {{code: string, text: string, setpoint_a: number|null, then: Fact|null}} Hint */
/** @typedef {{charge_point: {id: string, name: string}, at: string, number: number, sentence: string, setpoint_a: number,
 *   chain: Link[], what_would_change_it: Hint[]}} Why */

const id = new URLSearchParams(location.search).get("id") ?? "";
const path = `/charge-points/${encodeURIComponent(id)}/why`;
const SOONEST_MS = 2000;
const OFTEN_MS = 10000;
const DAY_EVERY_MS = 60000;
const DAY_MS = 86400000 - 60000;

/** @param {{chain: Link[]}} props */
function Chain({ chain }) {
  return html`<ol class="chain">${chain.map(
    (link) => html`<li key=${link.step} class=${link.binds ? "binds" : ""} data-step=${link.step}>
      <h3><span>${link.name}${link.binds ? html` <span class="tag">${t("this decides")}</span>` : null}</span>
        <span>${known(link.allows_a) ? amps(link.allows_a) : t("no limit")}</span></h3>
      <ul>${link.facts.map((fact, index) => html`<li key=${fact.code + index}>${fact.text}</li>`)}</ul>
    </li>`,
  )}</ol>`;
}

/** @param {Hint} hint */
const outcome = (hint) => (known(hint.setpoint_a) ? amps(hint.setpoint_a, 0) : t("not known beforehand"));

/** @param {{hints: Hint[]}} props */
function Hints({ hints }) {
  return html`<section aria-labelledby="hints">
    <h2 id="hints">${t("What would change it")}</h2>
    ${hints.length
      ? html`<ul class="hints">${hints.map(
          (hint) => html`<li key=${hint.code} data-code=${hint.code}>${hint.text}${" "}<strong>${outcome(hint)}</strong>${hint.then ? html`<br /><span class="help">${hint.then.text}</span>` : null}</li>`,
        )}</ul>`
      : html`<p>${t("Nothing that could be tried here.")}</p>`}
  </section>`;
}

/** The whole as text, to be sent to somebody. @param {Why} why */
function asText(why) {
  return [
    `${why.charge_point.name}, ${why.at} (${why.number})`,
    why.sentence,
    ...why.chain.flatMap((link) => [
      `${link.binds ? ">" : "-"} ${link.name}: ${known(link.allows_a) ? amps(link.allows_a) : t("no limit")}`,
      ...link.facts.map((fact) => `    ${fact.text} [${fact.code}]`),
    ]),
    t("What would change it"),
    ...why.what_would_change_it.map((hint) => `  ${hint.text} ${outcome(hint)} [${hint.code}]`),
  ].join("\n");
}

/** @param {{why: Why}} props */
function Copy({ why }) {
  const [text, setText] = useState("");
  const copy = async () => {
    try {
      await navigator.clipboard.writeText(asText(why));
      announce(t("Copied"));
      setText("");
    } catch {
      setText(asText(why)); // no clipboard without HTTPS: it is shown, to be copied by hand
    }
  };
  return html`<p><${Button} class="big" onClick=${copy}>${t("Copy")}<//></p>
    ${text ? html`<textarea readonly rows="12" class="log" aria-label=${t("To copy")}>${text}</textarea>` : null}`;
}

/** An address that names none, or one that is gone: which one is meant? @param {{points: {id: string, name: string}[]}} props */
function Choice({ points }) {
  return html`<p>${id ? t("There is no charge point {id}.", { id }) : null} ${t("Of which charge point?")}</p>
    ${points.length
      ? html`<ul class="choices">${points.map(
          (one) => html`<li key=${one.id}><a class="button" href=${`charger.htm?id=${encodeURIComponent(one.id)}`}>${one.name}</a></li>`,
        )}</ul>`
      : html`<p>${t("No charge points yet.")}</p>`}`;
}

function Page() {
  const [why, setWhy] = useState(/** @type {Why|null} */ (null));
  const [day, setDay] = useState(/** @type {any} */ (null));
  const [problem, setProblem] = useState(/** @type {any} */ (null));
  const asked = useRef({ whyMs: 0, dayMs: 0, busy: false });
  const point = state.value?.charge_points.find((one) => one.id === id);
  const sign = point ? `${point.setpoint_a} ${point.because?.text}` : "";
  const ask = async () => {
    const mine = asked.current;
    if (mine.busy || document.hidden || !point) return;
    mine.busy = true;
    mine.whyMs = performance.now();
    try {
      setWhy(await get(path));
      if (!mine.dayMs || mine.whyMs - mine.dayMs > DAY_EVERY_MS) {
        mine.dayMs = mine.whyMs;
        const from = new Date(Date.now() - DAY_MS).toISOString();
        setDay(await get(`${path}?from=${encodeURIComponent(from)}`));
      }
      setProblem(null);
    } catch (error) {
      setProblem(problemFrom(error));
    } finally {
      mine.busy = false;
    }
  };
  useEffect(() => {
    const timer = setInterval(ask, OFTEN_MS);
    return () => clearInterval(timer);
  }, [point?.id]);
  useEffect(() => {
    const mine = asked.current; // a setpoint that moves each second is asked about every other one
    const soon = setTimeout(ask, mine.whyMs ? Math.max(0, mine.whyMs + SOONEST_MS - performance.now()) : 0);
    return () => clearTimeout(soon);
  }, [sign]);
  const back = html`<p><a href="overview.htm">${t("Back to the overview")}</a></p>`;
  if (state.value && !point) return html`${back}<${Choice} points=${state.value.charge_points} />`;
  return html`${back}
    <${ProblemBox} problem=${problem} />
    ${why
      ? html`<section aria-labelledby="reason">
            <h2 id="reason">${why.charge_point.name}</h2>
            <p class="sentence" data-value="sentence"><strong>${why.sentence}</strong></p>
            <p class="help">${t("Decided at {time}.", { time: clock(why.at) })}</p>
            <${Chain} chain=${why.chain} />
            <${Copy} why=${why} />
          </section>
          <${Hints} hints=${why.what_would_change_it} />`
      : problem ? null : html`<p class="loading">${t("Waiting for the first values …")}</p>`}
    ${day ? html`<${Day} changes=${day.changes} from=${day.from} to=${day.to} />` : null}`;
}

await start({ title: () => t("Why?"), view: Page, needs: "user", banner: Banner });
follow(loginGone);
