// Log, admin password, and what runs here.
import { get, problemFrom, put } from "../common/api.js";
import { Backups } from "../common/backups.js";
import { DASH, known, number } from "../common/format.js";
import { me, start } from "../common/frame.js";
import { LogPanel } from "../common/logpanel.js";
import { NewPassword } from "../common/newpassword.js";
import { ProblemBox } from "../common/parts.js";
import { html, useEffect, useState } from "../common/ui.js";
import { t } from "../common/words.js";

function About() {
  const [picture, setPicture] = useState(/** @type {import("../common/types.js").State|null} */ (null));
  const [problem, setProblem] = useState(/** @type {any} */ (null));
  useEffect(() => {
    get("/state").then(setPicture, (error) => setProblem(problemFrom(error)));
  }, []);
  return html`<section aria-labelledby="about"><h2 id="about">${t("About")}</h2>
    <${ProblemBox} problem=${problem} />
    ${picture
      ? html`<dl class="facts">
        <div><dt>${t("Program")}</dt><dd>Charging Manager ${picture.site.version}</dd></div>
        <div><dt>${t("Serial number")}</dt><dd>${picture.site.serial}</dd></div>
        <div><dt>${t("Control cycle")}</dt><dd>${t("number {n}, took {ms} ms", {
          n: number(picture.cycle.number),
          ms: known(picture.cycle.duration_s) ? number(picture.cycle.duration_s * 1000, 1) : DASH,
        })}</dd></div>
        <div><dt>${t("Interface")}</dt><dd><a href="/api/v1/openapi.json">${t("API description (OpenAPI)")}</a></dd></div>
        <div><dt>${t("Licence")}</dt><dd>Apache-2.0</dd></div>
      </dl>`
      : null}
  </section>`;
}

/**
 * @typedef {{enabled: boolean, days: number, mib: number, files: number, bytes: number}} Kept
 */

function Recording() {
  const [kept, setKept] = useState(/** @type {Kept|null} */ (null));
  const [problem, setProblem] = useState(/** @type {any} */ (null));
  const [busy, setBusy] = useState(false);
  useEffect(() => {
    get("/config/recording").then(setKept, (error) => setProblem(problemFrom(error)));
  }, []);
  /** @param {boolean} enabled */
  async function turn(enabled) {
    setBusy(true);
    setProblem(null);
    try {
      setKept(await put("/config/recording", { enabled }));
    } catch (error) {
      setProblem(problemFrom(error));
    }
    setBusy(false);
  }
  return html`<section aria-labelledby="recording"><h2 id="recording">${t("Recording")}</h2>
    <${ProblemBox} problem=${problem} />
    <p>${t("Readings and decisions of the last days, without names of users and without cards. The program charging_manager replay shows what other limits would have done.")}</p>
    ${kept
      ? html`<p>${kept.enabled
          ? t("On: {mb} MB are recorded; {days} days or {mib} MiB are kept at most.", {
              mb: number(kept.bytes / 1e6, 1), days: number(kept.days), mib: number(kept.mib),
            })
          : t("Off: nothing is recorded, and nothing is kept.")}</p>
        <p class="buttons">
          ${kept.enabled && kept.files > 0 && !me.value.remote ? html`<a class="button" href="/api/v1/recording" download>${t("Download the recording")}</a>` : null}
          <button type="button" class=${kept.enabled ? "button danger" : "button main"} disabled=${busy} onClick=${() => turn(!kept.enabled)}>${
            kept.enabled ? t("Switch off and delete") : t("Switch recording on")}</button>
        </p>`
      : null}
  </section>`;
}

function System() {
  return html`<${LogPanel} levelPath="/log/level" linesPath="/log" />
    <section aria-labelledby="password"><h2 id="password">${t("Admin password")}</h2>
      ${me.value.remote
        ? html`<p>${t("The admin password can be changed at the site only.")}</p>`
        : html`<${NewPassword} first=${Boolean(me.value.setup)} path="/admin/password" />`}
    </section>
    <${Backups} path="/backups" />
    <${Recording} />
    <${About} />`;
}

await start({ title: () => t("System"), view: System });
