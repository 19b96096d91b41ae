// Login at the site itself.
import { post } from "../common/api.js";
import { CodeField } from "../common/codefield.js";
import { go, me, start } from "../common/frame.js";
import { Button, ProblemBox, TextField, TickField, useTask } from "../common/parts.js";
import { html, useState } from "../common/ui.js";
import { t } from "../common/words.js";

function Login() {
  const task = useTask();
  const [secret, setSecret] = useState("");
  const [admin, setAdmin] = useState(true);
  const [code, setCode] = useState("");
  const coded = admin && me.value.second_factor === true;
  /** @param {Event} event */
  const submit = (event) => {
    event.preventDefault();
    void task.run(async () => {
      await post("/login", admin ? { password: secret, ...(coded ? { code } : {}) } : { user_id: secret.trim() });
      go("overview.htm");
    });
  };
  return html`<form class="narrow" onSubmit=${submit}>
    <input class="unseen" type="text" name="username" autocomplete="username" value=${admin ? "admin" : "user"} readonly tabindex="-1" aria-hidden="true" />
    <${TextField} label=${admin ? t("Admin password") : t("User ID")} name="secret" type="password" autocomplete="current-password"
      required autofocus value=${secret} onValue=${setSecret} problem=${task.problem} />
    ${coded ? html`<${CodeField} required value=${code} onValue=${setCode} problem=${task.problem} />` : null}
    <${TickField} label=${t('Log in as "admin"')} name="admin" checked=${admin} onValue=${setAdmin} />
    <${ProblemBox} problem=${task.problem} />
    <div class="buttons"><${Button} type="submit" class="main" busy=${task.busy}>${task.busy ? t("Checking …") : t("Log in")}<//></div>
  </form>`;
}

await start({ title: () => t("Log in"), view: Login, needs: "nobody" });
