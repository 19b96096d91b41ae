// The form for one device.
import { fieldNumber } from "../common/format.js";
import { roleName } from "../common/modes.js";
import { Button, ProblemBox, SelectField, TextField, TickField, useTask } from "../common/parts.js";
import { html, useState } from "../common/ui.js";
import { t } from "../common/words.js";
import { AccessFields, draftedAccess, hasAccess, meantAccess, PushToken } from "./accessform.js";
import { draftedSolar, meantSolar, SolarFields } from "./solarform.js";
import { priorityRule, typed, typedOrNull } from "./typed.js";

/** @typedef {import("./devices.js").Device} Device */
/** @typedef {import("./devices.js").Driver} Driver */

/** An address as an example, for each way that a driver can be reached. @param {Driver|undefined} driver */
function examples(driver) {
  const plain = { port: 502, unit: 1, baud: 19200, parity: "E", stopbits: 1, prefix: "garage" };
  const given = Object.entries(driver?.defaults ?? {}).filter(([, value]) => value !== null);
  const { port, unit, baud, parity, stopbits, prefix } = { ...plain, ...Object.fromEntries(given) };
  /** @type {Record<string, string>} */
  const known = {
    http: `http://192.168.1.70:${port}`,
    https: "https://192.168.1.70",
    mqtt: `mqtt://192.168.1.5:${port}/${prefix}`,
    mqtts: `mqtts://192.168.1.5/${prefix}`,
    tcp: `tcp://192.168.1.50:${port}?unit=${unit}`,
    rtu: `rtu:///dev/ttyUSB0?baud=${baud}&parity=${parity}&stopbits=${stopbits}&unit=${unit}`,
    rtutcp: `rtutcp://192.168.1.60:4001?unit=${unit}`,
    ocpp: "ocpp:CP001",
  };
  return (driver?.transports ?? []).map((transport) => known[transport]).filter(Boolean);
}

const ORDERS = ["1,2,3", "2,3,1", "3,1,2", "1,3,2", "2,1,3", "3,2,1", "1", "2", "3"];
const ROLES = ["grid", "circuit", "load", "solar", "storage"];
const PRODUCING = ["solar", "storage"];

/** A short name for programs, from a name for people. @param {string} name @param {string[]} taken */
export function idFor(name, taken) {
  const plain = name
    .normalize("NFKD")
    .replace(/[\u0300-\u036f]/g, "")
    .replace(/ß/g, "ss")
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, "-")
    .replace(/^-+|-+$/g, "")
    .slice(0, 28);
  const base = plain || "device";
  let id = base;
  for (let n = 2; taken.includes(id); n += 1) id = `${base}-${n}`;
  return id;
}

const NOT_BELOW = { least: 0 };

/** What a device of a driver's kind is at the site. @param {string} kind */
const kindOf = (kind) => (kind === "charger" ? "charge-point" : kind === "inputs" ? "inputs" : "meter");
/** @param {string} kind as drivers have it */
export const kindName = (kind) =>
  kindOf(kind) === "charge-point" ? t("Charge point") : kind === "inputs" ? t("Module of inputs") : t("Meter");

/**
 * `draft` is what is known of a new device already, as a search found it.
 * @param {{device: Device|null, draft?: {driver: string, address: string, name: string}, drivers: Driver[], circuits: {id: string, name: string}[],
 *   solar: import("./solarform.js").Solar, taken: string[],
 *   onSave: (device: Device, fresh: boolean, secret: string) => Promise<void>, onNo: () => void}} props
 */
export function DeviceForm({ device, draft, drivers, circuits, solar, taken, onSave, onNo }) {
  const task = useTask();
  const [driverName, setDriverName] = useState(device?.driver ?? draft?.driver ?? drivers[0]?.name ?? "");
  const driver = drivers.find((known) => known.name === driverName);
  const kind = driver ? kindOf(driver.kind) : (device?.kind ?? "charge-point");
  const [name, setName] = useState(device?.name ?? draft?.name ?? "");
  const [id, setId] = useState(device?.id ?? "");
  const [address, setAddress] = useState(device?.address ?? draft?.address ?? "");
  const [circuit, setCircuit] = useState(device?.circuit ?? circuits[0]?.id ?? "");
  const [chosenRole, setRole] = useState(device?.role ?? "");
  const roles = driver?.kind === "inverter" ? PRODUCING : ROLES;
  const role = roles.includes(chosenRole) ? chosenRole : roles[0];
  const [order, setOrder] = useState((device?.phases ?? [1, 2, 3]).join(","));
  const [outOfService, setOutOfService] = useState(device?.out_of_service ?? false);
  const [priority, setPriority] = useState(fieldNumber(device?.priority ?? 0));
  const [least, setLeast] = useState(fieldNumber(device?.min_a));
  const [most, setMost] = useState(fieldNumber(device?.max_a));
  const [watts, setWatts] = useState(fieldNumber(device?.max_w));
  const [storage, setStorage] = useState(device?.storage ?? "house");
  const [own, setOwn] = useState(Boolean(device?.solar));
  const [sun, setSun] = useState(draftedSolar(device?.solar ?? solar));
  const [secret, setSecret] = useState("");
  const calls = driver?.transports.includes("ocpp") ?? false;
  const [settings, setSettings] = useState(device?.settings ?? {});
  const [access, setAccess] = useState(draftedAccess(device?.access));
  const transports = driver?.transports ?? [];
  const pushed = transports.includes("push");
  const wishedId = device?.id ?? (id || idFor(name, taken));
  /** @param {Event} event */
  const submit = (event) => {
    event.preventDefault();
    void task.run(async () => {
      /** @type {any} */
      const wish = {
        id: wishedId,
        name: name.trim(),
        driver: driverName,
        address: pushed ? (device?.address ?? "") : address.trim(),
        circuit,
        phases: order.split(",").map(Number),
        out_of_service: outOfService,
      };
      if (kind === "meter") {
        wish.role = role;
        wish.storage = storage;
      }
      if (kind === "charge-point") {
        wish.priority = typed(priority, "priority", priorityRule());
        wish.min_a = typedOrNull(least, "min_a", NOT_BELOW);
        wish.max_a = typedOrNull(most, "max_a", NOT_BELOW);
        wish.max_w = typedOrNull(watts, "max_w", NOT_BELOW);
        wish.solar = own ? meantSolar(sun) : null;
      }
      if (hasAccess(transports)) wish.access = meantAccess(access);
      const offered = (driver?.settings ?? []).map((setting) => setting.name);
      wish.settings = Object.fromEntries(offered.map((key) => [key, settings[key] === true]));
      await onSave(wish, device === null, calls ? secret.trim() : "");
    });
  };
  const shown = examples(driver);
  return html`<form class="narrow box" onSubmit=${submit} aria-label=${device ? t("Change device") : t("Add device")}>
    <h2>${device ? t("Change {name}", { name: device.name }) : t("Add device")}</h2>
    <${SelectField} label=${t("Driver")} name="driver" value=${driverName} onValue=${setDriverName} problem=${task.problem}
      options=${[...drivers].sort((a, b) => (a.title || a.name).localeCompare(b.title || b.name)).map((known) => [
        known.name,
        `${known.title || known.name} (${kindName(known.kind)})`,
      ])} />
    <${TextField} label=${t("Name")} name="name" required maxlength="80" value=${name} onValue=${setName} problem=${task.problem} />
    ${device
      ? null
      : html`<${TextField} label=${t("Short name for programs")} name="id" value=${id} onValue=${setId} placeholder=${wishedId}
          maxlength="32" spellcheck=${false} autocapitalize="off" problem=${task.problem} />`}
    ${pushed
      ? html`${device ? html`<${PushToken} device=${device} />` : html`<p class="help">${t("This device tells us by itself. Its token is made here once it is added.")}</p>`}`
      : html`<${TextField} label=${t("Address")} name="address" required value=${address} onValue=${setAddress} spellcheck=${false} autocapitalize="off"
      help=${shown.length ? t("For example {address}", { address: shown.join(" · ") }) : undefined} problem=${task.problem} />`}
    ${calls
      ? html`<p class="help">${t("After ocpp: comes the identity of the charge point; /2 behind it means its second connector.")}</p>
        <${TextField} label=${t("Password of the charge point")} name="password" value=${secret} onValue=${setSecret} maxlength="40"
          autocomplete="off" spellcheck=${false} autocapitalize="off" problem=${task.problem}
          help=${device
            ? t("Empty: it stays as it is.")
            : t("16 to 40 characters. Empty: the one that it has sent while it waits, or else a new one, which is shown once.")} />`
      : null}
    ${hasAccess(transports)
      ? html`<${AccessFields} draft=${access} known=${device?.access} byToken=${driver?.defaults?.login === "token"}
          tls=${/^(https|mqtts):/i.test(address.trim())} problem=${task.problem} onChange=${setAccess} />`
      : null}
    <${SelectField} label=${t("Circuit")} name="circuit" value=${circuit} onValue=${setCircuit} problem=${task.problem}
      options=${circuits.map((known) => [known.id, known.name || known.id])} />
    ${kind === "meter"
      ? html`<${SelectField} label=${t("Measures")} name="role" value=${role} onValue=${setRole} problem=${task.problem}
          options=${roles.map((known) => [known, roleName(known)])} />`
      : null}
    ${kind === "meter" && role === "storage"
      ? html`<${SelectField} label=${t("The storage battery is for")} name="storage" value=${storage} onValue=${setStorage} problem=${task.problem}
          options=${[
            ["house", t("the house: filled before cars, gives them nothing")],
            ["all", t("all: cars may have what it takes and gives")],
          ]} />`
      : null}
    ${kind === "inputs"
      ? null
      : html`<${SelectField} label=${t("Phases of the site on L1, L2, L3 of the device")} name="phases" value=${order} onValue=${setOrder}
      problem=${task.problem} options=${ORDERS.map((known) => [
        known,
        known
          .split(",")
          .map((phase) => `L${phase}`)
          .join(" "),
      ])} />`}
    ${kind !== "charge-point"
      ? null
      : html`<div class="three">
        <${TextField} label=${t("At least, A")} name="min_a" inputmode="decimal" placeholder=${fieldNumber(driver?.defaults?.min_a)} value=${least} onValue=${setLeast} problem=${task.problem} />
        <${TextField} label=${t("At most, A")} name="max_a" inputmode="decimal" placeholder=${fieldNumber(driver?.defaults?.max_a)} value=${most} onValue=${setMost} problem=${task.problem} />
        <${TextField} label=${t("At most, W")} name="max_w" inputmode="decimal" value=${watts} onValue=${setWatts} problem=${task.problem} />
        <${TextField} label=${t("Priority")} name="priority" inputmode="numeric" value=${priority} onValue=${setPriority} problem=${task.problem} />
      </div><p class="help">${t("A higher priority is served first. Watts are over all phases; empty for no such limit.")}</p>
      <${TickField} label=${t("Own numbers for following the sun")} name="own_solar" checked=${own} onValue=${setOwn} />
      ${own ? html`<${SolarFields} draft=${sun} problem=${task.problem} onChange=${setSun} />` : null}`}
    ${(driver?.settings ?? []).map(
      (setting) => html`<${TickField} key=${setting.name} label=${setting.title} name=${`setting-${setting.name}`}
        checked=${settings[setting.name] === true} onValue=${(/** @type {boolean} */ on) => setSettings({ ...settings, [setting.name]: on })} />`,
    )}
    <${TickField} label=${t("Out of service (switched off at the site, draws nothing)")} name="out_of_service" checked=${outOfService}
      onValue=${setOutOfService} />
    <${ProblemBox} problem=${task.problem} />
    <div class="buttons"><${Button} onClick=${onNo}>${t("Cancel")}<//>
      <${Button} type="submit" class="main" busy=${task.busy}>${device ? t("Save") : t("Add device")}<//></div>
  </form>`;
}
