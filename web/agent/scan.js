// Finding devices: what to search, how far it is, and what was found, to be added at once. The search itself runs in the agent.
import { get, post, problemFrom, remove } from "../common/api.js";
import { duration, known } from "../common/format.js";
import { me, start } from "../common/frame.js";
import { announce, Button, DoneBox, ProblemBox, Table, TextField, TickField, useTask } from "../common/parts.js";
import { html, useEffect, useState } from "../common/ui.js";
import { t, tn } from "../common/words.js";
import { DeviceForm, kindName } from "./deviceform.js";
import { useTrial } from "./trial.js";

/** @typedef {{address: string, how: string, driver: string|null, title: string, kind: string|null, firmware: string|null,
 *   called: string, yours: string|null}} Found */
/** @typedef {{number: number, state: "running"|"ending"|"done"|"cancelled", by: string, started_at: string,
 *   ended_at: string|null, networks: string[], lines: string[], done: number, of: number, eta_s: number|null,
 *   devices: number, found: Found[]}} Job */
/** @typedef {{networks: string[], lines: string[]}} Offered */

const LOOK_MS = 1_000;
const IDLE_MS = 10_000;

/** @param {Found} found */
const whatItIs = (found) =>
  found.title ||
  { announced: t("Announces itself; no driver has recognised it"), "in-use": t("In use, not asked") }[found.how] ||
  t("Answers; no driver knows it");

/** @param {{offered: Offered, busy: boolean, problem: any, onStart: (wish: any) => void}} props */
function Wish({ offered, busy, problem, onStart }) {
  const [left, setLeft] = useState(/** @type {string[]} */ ([]));
  const [lines, setLines] = useState(/** @type {string[]} */ ([]));
  const [other, setOther] = useState("");
  const [units, setUnits] = useState("");
  const networks = [...offered.networks.filter((one) => !left.includes(one)), ...(other.trim() ? [other.trim()] : [])];
  /** @param {string[]} list @param {string} one @param {boolean} on */
  const changed = (list, one, on) => (on ? [...list, one] : list.filter((other) => other !== one));
  /** @param {Event} event */
  const submit = (event) => {
    event.preventDefault();
    onStart({ networks, lines, units: units.trim() || null });
  };
  return html`<form class="narrow box" onSubmit=${submit} aria-label=${t("Find devices")}>
    <fieldset><legend>${t("Networks of this machine")}</legend>
      ${offered.networks.length ? null : html`<p>${t("This machine is in no private network that could be searched.")}</p>`}
      ${offered.networks.map(
        (one) => html`<${TickField} key=${one} label=${one} name=${one} checked=${!left.includes(one)}
          onValue=${(/** @type {boolean} */ on) => setLeft(changed(left, one, !on))} />`,
      )}
      <${TextField} label=${t("Another part, or one address")} name="networks" value=${other} onValue=${setOther} problem=${problem}
        spellcheck=${false} autocapitalize="off" help=${t("For example {address}", { address: "192.168.1.20" })} />
    </fieldset>
    <fieldset><legend>${t("Serial lines")}</legend>
      ${offered.lines.length ? null : html`<p>${t("No adapter is plugged in.")}</p>`}
      ${offered.lines.map(
        (one) => html`<${TickField} key=${one} label=${one} name="lines" checked=${lines.includes(one)}
          onValue=${(/** @type {boolean} */ on) => setLines(changed(lines, one, on))} />`,
      )}
    </fieldset>
    <${TextField} label=${t("Modbus units")} name="units" value=${units} onValue=${setUnits} problem=${problem} spellcheck=${false}
      autocapitalize="off" help=${t("Empty: the usual ones. Or for example 1-16,255; all: 1 to 247, which takes long.")} />
    <p class="help">${t("At most 50 connections a second are made, and devices are only read. What is in use already is not asked.")}</p>
    <${ProblemBox} problem=${problem} />
    <div class="buttons"><${Button} type="submit" class="main" busy=${busy} disabled=${networks.length + lines.length === 0}>${t("Search")}<//></div>
  </form>`;
}

/** @param {{job: Job, busy: boolean, problem: any, onCancel: () => void}} props */
function Course({ job, busy, problem, onCancel }) {
  const running = job.state === "running";
  const words = tn("{n} device found", "{n} devices found", job.devices);
  return html`<section class="box" aria-labelledby="course" data-scan=${job.state}>
    <h2 id="course">${
      running ? t("Searching") : job.state === "ending" ? t("The search is ending") : job.state === "cancelled" ? t("The search was cancelled") : t("The search is over")
    }</h2>
    <p class="help">${[...job.networks, ...job.lines].join(", ")}</p>
    <progress max=${Math.max(job.of, 1)} value=${job.done} aria-label=${t("Progress of the search")}></progress>
    <p data-progress>${t("{done} of {of} steps", { done: job.done, of: job.of })}, ${words}${
      running && known(job.eta_s) ? html`, ${t("about {time} left", { time: duration(Math.ceil(job.eta_s)) })}` : null
    }</p>
    <${ProblemBox} problem=${problem} />
    ${running ? html`<div class="buttons"><${Button} class="danger" busy=${busy} onClick=${onCancel}>${t("Cancel the search")}<//></div>` : null}
  </section>`;
}

/** @param {{found: Found[], names: Record<string, string>, canAdd: boolean, onAdd: (found: Found) => void,
 *   trial: {busy: boolean, begin: (device: {id: string, name: string}) => void}}} props */
function Results({ found, names, canAdd, onAdd, trial }) {
  if (!found.length) return null;
  return html`<${Table} caption=${t("Found")} class="stack" head=${[t("Device"), t("Address"), t("Kind"), t("Actions")]}>
    ${found.map(
      (one) => html`<tr key=${`${one.address} ${one.how}`} data-found=${one.address}>
        <th scope="row">${whatItIs(one)}
          ${one.called ? html`<p class="help">${t("Calls itself {name}", { name: one.called })}</p>` : null}
          ${one.firmware ? html`<p class="help">${t("Firmware {version}", { version: one.firmware })}</p>` : null}</th>
        <td><code>${one.address}</code></td>
        <td><span class="label">${t("Kind")}: </span>${one.kind ? kindName(one.kind) : t("unknown")}</td>
        <td>${
          one.yours
            ? html`<span class="tag good">${t("Yours: {name}", { name: names[one.yours] ?? one.yours })}</span>
              <div class="buttons"><${Button} busy=${trial.busy}
                onClick=${() => trial.begin({ id: one.yours ?? "", name: names[one.yours ?? ""] ?? "" })}>${t("Test")}<//></div>`
            : one.driver && canAdd
              ? html`<div class="buttons"><${Button} onClick=${() => onAdd(one)}>${t("Add")}<//></div>`
              : null
        }</td>
      </tr>`,
    )}
  <//>`;
}

function Scan() {
  const starting = useTask();
  const ending = useTask();
  const trial = useTrial();
  const [offered, setOffered] = useState(/** @type {Offered|null} */ (null));
  const [job, setJob] = useState(/** @type {Job|null} */ (null));
  const [site, setSite] = useState(/** @type {any} */ (null));
  const [problem, setProblem] = useState(/** @type {any} */ (null));
  const [adding, setAdding] = useState(/** @type {Found|null} */ (null));
  const [done, setDone] = useState("");
  const running = job?.state === "running" || job?.state === "ending";
  const look = async () => {
    try {
      const seen = await get("/scan");
      setOffered(seen.offered);
      setJob(seen.job);
      setProblem(null);
    } catch (error) {
      setProblem(problemFrom(error));
    }
  };
  const load = async () => {
    try {
      const [things, drivers, circuits] = await Promise.all([get("/devices"), get("/drivers"), get("/site")]);
      setSite({ devices: things.devices, drivers: drivers.drivers, circuits: circuits.circuits, solar: circuits.solar });
    } catch (error) {
      setProblem(problemFrom(error));
    }
  };
  useEffect(() => {
    void load();
  }, []);
  useEffect(() => {
    void look();
    const timer = setInterval(
      () => {
        if (!document.hidden) void look();
      },
      running ? LOOK_MS : IDLE_MS,
    );
    return () => clearInterval(timer);
  }, [running]);
  useEffect(() => {
    if (job?.state === "done") announce(t("The search is over"));
  }, [job?.state]);
  /** @param {any} wish */
  const begin = (wish) =>
    void starting.run(async () => {
      setDone("");
      setJob(await post("/scan", wish));
      announce(t("Searching"));
    });
  const cancel = () => void ending.run(async () => setJob(await remove("/scan")));
  /** @param {any} wish */
  const save = async (wish) => {
    await post("/devices", wish);
    setDone(t("{name} is saved.", { name: wish.name }));
    setAdding(null);
    await Promise.all([load(), look()]);
  };
  if (!offered || !site) return problem ? html`<${ProblemBox} problem=${problem} />` : html`<p class="loading">${t("Loading …")}</p>`;
  const names = Object.fromEntries(site.devices.map((/** @type {any} */ one) => [one.id, one.name]));
  return html`
    <p><a href="devices.htm">${t("Devices")}</a></p>
    <${ProblemBox} problem=${problem} />
    ${job ? html`<${Course} job=${job} busy=${ending.busy} problem=${ending.problem} onCancel=${cancel} />` : null}
    <${DoneBox} text=${done} />
    ${adding
      ? html`<${DeviceForm} key=${adding.address} device=${null} drivers=${site.drivers} circuits=${site.circuits} solar=${site.solar}
          draft=${{ driver: adding.driver ?? "", address: adding.address, name: adding.called }}
          taken=${site.devices.map((/** @type {any} */ one) => one.id)} onSave=${save} onNo=${() => setAdding(null)} />`
      : null}
    ${job ? html`<${Results} found=${job.found} names=${names} canAdd=${site.circuits.length > 0} onAdd=${setAdding} trial=${trial} />` : null}
    ${trial.shown}
    ${site.circuits.length === 0 ? html`<p>${t("Enter the circuits first:")}${" "}<a href="site.htm">${t("Site")}</a></p>` : null}
    ${running
      ? null
      : me.value.remote
        ? html`<p class="box warn">${t("A search can be started at the site only, not through the cloud.")}</p>`
        : html`<${Wish} offered=${offered} busy=${starting.busy} problem=${starting.problem} onStart=${begin} />`}`;
}

await start({ title: () => t("Find devices"), view: Scan });
