// What surrounds every page: who is logged in, the menu line, the connection's banner, language and colours.
import { get, post, problemFrom } from "./api.js";
import { showTimesOf, zoneNote } from "./format.js";
import { announcement, Guard, ProblemBox } from "./parts.js";
import { html, render, signal, useState } from "./ui.js";
import { language, loadWords, t } from "./words.js";

/** @typedef {import("./types.js").Me} Me */
/** @typedef {{name: string, text: string}} MenuItem */

const API_MAJOR = 1;
const LANGUAGES = /** @type {const} */ ([["de", "Deutsch"], ["en", "English"], ["fr", "Français"]]);

/** Who we are here; set before a page is drawn. */
export const me = signal(/** @type {Me} */ ({
  role: "nobody",
  user: null,
  remote: false,
  language,
  api: { major: API_MAJOR, features: [] },
}));

/** @param {string} role */
export const isAdmin = (role = me.value.role) => role === "admin";
/** @param {string} feature */
export const has = (feature) => me.value.api.features.includes(feature);

const pageName = () => location.pathname.split("/").pop() || "overview.htm";

/** @param {string} name */
export function go(name) {
  location.assign(name);
}

/** Whether the login has ended; then the way leads to the login page. @param {import("./api.js").Problem} problem */
export function loginGone(problem) {
  if (problem.status !== 401) return false;
  go("login.htm");
  return true;
}

function menuItems() {
  /** @type {MenuItem[]} */
  const items = [
    { name: "overview.htm", text: t("Overview") },
    { name: "sessions.htm", text: t("Sessions") },
  ];
  const last = { name: "logins.htm", text: t("Logins") };
  if (isAdmin()) {
    items.push(
      { name: "devices.htm", text: t("Devices") },
      { name: "site.htm", text: t("Site") },
      { name: "rules.htm", text: t("Rules") },
      { name: "tariff.htm", text: t("Tariff") },
      { name: "grid.htm", text: t("Grid operator") },
      { name: "users.htm", text: t("Users") },
      { name: "remote.htm", text: t("Cloud service") },
      { name: "system.htm", text: t("System") },
    );
  }
  return [...items, last];
}

/** Ends the login session at both ends; the page that follows is the same name at agent and cloud. */
async function leave() {
  try {
    await post("/logout");
  } catch {
    // The login ends by itself at its time; here it is left in any case.
  }
  go("login.htm");
}

/** @param {{items: MenuItem[], onLeave: () => void}} props */
function Menu({ items, onLeave }) {
  const here = pageName();
  const [open, setOpen] = useState(false);
  return html`<nav aria-label=${t("Menu")} class=${open ? "open" : ""}>
    <button type="button" class="button menu" aria-expanded=${open ? "true" : "false"} aria-controls="menu"
      onClick=${() => setOpen(!open)}>${t("Menu")}</button>
    <ul id="menu">
      ${items.map(
        (item) => html`<li key=${item.name}><a href=${item.name} aria-current=${item.name === here ? "page" : undefined}>${item.text}</a></li>`,
      )}
      ${me.value.remote
        ? html`<li><button type="button" class="link" id="cloud-login" title=${t("Log out")} onClick=${onLeave}>${t("Cloud Login")}</button></li>`
        : html`<li><button type="button" class="link" id="log-out" onClick=${onLeave}>${t("Log out")}</button></li>`}
    </ul>
  </nav>`;
}

function Colours() {
  const [chosen, setChosen] = useState(document.documentElement.dataset.theme || "auto");
  /** @param {string} theme */
  const choose = (theme) => {
    setChosen(theme);
    if (theme === "auto") delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = theme;
    try {
      if (theme === "auto") localStorage.removeItem("theme");
      else localStorage.setItem("theme", theme);
    } catch {
      // storage can be forbidden: then the choice holds for this page
    }
  };
  const names = { auto: t("Automatic"), light: t("Light"), dark: t("Dark") };
  return html`<label class="colours">${t("Colours")}${" "}
    <select name="colours" onChange=${(/** @type {any} */ e) => choose(e.currentTarget.value)}>
      ${Object.entries(names).map(([key, text]) => html`<option key=${key} value=${key} selected=${key === chosen}>${text}</option>`)}
    </select></label>`;
}

function Foot() {
  const here = pageName() + location.search;
  const zone = zoneNote();
  return html`<footer>
    ${zone ? html`<p class="help" id="zone">${zone}</p>` : null}
    <ul class="languages" aria-label=${t("Language")}>
      ${LANGUAGES.map(
        ([code, name]) => html`<li key=${code}><a href=${`/ui/${code}/${here}`} lang=${code} hreflang=${code}
          aria-current=${code === language ? "true" : undefined}>${name}</a></li>`,
      )}
    </ul>
    <${Colours} />
  </footer>`;
}

/** Plain HTTP is said, except on this very machine. */
function PlainHttp() {
  if (location.protocol === "https:" || /^(localhost|127\.[0-9.]+|\[::1\])$/.test(location.hostname)) return null;
  return html`<p class="box warn">${t("This connection is not encrypted: others in the network can read along. Use https:// where you can.")}</p>`;
}

/** While no admin password was ever set, only this machine is served, and as admin. */
function NoPassword() {
  if (!me.value.setup || pageName() === "setup.htm") return null;
  return html`<p class="box warn">${t("No admin password is set yet: only this machine is served.")}${" "}
    <a href="setup.htm">${t("Set the first password")}</a></p>`;
}

/** @param {{title: string, items: MenuItem[], banner?: any, onLeave: () => void, children: any, menu: boolean}} props */
export function Frame({ title, items, banner, onLeave, children, menu }) {
  return html`
    <a class="skip" href="#main">${t("To the content")}</a>
    <header>
      <span class="brand">Charging Manager</span>
      ${menu ? html`<${Menu} items=${items} onLeave=${onLeave} />` : null}
    </header>
    ${banner ?? null}
    <main id="main" tabindex="-1">
      <h1>${title}</h1>
      <${PlainHttp} />
      <${NoPassword} />
      <${Guard}>${children}<//>
    </main>
    <${Foot} />
    <p class="unseen" aria-live="polite" id="announcements">${announcement}</p>`;
}

/** @param {any} tree */
export function show(tree) {
  const place = document.getElementById("page");
  if (!place) return;
  place.replaceChildren();
  render(tree, place);
  document.documentElement.dataset.ready = "yes";
}

/**
 * Fetch the words and who we are, then draw the page. Without a login the way leads to the login page.
 * @param {{title: () => string, view: any, needs?: "user"|"installer"|"admin"|"nobody", banner?: any}} page
 */
export async function start({ title, view, needs = "admin", banner }) {
  await loadWords();
  /** @param {any} content */
  const framed = (content, menu = true, heading = title()) => {
    document.title = `${heading} · Charging Manager`;
    show(html`<${Frame} title=${heading} items=${menuItems()} menu=${menu} onLeave=${leave}
      banner=${menu && banner ? html`<${banner} />` : null}>${content}<//>`);
  };
  try {
    me.value = await get("/me");
    showTimesOf(me.value.timezone);
  } catch (error) {
    const problem = problemFrom(error);
    if (needs !== "nobody" && problem.status === 401) return location.replace("login.htm");
    return framed(html`<${ProblemBox} problem=${problem} /><div class="buttons">
      <a class="button main" href=${pageName()}>${t("Try again")}</a>
      ${needs === "nobody" ? null : html`<a class="button" href="login.htm">${t("Log in")}</a>`}</div>`, false);
  }
  const { role, api, setup } = me.value;
  if (api && api.major !== API_MAJOR) {
    const sentence =
      api.major > API_MAJOR
        ? t("The installation is newer than these pages. Update the cloud server.")
        : t("These pages are newer than the installation. Update the charging manager at the site.");
    return framed(html`<p class="box bad">${sentence}</p>`, false);
  }
  if (setup && pageName() === "login.htm") return location.replace("setup.htm");
  if (needs === "nobody") return framed(html`<${view} />`, false);
  if (role === "nobody") return location.replace("login.htm");
  const rank = { nobody: 0, user: 1, installer: 2, admin: 3 };
  if (rank[role] < rank[needs]) {
    return framed(html`<p class="box warn">${t("This page is for the administrator of the installation.")}</p>`);
  }
  return framed(html`<${view} />`);
}
