// Keeping preferences: what another browser has changed meanwhile stays.

import { get, post } from "./api.js";

/** What the server was known to have, by the preferences of the page. */
const known = new WeakMap();

const same = (one, other) => JSON.stringify(one) === JSON.stringify(other);

/** Remembers preferences as the server has them. */
export function remember(preferences) {
  known.set(preferences, structuredClone(preferences));
}

/** Keeps what was changed here, and what `alter` changes: of everything else the server knows best. */
export async function keep(preferences, alter = () => {}) {
  const before = known.get(preferences);
  const { preferences: there } = await get("account");
  const changed = Object.keys(there).filter((name) => !same(preferences[name], before[name]));
  const wish = { ...there, ...Object.fromEntries(changed.map((name) => [name, preferences[name]])) };
  alter(wish);
  await post("preferences", wish);
  remember(Object.assign(preferences, wish));
}
