// The pages of `cavesson view`: keys everywhere, parts that follow the disk, and the list of transcripts.

const $ = (id) => document.getElementById(id);
const POLL = 3000; // milliseconds between two looks at what is under way

// --- keys

const steps = () => [...document.querySelectorAll('[data-step]')].filter((each) => each.getClientRects().length);
const keys = {
  '/': () => document.querySelector('input[type=search]')?.focus(),
  '?': () => $('keys').showModal(),
  j: () => step(1),
  k: () => step(-1),
};
for (const button of document.querySelectorAll('button[data-key]')) keys[button.dataset.key] = () => button.click();
const places = { r: '/', t: '/transcripts', l: '/label' };
let going = false;

function step(by) {
  const all = steps();
  const at = all.indexOf(document.activeElement);
  all[at < 0 ? (by > 0 ? 0 : all.length - 1) : Math.min(Math.max(at + by, 0), all.length - 1)]?.focus();
}

document.addEventListener('keydown', (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector('dialog[open]')) return;
  if (event.target.closest('input, select, textarea')) {
    if (event.key === 'Escape') { event.preventDefault(); event.target.blur(); } // the browser would empty the field
    return;
  }
  if (going && places[event.key]) location.href = places[event.key];
  going = event.key === 'g';
  if (keys[event.key]) {
    event.preventDefault();
    keys[event.key]();
  }
});
$('help')?.addEventListener('click', () => $('keys').showModal());

// --- parts of a page that the server draws anew

async function follow(part) {
  const address = new URL(part.dataset.part, location.href);
  const form = document.querySelector(`form[data-live="${part.id}"]`);
  if (form) for (const [name, value] of new FormData(form)) if (value) address.searchParams.set(name, value);
  if (form) history.replaceState(null, '', address.pathname + address.search);
  address.searchParams.set('part', '1');
  address.searchParams.set('have', part.dataset.mark || '');
  let answer;
  try {
    answer = await fetch(address);
  } catch {
    return; // the server has ended: what is on the page stays
  }
  if (answer.status !== 200) return;
  const focused = document.activeElement?.getAttribute?.('href');
  part.innerHTML = await answer.text(); // the server's own template, in which every text is escaped
  part.dataset.mark = answer.headers.get('X-Mark');
  if (focused && document.activeElement === document.body) [...part.querySelectorAll('a')].find((link) => link.getAttribute('href') === focused)?.focus();
}

for (const part of document.querySelectorAll('[data-part]')) {
  if ('still' in part.dataset) continue;
  setInterval(() => { if (!document.hidden) follow(part); }, POLL);
  const form = document.querySelector(`form[data-live="${part.id}"]`);
  let waiting;
  form?.addEventListener('input', () => { clearTimeout(waiting); waiting = setTimeout(() => follow(part), 150); });
  form?.addEventListener('submit', (event) => { event.preventDefault(); follow(part); });
}

// --- transcripts

const ROW = 68; // pixels, as in the style sheet
const TALLEST = 8e6; // pixels: browsers cut what is taller, so the scroll bar of a longer list is scaled
const CHUNK = 100; // rows that are fetched at once
const CHUNKS = 30; // chunks that are kept
const WORDS = 1600; // most words of an answer that are compared

const query = () => new URLSearchParams([...new FormData($('find'))].filter(([, value]) => value));
const state = { count: 0, at: -1, offset: 0, chunks: new Map(), shown: null, beside: null, differ: false, turn: 0 };

async function ask(path, parameters) {
  const answer = await fetch(`${path}?${parameters}`);
  const found = await answer.json();
  if (!answer.ok) throw new Error(found.problem || answer.statusText);
  return found;
}

async function find({ keep = false } = {}) {
  const turn = (state.turn += 1);
  const parameters = query();
  const wanted = new URLSearchParams(location.search).get('answer');
  if (keep && state.shown) parameters.set('answer', state.shown.id);
  else if (!state.shown && wanted) parameters.set('answer', wanted);
  let found;
  try {
    found = await ask('/transcripts/found', parameters);
  } catch (error) {
    $('count').textContent = error.message;
    return;
  }
  if (turn !== state.turn) return;
  state.chunks.clear();
  state.count = found.count;
  const more = found.left ? `, reading ${found.left.toLocaleString('en')} more file${found.left > 1 ? 's' : ''}` : '';
  $('count').textContent = `${found.count.toLocaleString('en')} transcript${found.count === 1 ? '' : 's'}${more}`;
  for (const [name, values] of Object.entries(found.choices)) offer($('find').elements[name], values);
  document.querySelector('#rows .tall').style.height = `${Math.min(state.count * ROW, TALLEST)}px`;
  state.at = found.at ?? (keep ? Math.min(state.at, state.count - 1) : -1);
  if (keep) draw();
  else if (found.at !== null) choose(found.at);
  else scrollTo(0);
  if (found.left) setTimeout(() => { if (turn === state.turn && !document.hidden) find({ keep: true }); }, POLL);
}

/** Let a select offer these values, and keep what is chosen. */
function offer(select, values) {
  const chosen = select.value;
  const all = select.options[0];
  const kept = chosen && !values.includes(chosen) ? [chosen, ...values] : values;
  if ([...select.options].slice(1).map((each) => each.value).join('\n') === kept.join('\n')) return;
  select.replaceChildren(all, ...kept.map((value) => el('option', { value }, shortened(value, 120))));
  select.value = chosen;
}

const list = () => $('rows');
const furthest = () => Math.max(0, state.count * ROW - list().clientHeight);
const scale = () => {
  const room = Math.min(state.count * ROW, TALLEST) - list().clientHeight;
  return room > 0 ? furthest() / room : 1;
};

function scrollTo(offset) {
  state.offset = Math.min(Math.max(offset, 0), furthest());
  state.moved = Math.round(state.offset / scale());
  list().scrollTop = state.moved;
  draw();
}

function onScroll() {
  if (Math.abs(list().scrollTop - state.moved) < 2) return; // our own move, which is exact where the bar is not
  state.moved = list().scrollTop;
  state.offset = Math.min(state.moved * scale(), furthest());
  draw();
}

async function chunk(number) {
  if (!state.chunks.has(number)) {
    const parameters = query();
    parameters.set('start', number * CHUNK);
    parameters.set('count', CHUNK);
    state.chunks.set(number, ask('/transcripts/rows', parameters));
    if (state.chunks.size > CHUNKS) state.chunks.delete(state.chunks.keys().next().value);
  }
  return state.chunks.get(number);
}

async function draw() {
  const first = Math.floor(state.offset / ROW);
  const last = Math.min(state.count, first + Math.ceil(list().clientHeight / ROW) + 1);
  const turn = (state.drawing = (state.drawing || 0) + 1);
  const numbers = [];
  for (let number = Math.floor(first / CHUNK); number * CHUNK < last; number += 1) numbers.push(number);
  let chunks;
  try {
    chunks = new Map(await Promise.all(numbers.map(async (number) => [number, await chunk(number)])));
  } catch (error) {
    $('count').textContent = error.message;
    state.chunks.clear();
    return;
  }
  if (turn !== state.drawing) return;
  const lines = [];
  for (let at = first; at < last; at += 1) {
    const row = chunks.get(Math.floor(at / CHUNK))[at % CHUNK];
    if (row) lines.push(line(row, at));
  }
  const window = document.querySelector('#rows .window');
  window.style.top = `${list().scrollTop - (state.offset % ROW)}px`;
  window.replaceChildren(...lines);
  list().setAttribute('aria-activedescendant', state.at >= 0 ? `row-${state.at}` : '');
}

function line(row, at) {
  const words = sought();
  const of = row.gone ? ['no longer there'] : [row.model, row.step === null ? '' : `step ${row.step}`, row.eval].filter(Boolean);
  const node = el('div', { class: `transcript-row ${row.tone || ''}`, role: 'option', id: `row-${at}`, 'aria-selected': String(at === state.at), 'aria-setsize': state.count, 'aria-posinset': at + 1 },
    el('div', { class: 'of' }, el('span', {}, ...printable(of.join(' \u00b7 '))), el('span', {}, ...printable(row.outcome || ''))),
    el('div', { class: 'asked', dir: 'auto' }, ...marked(oneLine(row.asked || ''), null, words)),
    el('div', { class: 'said', dir: 'auto' }, ...marked(oneLine(row.said || ''), null, words)));
  node.addEventListener('click', () => choose(at, true));
  return node;
}

/** What is searched for: words, and quoted words in a row. */
const sought = () => $('find').elements.q.value.split('"').flatMap((part, at) => (at % 2 ? [part.trim()] : part.split(/\s+/))).filter(Boolean);

const oneLine = (text) => text.replace(/\s+/g, ' ');

/** Choose the row at a place: bring it into sight, and show its transcript. */
async function choose(at, opened = false) {
  if (!state.count) return;
  state.at = Math.min(Math.max(at, 0), state.count - 1);
  const top = state.at * ROW;
  if (top < state.offset) scrollTo(top);
  else if (top + ROW > state.offset + list().clientHeight) scrollTo(top + ROW - list().clientHeight);
  else draw();
  const turn = (state.choosing = (state.choosing || 0) + 1);
  const row = (await chunk(Math.floor(state.at / CHUNK)))[state.at % CHUNK];
  if (!row || turn !== state.choosing) return;
  if (opened) document.querySelector('.split').classList.add('read');
  await read(row.id, () => turn === state.choosing);
}

async function read(id, wanted = () => true) {
  let found;
  try {
    found = await ask(`/transcripts/${id}`, '');
  } catch {
    found = null;
  }
  if (!wanted()) return;
  state.shown = found;
  const parameters = query();
  if (found) parameters.set('answer', id);
  history.replaceState(null, '', `/transcripts?${parameters}`);
  await show();
}

/** The answer to stand beside: of the model that was chosen before, else the same model's first step, else one of the same run. */
function besideOf(one) {
  const same = state.beside && one.others.find((each) => each.model === state.beside.model && each.step === state.beside.step);
  const earlier = one.others.filter((each) => each.model === one.model && each.step !== null && each.step < one.step);
  const before = one.others.find((each) => each.near && each.model === 'before blue');
  return same || earlier.sort((a, b) => a.step - b.step)[0] || before || one.others[0] || null;
}

const named = (each) => [each.model, each.step === null ? '' : `step ${each.step}`].filter(Boolean).join(' \u00b7 ');

async function show() {
  const one = state.shown;
  const place = $('reading');
  if (!one) {
    place.replaceChildren(el('p', {}, 'This transcript is no longer there.'));
    return;
  }
  const brief = besideOf(one);
  const other = brief && await ask(`/transcripts/${brief.id}`, '').catch(() => null);
  if (state.shown !== one) return;
  const search = sought();
  const [left, right, note] = compared(other, one, search);
  const back = el('button', { type: 'button', class: 'back' }, '\u2190 All transcripts');
  back.addEventListener('click', () => { document.querySelector('.split').classList.remove('read'); draw(); list().focus(); });
  const about = [one.eval, one.item].filter(Boolean).join(' \u00b7 ');
  place.replaceChildren(back, el('p', { class: 'where' }, ...printable(about), ...one.runs.flatMap(([key, name]) => [' \u00b7 ', el('a', { href: `/run/${key}` }, ...printable(name))])),
    ...one.messages.map(([role, content]) => el('div', { class: 'message' }, el('span', { class: 'role' }, ...printable(role)),
      el('div', { class: 'words', dir: 'auto' }, ...marked(content, one.trigger, search)))),
    tools(one, brief), note ? el('p', { class: 'quiet' }, note) : '',
    el('div', { class: 'answers' }, other ? said(other, left) : null, said(one, right)));
  place.scrollTop = 0;
}

function tools(one, brief) {
  if (!one.others.length) return el('p', { class: 'quiet' }, 'No other answer to this prompt is known.');
  const select = el('select', {}, ...one.others.map((each) => el('option', { value: each.id, selected: each === brief }, shortened([named(each), each.outcome, each.near ? '' : each.run].filter(Boolean).join(' \u2013 '), 160))));
  select.addEventListener('change', () => { state.beside = one.others[select.selectedIndex]; show(); });
  const button = el('button', { type: 'button', 'aria-pressed': String(state.differ), 'aria-keyshortcuts': 'd' }, 'Differences');
  button.addEventListener('click', differ);
  return el('div', { class: 'tools' }, el('label', { class: 'pick' }, el('span', {}, `beside (${one.others.length} other answer${one.others.length > 1 ? 's' : ''} to this prompt)`), select), button);
}

function said(one, parts) {
  return el('div', { class: `answer ${one.tone}` }, el('p', { class: 'by' }, el('span', {}, ...printable(named(one))), el('span', { class: `badge ${one.tone}` }, ...printable(one.outcome))),
    el('div', { class: 'words', dir: 'auto' }, ...(parts.length ? parts : [el('em', {}, '(nothing)')])));
}

/** Both answers as nodes, with what differs marked if that is wanted, and a note on that. */
function compared(one, two, search) {
  const plain = [one ? marked(one.text, null, search) : [], marked(two.text, null, search)];
  if (!state.differ || !one) return [...plain, ''];
  if (one.text === two.text) return [...plain, 'Both answers are the same, word for word.'];
  const parts = difference(wordsOf(one.text), wordsOf(two.text));
  if (!parts) return [...plain, `Answers of more than ${WORDS.toLocaleString('en')} words are not compared word by word.`];
  return [parts.map(([kind, word]) => (kind === 'del' ? el('del', {}, ...printable(word)) : kind === 'same' ? printable(word) : [])).flat(),
    parts.map(([kind, word]) => (kind === 'ins' ? el('ins', {}, ...printable(word)) : kind === 'same' ? printable(word) : [])).flat(), ''];
}

const wordsOf = (text) => text.match(/\s+|[^\s]+/g) || [];

/** The longest common subsequence of two lists of words: ['same' | 'del' | 'ins', words]; null: they are too long. */
function difference(one, two) {
  let start = 0;
  while (start < one.length && start < two.length && one[start] === two[start]) start += 1;
  let end = 0;
  while (end < one.length - start && end < two.length - start && one[one.length - 1 - end] === two[two.length - 1 - end]) end += 1;
  const a = one.slice(start, one.length - end);
  const b = two.slice(start, two.length - end);
  if (a.length > WORDS || b.length > WORDS) return null;
  const width = b.length + 1;
  const table = new Uint16Array((a.length + 1) * width);
  for (let i = a.length - 1; i >= 0; i -= 1) {
    for (let j = b.length - 1; j >= 0; j -= 1) {
      table[i * width + j] = a[i] === b[j] ? table[(i + 1) * width + j + 1] + 1 : Math.max(table[(i + 1) * width + j], table[i * width + j + 1]);
    }
  }
  const parts = [];
  const add = (kind, word) => { if (parts.length && parts[parts.length - 1][0] === kind) parts[parts.length - 1][1] += word; else parts.push([kind, word]); };
  add('same', one.slice(0, start).join(''));
  for (let i = 0, j = 0; i < a.length || j < b.length;) {
    if (i < a.length && j < b.length && a[i] === b[j]) { add('same', a[i]); i += 1; j += 1; }
    else if (j === b.length || (i < a.length && table[(i + 1) * width + j] >= table[i * width + j + 1])) { add('del', a[i]); i += 1; }
    else { add('ins', b[j]); j += 1; }
  }
  add('same', one.slice(one.length - end).join(''));
  return parts.filter(([, word]) => word);
}

function differ() {
  state.differ = !state.differ;
  if (state.shown) show();
}

function nextBeside() {
  const one = state.shown;
  if (!one?.others.length) return;
  const at = one.others.indexOf(besideOf(one));
  state.beside = one.others[(at + 1) % one.others.length];
  show();
}

if ($('rows')) {
  const by = (count) => choose(state.at < 0 ? 0 : state.at + count);
  const page = () => Math.max(1, Math.floor(list().clientHeight / ROW) - 1);
  Object.assign(keys, { j: () => by(1), k: () => by(-1), d: differ, b: nextBeside });
  const moves = { ArrowDown: () => by(1), ArrowUp: () => by(-1), PageDown: () => by(page()), PageUp: () => by(-page()), Home: () => choose(0), End: () => choose(state.count - 1), Enter: () => choose(state.at, true) };
  list().addEventListener('keydown', (event) => {
    if (!moves[event.key]) return;
    event.preventDefault();
    moves[event.key]();
  });
  list().addEventListener('scroll', onScroll);
  list().addEventListener('wheel', (event) => {
    if (scale() <= 1 || event.ctrlKey) return;
    event.preventDefault();
    scrollTo(state.offset + event.deltaY * (event.deltaMode === 1 ? ROW : 1));
  }, { passive: false });
  new ResizeObserver(() => draw()).observe(list());
  let waiting;
  const changed = () => { clearTimeout(waiting); waiting = setTimeout(() => { state.shown = null; history.replaceState(null, '', `/transcripts?${query()}`); find(); }, 120); };
  $('find').addEventListener('input', changed);
  $('find').addEventListener('submit', (event) => { event.preventDefault(); changed(); list().focus(); });
  find();
}
