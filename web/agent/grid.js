// The grid operator: the order that holds now, what was agreed, the inputs, and the log of what was drawn.
import { get, post, problemFrom } from "../common/api.js";
import { duration, known, moment, power } from "../common/format.js";
import { has, me, start } from "../common/frame.js";
import { announce, Button, ProblemBox, useTask } from "../common/parts.js";
import { html, useEffect, useState } from "../common/ui.js";
import { t } from "../common/words.js";
import { GridLog } from "./gridlog.js";
import { GridSettings } from "./gridsettings.js";
import { Inputs } from "./inputs.js";
import { kilowatts } from "./kilowatts.js";

/** @typedef {{input: string|null, charge_points: string[]|null, other_devices: number, others_w: number, heat_pumps_w: number,
 *   cooling_w: number, agreed_w: number|null, below_minimum: boolean, own_power_on_top: boolean, heartbeat_s: number|null,
 *   silence_dims: boolean}} Agreed */
/** @typedef {{settings: Agreed, devices: number, minimum_w: number, dimming: {on: boolean, source: string|null,
 *   reason: {code: string, text: string}|null, since: string|null, limit_w: number|null, charging_limit_w: number|null,
 *   own_power_w: number|null, by_api: boolean}, measured: {charging_w: number|null, grid_w: number|null, unread: number},
 *   heartbeat_age_s: number|null}} GridOperator */

const ASK_MS = 2000;

/** @param {{grid: GridOperator, onChange: () => Promise<void>}} props */
function Now({ grid, onChange }) {
  const task = useTask();
  const { dimming, measured } = grid;
  useEffect(() => {
    if (dimming.reason) announce(dimming.reason.text);
  }, [dimming.on, dimming.reason?.code]);
  const testing = dimming.source === "test";
  /** @param {boolean} on */
  const test = (on) =>
    task.run(async () => {
      await post("/grid-operator/test", { on });
      await onChange();
    });
  return html`<section aria-labelledby="now"><h2 id="now">${t("Now")}</h2>
    <div class=${`box ${dimming.on ? "warn" : "good"}`} data-dimmed=${dimming.on ? dimming.source : "no"}>
      <p><strong>${dimming.on
        ? t("Charging is limited to {limit}", { limit: kilowatts(dimming.charging_limit_w) })
        : t("Nobody limits charging")}</strong></p>
      ${dimming.reason ? html`<p>${dimming.reason.text}${" "}<span class="code">${dimming.reason.code}</span></p>` : null}
    </div>
    <dl class="facts">
      ${dimming.since
        ? html`<div><dt>${t("Since")}</dt><dd>${moment(dimming.since)}, ${duration((Date.now() - Date.parse(dimming.since)) / 1000)}</dd></div>`
        : null}
      <div><dt>${t("Charging now")}</dt><dd>${power(measured.charging_w)}${measured.unread
        ? html` <span class="tag warn">${t("{n} not read", { n: measured.unread })}</span>`
        : null}</dd></div>
      <div><dt>${t("Grid connection")}</dt><dd>${power(measured.grid_w)}</dd></div>
      ${known(dimming.own_power_w) ? html`<div><dt>${t("Own generation on top")}</dt><dd>${power(dimming.own_power_w)}</dd></div>` : null}
      <div><dt>${t("Minimum by law")}</dt><dd>${t("{limit} for {n} controllable devices", { limit: kilowatts(grid.minimum_w), n: grid.devices })}</dd></div>
      ${known(grid.heartbeat_age_s) ? html`<div><dt>${t("Modbus client heard")}</dt><dd>${t("{age} ago", { age: duration(grid.heartbeat_age_s) })}</dd></div>` : null}
    </dl>
    <${ProblemBox} problem=${task.problem} />
    ${me.value.remote
      ? html`<p class="help">${t("Dimming is tested at the site only.")}</p>`
      : html`<div class="buttons">${testing
          ? html`<${Button} busy=${task.busy} onClick=${() => void test(false)}>${t("End the test")}<//>`
          : html`<${Button} busy=${task.busy} onClick=${() => void test(true)}>${t("Test: dim for 60 s")}<//>`}</div>`}
  </section>`;
}

function Page() {
  const [grid, setGrid] = useState(/** @type {GridOperator|null} */ (null));
  const [inputs, setInputs] = useState(/** @type {any} */ (null));
  const [names, setNames] = useState(/** @type {{points: {id: string, name: string}[], devices: {id: string, name: string}[]}} */ ({ points: [], devices: [] }));
  const [problem, setProblem] = useState(/** @type {any} */ (null));
  const look = async () => {
    try {
      const [one, other] = await Promise.all([get("/grid-operator"), get("/inputs")]);
      setGrid(one);
      setInputs(other);
      setProblem(null);
    } catch (error) {
      setProblem(problemFrom(error));
    }
  };
  useEffect(() => {
    void look();
    get("/devices").then(
      (answer) => setNames({ points: answer.devices.filter((/** @type {any} */ one) => one.kind === "charge-point"), devices: answer.devices }),
      (error) => setProblem(problemFrom(error)),
    );
    const timer = setInterval(() => {
      if (!document.hidden) void look();
    }, ASK_MS);
    return () => clearInterval(timer);
  }, []);
  if (!has("grid-operator")) return html`<p class="box warn">${t("This installation does not know dimming yet; update it.")}</p>`;
  if (!grid || !inputs) return problem ? html`<${ProblemBox} problem=${problem} />` : html`<p class="loading">${t("Loading …")}</p>`;
  return html`<${ProblemBox} problem=${problem} />
    <${Now} grid=${grid} onChange=${look} />
    <${GridLog} key=${grid.dimming.since ?? "none"} />
    <${GridSettings} agreed=${grid.settings} inputs=${inputs.inputs} points=${names.points} onSaved=${look} />
    <${Inputs} inputs=${inputs.inputs} values=${inputs.values} devices=${names.devices} onSaved=${look} />`;
}

await start({ title: () => t("Grid operator"), view: Page });
