// Settings of the account.

import { addressOf, get, post, remove } from "./api.js";
import { HOLD } from "./compose.js";
import { open, stored } from "./dialogs.js";
import { browserName, button, h, sends, toast } from "./elements.js";
import { keep } from "./savepreferences.js";
import { signed } from "./markup.js";
import { forgetPeople } from "./addresses.js";
import { responses } from "./responses.js";
import { security } from "./security.js";
import { LANGUAGES, longDate, t } from "./texts.js";
import { RichTextField } from "./richtext.js";

/** Shows colours and lists as the account prefers them. */
export function apply(preferences) {
  document.documentElement.dataset.theme = preferences.theme || "system";
  document.documentElement.dataset.density = preferences.density || "roomy";
}

/** The window with all settings; the focus is in the section that is meant. */
export async function show(account, changed, meant = null) {
  const { preferences } = account;
  const store = async () => {
    try {
      await keep(preferences);
      apply(preferences);
      changed();
      toast(t("saved"));
      return true;
    } catch (error) {
      toast(error.message, { problem: true });
      return false;
    }
  };
  const wordings = [];
  const content = h("div", { class: "settings" },
    identities(account, store, wordings), responses(preferences, store, wordings), appearance(preferences, store), images(preferences, store), password(account), arriving(security), arriving(devices), arriving(logins), arriving(people));
  await open(t("settings"), content, { wide: true, initial: content.querySelector(meant ? `#${meant} :is(input, .addResponse)` : "input"), asks: true });
  for (const wording of wordings) wording.end();
}

/** Seconds from which the time to take back a letter is chosen. */
const HOLDS = [0, 5, 10, 20, 30];

/** A part that the server must be asked for. Over a slow line the others can be used meanwhile, and also if it cannot be had. */
function arriving(make) {
  const place = h("section", { "aria-busy": "true" }, h("p", {}, t("loading")));
  make().then((made) => place.replaceWith(made), (error) => {
    place.removeAttribute("aria-busy");
    place.replaceChildren(h("p", { class: "problems", role: "alert" }, error.message));
  });
  return place;
}

const section = (name, ...content) => h("section", {}, h("h3", {}, t(name)), content);
const label = (name, control) => h("label", {}, h("span", {}, t(name)), control);

function identities({ identities: all, address, name, preferences }, store, wordings) {
  const form = h("form", { on: { submit: (event) => { event.preventDefault(); save(); } } });
  const fields = all.map((one) => {
    const known = preferences.identities[one.toLowerCase()] ?? {};
    const who = h("input", { type: "text", value: known.name ?? (one === address ? name ?? "" : ""), maxLength: 200, autocomplete: "name" });
    const { name: _, signature: text = "", ...formatted } = known;
    const signature = new RichTextField({ name: t("signature"), kept: { text, ...formatted }, rows: 3, load: known.html ? (picture) => signed(one, picture) : null, pictured: true });
    wordings.push(signature);
    form.append(h("fieldset", {}, h("legend", {}, one), label("yourName", who), ...signature.elements));
    return [one, who, signature];
  });
  const first = h("select", {}, all.map((one) => h("option", { value: one, selected: one === (preferences.default_identity ?? address) }, one)));
  if (all.length > 1) form.append(label("defaultAddress", first));
  form.append(h("button", { class: "main", type: "submit" }, t("save")));
  const save = () => {
    for (const [one, who, { value: { text, ...formatted } }] of fields) preferences.identities[one.toLowerCase()] = { name: who.value.trim(), signature: text, ...formatted };
    preferences.default_identity = first.value;
    const moment = performance.now();
    store().then((kept) => { if (kept) stored(form, moment); });
  };
  return section("identities", form);
}

function appearance(preferences, store) {
  const choose = (key, options) => h("select", { on: { change: (event) => { preferences[key] = event.target.value; store(); } } },
    options.map(([value, name]) => h("option", { value, selected: value === (preferences[key] || options[0][0]) }, t(name))));
  const check = (key) => h("input", { type: "checkbox", checked: preferences[key], on: { change: (event) => { preferences[key] = event.target.checked; store(); } } });
  const language = h("select", { class: "language", on: { change: async () => { preferences.language = language.value; if (await store()) location.reload(); } } },
    [["", t("languageBrowser")], ...Object.entries(LANGUAGES)].map(([value, name]) => h("option", { value, selected: value === (preferences.language ?? "") }, name)));
  const hold = h("select", { class: "hold", on: { change: () => { preferences.hold = Number(hold.value); store(); } } },
    HOLDS.map((seconds) => h("option", { value: seconds, selected: seconds === (preferences.hold ?? HOLD) }, seconds === 0 ? t("undoSendOff") : t("seconds", { count: seconds }))));
  return section("appearance",
    label("language", language),
    label("theme", choose("theme", [["system", "themeSystem"], ["light", "themeLight"], ["dark", "themeDark"]])),
    label("density", choose("density", [["roomy", "roomy"], ["compact", "compact"]])),
    label("groupConversations", check("conversations")), label("preferText", check("prefer_text")), label("replyBelow", check("reply_below")), label("writeFormatted", check("formatted")), label("undoSend", hold));
}

function images(preferences, store) {
  const list = h("ul", { class: "plain" });
  const draw = () => list.replaceChildren(...preferences.trusted_images.map((address) => h("li", {}, address, button(t("remove"), "close", () => {
    preferences.trusted_images = preferences.trusted_images.filter((one) => one !== address);
    draw();
    store();
  }, { kind: "small" }))));
  draw();
  return preferences.trusted_images.length > 0 && section("trustedImages", list);
}

function password({ address, limits }) {
  const field = (autocomplete) => h("input", { type: "password", autocomplete, required: true });
  const [old, fresh, again] = [field("current-password"), field("new-password"), field("new-password")];
  const note = h("p", { class: "problems", role: "alert" });
  const form = h("form", {}, h("input", { type: "email", value: address, autocomplete: "username", hidden: true, "aria-hidden": "true" }),
    label("oldPassword", old), h("label", {}, h("span", {}, t("newPassword", { least: limits.password })), fresh), label("againPassword", again),
    note, h("button", { class: "main", type: "submit" }, t("changePassword")));
  sends(form, async () => {
    note.textContent = "";
    if (fresh.value !== again.value) {
      note.textContent = t("passwordsDiffer");
      return;
    }
    try {
      await post("password", { old: old.value, new: fresh.value });
      form.reset();
      toast(t("passwordChanged"));
    } catch (error) {
      note.textContent = error.message;
    }
  });
  return section("changePassword", form);
}

async function devices() {
  const { hostname, login, servers, calendars_and_contacts: dav } = await get("devices");
  const seen = new Set();
  const first = servers.filter(({ kind }) => !seen.has(kind) && seen.add(kind));
  const row = (name, value) => h("li", {}, h("span", {}, h("strong", {}, name), ` ${value}`));
  const list = h("ul", { class: "plain devices" },
    first.map(({ kind, port, protection }) => row(t(`server_${kind}`), t("serverAt", { hostname, port: String(port), protection: t(`protection_${protection}`) }))),
    dav && row(t("serverDav"), dav), row(t("loginName"), login));
  return section("devices", h("p", {}, t("devicesWhy")), list,
    h("div", { class: "actionRow" }, h("a", { href: addressOf("devices/apple.mobileconfig"), download: "mail.mobileconfig" }, t("appleProfile"))));
}

async function logins() {
  const { sessions } = await get("sessions");
  const list = h("ul", { class: "plain" }, sessions.map((one) => {
    const line = h("li", { class: one.current ? "current" : "" }, h("span", {}, h("strong", {}, browserName(one.browser)), ` ${one.client} `, h("small", {}, one.current ? t("thisLogin") : t("lastUsed", { date: longDate(one.used) }))));
    if (!one.current) line.append(button(t("endLogin"), null, async () => {
      await remove(`sessions/${one.id}`).then(() => line.remove(), (error) => toast(error.message, { problem: true }));
    }, { text: true }));
    return line;
  }));
  const others = button(t("endOtherLogins"), null, async () => {
    await remove("sessions").then(() => {
      for (const line of [...list.children]) if (!line.classList.contains("current")) line.remove();
      others.remove();
    }, (error) => toast(error.message, { problem: true }));
  }, { text: true, kind: "endOthers" });
  return section("logins", list, ...(sessions.length > 1 ? [h("div", { class: "actionRow" }, others)] : []));
}

async function people() {
  const { people: all } = await get("people");
  const list = h("ul", { class: "plain people-list" }, all.map((person) => {
    const line = h("li", {}, h("span", {}, h("strong", {}, person.name || person.address), person.name ? ` ${person.address}` : ""));
    line.append(button(t("forget", { name: person.name || person.address }), "close", async () => {
      await post("people/forget", { address: person.address }).then(() => line.remove(), (error) => toast(error.message, { problem: true }));
      forgetPeople();
    }, { kind: "small" }));
    return line;
  }));
  return section("people", all.length > 0 ? list : h("p", {}, t("noPeople")));
}
