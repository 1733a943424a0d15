// The key or token for the server, kept for as long as the browser's tab is.

const NAME = 'vecino-key';
let asked = false;

/** The headers that show the key, if there is one. */
export function authorization() {
  const key = sessionStorage.getItem(NAME);
  return key ? { authorization: `Bearer ${key}` } : {};
}

/** Keeps a key; an empty one forgets it. */
export function keep(key) {
  if (key) sessionStorage.setItem(NAME, key);
  else sessionStorage.removeItem(NAME);
}

/** Asks for a key, once for each visit. Whether there is one now. */
export function askForKey() {
  if (asked) return false;
  asked = true;
  const key = window.prompt('This server needs a key or a token:')?.trim();
  if (key) keep(key);
  return Boolean(key);
}
