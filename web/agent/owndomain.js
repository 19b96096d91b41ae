// A domain of the keeper's own that leads to the installation, and the entries that its DNS needs.
import { post, put } from "../common/api.js";
import { Button, Copyable, ProblemBox, TextField, useTask } from "../common/parts.js";
import { html, useState } from "../common/ui.js";
import { t } from "../common/words.js";

/** @typedef {{name: string, value: string}} Entry */
/** @typedef {{name: string, state: string, state_text: string, leads_to: Entry|null, proof: Entry|null, challenge: Entry|null,
 *   caa: string|null}} Domain */
/** @typedef {import("./endtoend.js").EndToEnd} EndToEnd */

const AT = "/config/cloud/end-to-end";

/** @param {{domain: Domain, acme: import("./certificate.js").Acme}} props */
function Entries({ domain, acme }) {
  return html`<h4>${t("What the DNS of your domain needs")}</h4>
    <ol class="entries">
      ${domain.leads_to ? html`<li><p>${t("A and AAAA entries for {name}, with the addresses of {server}. No CNAME: it would leave to the operator who may get certificates.", { name: domain.name, server: domain.leads_to.value })}</p></li>` : null}
      ${domain.proof ? html`<li><p>${t("Whose the domain is, for the cloud server: a TXT entry.")}</p>
        <${Copyable} label=${t("Name of the TXT entry")} text=${domain.proof.name} />
        <${Copyable} label=${t("Value of the TXT entry")} text=${domain.proof.value} /></li>` : null}
      ${domain.challenge && !acme.dns_server ? html`<li><p>${t("For a certificate by ACME that the cloud server publishes the proof for: a CNAME entry.")}</p>
        <${Copyable} label=${t("Name of the CNAME entry")} text=${domain.challenge.name} />
        <${Copyable} label=${t("Where it leads")} text=${domain.challenge.value} /></li>` : null}
      ${domain.caa ? html`<li><p>${t("So that nobody but this installation gets certificates for the domain: a CAA entry for {name}, and no other.", { name: domain.name })}</p>
        <${Copyable} label=${t("Value of the CAA entry")} text=${domain.caa} /></li>` : null}
    </ol>`;
}

/** @param {{shown: EndToEnd, onShown: (shown: EndToEnd) => void}} props */
export function OwnDomain({ shown, onShown }) {
  const domain = shown.domain;
  const task = useTask();
  const [name, setName] = useState(domain.name);
  const kind = domain.state === "held" ? "good" : domain.name ? "warn" : "";
  /** @param {string} wanted */
  const save = (wanted) => void task.run(async () => {
    const fresh = await put(`${AT}/domain`, { domain: wanted });
    setName(fresh.domain.name);
    onShown(fresh);
  });
  return html`<h3>${t("Domain of your own")}</h3>
    ${domain.name ? html`<div class=${`box ${kind}`} data-domain=${domain.state}><p><strong>${domain.name}</strong></p><p>${domain.state_text}</p>
      <div class="buttons"><${Button} busy=${task.busy} onClick=${() => void task.run(async () => onShown(await post(`${AT}/domain/check`)))}>${t("Ask again")}<//></div></div>
      <${Entries} domain=${domain} acme=${shown.acme} />` : null}
    <details><summary>${domain.name ? t("Another domain") : t("Use a domain of your own")}</summary>
      <p class="help">${t("The installation is then reached at a name that is yours and not the operator's. You need to be able to make entries in its DNS.")}</p>
      <${TextField} label=${t("Domain")} help=${t("For example charge.example.org.")} name="domain" problem=${task.problem} value=${name}
        onValue=${setName} autocapitalize="none" spellcheck=${false} />
      <div class="buttons"><${Button} busy=${task.busy} disabled=${!name.trim()} onClick=${() => save(name)}>${t("Use this domain")}<//>
        ${domain.name ? html`<${Button} busy=${task.busy} onClick=${() => save("")}>${t("Without a domain of your own")}<//>` : null}</div>
      <${ProblemBox} problem=${task.problem} />
    </details>`;
}
