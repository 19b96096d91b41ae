// The cloud server's own administration: installations, and the log.
import { get, post, problemFrom } from "../common/api.js";
import { CodeField } from "../common/codefield.js";
import { Frame, me, show } from "../common/frame.js";
import { Logins } from "../common/logins.js";
import { LogPanel } from "../common/logpanel.js";
import { NewPassword } from "../common/newpassword.js";
import { Button, ProblemBox, TextField, useTask } from "../common/parts.js";
import { SecondFactor } from "../common/secondfactor.js";
import { html, useEffect, useState } from "../common/ui.js";
import { loadWords, t } from "../common/words.js";
import { AddInstallation } from "./addinstallation.js";
import { Installations } from "./installations.js";
import { Audit, FailedLogins } from "./ledger.js";
import { ApiKeys, ServerSettings } from "./server.js";

/** @param {{onIn: () => void}} props */
function AdminLogin({ onIn }) {
  const task = useTask();
  const [password, setPassword] = useState("");
  const [code, setCode] = useState("");
  const coded = me.value.second_factor === true;
  /** @param {Event} event */
  const submit = (event) => {
    event.preventDefault();
    void task.run(async () => {
      await post("/cloud/admin/login", { password, ...(coded ? { code } : {}) });
      onIn();
    });
  };
  return html`<form class="narrow" onSubmit=${submit}>
    <p>${t("The admin password is that of the charging manager on this server.")}</p>
    <input class="unseen" type="text" name="username" autocomplete="username" value="cloud-admin" readonly tabindex="-1" aria-hidden="true" />
    <${TextField} label=${t("Admin password")} name="password" type="password" autocomplete="current-password" required autofocus value=${password}
      onValue=${setPassword} problem=${task.problem} />
    ${coded ? html`<${CodeField} required value=${code} onValue=${setCode} />` : null}
    <${ProblemBox} problem=${task.problem} />
    <div class="buttons"><${Button} type="submit" class="main" busy=${task.busy}>${task.busy ? t("Checking …") : t("Log in")}<//></div>
  </form>
  <p class="help"><a href="login.htm">${t("Log in to an installation")}</a></p>`;
}

/** Few look at them, and they come after what everybody looks at: fetched once the rest is there. */
function BackupsLater() {
  const [part, setPart] = useState(/** @type {{view: any}|null} */ (null));
  useEffect(() => {
    import("../common/backups.js").then((module) => setPart({ view: module.Backups }), () => setPart(null));
  }, []);
  return part ? html`<${part.view} path="/cloud/admin/backups" />` : null;
}

function Admin() {
  const [inside, setInside] = useState(me.value.cloud_admin === true || (me.value.setup === true && me.value.role === "admin"));
  const [setup, setSetup] = useState(me.value.setup === true);
  const [round, setRound] = useState(0);
  if (setup) {
    return html`<p>${t("No admin password is set yet: only this machine is served, and no installation can connect.")}</p>
      <${NewPassword} first=${true} path="/cloud/admin/password" onDone=${() => {
        setSetup(false);
        setInside(false);
      }} />`;
  }
  if (!inside) return html`<${AdminLogin} onIn=${() => setInside(true)} />`;
  return html`<${AddInstallation} onAdded=${() => setRound(round + 1)} />
    <${Installations} round=${round} onGone=${() => setInside(false)} />
    <${ServerSettings} onApproved=${() => setRound(round + 1)} />
    <${ApiKeys} />
    <${BackupsLater} />
    <${FailedLogins} />
    <${Audit} />
    <${LogPanel} levelPath="/cloud/admin/log/level" linesPath="/cloud/admin/log" />
    <${Logins} path="/cloud/admin/logins" title=${t("Administrators logged in now")} />
    <${SecondFactor} path="/cloud/admin/second-factor" />
    <section aria-labelledby="password"><h2 id="password">${t("Admin password")}</h2>
      <${NewPassword} first=${false} path="/cloud/admin/password" onDone=${() => setInside(false)} /></section>
    <div class="buttons"><${Button} id="log-out" onClick=${() => void post("/logout").catch(() => null).then(() => setInside(false))}>${t("Log out")}<//></div>`;
}

await loadWords();
const title = t("Cloud server admin functions");
document.title = `${title} · Charging Manager`;
/** @type {any} */
let content = html`<${Admin} />`;
try {
  me.value = await get("/me");
} catch (error) {
  const problem = problemFrom(error);
  if (problem.status !== 401) content = html`<${ProblemBox} problem=${problem} />`;
}
show(html`<${Frame} title=${title} items=${[]} menu=${false} onLeave=${() => {}}>${content}<//>`);
