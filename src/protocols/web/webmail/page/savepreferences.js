// Keeping preferences: what another browser has changed meanwhile stays.

import { get, post } from "./api.js";

/** The preferences last known to be on the server. */
const known = new WeakMap();

const same = (one, other) => JSON.stringify(one) === JSON.stringify(other);

/** Remembers preferences as the server has them. */
export function remember(preferences) {
  known.set(preferences, structuredClone(preferences));
}

/** Saves changes made here and by `alter`; for everything else the server's values win. */
export async function keep(preferences, alter = () => {}) {
  const before = known.get(preferences);
  const { preferences: there } = await get("account");
  const changed = Object.keys(there).filter((name) => !same(preferences[name], before[name]));
  const wish = { ...there, ...Object.fromEntries(changed.map((name) => [name, preferences[name]])) };
  alter(wish);
  await post("preferences", wish);
  remember(Object.assign(preferences, wish));
}
