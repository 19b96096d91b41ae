// Devices: what is there and how it fares, adding, testing, removing; and the drivers, the broken ones with their reason.
import { get, post, problemFrom, put, remove } from "../common/api.js";
import { me, start } from "../common/frame.js";
import { roleName } from "../common/modes.js";
import { announce, Button, ProblemBox, Question, Table, useTask, Warnings } from "../common/parts.js";
import { html, useEffect, useState } from "../common/ui.js";
import { t } from "../common/words.js";
import { DeviceForm } from "./deviceform.js";
import { Drivers } from "./drivers.js";
import { FreshSecret, giveSecret, identityOf, Ocpp } from "./ocpp.js";
import { reportPage, useTrial } from "./trial.js";

/** @typedef {import("./drivers.js").Driver} Driver */
/** @typedef {import("./drivers.js").Broken} Broken */
/** @typedef {{connected: boolean, variant: string|null, fallback: "programmed"|"none"|"unknown"|null,
 *   last_error: string|null, text: string}} Condition */
/** @typedef {{id: string, name: string, kind: "charge-point"|"meter"|"inputs", driver: string, address: string, circuit: string,
 *   role: string|null, phases: number[], out_of_service: boolean, priority?: number, mode?: string, min_a?: number,
 *   max_a?: number, max_w?: number|null, storage?: string, solar?: import("./solarform.js").Solar|null,
 *   settings?: Record<string, boolean>, condition?: Condition, access?: import("./accessform.js").Access,
 *   has_push_token?: boolean}} Device */

/** @param {{device: Device}} props */
function Condition({ device }) {
  const condition = device.condition;
  if (device.out_of_service) return html`<span class="tag">${t("out of service")}</span>`;
  if (!condition) return html`<span class="tag">${t("unknown")}</span>`;
  const unguarded = device.kind === "charge-point" && condition.connected && condition.fallback === "none";
  return html`<span class=${`tag ${condition.connected ? "good" : "bad"}`}>${condition.connected ? t("answers") : t("does not answer")}</span>
    ${condition.text ? html`<p>${condition.text}</p>` : null}
    ${condition.last_error && !(condition.text ?? "").includes(condition.last_error) ? html`<p class="fault">${condition.last_error}</p>` : null}
    ${condition.variant ? html`<p class="help">${t("Variant: {variant}", { variant: condition.variant })}</p>` : null}
    ${unguarded ? html`<p class="help">${t("When it falls silent, its highest current is kept reserved.")}</p>` : null}`;
}

function Devices() {
  const task = useTask();
  const trial = useTrial();
  const [devices, setDevices] = useState(/** @type {Device[]|null} */ (null));
  const [drivers, setDrivers] = useState(/** @type {{drivers: Driver[], broken: Broken[]}} */ ({ drivers: [], broken: [] }));
  const [solar, setSolar] = useState(/** @type {any} */ (null));
  const [circuits, setCircuits] = useState(/** @type {{id: string, name: string}[]} */ ([]));
  const [warnings, setWarnings] = useState(/** @type {{where: string, text: string}[]} */ ([]));
  const [problem, setProblem] = useState(/** @type {any} */ (null));
  const [editing, setEditing] = useState(/** @type {Device|"new"|null} */ (null));
  const [preset, setPreset] = useState(/** @type {{driver: string, address: string, name: string}|null} */ (null));
  const [listener, setListener] = useState(/** @type {import("./ocpp.js").Listener|null} */ (null));
  const [freshSecret, setFreshSecret] = useState(/** @type {import("./ocpp.js").Fresh|null} */ (null));
  const [going, setGoing] = useState(/** @type {Device|null} */ (null));
  const load = async () => {
    try {
      const [things, known, site, calling] = await Promise.all([get("/devices"), get("/drivers"), get("/site"), get("/ocpp")]);
      setListener(calling);
      setDevices(things.devices);
      setDrivers(known);
      setCircuits(site.circuits);
      setSolar(site.solar);
      setWarnings(site.warnings ?? []);
      setProblem(null);
    } catch (error) {
      setProblem(problemFrom(error));
    }
  };
  useEffect(() => {
    void load();
    const timer = setInterval(() => {
      if (!document.hidden) void load();
    }, 10_000);
    return () => clearInterval(timer);
  }, []);
  /** @param {Device} wish @param {boolean} fresh @param {string} secret */
  const save = async (wish, fresh, secret) => {
    const identity = wish.driver === "ocpp" ? identityOf(wish.address) : "";
    const has = listener?.charge_points.some((one) => one.identity === identity && one.password_set);
    if (identity && (secret || (fresh && !has))) setFreshSecret(await giveSecret(listener, identity, secret));
    if (fresh) await post("/devices", wish);
    else await put(`/devices/${encodeURIComponent(wish.id)}`, wish);
    announce(t("{name} is saved.", { name: wish.name }));
    setEditing(null);
    setPreset(null);
    await load();
  };
  /** @param {import("./ocpp.js").Waiting} one */
  const adopt = (one) => {
    setPreset({ driver: "ocpp", address: `ocpp:${one.identity}`, name: one.model ? `${one.model} ${one.identity}` : one.identity });
    setEditing("new");
  };
  const sure = () =>
    going &&
    task.run(async () => {
      await remove(`/devices/${encodeURIComponent(going.id)}`);
      announce(t("{name} is removed.", { name: going.name }));
      setGoing(null);
      await load();
    });
  if (!devices) return problem ? html`<${ProblemBox} problem=${problem} />` : html`<p class="loading">${t("Loading …")}</p>`;
  /** @param {string} id */
  const circuitName = (id) => circuits.find((circuit) => circuit.id === id)?.name || id;
  /** @param {string} name */
  const driverTitle = (name) => drivers.drivers.find((driver) => driver.name === name)?.title || name;
  return html`
    <${ProblemBox} problem=${problem} />
    ${devices.length === 0
      ? html`<p>${t("No devices yet.")}</p>`
      : html`<${Table} caption=${t("Devices")} class="stack" head=${[t("Device"), t("Address"), t("Circuit"), t("Condition"), t("Actions")]}>
        ${devices.map(
          (device) => html`<tr key=${device.id} data-device=${device.id}>
            <th scope="row">${device.name}<p class="help">${driverTitle(device.driver)}</p>
              <${Warnings} warnings=${warnings.filter((one) => one.where.startsWith(`devices.${device.id}.`))} /></th>
            <td><code>${device.address}</code></td>
            <td>${circuitName(device.circuit)}<p class="help">${device.kind === "meter" ? roleName(device.role ?? "") : device.kind === "inputs" ? t("Module of inputs") : t("Charge point")},
              ${" "}${device.phases.map((phase) => `L${phase}`).join(" ")}</p></td>
            <td><${Condition} device=${device} /></td>
            <td><div class="buttons">
              <${Button} busy=${trial.busy} onClick=${() => trial.begin(device)}>${t("Test")}<//>
              <a class="button" href=${reportPage(device.id)}>${t("Reports")}</a>
              <${Button} onClick=${() => setEditing(device)}>${t("Change")}<//>
              <${Button} class="danger" onClick=${() => setGoing(device)}>${t("Remove")}<//></div></td>
          </tr>`,
        )}
      <//>`}
    ${trial.shown}
    ${editing === null
      ? html`<div class="buttons"><${Button} class="main" disabled=${circuits.length === 0} onClick=${() => setEditing("new")}>${t("Add device")}<//>
          <a class="button" href="scan.htm">${t("Find devices")}</a></div>
        ${circuits.length === 0 ? html`<p>${t("Enter the circuits first:")}${" "}<a href="site.htm">${t("Site")}</a></p>` : null}`
      : html`<${DeviceForm} key=${editing === "new" ? `new ${preset?.address ?? ""}` : editing.id} device=${editing === "new" ? null : editing} draft=${preset ?? undefined} drivers=${drivers.drivers}
          circuits=${circuits} solar=${solar} taken=${devices.map((device) => device.id)} onSave=${save} onNo=${() => {
            setPreset(null);
            setEditing(null);
          }} />`}
    <${FreshSecret} fresh=${freshSecret} />
    ${listener ? html`<${Ocpp} listener=${listener} onAdd=${adopt} onChanged=${load} />` : null}
    <${Drivers} drivers=${drivers.drivers} broken=${drivers.broken} onChange=${load} />
    ${going
      ? html`<${Question} danger title=${t("Remove {name}?", { name: going.name })} yes=${t("Remove")} busy=${task.busy} problem=${task.problem}
          onYes=${() => void sure()} onNo=${() => {
            task.forget();
            setGoing(null);
          }}>
          <p>${going.kind === "meter"
            ? t("Without this meter its circuit counts as unknown, and charging is held to the fallback.")
            : t("It is no longer steered. Its sessions stay in the records.")}</p>
          ${me.value.remote && going.kind === "meter" ? html`<p class="box warn">${t("A meter can be removed at the site only.")}</p>` : null}
        <//>`
      : null}`;
}

await start({ title: () => t("Devices"), view: Devices });
