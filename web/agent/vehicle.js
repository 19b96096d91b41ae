// The vehicle that is plugged in: how full its battery is, and how large, as people say who know it better than the box.
import { put } from "../common/api.js";
import { energy, fieldNumber, known, number } from "../common/format.js";
import { has } from "../common/frame.js";
import { announce, Button, ProblemBox, TextField, useTask } from "../common/parts.js";
import { html, useState } from "../common/ui.js";
import { t } from "../common/words.js";
import { typedWatts } from "./kilowatts.js";
import { typedOrNull } from "./typed.js";

/** @typedef {import("../common/types.js").ChargePoint} ChargePoint */

/** @param {{point: ChargePoint, onDone: () => void, onClose: () => void}} props */
function Form({ point, onDone, onClose }) {
  const task = useTask();
  const [soc, setSoc] = useState(known(point.soc_pct) ? fieldNumber(Math.round(point.soc_pct)) : "");
  const [size, setSize] = useState(known(point.capacity_wh) ? fieldNumber(point.capacity_wh / 1000) : "");
  /** @param {Event} event */
  const save = (event) => {
    event.preventDefault();
    void task.run(async () => {
      await put(`/charge-points/${encodeURIComponent(point.id)}/vehicle`, {
        soc_pct: typedOrNull(soc, "soc_pct"),
        capacity_wh: typedWatts(size, "capacity_wh"),
      });
      announce(t("Saved."));
      onDone();
      onClose();
    });
  };
  return html`<form class="vehicle" onSubmit=${save} data-vehicle-form=${point.id}>
    <${TextField} label=${t("The battery is at, %")} name="soc_pct" inputmode="decimal" value=${soc} onValue=${setSoc} problem=${task.problem} />
    <${TextField} label=${t("Size of the battery, kWh")} name="capacity_wh" inputmode="decimal" value=${size} onValue=${setSize} problem=${task.problem}
      help=${t("Both hold until the car is unplugged; empty is not known.")} />
    <${ProblemBox} problem=${task.problem} />
    <div class="buttons"><${Button} onClick=${onClose}>${t("Cancel")}<//><${Button} type="submit" class="main" busy=${task.busy}>${t("Save")}<//></div>
  </form>`;
}

/** What is known of it, and a button to say more. @param {{point: ChargePoint, onDone: () => void}} props */
export function Vehicle({ point, onDone }) {
  const [open, setOpen] = useState(false);
  if (!has("vehicle")) return null;
  if (point.status !== "plugged" && point.status !== "charging") {
    return html`<p class="help">${t("Once a car is plugged in, how full its battery is can be said here.")}</p>`;
  }
  if (open) return html`<${Form} point=${point} onDone=${onDone} onClose=${() => setOpen(false)} />`;
  const size = known(point.capacity_wh) ? t("of {energy}", { energy: energy(point.capacity_wh) }) : "";
  return html`<div class="vehicle" data-vehicle=${point.id}>
    <p>${known(point.soc_pct) ? t("Battery of the car: {pct} %", { pct: number(point.soc_pct) }) : t("How full the car is is not known.")}${" "}${size}</p>
    <${Button} class="big" onClick=${() => setOpen(true)}>${known(point.soc_pct) ? t("Correct it") : t("Say how full it is")}<//>
  </div>`;
}
