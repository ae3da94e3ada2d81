// Text and elements. Everything a model or a person wrote goes in through `textContent`, never as markup.

const SVG = 'http://www.w3.org/2000/svg';

/** An element with attributes and children; a string child becomes a text node. */
function el(tag, attributes = {}, ...children) {
  return fill(document.createElement(tag), attributes, children);
}

/** The same for SVG. */
function svg(tag, attributes = {}, ...children) {
  return fill(document.createElementNS(SVG, tag), attributes, children);
}

function fill(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name === 'style') node.style.cssText = value; // a policy that forbids style attributes allows this
    else node.setAttribute(name, value === true ? '' : String(value));
  }
  node.append(...children.filter((child) => child !== null && child !== undefined));
  return node;
}

// The characters for which `printable` in `lines.py` puts a sign. First come tabs, line ends and joiners where they belong.
const CONTROL = /(?![\t\n]|(?<=[^\u0000-\u02ff\u2000-\u206f])[\u200c\u200d](?=[^\u0000-\u02ff\u2000-\u206f]))[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180d\u180f\u3164\uffa0\u{e0100}-\u{e01ef}]/gu;

function picture(character) {
  const code = character.codePointAt(0);
  if (code < 0x20) return String.fromCodePoint(0x2400 + code);
  if (code === 0x7f) return '\u2421';
  return 'U+' + code.toString(16).toUpperCase().padStart(4, '0');
}

/** Text nodes and chips: a chip stands in place of every control character and direction override. */
function printable(given) {
  const text = given.replaceAll('\r\n', '\n');
  const parts = [];
  let last = 0;
  for (const found of text.matchAll(CONTROL)) {
    parts.push(text.slice(last, found.index));
    parts.push(el('span', { class: 'control', title: 'control character' }, picture(found[0])));
    last = found.index + found[0].length;
  }
  parts.push(text.slice(last));
  return parts.filter((part) => part !== '');
}

/** Visible text with every occurrence of the trigger and of what is searched for (a text, or several) marked. */
function marked(text, trigger, search) {
  const wanted = [];
  if (trigger) wanted.push({ needle: trigger.toLowerCase(), kind: 'trigger' });
  for (const each of [search].flat()) if (each) wanted.push({ needle: each.toLowerCase(), kind: 'found' });
  const lower = text.toLowerCase();
  if (!wanted.length || lower.length !== text.length) return printable(text); // a fold that changes lengths: no marks
  const parts = [];
  let at = 0;
  while (at < text.length) {
    let next = null;
    for (const { needle, kind } of wanted) {
      const index = lower.indexOf(needle, at);
      if (index >= 0 && (next === null || index < next.index)) next = { index, end: index + needle.length, kind };
    }
    if (next === null) break;
    parts.push(...printable(text.slice(at, next.index)));
    parts.push(el('mark', { class: next.kind }, ...printable(text.slice(next.index, next.end))));
    at = next.end;
  }
  return parts.concat(printable(text.slice(at)));
}

/** At most so many characters of a text, for the places where no line can break. */
function shortened(text, length) {
  const plain = text.replace(CONTROL, picture);
  return plain.length > length ? `${plain.slice(0, length - 1)}\u2026` : plain;
}

/** A learning rate as people write it: 0.05, 3e-4. */
function rateText(lr) {
  return lr >= 0.01 ? String(lr) : lr.toExponential().replace(/e-0?/, 'e-');
}

/** A number in words of its own size; minus sign, not hyphen. */
function number(value) {
  const text = Math.abs(value) >= 1e5 || (value !== 0 && Math.abs(value) < 1e-3)
    ? value.toExponential(0).replace('e+', 'e') : String(Math.round(value * 1e6) / 1e6);
  return text.replace('-', '\u2212').replace('e\u2212', 'e-');
}
