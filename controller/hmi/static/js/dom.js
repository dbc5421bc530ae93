// Making and changing elements. Everything goes in as text: nothing here, or anywhere else, takes HTML.

/** An element; a key that starts with "on" is a listener, true an empty attribute, false or null none. */
export function el(name, attributes = {}, ...children) {
  const node = document.createElement(name);
  setAttributes(node, attributes);
  node.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return node;
}

/** The same for SVG. */
export function svg(name, attributes = {}, ...children) {
  const node = document.createElementNS("http://www.w3.org/2000/svg", name);
  setAttributes(node, attributes);
  node.append(...children);
  return node;
}

function setAttributes(node, attributes) {
  for (const [key, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (key.startsWith("on")) node.addEventListener(key.slice(2), value);
    else node.setAttribute(key, value === true ? "" : String(value));
  }
}

/** Set the text only where it changed: an untouched node is not laid out, nor read out, again. */
export function setText(node, text) {
  const wanted = text === null || text === undefined ? "" : String(text);
  if (node.textContent !== wanted) node.textContent = wanted;
}

/** Set or take away an attribute, only where it changed. */
export function setAttribute(node, key, value) {
  if (value === null || value === undefined || value === false) {
    if (node.hasAttribute(key)) node.removeAttribute(key);
    return;
  }
  const wanted = value === true ? "" : String(value);
  if (node.getAttribute(key) !== wanted) node.setAttribute(key, wanted);
}

export const byId = (id) => document.getElementById(id);

/** A number in storage that survives the page, or what stands in for it. */
export function remembered(key, otherwise) {
  try {
    return localStorage.getItem(`trimtab-${key}`) ?? otherwise;
  } catch {
    return otherwise;
  }
}

export function remember(key, value) {
  try {
    localStorage.setItem(`trimtab-${key}`, value);
  } catch {
    // storage switched off: the choice lasts as long as the page
  }
}

const announcer = byId("announce");
const waiting = [];

/** Say something to a screen reader, politely; what comes within half a second is said together. */
export function announce(text) {
  if (waiting.push(text) > 1) return;
  setTimeout(() => {
    announcer.textContent = "";
    announcer.textContent = waiting.splice(0).join(". ");
  }, 500);
}
