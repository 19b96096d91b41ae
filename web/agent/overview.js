// The first page: where the power goes, what each circuit still has, and every charge point.
import { Banner } from "../common/banner.js";
import { amps, duration, known, power } from "../common/format.js";
import { isAdmin, loginGone, me, start } from "../common/frame.js";
import { follow, heardMs, line, nowMs, state, trouble } from "../common/live.js";
import { roleName, said, statusName } from "../common/modes.js";
import { announce, ProblemBox, Table } from "../common/parts.js";
import { effect, html } from "../common/ui.js";
import { t } from "../common/words.js";
import { Card } from "./card.js";
import { Circuits } from "./circuits.js";
import { PowerFlow } from "./flow.js";

/** @typedef {import("../common/types.js").State} State */

const OLD_S = 20;

/** @param {{picture: State, sinceS: number}} props */
function Meters({ picture, sinceS }) {
  if (!picture.meters.length) return null;
  return html`<section aria-labelledby="meters">
    <h2 id="meters">${t("Meters")}</h2>
    <${Table} caption=${t("Meters")} class="meters stack" head=${[t("Name"), t("Age"), t("Power"), t("Current L1 / L2 / L3"), t("Measures")]}>
      ${picture.meters.map((meter) => {
        const ageS = known(meter.age_s) ? meter.age_s + sinceS : null;
        const stale = meter.stale || meter.answering === false || ageS === null || ageS > 10;
        return html`<tr key=${meter.id} class=${stale ? "stale" : ""}>
          <th scope="row">${meter.name || meter.id}</th>
          <td class="number"><span class="label">${t("Age")}: </span>${ageS === null ? t("never heard of") : duration(ageS)}${stale ? html` <span class="tag warn">${t("out of date")}</span>` : null}</td>
          <td class="number"><span class="label">${t("Power")}: </span>${power(meter.power_w)}</td>
          <td class="number"><span class="label">L1 / L2 / L3: </span>${(meter.current_a ?? []).map((current) => amps(current)).join(" / ")}</td>
          <td><span class="label">${t("Measures")}: </span>${roleName(meter.role)}</td>
        </tr>`;
      })}
    <//>
  </section>`;
}

/** What a new installation still lacks, as links. @param {{picture: State}} props */
function FirstSteps({ picture }) {
  if (picture.charge_points.length || !isAdmin()) return null;
  return html`<section class="box"><h2>${t("First steps")}</h2><ol>
    <li><a href="site.htm">${t("Enter the circuits and their limits")}</a></li>
    <li><a href="devices.htm">${t("Add the meter and the charge points, and test them")}</a></li>
    <li><a href="users.htm">${t("Add the users")}</a></li>
  </ol></section>`;
}

function Overview() {
  const picture = state.value;
  if (!picture) {
    return line.value === "lost" && trouble.value
      ? html`<${ProblemBox} problem=${trouble.value} />`
      : html`<p class="loading">${t("Waiting for the first values …")}</p>`;
  }
  const sinceS = Math.max(0, (nowMs.value - heardMs.value) / 1000);
  const old = sinceS > OLD_S;
  return html`<div class=${old ? "overview old" : "overview"}>
    <p class="where">${picture.site.name}${me.value.user ? html` · ${me.value.name || me.value.user}` : null}
      ${old ? html` <span class="tag warn">${t("last heard {age} ago", { age: duration(sinceS) })}</span>` : null}</p>
    ${picture.alarms.length
      ? html`<ul class="box warn alarms">${picture.alarms.map((alarm) => html`<li key=${alarm.code}>${said(alarm)}${" "}<span class="code">${alarm.code}</span></li>`)}</ul>`
      : null}
    <${FirstSteps} picture=${picture} />
    <${PowerFlow} picture=${picture} />
    <section aria-labelledby="points" class="points">
      <h2 id="points">${t("Charge points")}</h2>
      ${picture.charge_points.length ? null : html`<p>${t("No charge points yet.")}</p>`}
      <div class="cards">${picture.charge_points.map((point) => html`<${Card} key=${point.id} point=${point} old=${old} />`)}</div>
    </section>
    <${Circuits} circuits=${picture.site.circuits} />
    <${Meters} picture=${picture} sinceS=${sinceS} />
  </div>`;
}

/** Says changes of state to those who do not see them; running values stay silent. */
function announceChanges() {
  /** @type {Map<string, string>} */
  const before = new Map();
  let lineBefore = line.peek();
  effect(() => {
    for (const point of state.value?.charge_points ?? []) {
      const was = before.get(point.id);
      if (was !== undefined && was !== point.status) announce(`${point.name}: ${statusName(point.status)}`);
      before.set(point.id, point.status);
    }
  });
  effect(() => {
    if (line.value === "lost" && lineBefore !== "lost") announce(t("Connection lost"));
    if (line.value === "live" && lineBefore === "lost") announce(t("Connected again"));
    lineBefore = line.value;
  });
}

await start({ title: () => t("Overview"), view: Overview, needs: "user", banner: Banner });
if (me.value.role !== "nobody") {
  announceChanges();
  follow(loginGone);
}
