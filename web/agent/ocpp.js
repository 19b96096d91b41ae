// Charge points that call us by OCPP: who waits to be added, their passwords, and the listener's settings.
import { put } from "../common/api.js";
import { fieldNumber, typedNumber } from "../common/format.js";
import { me } from "../common/frame.js";
import { announce, Button, Copyable, Field, ProblemBox, SelectField, Table, TextField, TickField, useTask } from "../common/parts.js";
import { html, useState } from "../common/ui.js";
import { t } from "../common/words.js";

/** @typedef {{identity: string, version: string, vendor: string, model: string, serial: string, source: string,
 *   connected: boolean, has_password: boolean, seen_at: string}} Waiting */
/** @typedef {{identity: string, connected: boolean, version: string|null, vendor: string, model: string,
 *   password_set: boolean, trouble: string|null}} Known */
/** @typedef {{enabled: boolean, port: number, bind: string, profile: number, client_ca: string, known_cards_only: boolean,
 *   listening: number|null, trouble: string|null, waiting: Waiting[], charge_points: Known[]}} Listener */
/** @typedef {{identity: string, password: string}} Fresh */

/** The identity in an address as ocpp:CP001/2, or nothing. @param {string} address */
export const identityOf = (address) => (/^ocpp:([^/]+)/i.exec(address.trim()) ?? ["", ""])[1];

/**
 * A password for a charge point: the one that was typed, else the one it has sent, else a new one, which is returned.
 * @param {Listener|null} listener @param {string} identity @param {string} typed
 * @returns {Promise<Fresh|null>}
 */
export async function giveSecret(listener, identity, typed) {
  const sent = listener?.waiting.some((one) => one.identity === identity && one.has_password) ?? false;
  const wish = typed ? { password: typed } : sent ? { presented: true } : {};
  const said = await put(`/ocpp/passwords/${encodeURIComponent(identity)}`, wish);
  return said.password ? said : null;
}

/** @param {{fresh: Fresh|null}} props */
export function FreshSecret({ fresh }) {
  return fresh
    ? html`<div class="box good" data-fresh-secret>
        <${Copyable} text=${fresh.password} label=${t("New password of {identity}", { identity: fresh.identity })}
          help=${t("It is shown this once: enter it in the charge point, as its password or AuthorizationKey.")} /></div>`
    : null;
}

const PROFILES = () => [
  ["2", t("2: password, encrypted (TLS)")],
  ["3", t("3: certificate of the charge point, encrypted (TLS)")],
  ["1", t("1: password, not encrypted")],
];

/** @param {{listener: Listener, onSaved: () => Promise<void>}} props */
function Settings({ listener, onSaved }) {
  const task = useTask();
  const [enabled, setEnabled] = useState(listener.enabled);
  const [profile, setProfile] = useState(String(listener.profile));
  const [port, setPort] = useState(fieldNumber(listener.port));
  const [bind, setBind] = useState(listener.bind);
  const [authority, setAuthority] = useState(listener.client_ca);
  const [cards, setCards] = useState(listener.known_cards_only);
  /** @param {Event} event */
  const submit = (event) => {
    event.preventDefault();
    void task.run(async () => {
      const number = typedNumber(port);
      await put("/ocpp", {
        enabled,
        profile: Number(profile),
        port: Number.isInteger(number) ? number : 0,
        bind: bind.trim(),
        client_ca: authority.trim(),
        known_cards_only: cards,
      });
      announce(t("The settings for OCPP are saved."));
      await onSaved();
    });
  };
  return html`<form class="narrow" onSubmit=${submit} aria-label=${t("Settings for OCPP")}>
    <${TickField} label=${t("Charge points may call by OCPP")} name="enabled" checked=${enabled} onValue=${setEnabled} />
    <${SelectField} label=${t("Security profile")} name="profile" value=${profile} onValue=${setProfile} options=${PROFILES()} problem=${task.problem} />
    ${profile === "1" ? html`<p class="box warn">${t("Whoever is in this network can read the passwords and steer the charge points. Use it only in a network of their own.")}</p>` : null}
    <${TextField} label=${t("Port for charge points")} name="port" inputmode="numeric" value=${port} onValue=${setPort} problem=${task.problem} />
    <${TextField} label=${t("Only on this address of this machine")} name="bind" value=${bind} onValue=${setBind} problem=${task.problem}
      help=${t("Empty: on all of them.")} spellcheck=${false} />
    ${profile === "3"
      ? html`<${Field} label=${t("Certificate of who signs those of charge points (PEM)")} name="client_ca" problem=${task.problem}>${(/** @type {any} */ given) =>
          html`<textarea ...${given} rows="6" spellcheck=${false} value=${authority}
            onInput=${(/** @type {any} */ event) => setAuthority(event.currentTarget.value)}></textarea>`}<//>`
      : null}
    <${TickField} label=${t("Only who shows a known card may charge")} name="known_cards_only" checked=${cards} onValue=${setCards}
      help=${t("Otherwise everybody who plugs in is charged, and cards only say whose session it is.")} />
    <${ProblemBox} problem=${task.problem} />
    <div class="buttons"><${Button} type="submit" class="main" busy=${task.busy}>${t("Save")}<//></div>
  </form>`;
}

/** @param {{listener: Listener, onAdd: (waiting: Waiting) => void, onChanged: () => Promise<void>}} props */
export function Ocpp({ listener, onAdd, onChanged }) {
  const task = useTask();
  const [fresh, setFresh] = useState(/** @type {Fresh|null} */ (null));
  const scheme = listener.profile === 1 ? "ws" : "wss";
  const address = `${scheme}://${location.hostname}:${listener.listening ?? listener.port}/`;
  /** @param {string} identity */
  const renew = (identity) =>
    task.run(async () => {
      const said = await put(`/ocpp/passwords/${encodeURIComponent(identity)}`, {});
      setFresh(said);
      await onChanged();
    });
  const locked = me.value.remote;
  return html`<section aria-labelledby="ocpp"><h2 id="ocpp">${t("Charge points by OCPP")}</h2>
    ${listener.trouble
      ? html`<p class="box bad">${t("Charge points cannot call: {reason}", { reason: listener.trouble })}</p>`
      : listener.enabled
        ? html`<p>${t("Enter this address as the central system in the charge point:")}${" "}<code>${address}</code></p>
          <p class="help">${t("It adds its identity by itself, or else put it at the end.")}</p>`
        : html`<p>${t("No charge point can call: this is switched off.")}</p>`}
    ${listener.waiting.length
      ? html`<h3>${t("Charge points waiting to be added")}</h3><${Table} caption=${t("Charge points waiting to be added")} class="stack" head=${[t("Identity"), t("Model"), t("From"), t("Actions")]}>
        ${listener.waiting.map(
          (one) => html`<tr key=${one.identity} data-waiting=${one.identity}>
            <th scope="row"><code>${one.identity}</code></th>
            <td><span class="label">${t("Model")}: </span>${`${one.vendor} ${one.model}`.trim() || t("unknown")}<p class="help">OCPP ${one.version}${one.serial ? `, ${one.serial}` : ""}</p></td>
            <td><span class="label">${t("From")}: </span>${one.source}${" "}<span class=${`tag ${one.connected ? "good" : ""}`}>${one.connected ? t("waits") : t("has gone")}</span></td>
            <td>${locked ? null : html`<${Button} class="main" onClick=${() => onAdd(one)}>${t("Add")}<//>`}</td></tr>`,
        )}
      <//>`
      : null}
    ${listener.charge_points.length
      ? html`<h3>${t("Charge points that are devices here")}</h3><${Table} caption=${t("Charge points that are devices here")} class="stack" head=${[t("Identity"), t("Model"), t("Password"), t("Actions")]}>
        ${listener.charge_points.map(
          (one) => html`<tr key=${one.identity} data-station=${one.identity}>
            <th scope="row"><code>${one.identity}</code>${" "}<span class=${`tag ${one.connected ? "good" : "bad"}`}>${one.connected ? t("connected") : t("not connected")}</span>
              ${one.trouble ? html`<p class="fault">${one.trouble}</p>` : null}</th>
            <td><span class="label">${t("Model")}: </span>${`${one.vendor} ${one.model}`.trim() || t("unknown")}${one.version ? html`<p class="help">OCPP ${one.version}</p>` : null}</td>
            <td><span class="label">${t("Password")}: </span>${one.password_set ? t("set") : t("not set")}</td>
            <td>${locked ? null : html`<${Button} busy=${task.busy} onClick=${() => void renew(one.identity)}>${t("New password")}<//>`}</td></tr>`,
        )}
      <//>`
      : null}
    <${FreshSecret} fresh=${fresh} /><${ProblemBox} problem=${task.problem} />
    ${locked
      ? html`<p class="help">${t("This can be changed at the site only.")}</p>`
      : html`<details><summary>${t("Settings for OCPP")}</summary><${Settings} key=${`${listener.enabled}${listener.profile}`} listener=${listener} onSaved=${onChanged} /></details>`}
  </section>`;
}
