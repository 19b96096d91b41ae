// A commissioning report: what a test of a device did and found, to be printed on one page or kept as a file.
import { get, problemFrom } from "../common/api.js";
import { amps, clock, exactly, fieldNumber, moment } from "../common/format.js";
import { start } from "../common/frame.js";
import { roleName } from "../common/modes.js";
import { Button, ProblemBox, SelectField } from "../common/parts.js";
import { html, useEffect, useState } from "../common/ui.js";
import { t } from "../common/words.js";

/** @typedef {{at: string, wrote: boolean, name: string, place: string, words: string, value: any, unit: string, trouble: string}} Spoken */
/** @typedef {{name: string, ok: boolean, text: string, began_at: string, ended_at: string, spoken: Spoken[]}} Step */
/** @typedef {{number: number, at: string, verdict: string, by: string}} Listed */
/** @typedef {{number: number, program: string, site: {name: string, serial: string}, device: any, by: {role: string, user: string|null, source: string},
 *   began_at: string, ended_at: string, verdict: string, steps: Step[]}} Report */

const wanted = new URLSearchParams(location.search);
const device = wanted.get("device") ?? "";
const path = `/devices/${encodeURIComponent(device)}/reports`;

/** @param {string} verdict */
const verdictName = (verdict) => ({ passed: t("passed"), failed: t("failed"), cancelled: t("broken off") })[verdict] ?? verdict;

/** @param {string} step */
const stepName = (step) =>
  ({
    connect: t("Connection"),
    values: t("Values"),
    setpoint: t("Current"),
    pause: t("Pause"),
    watchdog: t("Fallback"),
    "given-back": t("Back to control"),
    end: t("End"),
  })[step] ?? step;

/** @param {Spoken} one */
const value = (one) => {
  const plain = typeof one.value === "number" ? fieldNumber(one.value) : one.value;
  return one.trouble || (plain === null ? t("unknown") : `${plain}${one.unit ? `\u00a0${one.unit}` : ""}`);
};

/** @param {{spoken: Spoken[], brief: boolean}} props  brief: values alone, without how they look on the wire */
function Said({ spoken, brief }) {
  if (!spoken.length) return null;
  if (brief) return html`<p class="help">${spoken.map((one) => `${one.name} = ${value(one)}`).join(", ")}</p>`;
  return html`<ul class="spoken">${spoken.map(
    (one, at) => html`<li key=${at}>${clock(one.at)} <em>${one.wrote ? t("sent") : t("read")}</em> ${one.name} = ${value(one)}
      ${" "}<code>${one.place}${one.words ? `: ${one.words}` : ""}</code></li>`,
  )}</ul>`;
}

/** @param {{report: Report}} props */
function Paper({ report }) {
  const about = report.device;
  const identity = Object.entries(about.identity).map(([name, value]) => `${name} = ${value}`);
  /** @type {[string, any][]} */
  const facts = [
    [t("Site"), `${report.site.name} (${report.site.serial})`],
    [t("Device"), `${about.name} (${about.id})`],
    [t("Model"), about.model + (about.variant ? `, ${about.variant}` : "")],
    [t("Driver"), html`<code>${about.driver}</code>`],
    [t("Says of itself"), identity.join(", ")],
    [t("Address"), html`<code>${about.address}</code>`],
    [t("Circuit"), `${about.circuit.name}: ${about.circuit.limit_a.map((/** @type {number} */ one) => amps(one)).join(" · ")}`],
    [t("Phases"), about.phases.map((/** @type {number} */ phase) => `L${phase}`).join(" ")],
    about.kind === "charge-point" ? [t("Currents"), `${amps(about.min_a)} – ${amps(about.max_a)}`] : [t("Measures"), roleName(about.role ?? "")],
    about.kind === "charge-point" ? [t("Planned fallback"), amps(about.fallback_a)] : ["", ""],
    [t("Tested"), `${exactly(report.began_at)} – ${clock(report.ended_at)}, ${report.by.user ?? report.by.role} (${report.by.source}), ${report.program}`],
  ];
  return html`<article class="paper" data-report=${report.number} data-verdict=${report.verdict}>
    <h2>${t("Report {number}", { number: report.number })}: <span class=${`tag ${report.verdict === "passed" ? "good" : "bad"}`}>${verdictName(report.verdict)}</span></h2>
    <dl class="facts">${facts
      .filter(([, said]) => said)
      .map(([name, said]) => html`<div key=${name}><dt>${name}</dt><dd>${said}</dd></div>`)}</dl>
    <ol class="steps">${report.steps.map(
      (step) => html`<li key=${step.name} class=${step.ok ? "ok" : "bad"}><strong>${step.ok ? t("passed") : t("failed")}</strong>
        ${" "}${stepName(step.name)}: ${step.text} <span class="help">${clock(step.ended_at)}</span>
        <${Said} spoken=${step.spoken} brief=${step.name === "connect" || step.name === "values"} /></li>`,
    )}</ol>
    <p class="signature">${t("Name, date, signature")}</p>
  </article>`;
}

/** @param {Report} report */
function keep(report) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([`${JSON.stringify(report, null, 1)}\n`], { type: "application/json" }));
  link.download = `report-${device}-${report.number}.json`;
  link.click();
  URL.revokeObjectURL(link.href);
}

function ReportPage() {
  const [listed, setListed] = useState(/** @type {Listed[]|null} */ (null));
  const [number, setNumber] = useState(wanted.get("report") ?? "");
  const [report, setReport] = useState(/** @type {Report|null} */ (null));
  const [problem, setProblem] = useState(/** @type {any} */ (null));
  useEffect(() => {
    get(path).then(
      (found) => {
        setListed(found.reports);
        setNumber((known) => known || String(found.reports[0]?.number ?? ""));
      },
      (error) => setProblem(problemFrom(error)),
    );
  }, []);
  useEffect(() => {
    if (number)
      get(`${path}/${encodeURIComponent(number)}`).then(
        (found) => {
          setReport(found);
          setProblem(null);
        },
        (error) => setProblem(problemFrom(error)),
      );
  }, [number]);
  if (!listed || (number && !report)) return problem ? html`<${ProblemBox} problem=${problem} />` : html`<p class="loading">${t("Loading …")}</p>`;
  return html`<div class="screen-only">
      <p><a href="devices.htm">${t("Devices")}</a></p>
      <${ProblemBox} problem=${problem} />
      ${listed.length === 0
        ? html`<p>${t("There is no report of this device yet: test it on the page of devices.")}</p>`
        : html`<div class="narrow"><${SelectField} label=${t("Report")} name="report" value=${number} onValue=${setNumber}
            options=${listed.map((one) => [String(one.number), `${one.number}: ${moment(one.at)}, ${verdictName(one.verdict)}`])} /></div>`}
      ${report
        ? html`<div class="buttons"><${Button} class="main" onClick=${() => print()}>${t("Print")}<//>
            <${Button} onClick=${() => keep(report)}>${t("Keep as a file")}<//></div>`
        : null}
    </div>
    ${report ? html`<${Paper} report=${report} />` : null}`;
}

await start({ title: () => t("Commissioning report"), view: ReportPage });
