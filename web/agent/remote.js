// The cloud service, in the reference document's own words: empty fields mean the default server and the serial number.
import { get, put } from "../common/api.js";
import { moment, number } from "../common/format.js";
import { me, start } from "../common/frame.js";
import { cloudStateName } from "../common/modes.js";
import { announce, Button, Copyable, DoneBox, ProblemBox, TextField, TickField, useAsked, useTask } from "../common/parts.js";
import { html, useEffect, useRef, useState } from "../common/ui.js";
import { t } from "../common/words.js";
import { EndToEndMode } from "./endtoend.js";
import { isOwnServer } from "./server.js";

/** @typedef {{enabled: boolean, server: string, cloud_id: string, serial: string, state: string,
 *   last_error: string|null, last_error_text?: string|null, last_error_at?: string|null, next_try_s: number|null,
 *   default_server?: string, is_default?: boolean, password_set?: boolean}} CloudSettings */

const ASK_MS = 2000;

/** @param {{settings: CloudSettings, askedMs: number}} props */
function State({ settings, askedMs }) {
  const [now, setNow] = useState(performance.now());
  useEffect(() => {
    const timer = setInterval(() => setNow(performance.now()), 1000);
    return () => clearInterval(timer);
  }, []);
  const before = useRef(settings.state);
  useEffect(() => {
    if (before.current !== settings.state) announce(cloudStateName(settings.state));
    before.current = settings.state;
  }, [settings.state]);
  const left = settings.next_try_s === null ? null : Math.max(0, settings.next_try_s - (now - askedMs) / 1000);
  const kind = settings.state === "connected" ? "good" : settings.enabled ? "warn" : "";
  return html`<section aria-labelledby="state"><h2 id="state">${t("State")}</h2>
    <div class=${`box ${kind}`}>
      <p data-cloud-state=${settings.state}><strong>${cloudStateName(settings.state)}</strong></p>
      ${settings.last_error && settings.state !== "connected"
        ? html`<p>${t("Last error: {error}", { error: settings.last_error_text || settings.last_error })}
            ${settings.last_error_at ? html` (${moment(settings.last_error_at)})` : null}</p>
            <p class="code">${t("Code: {code}", { code: settings.last_error })}</p>`
        : null}
      ${left !== null && settings.state !== "connected" && settings.enabled
        ? html`<p>${t("Next try in {n} s", { n: number(Math.ceil(left)) })}</p>`
        : null}
    </div></section>`;
}

/** @param {{settings: CloudSettings, isPrivate: boolean, onSaved: (settings: CloudSettings) => void}} props */
function Settings({ settings, isPrivate, onSaved }) {
  const task = useTask();
  const [enabled, setEnabled] = useState(settings.enabled);
  const [server, setServer] = useState(settings.server);
  const [cloudId, setCloudId] = useState(settings.cloud_id === settings.serial ? "" : settings.cloud_id);
  const [password, setPassword] = useState("");
  const [done, setDone] = useState(/** @type {string|null} */ (null));
  const [noServer, setNoServer] = useState(false);
  const own = isOwnServer(server, settings.default_server);
  /** @param {Event} event */
  const submit = (event) => {
    event.preventDefault();
    setDone(null);
    setNoServer(false);
    void task.run(async () => {
      /** @type {Record<string, unknown>} */
      const wish = { enabled, server: server.trim(), cloud_id: own ? cloudId.trim() : "" };
      if (password !== "") wish.password = password;
      const saved = await put("/config/cloud", wish);
      setPassword("");
      if (enabled && !server.trim() && !settings.default_server) setNoServer(true);
      else setDone(t("Saved."));
      onSaved(saved && typeof saved === "object" && "state" in saved ? saved : await get("/config/cloud"));
    });
  };
  return html`<form class="narrow" onSubmit=${submit} autocomplete="off">
    ${isPrivate
      ? html`<p class="box good" id="operator">${t("End-to-end mode is on: the cloud server's operator carries encrypted bytes. See below what that promises.")}</p>`
      : html`<p class="box warn" id="operator">${t(
          "Please note: the operator of the cloud server can see all transmitted data and potentially has access to your installation and charge points.",
        )}${me.value.remote ? null : html` <a href="#end-to-end">${t("End-to-end mode")}</a>`}</p>`}
    <${TickField} label=${t("Cloud service")} name="enabled" checked=${enabled} onValue=${setEnabled}
      help=${t("The charging manager keeps an encrypted connection to the cloud server, so that you reach it from anywhere.")} />
    <${TextField} label=${t("Cloud server")} name="server" value=${server} onValue=${setServer} problem=${task.problem}
      placeholder=${settings.default_server || ""} inputmode="url" spellcheck=${false} autocapitalize="off" autocomplete="off"
      help=${settings.default_server
        ? t("Leave this empty for the default server {server}.", { server: settings.default_server })
        : t("No default server in this build, enter one")} />
    ${own
      ? html`<${TextField} label=${t("Cloud ID")} name="cloud_id" value=${cloudId} onValue=${setCloudId} problem=${task.problem}
          required=${enabled && server.trim() !== ""} maxlength="64" spellcheck=${false} autocapitalize="off" autocomplete="off"
          help=${t("As given to you by the operator of the cloud server.")} />`
      : null}
    <${TextField} label=${t("Installation password")} name="password" type="password" autocomplete="new-password" value=${password}
      onValue=${setPassword} problem=${task.problem} maxlength="128"
      placeholder=${settings.password_set ? t("unchanged") : ""}
      help=${own ? t("As given to you by the operator of the cloud server.") : t("Leave this empty for the default server.")} />
    ${own ? null : html`<${Copyable} label=${t("Cloud ID")} text=${settings.serial}
          help=${t("With the default server this is the serial number of this installation.")} />`}
    <${ProblemBox} problem=${task.problem} />
    ${noServer
      ? html`<div class="box bad" role="alert" id="no-server"><p><strong>${t("No default server in this build, enter one")}</strong></p>
          <p>${t("The cloud service does not start without a server. All that you entered is kept.")}</p></div>`
      : null}
    <${DoneBox} text=${done} />
    <div class="buttons"><${Button} type="submit" class="main" busy=${task.busy}>${t("Save")}<//></div>
  </form>`;
}

function Remote() {
  const [settings, setSettings] = useState(/** @type {CloudSettings|null} */ (null));
  const [askedMs, setAskedMs] = useState(0);
  const [isPrivate, setIsPrivate] = useState(false);
  const [problem, setProblem] = useState(/** @type {import("../common/api.js").Problem|null} */ (null));
  /** @param {CloudSettings} fresh */
  const take = (fresh) => {
    setSettings(fresh);
    setAskedMs(performance.now());
    setProblem(null);
  };
  useAsked("/config/cloud", ASK_MS, take, setProblem);
  if (!settings) return problem ? html`<${ProblemBox} problem=${problem} />` : html`<p class="loading">${t("Loading …")}</p>`;
  return html`<${Settings} settings=${settings} isPrivate=${isPrivate} onSaved=${take} />
    <${ProblemBox} problem=${problem} />
    <${State} settings=${settings} askedMs=${askedMs} />
    ${me.value.remote
      ? html`<section><h2>${t("End-to-end mode")}</h2><p>${t("Address and key are shown at the site only.")}</p></section>`
      : html`<${EndToEndMode} onSwitch=${setIsPrivate} />`}`;
}

await start({ title: () => t("Cloud service"), view: Remote });
