// The site's inputs: what they rest on, and what is known of them now.
import { put } from "../common/api.js";
import { duration, fieldNumber, known } from "../common/format.js";
import { me } from "../common/frame.js";
import { announce, Button, ProblemBox, Question, SelectField, Table, TextField, TickField, useTask } from "../common/parts.js";
import { html, useState } from "../common/ui.js";
import { t } from "../common/words.js";
import { typedOrNull } from "./typed.js";

/** @typedef {{id?: string, name: string, source: string, device: string|null, value: string|null, equals: number|null,
 *   at_least: number|null, bit: number|null, register: number|null, holds_s: number|null, inverted: boolean,
 *   unknown_counts_as: boolean|null, on?: boolean|null, known?: boolean, age_s?: number|null}} Input */

/** @type {Input} */
const FRESH = {
  name: "",
  source: "device",
  device: null,
  value: null,
  equals: null,
  at_least: null,
  bit: null,
  register: null,
  holds_s: null,
  inverted: false,
  unknown_counts_as: null,
};
const RULES = /** @type {const} */ (["equals", "at_least", "bit"]);

/** @param {string} source */
const sourceName = (source) =>
  ({ device: t("a device’s value"), api: t("a program, over the API"), modbus: t("a register of our Modbus server") })[source] ?? source;

/** @param {Input} input */
const stateName = (input) => (input.known ? (input.on ? t("on") : t("off")) : t("unknown"));

/** @param {{input: Input, values: Record<string, string[]>, devices: {id: string, name: string}[],
 *   onSave: (input: Input) => Promise<void>, onNo: () => void}} props */
function InputForm({ input, values, devices, onSave, onNo }) {
  const task = useTask();
  const [name, setName] = useState(input.name);
  const [source, setSource] = useState(input.source);
  const [device, setDevice] = useState(input.device ?? "");
  const [value, setValue] = useState(input.value ?? "");
  const [rule, setRule] = useState(RULES.find((key) => input[key] !== null) ?? "");
  const [operand, setOperand] = useState(fieldNumber(input.equals ?? input.at_least ?? input.bit));
  const [register, setRegister] = useState(fieldNumber(input.register));
  const [holds, setHolds] = useState(fieldNumber(input.holds_s));
  const [inverted, setInverted] = useState(input.inverted);
  const [unknown, setUnknown] = useState(String(input.unknown_counts_as ?? ""));
  /** @param {Event} event */
  const submit = (event) => {
    event.preventDefault();
    void task.run(async () => {
      const number = rule ? typedOrNull(operand, rule) : null;
      await onSave({
        ...FRESH,
        ...(input.id ? { id: input.id } : {}),
        name: name.trim(),
        source,
        device: source === "device" ? device || null : null,
        value: source === "device" ? value || null : null,
        ...(source === "device" && rule ? { [rule]: number } : {}),
        register: source === "modbus" ? typedOrNull(register, "register") : null,
        holds_s: source === "modbus" ? typedOrNull(holds, "holds_s") : null,
        inverted,
        unknown_counts_as: unknown === "" ? null : unknown === "true",
      });
    });
  };
  const problem = task.problem;
  return html`<form class="narrow box" onSubmit=${submit} aria-label=${input.id ? t("Change input") : t("Add input")}>
    <h3>${input.id ? t("Change {name}", { name: input.name }) : t("Add input")}</h3>
    <${TextField} label=${t("Name")} name="name" required maxlength="80" value=${name} onValue=${setName} problem=${problem} />
    <${SelectField} label=${t("Comes from")} name="source" value=${source} onValue=${setSource} problem=${problem}
      options=${["device", "api", "modbus"].map((key) => [key, sourceName(key)])} />
    ${source === "device"
      ? html`<${SelectField} label=${t("Device")} name="device" value=${device} problem=${problem}
          onValue=${(/** @type {string} */ id) => {
            setDevice(id);
            setValue("");
          }} options=${[["", t("choose")], ...devices.map((one) => [one.id, one.name])]} />
        <${SelectField} label=${t("Value")} name="value" value=${value} onValue=${setValue} problem=${problem}
          options=${[["", t("choose")], ...(values[device] ?? []).map((one) => [one, one])]} />
        <${SelectField} label=${t("On when the value")} name="rule" value=${rule} onValue=${setRule}
          options=${[["", t("is not 0")], ["equals", t("equals")], ["at_least", t("is at least")], ["bit", t("has this bit set")]]} />
        ${rule ? html`<${TextField} label=${t("Number")} name=${rule} inputmode="decimal" value=${operand} onValue=${setOperand} problem=${problem} />` : null}`
      : null}
    ${source === "modbus"
      ? html`<${TextField} label=${t("Number of the input in the map, 0 to 31")} name="register" inputmode="numeric" value=${register} onValue=${setRegister} problem=${problem} />
        <${TextField} label=${t("Holds for, s")} name="holds_s" inputmode="numeric" value=${holds} onValue=${setHolds} problem=${problem}
          help=${t("Empty: until it is written again.")} />`
      : null}
    <${TickField} label=${t("Turned round: off is on")} name="inverted" checked=${inverted} onValue=${setInverted} />
    <${SelectField} label=${t("For rules, unknown counts as")} name="unknown_counts_as" value=${unknown} onValue=${setUnknown}
      options=${[["", t("unknown")], ["true", t("on")], ["false", t("off")]]} />
    <${ProblemBox} problem=${problem} />
    <div class="buttons"><${Button} onClick=${onNo}>${t("Cancel")}<//><${Button} type="submit" class="main" busy=${task.busy}>${t("Save")}<//></div>
  </form>`;
}

/** @param {{inputs: Input[], values: Record<string, string[]>, devices: {id: string, name: string}[], onSaved: () => Promise<void>}} props */
export function Inputs({ inputs, values, devices, onSaved }) {
  const task = useTask();
  const [editing, setEditing] = useState(/** @type {Input|null} */ (null));
  const [going, setGoing] = useState(/** @type {Input|null} */ (null));
  /** @param {Input[]} all */
  const send = async (all) => {
    await put("/inputs", { inputs: all });
    await onSaved();
  };
  /** @param {Input} input */
  const save = async (input) => {
    await send(input.id ? inputs.map((one) => (one.id === input.id ? input : one)) : [...inputs, input]);
    announce(t("{name} is saved.", { name: input.name }));
    setEditing(null);
  };
  const remove = () =>
    going &&
    task.run(async () => {
      await send(inputs.filter((one) => one.id !== going.id));
      announce(t("{name} is removed.", { name: going.name }));
      setGoing(null);
    });
  /** @param {Input} input */
  const rests = (input) =>
    input.source === "device"
      ? `${devices.find((one) => one.id === input.device)?.name ?? input.device}: ${input.value}`
      : input.source === "modbus"
        ? t("register {n}", { n: 300 + (input.register ?? 0) })
        : `PUT /api/v1/inputs/${input.id}`;
  const locked = me.value.remote;
  return html`<section aria-labelledby="inputs"><h2 id="inputs">${t("Inputs")}</h2>
    <p class="help">${t("Named yes-or-no values of the site: contacts, registers, or what a program says. Rules and the grid operator's orders rest on them.")}</p>
    ${inputs.length
      ? html`<${Table} caption=${t("Inputs")} class="stack" head=${[t("Name"), t("State"), t("Comes from"), t("Actions")]}>
        ${inputs.map(
          (input) => html`<tr key=${input.id} data-input=${input.id}>
            <th scope="row">${input.name}<p class="help"><code>${input.id}</code></p></th>
            <td><span class="label">${t("State")}: </span><span class=${`tag ${input.known ? (input.on ? "good" : "") : "warn"}`}>${stateName(input)}</span>${known(input.age_s) ? html` ${t("{age} ago", { age: duration(input.age_s) })}` : null}</td>
            <td><span class="label">${t("Comes from")}: </span>${sourceName(input.source)}<p class="help"><code>${rests(input)}</code></p></td>
            <td>${locked
              ? null
              : html`<div class="buttons"><${Button} onClick=${() => setEditing(input)}>${t("Change")}<//>
                <${Button} class="danger" onClick=${() => setGoing(input)}>${t("Remove")}<//></div>`}</td>
          </tr>`,
        )}
      <//>`
      : html`<p>${t("No inputs yet.")}</p>`}
    ${editing
      ? html`<${InputForm} key=${editing.id ?? "new"} input=${editing} values=${values} devices=${devices} onSave=${save} onNo=${() => setEditing(null)} />`
      : locked
        ? html`<p class="help">${t("This can be changed at the site only.")}</p>`
        : html`<div class="buttons"><${Button} onClick=${() => setEditing(FRESH)}>${t("Add input")}<//></div>`}
    ${going
      ? html`<${Question} danger title=${t("Remove {name}?", { name: going.name })} yes=${t("Remove")} busy=${task.busy} problem=${task.problem}
          onYes=${() => void remove()} onNo=${() => {
            task.forget();
            setGoing(null);
          }}><p>${t("Rules that rest on it find it unknown.")}</p><//>`
      : null}
  </section>`;
}
