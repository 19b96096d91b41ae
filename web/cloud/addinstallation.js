// "Add new installation": a Cloud ID and a password, both proposed at random; shown once when they are added.
import { post } from "../common/api.js";
import { announce, Button, Copyable, ProblemBox, TextField, useTask } from "../common/parts.js";
import { html, useState } from "../common/ui.js";
import { t } from "../common/words.js";
import { proposedId, proposedPassword } from "./proposal.js";

/** @param {{onAdded: () => void}} props */
export function AddInstallation({ onAdded }) {
  const task = useTask();
  const [cloudId, setCloudId] = useState(proposedId());
  const [password, setPassword] = useState(proposedPassword());
  const [made, setMade] = useState(/** @type {{cloud_id: string, password: string}|null} */ (null));
  const propose = () => {
    setCloudId(proposedId());
    setPassword(proposedPassword());
  };
  /** @param {Event} event */
  const submit = (event) => {
    event.preventDefault();
    void task.run(async () => {
      const wish = { cloud_id: cloudId.trim(), password };
      await post("/cloud/admin/installations", wish);
      setMade(wish);
      propose();
      announce(t("Installation {id} is added.", { id: wish.cloud_id }));
      onAdded();
    });
  };
  return html`<section aria-labelledby="add"><h2 id="add">${t("Add new installation")}</h2>
    <form class="narrow" onSubmit=${submit} autocomplete="off">
      <${TextField} label=${t("Cloud ID")} name="cloud_id" required minlength="3" maxlength="64" spellcheck=${false} autocapitalize="off" value=${cloudId}
        onValue=${setCloudId} help=${t("3 to 64 letters, digits, dots, underscores or hyphens; a random one is proposed, which nobody guesses.")} problem=${task.problem} />
      <${TextField} label=${t("Installation password (cloud password)")} name="password" required minlength="12" maxlength="128" spellcheck=${false} autocapitalize="off"
        value=${password} onValue=${setPassword} help=${t("12 to 128 characters; a random one is proposed.")} problem=${task.problem} />
      <${ProblemBox} problem=${task.problem} />
      <div class="buttons">
        <${Button} onClick=${propose}>${t("Propose another")}<//>
        <${Button} type="submit" class="main" busy=${task.busy}>${t("Add new installation")}<//>
      </div>
    </form>
    ${made
      ? html`<div class="box good narrow" role="status" id="made"><p>${t(
          "Enter these two and the address of this server at the installation, on the page “Cloud service”. The password is not shown again.",
        )}</p>
        <${Copyable} label=${t("Cloud ID")} text=${made.cloud_id} />
        <${Copyable} label=${t("Installation password")} text=${made.password} />
        <div class="buttons"><${Button} onClick=${() => setMade(null)}>${t("I have noted it")}<//></div></div>`
      : null}
  </section>`;
}
