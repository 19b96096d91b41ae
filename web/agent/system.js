// Log, admin password, and what runs here.
import { get, problemFrom } from "../common/api.js";
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

function System() {
  return html`<${LogPanel} levelPath="/log/level" linesPath="/log" />
    <section aria-labelledby="password"><h2 id="password">${t("Admin password")}</h2>
      ${me.value.remote
        ? html`<p>${t("The admin password can be changed at the site only.")}</p>`
        : html`<${NewPassword} first=${Boolean(me.value.setup)} path="/admin/password" />`}
    </section>
    <${About} />`;
}

await start({ title: () => t("System"), view: System });
