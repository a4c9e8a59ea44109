// @ts-check
// Line charts as SVG. With the arrow keys (or the pointer) a cursor goes from step to step and its values are said below.

import { date, drawing, element } from "./elements.js";

/**
 * @typedef {{ name: string, tone: string, values: (number | null)[] }} Series
 * @typedef {{ at: number[], step: number, series: Series[], unit?: string, least?: number }} Picture
 */

const HEIGHT = 190;
const ROOM = { left: 44, right: 10, top: 10, bottom: 24 };

/** @type {WeakMap<Element, { picture: Picture, cursor: number | null, key: string }>} */
const states = new WeakMap();

const sizes = new ResizeObserver((entries) => {
  for (const entry of entries) if (states.has(entry.target)) draw(entry.target);
});

/**
 * Shows a picture in a figure.
 * @param {Element} figure
 * @param {Picture} picture
 */
export function chart(figure, picture) {
  const key = JSON.stringify(picture);
  const state = states.get(figure);
  if (state?.key === key) return;
  states.set(figure, { picture, cursor: null, key });
  if (!state) prepare(figure);
  draw(figure);
}

/** @param {Element} figure */
function prepare(figure) {
  const svg = drawing("svg", { tabindex: 0, role: "img", height: HEIGHT });
  const table = element("table", {}, element("thead"), element("tbody"));
  figure.append(
    element("ul", { class: "legend" }),
    svg,
    element("output", { class: "quiet", "aria-live": "polite" }),
    element("details", {}, element("summary", {}, "As a table"), element("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": "The chart's values" }, table)),
  );
  svg.addEventListener("keydown", (event) => {
    if (!(event instanceof KeyboardEvent)) return;
    const state = states.get(figure);
    if (!state) return;
    const last = state.picture.at.length - 1;
    const now = state.cursor ?? last + 1;
    /** @type {Record<string, number | null>} */
    const moves = { ArrowLeft: Math.max(0, now - 1), ArrowRight: Math.min(last, now + 1), Home: 0, End: last, Escape: null };
    if (!(event.key in moves)) return;
    event.preventDefault();
    state.cursor = moves[event.key] ?? null;
    draw(figure);
  });
  svg.addEventListener("pointermove", (event) => {
    const state = states.get(figure);
    if (!state || !(event instanceof PointerEvent)) return;
    const box = svg.getBoundingClientRect();
    const part = (event.clientX - box.left - ROOM.left) / (box.width - ROOM.left - ROOM.right);
    const last = state.picture.at.length - 1;
    const place = Math.max(0, Math.min(last, Math.round(part * last)));
    if (place !== state.cursor) {
      state.cursor = place;
      draw(figure);
    }
  });
  const leave = () => {
    const state = states.get(figure);
    if (state && state.cursor !== null) {
      state.cursor = null;
      draw(figure);
    }
  };
  svg.addEventListener("pointerleave", leave);
  svg.addEventListener("blur", leave);
  figure.querySelector("details")?.addEventListener("toggle", () => draw(figure));
  sizes.observe(figure);
}

/** @param {Element} figure */
function draw(figure) {
  const state = states.get(figure);
  const svg = figure.querySelector("svg");
  if (!state || !svg) return;
  const { picture, cursor } = state;
  const width = Math.max(240, figure.clientWidth - 32);
  const top = ceiling(Math.max(picture.least ?? 1, ...picture.series.flatMap((one) => one.values.map((value) => value ?? 0))));
  const last = Math.max(1, picture.at.length - 1);
  const x = (/** @type {number} */ n) => ROOM.left + (n / last) * (width - ROOM.left - ROOM.right);
  const y = (/** @type {number} */ value) => HEIGHT - ROOM.bottom - (value / top) * (HEIGHT - ROOM.top - ROOM.bottom);
  svg.setAttribute("viewBox", `0 0 ${width} ${HEIGHT}`);
  svg.setAttribute("width", String(width));
  svg.setAttribute("aria-label", `${figure.querySelector("figcaption")?.textContent}: ${summary(picture)}`);
  const parts = [...grid(picture, width, top, x, y)];
  for (const one of picture.series) {
    const lines = paths(one.values, x, y);
    for (const line of lines) {
      parts.push(drawing("path", { class: `area ${one.tone}`, d: `${line.d}L${line.to} ${y(0)}L${line.from} ${y(0)}Z` }));
      parts.push(drawing("path", { class: `line ${one.tone}`, d: line.d }));
      // A single step has no length that could be seen.
      if (line.from === line.to) parts.push(drawing("circle", { class: `dot ${one.tone}`, cx: line.from, cy: line.y, r: 3 }));
    }
  }
  if (cursor !== null) {
    parts.push(drawing("line", { class: "cursor", x1: x(cursor), x2: x(cursor), y1: ROOM.top, y2: HEIGHT - ROOM.bottom }));
    for (const one of picture.series) {
      const value = one.values[cursor];
      if (value !== null && value !== undefined) parts.push(drawing("circle", { class: `dot ${one.tone}`, cx: x(cursor), cy: y(value), r: 3.5 }));
    }
  }
  svg.replaceChildren(...parts);
  const legend = picture.series.map((one) => element("li", {}, element("span", { class: `swatch ${one.tone}` }), one.name));
  figure.querySelector("ul.legend")?.replaceChildren(...legend);
  const output = figure.querySelector("output");
  if (output) output.textContent = cursor === null ? summary(picture) : told(picture, cursor);
  if (figure.querySelector("details")?.open) table(figure, picture);
}

/**
 * Lines, from one gap to the next.
 * @param {(number | null)[]} values
 * @param {(n: number) => number} x
 * @param {(value: number) => number} y
 */
function paths(values, x, y) {
  /** @type {{ d: string, from: string, to: string, y: string }[]} */
  const found = [];
  let open = false;
  values.forEach((value, n) => {
    if (value === null) {
      open = false;
      return;
    }
    const place = x(n).toFixed(1);
    const height = y(value).toFixed(1);
    const point = `${place} ${height}`;
    const line = found.at(-1);
    if (open && line) {
      line.d += `L${point}`;
      line.to = place;
    } else {
      found.push({ d: `M${point}`, from: place, to: place, y: height });
      open = true;
    }
  });
  return found;
}

/**
 * @param {Picture} picture
 * @param {number} width
 * @param {number} top
 * @param {(n: number) => number} x
 * @param {(value: number) => number} y
 */
function* grid(picture, width, top, x, y) {
  for (const value of [0, top / 2, top]) {
    yield drawing("line", { class: "rule", x1: ROOM.left, x2: width - ROOM.right, y1: y(value), y2: y(value) });
    yield drawing("text", { class: "mark", x: ROOM.left - 6, y: y(value) + 4, "text-anchor": "end" }, short(value) + (picture.unit ?? ""));
  }
  const marks = width < 420 ? 3 : 5;
  for (let n = 0; n < marks; n += 1) {
    const place = Math.round((n / (marks - 1)) * (picture.at.length - 1));
    const anchor = n === 0 ? "start" : n === marks - 1 ? "end" : "middle";
    yield drawing("text", { class: "mark", x: x(place), y: HEIGHT - 6, "text-anchor": anchor }, when(picture, place));
  }
}

/**
 * @param {Element} figure
 * @param {Picture} picture
 */
function table(figure, picture) {
  const head = element("tr", {}, element("th", { scope: "col" }, "From"), ...picture.series.map((one) => element("th", { scope: "col", class: "n" }, one.name)));
  figure.querySelector("thead")?.replaceChildren(head);
  const rows = picture.at.map((_, n) =>
    element("tr", {}, element("td", {}, when(picture, n, true)), ...picture.series.map((one) => element("td", { class: "n" }, worded(one.values[n] ?? null, picture)))),
  );
  figure.querySelector("tbody")?.replaceChildren(...rows.reverse());
}

/** @param {Picture} picture */
function summary(picture) {
  const part = (/** @type {Series} */ one) => {
    const known = one.values.filter((value) => value !== null);
    if (known.length === 0) return `${one.name}: nothing known`;
    const most = Math.max(...known.map(Number));
    if (picture.unit) return `${one.name} at most ${worded(most, picture)}`;
    return `${one.name} ${picture.least === undefined ? short(known.reduce((sum, value) => Number(sum) + Number(value), 0)) + " in all, " : ""}at most ${short(most)}`;
  };
  return picture.series.map(part).join("; ");
}

/** @param {Picture} picture @param {number} n */
function told(picture, n) {
  return `${when(picture, n, true)}: ${picture.series.map((one) => `${one.name} ${worded(one.values[n] ?? null, picture)}`).join(", ")}`;
}

/** @param {number | null} value @param {Picture} picture */
const worded = (value, picture) => (value === null ? "–" : `${picture.unit ? value.toFixed(1) : value}${picture.unit ?? ""}`);

/** @param {Picture} picture @param {number} n @param {boolean} [whole] */
function when(picture, n, whole = false) {
  const micros = picture.at[n];
  if (micros === undefined) return "";
  const at = date(micros);
  const two = (/** @type {number} */ value) => String(value).padStart(2, "0");
  const time = `${two(at.getHours())}:${two(at.getMinutes())}`;
  const day = `${two(at.getMonth() + 1)}-${two(at.getDate())}`;
  if (whole) return `${day} ${time}`;
  return picture.step >= 7200 ? day : time;
}

/** The next of 1, 2, 4, 10, 20, 40… @param {number} value */
function ceiling(value) {
  const power = 10 ** Math.floor(Math.log10(value));
  for (const factor of [1, 2, 4, 10]) if (factor * power >= value) return Math.max(2, factor * power);
  return 10 * power;
}

/** @param {number} value */
function short(value) {
  if (value >= 1e6) return `${+(value / 1e6).toFixed(1)} M`;
  if (value >= 1e4) return `${+(value / 1e3).toFixed(1)} k`;
  return String(+value.toFixed(1));
}
