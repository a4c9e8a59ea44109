// What guards the account: two-factor login, and passwords of single devices.

import { get, post } from "./api.js";
import { confirm, open } from "./dialogs.js";
import { browserName, button, h, sends, toast } from "./elements.js";
import { longDate, t } from "./texts.js";

const SVG = "http://www.w3.org/2000/svg";

/** The part of the settings. */
export async function security() {
  const section = h("section", {});
  await draw(section);
  return section;
}

async function draw(section) {
  const facts = await get("security");
  const again = () => draw(section).catch((error) => toast(error.message, { problem: true }));
  section.replaceChildren(h("h3", {}, t("security")), ...twoFactor(facts.two_factor, again), ...appPasswords(facts, facts.two_factor.on, again));
}

function twoFactor({ on, since, required, recovery_codes: left, app_passwords_only: only, browsers }, again) {
  const act = (name, what) => button(t(name), null, async () => { if (await what()) again(); }, { text: true, kind: name });
  const text = on ? t("twoFactorOn", { date: longDate(since), left }) : t(only ? "twoFactorOff" : "twoFactorOffEverywhere");
  return [h("h4", {}, t("twoFactor")), h("p", { class: "twoFactor" }, text),
    h("div", { class: "actionRow" }, on ? [act("newCodes", newCodes), !required && act("turnOff", turnOff)] : act("turnOn", enrol)), ...remembered(browsers, again)];
}

/** The browsers that are spared a code. */
function remembered(browsers, again) {
  if (browsers.length === 0) return [];
  const forget = async (which) => {
    await post("two-factor/forget", which).then(() => toast(t("browserForgotten")), (error) => toast(error.message, { problem: true }));
    again();
  };
  const line = (one) => h("li", { class: one.current ? "current" : "" },
    h("span", {}, h("strong", {}, browserName(one.browser)), ` ${one.client} `, h("small", {}, `${one.current ? t("thisBrowser") : t("lastUsed", { date: longDate(one.used) })} · ${t("endsAt", { date: longDate(one.ends) })}`)),
    button(t("forget", { name: `${browserName(one.browser)}, ${one.client}` }), "close", () => forget({ id: one.id }), { kind: "small" }));
  return [h("p", {}, t("rememberedBrowsers")), h("ul", { class: "plain remembered" }, browsers.map(line)),
    browsers.length > 1 && h("div", { class: "actionRow" }, button(t("forgetBrowsers"), null, () => forget({}), { text: true, kind: "forgetBrowsers" }))].filter(Boolean);
}

function appPasswords({ app_passwords: all, scopes, most_app_passwords: most }, needsCode, again) {
  const used = (one) => (one.used ? t("usedFrom", { date: longDate(one.used), place: one.used_from ?? "?" }) : t("neverUsed"));
  const end = (one) => (one.over ? ` · ${t("ended")}` : one.ends ? ` · ${t("endsAt", { date: longDate(one.ends) })}` : "");
  const line = (one) => h("li", {}, h("span", {}, h("strong", {}, one.name), " ", h("small", {}, `${one.scopes.map((scope) => t(`scope_${scope}`)).join(", ")} · ${used(one)}${end(one)}`)),
    button(t("revoke", { name: one.name }), "close", async () => {
      if (!await confirm(t("revokeSure", { name: one.name }), t("remove"))) return;
      await post("app-passwords/revoke", { name: one.name }).then(() => toast(t("revoked", { name: one.name })), (error) => toast(error.message, { problem: true }));
      again();
    }, { kind: "small" }));
  return [h("h4", {}, t("appPasswords")), h("p", {}, t("appPasswordsWhy")),
    all.length > 0 ? h("ul", { class: "plain appPasswords" }, all.map(line)) : h("p", { class: "appPasswords" }, t("noAppPasswords")),
    all.length < most && h("div", { class: "actionRow" }, button(t("newAppPassword"), null, async () => { if (await newAppPassword(scopes, needsCode)) again(); }, { text: true, kind: "newAppPassword" }))].filter(Boolean);
}

/** A window with a form, which stays open until the request succeeds; the result, or `null`. */
async function ask(title, content, submit, act) {
  let result = null;
  const note = h("p", { class: "problems", role: "alert" });
  const form = h("form", { class: "asked" }, content, note, h("footer", {}, h("button", { class: "main", type: "submit" }, submit)));
  const asking = sends(form, async () => {
    note.textContent = "";
    try {
      result = await act() ?? true;
      form.closest("dialog").close("done");
    } catch (error) {
      if (form.isConnected) note.textContent = error.message;
      else toast(error.message, { problem: true });
    }
  });
  await open(title, form, { initial: form.querySelector("input") });
  // It may work after the window was closed.
  await asking.sent;
  return result;
}

const field = (name, control) => h("label", {}, h("span", {}, t(name)), control);
const passwordField = () => h("input", { type: "password", name: "proof", autocomplete: "current-password", required: true });
const codeField = () => h("input", { type: "text", name: "code", autocomplete: "one-time-code", autocapitalize: "none", spellcheck: false, required: true, maxLength: 40 });

/** The picture of a secret, drawn from a path: no text becomes markup. */
function picture({ size, path }) {
  const svg = document.createElementNS(SVG, "svg");
  for (const [name, value] of [["viewBox", `0 0 ${size} ${size}`], ["class", "picture"], ["role", "img"], ["aria-label", t("secretPicture")]]) svg.setAttribute(name, value);
  const squares = document.createElementNS(SVG, "path");
  squares.setAttribute("d", path);
  svg.append(squares);
  return svg;
}

/** Turns two-factor login on; whether it is on then. */
async function enrol() {
  const password = passwordField();
  const made = await ask(t("twoFactor"), field("passwordAgain", password), t("goOn"), () => post("two-factor", { password: password.value }));
  if (!made) return false;
  const code = codeField();
  const content = [h("p", {}, t("scan")), picture(made.picture), h("p", { class: "shown secret", title: t("secret") }, made.secret.match(/.{1,4}/g).join(" ")), field("firstCode", code)];
  const on = await ask(t("twoFactor"), content, t("turnOn").replace("…", ""), () => post("two-factor/confirm", { code: code.value }));
  if (!on) return false;
  await showCodes(on.recovery_codes);
  return true;
}

async function showCodes(codes) {
  await open(t("recoveryCodes"), h("div", {}, h("p", {}, t("keepCodes")), h("ul", { class: "shown codes" }, codes.map((code) => h("li", {}, code)))),
    { buttons: [[t("codesKept"), "kept", "main"]] });
}

async function newCodes() {
  const [password, code] = [passwordField(), codeField()];
  const made = await ask(t("recoveryCodes"), [h("p", {}, t("newCodesSure")), field("passwordAgain", password), field("code", code)], t("make"),
    () => post("two-factor/recovery-codes", { password: password.value, code: code.value }));
  if (!made) return false;
  await showCodes(made.recovery_codes);
  return true;
}

async function turnOff() {
  const [password, code] = [passwordField(), codeField()];
  const off = await ask(t("twoFactor"), [h("p", {}, t("turnOffSure")), field("passwordAgain", password), field("code", code)], t("turnOff").replace("…", ""),
    () => post("two-factor/off", { password: password.value, code: code.value }));
  if (off) toast(t("turnedOff"));
  return off;
}

async function newAppPassword(scopes, needsCode) {
  const name = h("input", { type: "text", name: "device", required: true, maxLength: 60, autocomplete: "off" });
  const boxes = scopes.map((scope) => [scope, h("input", { type: "checkbox", checked: true, name: scope })]);
  const days = h("select", {}, [["", t("noEnd")], ...[30, 90, 365].map((days) => [days, t("days", { days })])].map(([value, text]) => h("option", { value }, text)));
  const [password, code] = [passwordField(), codeField()];
  const content = [field("deviceName", name), h("fieldset", {}, h("legend", {}, t("openFor")), boxes.map(([scope, box]) => h("label", {}, h("span", {}, t(`scope_${scope}`)), box))),
    field("goodFor", days), field("passwordAgain", password), ...(needsCode ? [field("code", code)] : [])];
  const made = await ask(t("appPasswords"), content, t("make"), () => post("app-passwords", {
    name: name.value.trim(), scopes: boxes.filter(([, box]) => box.checked).map(([scope]) => scope), password: password.value, ...(needsCode ? { code: code.value } : {}), ...(days.value ? { days: Number(days.value) } : {}),
  }));
  if (!made) return false;
  await open(t("appPasswordMade", { name: made.name }), h("div", {}, h("p", {}, t("appPasswordOnce")), h("p", { class: "shown appPassword" }, made.password)),
    { buttons: [[t("done"), "done", "main"]] });
  return true;
}

/** The page of somebody who must turn two-factor login on before anything else. */
export function mustEnrol(root, { done, leave }) {
  const begin = h("button", { class: "main", type: "button", on: { click: async () => { if (await enrol()) await done(); } } }, t("turnOn"));
  root.replaceChildren(h("main", { class: "door" }, h("div", { class: "entrance mustEnrol" }, h("img", { src: "icon.svg", alt: "", width: 56, height: 56 }), h("h1", {}, t("mustEnrol")),
    h("p", {}, t("mustEnrolWhy")), begin, h("button", { type: "button", on: { click: leave } }, t("signOut")))));
  begin.focus();
}
