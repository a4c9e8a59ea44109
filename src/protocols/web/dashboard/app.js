// @ts-check
// Which page is shown, and keeping it fresh.

import { byId, element } from "./elements.js";
import { listen } from "./keys.js";
import { lookAtReports, showReports } from "./reports.js";
import { follows, isFirstPart, showEvents, showMailboxes, showQueue, showTail, showTrace } from "./search.js";
import { showOverview, showTimeline } from "./tiles.js";

const EVERY = 10_000;
/** How long an answer may take. Browsers wait for ever, and the page would keep saying that all is well. */
const PATIENCE = 60_000;
const PAGES = ["overview", "queue", "mailboxes", "events", "trace", "reports"];
const RANGES = ["6h", "24h", "7d", "30d"];
let paused = false;
let busy = false;
/** Whether somebody has asked while a refresh was under way. */
let again = false;

/** @param {string} path below /api/v1/ @returns {Promise<any>} */
async function ask(path) {
  const answer = await fetch(`api/v1/${path}`, { headers: { accept: "application/json" }, signal: AbortSignal.timeout(PATIENCE) });
  if (answer.status === 401) {
    location.assign("login");
    throw new Error("the login has ended");
  }
  const value = await answer.json();
  if (!answer.ok) throw new Error(value.error ?? `the server answered ${answer.status}`);
  return value;
}

/** @returns {{ page: string, about: URLSearchParams }} */
function place() {
  const [page = "", about = ""] = location.hash.slice(1).split("?");
  return { page: PAGES.includes(page) ? page : "overview", about: new URLSearchParams(about) };
}

const range = () => /** @type {HTMLInputElement | null} */ (document.querySelector("#range input:checked"))?.value ?? "24h";

/** @param {"asked" | "by itself"} why */
async function refresh(why) {
  if (busy) {
    again ||= why === "asked";
    return;
  }
  if (why === "by itself" && (paused || document.hidden)) return;
  busy = true;
  document.body.setAttribute("aria-busy", "true");
  try {
    const { page } = place();
    const overview = Promise.all([ask("overview"), lookAtReports(ask)]).then(([facts]) => showOverview(facts));
    /** @type {Record<string, () => Promise<void> | undefined>} */
    const pages = {
      overview: async () => void await Promise.all([ask(`timeline?range=${range()}`).then(showTimeline), showTail(ask)]),
      queue: () => (why === "asked" || isFirstPart() ? showQueue(ask) : undefined),
      mailboxes: () => showMailboxes(ask),
      reports: () => showReports(ask),
      events: () => (why === "asked" || follows() ? showEvents(ask) : undefined),
    };
    await Promise.all([overview, pages[page]?.()]);
    document.body.dataset["state"] = "fresh";
  } catch (error) {
    document.body.dataset["state"] = "stale";
    byId("health").className = "pill bad";
    byId("health").textContent = "No answer";
    byId("stamp").textContent = `Not refreshed: ${error instanceof Error ? error.message : error}`;
  } finally {
    busy = false;
    document.body.removeAttribute("aria-busy");
  }
  if (again) {
    again = false;
    void refresh("asked");
  }
}

function turn() {
  const { page, about } = place();
  for (const name of PAGES) byId(name).hidden = name !== page;
  for (const link of document.querySelectorAll("nav a")) {
    if (link.getAttribute("href") === `#${page}`) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  const asked = about.get("about");
  if (page === "trace" && asked) {
    const field = /** @type {HTMLInputElement} */ (document.querySelector("#trace-search input"));
    field.value = asked;
    void showTrace(ask, asked);
  }
  void refresh("asked");
}

const THEMES = ["system", "light", "dark"];

/** @param {string} theme */
function dress(theme) {
  document.documentElement.dataset["theme"] = theme;
  byId("theme").textContent = `Theme: ${theme}`;
  localStorage.setItem("theme", theme);
}

const nextTheme = () => dress(THEMES[(THEMES.indexOf(document.documentElement.dataset["theme"] ?? "system") + 1) % THEMES.length] ?? "system");

function pause() {
  paused = !paused;
  const button = byId("pause");
  button.setAttribute("aria-pressed", String(paused));
  button.textContent = paused ? "Go on" : "Pause";
  if (!paused) void refresh("asked");
}

/** @param {number} by */
function zoom(by) {
  const next = RANGES[RANGES.indexOf(range()) + by];
  const field = /** @type {HTMLInputElement | null} */ (document.querySelector(`#range input[value="${next}"]`));
  if (!field) return;
  field.checked = true;
  void refresh("asked");
}

function search() {
  if (!["events", "trace"].includes(place().page)) {
    location.hash = "#trace";
    // At once, so that the next key goes into the field.
    turn();
  }
  /** @type {HTMLElement | null} */ (document.querySelector(`#${place().page} input[type=search]`))?.focus();
}

/** The kinds of events, as the interface's description lists them. */
async function kinds() {
  const described = await ask("openapi.json");
  for (const select of document.querySelectorAll("select[name=kind]:is(#event-search *, #tail *)")) {
    for (const kind of described.components.schemas.EventKind.enum) select.append(element("option", { value: kind }, kind));
  }
}

listen([
  ...PAGES.map((page, n) => ({ keys: [String(n + 1)], words: `Page ${page}`, act: () => void (location.hash = `#${page}`) })),
  { keys: ["/"], words: "Search events or messages", act: search },
  { keys: ["r"], words: "Refresh now", act: () => void refresh("asked") },
  { keys: ["p"], words: "Pause and resume refreshing", act: pause },
  { keys: ["["], words: "Charts of a shorter time", act: () => zoom(-1) },
  { keys: ["]"], words: "Charts of a longer time", act: () => zoom(1) },
  { keys: ["t"], words: "Light, dark, or as in the system", act: nextTheme },
]);
byId("pause").addEventListener("click", pause);
byId("theme").addEventListener("click", nextTheme);
byId("range").addEventListener("change", () => void refresh("asked"));
byId("by").addEventListener("change", () => void refresh("asked"));
byId("event-search").addEventListener("submit", (event) => {
  event.preventDefault();
  void refresh("asked");
});
byId("tail").addEventListener("change", () => void refresh("asked"));
byId("tail").addEventListener("submit", (event) => event.preventDefault());
byId("report-search").addEventListener("change", () => void refresh("asked"));
byId("report-search").addEventListener("submit", (event) => {
  event.preventDefault();
  void refresh("asked");
});
byId("trace-search").addEventListener("submit", (event) => {
  event.preventDefault();
  const about = String(new FormData(/** @type {HTMLFormElement} */ (event.target)).get("about"));
  const hash = `#trace?about=${encodeURIComponent(about)}`;
  if (location.hash === hash) turn();
  else location.hash = hash;
});
dress(THEMES.find((theme) => theme === localStorage.getItem("theme")) ?? "system");
addEventListener("hashchange", turn);
document.addEventListener("visibilitychange", () => void refresh("by itself"));
setInterval(() => void refresh("by itself"), EVERY);
turn();
void kinds();
