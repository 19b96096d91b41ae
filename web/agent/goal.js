// A charge point's goal: what shall be charged by when, what will come of it, and when that happens.
import { get, problemFrom, put } from "../common/api.js";
import { dayName, energy, fieldNumber, hour, known, moment, number, power, zoneNote } from "../common/format.js";
import { said } from "../common/modes.js";
import { announce, Button, Field, ProblemBox, SelectField, Table, TextField, useTask } from "../common/parts.js";
import { html, useEffect, useState } from "../common/ui.js";
import { t } from "../common/words.js";
import { typedWatts } from "./kilowatts.js";
import { typed } from "./typed.js";
import { Vehicle } from "./vehicle.js";

/** @typedef {{by: string, energy_wh: number|null, soc_pct: number|null, days: number[], on: string|null, prefer: string,
 *   capacity_wh: number|null}} Goal */
/** @typedef {{start_at: string, end_at: string}} Span */
/** @typedef {{feasible: boolean|null, deadline_at: string|null, done_wh: number, need_wh: number|null, reach_wh: number,
 *   shared_wh: number, power_w: number, cost: number|null, currency: string, sun_wh: number, because: any, runs: Span[],
 *   times: (Span & {price: number|null, spare_w: number})[]}} Forecast */

/** @param {string} id */
const path = (id) => `/charge-points/${encodeURIComponent(id)}`;

/** The form. @param {{id: string, goal: Goal|null, onDone: (answer: any) => void, onCancel: () => void}} props */
function GoalForm({ id, goal, onDone, onCancel }) {
  const task = useTask();
  const [kind, setKind] = useState(known(goal?.soc_pct) ? "soc" : "energy");
  const [amount, setAmount] = useState(goal ? fieldNumber(known(goal.soc_pct) ? goal.soc_pct : (goal.energy_wh ?? 0) / 1000) : "20");
  const [capacity, setCapacity] = useState(known(goal?.capacity_wh) ? fieldNumber((goal?.capacity_wh ?? 0) / 1000) : "");
  const [by, setBy] = useState(goal?.by ?? "07:00");
  const [days, setDays] = useState(goal?.days ?? [0, 1, 2, 3, 4, 5, 6]);
  const [once, setOnce] = useState(goal?.on ?? "");
  const [prefer, setPrefer] = useState(goal?.prefer ?? "cheap");
  /** @param {Event} event */
  const save = (event) => {
    event.preventDefault();
    void task.run(async () => {
      const answer = await put(`${path(id)}/mode`, {
        mode: "plan",
        goal: {
          by,
          energy_wh: kind === "energy" ? typedWatts(amount, "energy_wh") : null,
          soc_pct: kind === "soc" ? typed(amount, "soc_pct") : null,
          capacity_wh: kind === "soc" ? typedWatts(capacity, "capacity_wh") : null,
          days,
          on: once || null,
          prefer,
        },
      });
      announce(said(answer.forecast?.because) || t("Goal saved"));
      onDone(answer);
    });
  };
  return html`<form class="goal" onSubmit=${save} data-goal=${id}>
    <${SelectField} label=${t("Charge")} name="kind" value=${kind} onValue=${setKind}
      options=${[["energy", t("so much energy")], ["soc", t("to a state of charge")]]} />
    <${TextField} label=${kind === "energy" ? t("Energy since plug-in, kWh") : t("State of charge, %")} name=${kind === "energy" ? "energy_wh" : "soc_pct"}
      inputmode="decimal" required value=${amount} onValue=${setAmount} problem=${task.problem} />
    ${kind === "soc"
      ? html`<${TextField} label=${t("Battery of the car, kWh")} name="capacity_wh" inputmode="decimal" value=${capacity} onValue=${setCapacity}
          problem=${task.problem} help=${t("Empty if the car says it.")} />`
      : null}
    <${Field} label=${t("Ready by")} name="by" problem=${task.problem} help=${zoneNote()}>${(/** @type {any} */ a) => html`<input type="time" required ...${a} value=${by}
      onInput=${(/** @type {any} */ e) => setBy(e.currentTarget.value)} />`}<//>
    <fieldset class="days" disabled=${!!once}><legend>${t("On these days")}</legend>
      ${[0, 1, 2, 3, 4, 5, 6].map(
        (day) => html`<label key=${day}><input type="checkbox" checked=${days.includes(day)}
          onChange=${() => setDays(days.includes(day) ? days.filter((one) => one !== day) : [...days, day])} />${dayName(day, "short")}</label>`,
      )}
    </fieldset>
    <${Field} label=${t("Only once, on")} name="on" problem=${task.problem} help=${t("Empty: it repeats.")}>${(/** @type {any} */ a) => html`<input type="date"
      ...${a} value=${once} onInput=${(/** @type {any} */ e) => setOnce(e.currentTarget.value)} />`}<//>
    <${SelectField} label=${t("Preferred times")} name="prefer" value=${prefer} onValue=${setPrefer} options=${[["cheap", t("cheap")], ["green", t("green")]]} />
    <${ProblemBox} problem=${task.problem} />
    <div class="buttons"><${Button} onClick=${onCancel}>${t("Cancel")}<//><${Button} type="submit" class="main" busy=${task.busy}>${t("Plan")}<//></div>
  </form>`;
}

/** Whether that moment lies in a run. @param {Span[]} runs @param {string} at */
const inRun = (runs, at) => runs.some((run) => run.start_at <= at && at < run.end_at);

/** The times until the deadline: those in which it charges are full. @param {{forecast: Forecast}} props */
function Bar({ forecast }) {
  const { times, runs } = forecast;
  if (!times.length) return null;
  const edges = [...new Set([...times, ...runs].flatMap((one) => [one.start_at, one.end_at]))].sort();
  const parts = edges.slice(0, -1).map((start, at) => ({ start, end: edges[at + 1] ?? start, on: inRun(runs, start) }));
  const text = runs.map((run) => t("{start} to {end}", { start: hour(run.start_at), end: hour(run.end_at) })).join(", ");
  return html`<div class="slots" role="img" aria-label=${t("It charges: {times}", { times: text || "–" })}>
      ${parts.map(
        (part) => html`<span key=${part.start} class=${part.on ? "on" : ""}
          style=${{ flexGrow: Math.max(1, Math.round((Date.parse(part.end) - Date.parse(part.start)) / 60_000)) }}></span>`,
      )}
    </div>
    <p class="ends" aria-hidden="true"><span>${hour(edges[0] ?? "")}</span><span>${hour(edges.at(-1) ?? "")}</span></p>`;
}

/** @param {{forecast: Forecast}} props */
function Outlook({ forecast }) {
  const { feasible, cost, currency, runs } = forecast;
  const short = forecast.shared_wh < forecast.done_wh + (forecast.need_wh ?? 0) - 5;
  return html`
    ${feasible === false
      ? html`<p class="box warn">${t("Not in time: at most {energy} by then.", { energy: energy(forecast.reach_wh) })}</p>`
      : null}
    <p>${t("Ready by {time}", { time: moment(forecast.deadline_at) })}${known(forecast.need_wh) ? html` · ${t("{energy} to go", { energy: energy(forecast.need_wh) })}` : null}${
      known(cost) ? html` · ${t("about {amount} {currency}", { amount: number(cost, 2), currency })}` : null}</p>
    ${feasible && short
      ? html`<p class="help">${t("That is if it charges alone. If all with goals on its circuit charge at once, it has {energy} by then.", { energy: energy(forecast.shared_wh) })}</p>`
      : null}
    ${zoneNote() ? html`<p class="help">${zoneNote()}</p>` : null}
    <${Bar} forecast=${forecast} />
    ${runs.length
      ? html`<details><summary>${t("Times as a table")}</summary>
          <${Table} caption=${t("When it charges")} head=${[t("From"), t("To"), t("Power")]}>
            ${runs.map((run) => html`<tr key=${run.start_at}><td>${moment(run.start_at)}</td><td>${moment(run.end_at)}</td><td class="number">${power(forecast.power_w)}</td></tr>`)}
          <//></details>`
      : null}`;
}

/**
 * Shown on the card while mode plan is set, or is about to be.
 * @param {{point: import("../common/types.js").ChargePoint, edit: boolean, onClose: () => void}} props
 */
export function GoalPanel({ point, edit, onClose }) {
  const { id } = point;
  const code = point.because?.code ?? "";
  const [known_, setKnown] = useState(/** @type {{goal: Goal|null, forecast: Forecast|null}|null} */ (null));
  const [problem, setProblem] = useState(/** @type {any} */ (null));
  const [editing, setEditing] = useState(edit);
  const load = async () => {
    try {
      setKnown(await get(`${path(id)}/goal`));
      setProblem(null);
    } catch (error) {
      setProblem(problemFrom(error));
    }
  };
  useEffect(() => setEditing(edit), [edit]);
  useEffect(() => {
    void load();
    const timer = setInterval(() => void load(), 60_000);
    return () => clearInterval(timer);
  }, [id, code]);
  if (problem) return html`<${ProblemBox} problem=${problem} />`;
  if (!known_) return null;
  const vehicle = html`<${Vehicle} point=${point} onDone=${() => void load()} />`;
  if (editing) {
    return html`<${GoalForm} id=${id} goal=${known_.goal}
      onCancel=${() => {
        setEditing(false);
        onClose();
      }}
      onDone=${(/** @type {any} */ answer) => {
        setKnown(answer);
        setEditing(false);
        onClose();
      }} />${vehicle}`;
  }
  return html`<div class="plan" data-plan=${id}>
    ${known_.forecast ? html`<${Outlook} forecast=${known_.forecast} />` : null}
    ${vehicle}
    <${Button} class="big" onClick=${() => setEditing(true)}>${known_.goal ? t("Change the goal") : t("Set a goal")}<//>
  </div>`;
}
