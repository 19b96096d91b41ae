// What a device asks of us: its login, its certificate, and the token of one that tells us by itself.
import { post, remove } from "../common/api.js";
import { Button, Copyable, ProblemBox, TextField, useTask } from "../common/parts.js";
import { html, useState } from "../common/ui.js";
import { t } from "../common/words.js";

/** @typedef {{user: string, has_password: boolean, has_token: boolean, ca: string, fingerprint: string}} Access */
/** @typedef {{user: string, password: string, token: string, ca: string, fingerprint: string}} Draft */

/** @param {Access|undefined} access @returns {Draft} */
export const draftedAccess = (access) => ({
  user: access?.user ?? "",
  password: "",
  token: "",
  ca: access?.ca ?? "",
  fingerprint: access?.fingerprint ?? "",
});

/** Secrets that nobody typed stay as they are; without a user there is no password. @param {Draft} draft */
export function meantAccess(draft) {
  /** @type {Record<string, string>} */
  const meant = { user: draft.user.trim(), ca: draft.ca.trim(), fingerprint: draft.fingerprint.trim() };
  if (draft.password || !meant.user) meant.password = draft.password;
  if (draft.token) meant.token = draft.token;
  return meant;
}

/** @param {string[]} transports */
export const hasAccess = (transports) => transports.some((kind) => kind.startsWith("http") || kind.startsWith("mqtt"));

/** @param {{draft: Draft, known: Access|undefined, byToken: boolean, tls: boolean, problem: any, onChange: (draft: Draft) => void}} props */
export function AccessFields({ draft, known, byToken, tls, problem, onChange }) {
  /** @param {keyof Draft} key */
  const set = (key) => (/** @type {string} */ value) => onChange({ ...draft, [key]: value });
  const stays = t("unchanged");
  return html`<fieldset><legend>${t("Login at the device or its broker")}</legend>
    ${byToken
      ? html`<${TextField} label=${t("Token")} name="access.token" type="password" autocomplete="off" value=${draft.token} onValue=${set("token")}
          placeholder=${known?.has_token ? stays : ""} problem=${problem} />`
      : html`<${TextField} label=${t("User name")} name="access.user" autocomplete="off" spellcheck=${false} autocapitalize="off"
          value=${draft.user} onValue=${set("user")} problem=${problem} />
        <${TextField} label=${t("Password")} name="access.password" type="password" autocomplete="off" value=${draft.password} onValue=${set("password")}
          placeholder=${known?.has_password ? stays : ""} help=${t("Leave it empty where no login is asked for.")} problem=${problem} />`}
    ${tls
      ? html`<${TextField} label=${t("Fingerprint of its certificate")} name="access.fingerprint" spellcheck=${false} autocapitalize="off"
          value=${draft.fingerprint} onValue=${set("fingerprint")} problem=${problem}
          help=${t("SHA-256, for a certificate that it signed itself. Empty: it is checked by an authority.")} />
        <${TextField} label=${t("File of its authority")} name="access.ca" spellcheck=${false} autocapitalize="off" value=${draft.ca}
          onValue=${set("ca")} problem=${problem} help=${t("A PEM file on this device; empty: the authorities of the system.")} />`
      : null}
  </fieldset>`;
}

/** @param {{device: {id: string, has_push_token?: boolean}}} props */
export function PushToken({ device }) {
  const task = useTask();
  const [token, setToken] = useState("");
  const [has, setHas] = useState(device.has_push_token === true);
  const path = `/devices/${encodeURIComponent(device.id)}/token`;
  const make = () =>
    task.run(async () => {
      setToken((await post(path, {})).token);
      setHas(true);
    });
  const revoke = () =>
    task.run(async () => {
      await remove(path);
      setToken("");
      setHas(false);
    });
  return html`<fieldset><legend>${t("Token of the device")}</legend>
    <p class="help">${t("With it the device sends its readings: PUT {path}.", { path: `/api/v1/devices/${device.id}/reading` })}</p>
    ${token ? html`<${Copyable} text=${token} label=${t("Token")} help=${t("It is shown only now.")} />` : null}
    <${ProblemBox} problem=${task.problem} />
    <div class="buttons"><${Button} busy=${task.busy} onClick=${make}>${has ? t("Make a new token") : t("Make a token")}<//>
      ${has ? html`<${Button} class="danger" busy=${task.busy} onClick=${revoke}>${t("Revoke the token")}<//>` : null}</div>
  </fieldset>`;
}
