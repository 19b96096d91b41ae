// What was agreed with the grid operator.
import { put } from "../common/api.js";
import { fieldNumber } from "../common/format.js";
import { me } from "../common/frame.js";
import { Button, DoneBox, ProblemBox, SelectField, TextField, TickField, useTask } from "../common/parts.js";
import { html, useState } from "../common/ui.js";
import { t } from "../common/words.js";
import { fieldKilowatts, typedWatts } from "./kilowatts.js";
import { typedOrNull } from "./typed.js";

/** @typedef {import("./grid.js").Agreed} Agreed */

/** @param {{agreed: Agreed, inputs: {id: string, name: string}[], points: {id: string, name: string}[], onSaved: () => Promise<void>}} props */
export function GridSettings({ agreed, inputs, points, onSaved }) {
  const task = useTask();
  const [done, setDone] = useState(/** @type {string|null} */ (null));
  const [input, setInput] = useState(agreed.input ?? "");
  const [some, setSome] = useState(agreed.charge_points);
  const [others, setOthers] = useState(fieldNumber(agreed.other_devices));
  const [othersW, setOthersW] = useState(fieldKilowatts(agreed.others_w));
  const [pumps, setPumps] = useState(fieldKilowatts(agreed.heat_pumps_w));
  const [cooling, setCooling] = useState(fieldKilowatts(agreed.cooling_w));
  const [higher, setHigher] = useState(fieldKilowatts(agreed.agreed_w));
  const [below, setBelow] = useState(agreed.below_minimum);
  const [own, setOwn] = useState(agreed.own_power_on_top);
  const [beat, setBeat] = useState(fieldNumber(agreed.heartbeat_s));
  const [silence, setSilence] = useState(agreed.silence_dims);
  /** @param {Event} event */
  const submit = (event) => {
    event.preventDefault();
    setDone(null);
    void task.run(async () => {
      await put("/grid-operator", {
        input: input || null,
        charge_points: some,
        other_devices: typedOrNull(others, "other_devices") ?? 0,
        others_w: typedWatts(othersW, "others_w") ?? 0,
        heat_pumps_w: typedWatts(pumps, "heat_pumps_w") ?? 0,
        cooling_w: typedWatts(cooling, "cooling_w") ?? 0,
        agreed_w: typedWatts(higher, "agreed_w"),
        below_minimum: below,
        own_power_on_top: own,
        heartbeat_s: typedOrNull(beat, "heartbeat_s"),
        silence_dims: silence,
      });
      setDone(t("Saved."));
      await onSaved();
    });
  };
  /** @param {string} id @param {boolean} on */
  const count = (id, on) => setSome((some ?? []).filter((one) => one !== id).concat(on ? [id] : []));
  const problem = task.problem;
  const locked = me.value.remote;
  return html`<section aria-labelledby="agreed"><h2 id="agreed">${t("What was agreed")}</h2>
    ${locked ? html`<p class="box warn">${t("This can be changed at the site only.")}</p>` : null}
    <form class="narrow" onSubmit=${submit}><fieldset class="plain" disabled=${locked}>
      <${SelectField} label=${t("Dim by this input")} name="input" value=${input} onValue=${setInput} problem=${problem}
        options=${[["", t("none")], ...inputs.map((one) => [one.id, one.name])]}
        help=${t("While it is on, and while it is unknown. Orders over Modbus and the API count too; the lowest limit holds.")} />
      <fieldset><legend>${t("Charge points that are dimmed, and count")}</legend>
        <${TickField} label=${t("All")} name="all" checked=${some === null}
          onValue=${(/** @type {boolean} */ on) => setSome(on ? null : points.map((point) => point.id))} />
        ${some === null
          ? null
          : points.map(
              (point) => html`<${TickField} key=${point.id} label=${point.name} name=${`point-${point.id}`} checked=${some.includes(point.id)}
                onValue=${(/** @type {boolean} */ on) => count(point.id, on)} />`,
            )}
        <p class="help">${t("Leave out what is exempt, such as charge points that went into service before 2024.")}</p>
      </fieldset>
      <${TextField} label=${t("Other controllable devices under this management")} name="other_devices" inputmode="numeric" value=${others}
        onValue=${setOthers} problem=${problem} help=${t("All heat pumps are one, all cooling is one.")} />
      <${TextField} label=${t("Of the limit, left to those, kW")} name="others_w" inputmode="decimal" value=${othersW} onValue=${setOthersW} problem=${problem} />
      <${TextField} label=${t("Heat pumps above 11 kW in all, kW")} name="heat_pumps_w" inputmode="decimal" value=${pumps} onValue=${setPumps} problem=${problem} />
      <${TextField} label=${t("Cooling above 11 kW in all, kW")} name="cooling_w" inputmode="decimal" value=${cooling} onValue=${setCooling} problem=${problem} />
      <${TextField} label=${t("Higher limit that the operator agreed to, kW")} name="agreed_w" inputmode="decimal" value=${higher} onValue=${setHigher}
        problem=${problem} help=${t("Empty: the minimum by law.")} />
      <${TickField} label=${t("Obey orders of less than the minimum too")} name="below_minimum" checked=${below} onValue=${setBelow} />
      <${TickField} label=${t("Own generation comes on top")} name="own_power_on_top" checked=${own} onValue=${setOwn}
        help=${t("The limit is for what comes from the grid. This needs a grid meter, and charge points that measure their power.")} />
      <${TextField} label=${t("The Modbus client must write every, s")} name="heartbeat_s" inputmode="numeric" value=${beat} onValue=${setBeat}
        problem=${problem} help=${t("Empty: it need not.")} />
      <${TickField} label=${t("When it falls silent, dim")} name="silence_dims" checked=${silence} onValue=${setSilence} />
      <${ProblemBox} problem=${problem} />
      <div class="buttons"><${Button} type="submit" class="main" busy=${task.busy}>${t("Save")}<//></div>
    </fieldset></form>
    <${DoneBox} text=${done} />
  </section>`;
}
