// The auditing page: saves at every change, keeps the time, shows files. Answers of the server that hold HTML were escaped there.
'use strict';

const at = (id) => document.getElementById(id);
const holder = at('state');
if (holder) bench(JSON.parse(holder.textContent));

function bench(state) {
  const base = location.pathname;
  const answer = state.answer;
  let fixNow = 0; // the fix that cited lines and edits go to
  let fileNow = null;

  // --- talking to the server

  async function post(action, body, keepalive = false) {
    let response;
    try {
      response = await fetch(`${base}/${action}`, {
        method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify(body), keepalive,
      });
    } catch {
      throw new Error('The server does not answer. Start it again; what you write is kept here meanwhile.');
    }
    return settle(response, () => response.json());
  }

  async function fragment(path, values) {
    const response = await fetch(`${base}/${path}?${new URLSearchParams(values)}`);
    return settle(response, () => response.text());
  }

  async function settle(response, read) {
    if (response.ok) return read();
    const text = await response.text();
    let said;
    try { said = JSON.parse(text); } catch { throw new Error(text); }
    throw new Error(`${said.problem} ${said.remedy}`);
  }

  function complain(error) {
    at('problem').textContent = error.message;
    at('problem').hidden = false;
  }

  // --- saving: at every change, one request at a time, the newest state last

  let change = 0, kept = 0, running = null, due = null;

  function changed() {
    change += 1;
    at('saved').textContent = 'saving …';
    clearTimeout(due);
    due = setTimeout(() => void save(), 250);
  }

  function save() {
    clearTimeout(due);
    running = (running ?? Promise.resolve()).then(async () => {
      if (kept === change) return;
      const sent = change;
      try {
        await post('save', { tab: state.tab, change: sent, ...answer });
        kept = Math.max(kept, sent);
        at('problem').hidden = true;
        if (kept === change) at('saved').textContent = 'saved';
      } catch (error) {
        at('saved').textContent = 'not saved';
        complain(error);
        due = setTimeout(() => void save(), 3000);
      }
    });
    return running;
  }

  // A page that goes away sends what is not saved yet; the server leaves out what it has already.
  window.addEventListener('pagehide', () => {
    if (kept !== change) post('save', { tab: state.tab, change, ...answer }, true).catch(() => {});
  });

  // --- the timer: counted here, corrected by the server

  let left = state.left, since = performance.now();
  const timer = at('timer');

  function remaining() {
    return Math.max(0, left - (performance.now() - since) / 1000);
  }

  function showTime() {
    const seconds = Math.ceil(remaining());
    const [hours, minutes] = [Math.floor(seconds / 3600), Math.floor((seconds % 3600) / 60)];
    const two = (number) => String(number).padStart(2, '0');
    timer.textContent = `${hours ? `${hours}:${two(minutes)}` : minutes}:${two(seconds % 60)}`;
    timer.classList.toggle('short', seconds <= 60);
    if (!seconds && state.phase === 'code') timer.textContent = 'time is up';
  }

  async function tick() {
    try {
      const now = await post('tick', {});
      [left, since] = [now.left, performance.now()];
      if (now.phase !== state.phase) location.reload();
    } catch { /* the next one may come through */ }
  }

  if (timer) {
    showTime();
    setInterval(showTime, 500);
    setInterval(() => void tick(), 10000);
    if (state.phase === 'paper') setTimeout(async () => { await save(); await tick(); }, state.left * 1000 + 300);
  }

  // --- credence and notes

  const slider = at('credence');

  function showCredence() {
    const given = answer.credence !== null;
    at('said').textContent = given ? `${Math.round(answer.credence * 100)} %` : 'not given';
    slider.classList.toggle('unset', !given);
  }

  function giveCredence() {
    answer.credence = Number(slider.value) / 100;
    showCredence();
    changed();
  }

  slider.value = answer.credence === null ? 50 : Math.round(answer.credence * 100);
  slider.addEventListener('input', giveCredence);
  slider.addEventListener('click', giveCredence); // on the very place where it stands
  slider.addEventListener('keydown', (event) => { if (event.key === 'Enter' || event.key === ' ') giveCredence(); });
  showCredence();

  at('notes').value = answer.notes;
  at('notes').addEventListener('input', () => { answer.notes = at('notes').value; changed(); });

  // --- fixes

  const FIELDS = [
    ['title', 'What is wrong', 'input', ''],
    ['mechanism', 'Why that changes the finding', 'textarea', ''],
    ['files', 'Where', 'input', 'train.py:30, data.py:4-9'],
    ['patch', 'Patch', 'textarea', 'open a file and edit a copy, or paste a unified diff'],
  ];

  function make(tag, attributes = {}, ...children) {
    const node = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) if (value !== false) node.setAttribute(name, value === true ? '' : value);
    node.append(...children);
    return node;
  }

  function field(fix, index, [name, title, tag, hint]) {
    const id = `fix-${index}-${name}`;
    const input = make(tag, { id, placeholder: hint, spellcheck: name === 'patch' || name === 'files' ? 'false' : 'true', rows: name === 'patch' ? 3 : 2 });
    input.value = fix[name];
    input.addEventListener('input', () => { fix[name] = input.value; changed(); });
    return [make('label', { for: id }, title), input];
  }

  function fixCard(fix, index) {
    const buttons = [['Earlier', -1], ['Later', 1]].map(([text, step]) => {
      const button = make('button', { type: 'button', class: 'small', disabled: !answer.fixes[index + step], 'aria-label': `${text}: fix ${index + 1}` }, text);
      button.addEventListener('click', () => {
        answer.fixes.splice(index + step, 0, answer.fixes.splice(index, 1)[0]);
        redraw(index + step, text);
      });
      return button;
    });
    const remove = make('button', { type: 'button', class: 'small', 'aria-label': `Remove fix ${index + 1}` }, 'Remove');
    remove.addEventListener('click', () => { answer.fixes.splice(index, 1); redraw(Math.max(0, index - 1), null); });
    const card = make('li', { class: 'fix' },
      make('div', { class: 'row' }, make('b', {}, `Fix ${index + 1}`), ...buttons, remove),
      ...FIELDS.flatMap((description) => field(fix, index, description)));
    card.addEventListener('focusin', () => choose(index));
    return card;
  }

  function choose(index) {
    fixNow = index;
    for (const [place, card] of [...at('fixes').children].entries()) card.classList.toggle('chosen', place === index);
    at('edit').textContent = `Edit a copy for fix ${index + 1}`;
  }

  function drawFixes() {
    if (!at('fixes')) return;
    at('fixes').replaceChildren(...answer.fixes.map(fixCard));
    at('add').hidden = answer.fixes.length >= state.maxFixes;
    choose(Math.min(fixNow, Math.max(0, answer.fixes.length - 1)));
  }

  /** After a fix was moved or removed: the focus stays with it. */
  function redraw(index, text) {
    fixNow = index;
    drawFixes();
    changed();
    const card = at('fixes').children[index];
    const button = card && text && [...card.querySelectorAll('button')].find((each) => each.textContent === text && !each.disabled);
    (button || card?.querySelector('input') || at('add')).focus();
  }

  function addFix() {
    answer.fixes.push({ title: '', mechanism: '', files: '', patch: '' });
    fixNow = answer.fixes.length - 1;
    drawFixes();
    changed();
    at(`fix-${fixNow}-title`).focus();
  }

  function fixForWork() {
    if (!answer.fixes.length) answer.fixes.push({ title: '', mechanism: '', files: '', patch: '' });
    return answer.fixes[Math.min(fixNow, answer.fixes.length - 1)];
  }

  drawFixes();
  at('add')?.addEventListener('click', addFix);

  if (state.phase === 'done') {
    for (const each of document.querySelectorAll('#answer input, #answer textarea, #answer button')) each.disabled = true;
    return;
  }

  // --- on to the next step; a verdict without a credence asks once more

  let warned = false;
  for (const [id, action] of [['advance', 'advance'], ['submit', 'submit']]) {
    at(id)?.addEventListener('click', async () => {
      if (answer.credence === null && !warned) {
        warned = true;
        complain(new Error('You have given no credence yet: this verdict would stay unscored. Press again to go on all the same.'));
        slider.focus();
        return;
      }
      try {
        await save();
        if (kept !== change) return;
        await post(action, {});
        location.assign(action === 'submit' ? '/' : base);
      } catch (error) { complain(error); }
    });
  }
  if (state.phase !== 'code') return keys();

  // --- files

  function show(id) {
    for (const each of ['paper', 'found', 'reader']) at(each).hidden = each !== id;
    at('to-paper').classList.toggle('current', id === 'paper');
    for (const each of at('files').querySelectorAll('[data-file]')) each.classList.toggle('current', id === 'reader' && each.dataset.file === fileNow);
    at('view').scrollTop = 0;
  }

  /** Open the place that the address names: `#train.py:30`. */
  async function follow() {
    const [, name, line] = decodeURIComponent(location.hash.slice(1)).match(/^(.+?)(?::(\d+))?$/) ?? [];
    if (!name) return show('paper');
    try {
      if (name !== fileNow) {
        const text = await fragment('file', { name });
        at('file').innerHTML = text;
        fileNow = name;
        at('name').textContent = name;
        at('edit').hidden = !at('file').querySelector('.line');
      }
      stopEditing();
      show('reader');
      for (let node = at('files').querySelector(`[data-file="${CSS.escape(name)}"]`)?.closest('details'); node; node = node.parentElement.closest('details')) node.open = true;
      point(Number(line) || 1, Boolean(line));
      at('file').focus({ preventScroll: true });
    } catch (error) { complain(error); }
  }

  function go(name, line) {
    const hash = `#${encodeURIComponent(name)}${line ? `:${line}` : ''}`;
    if (location.hash === hash) void follow(); else location.hash = hash;
  }

  let lineNow = 1;

  function point(number, mark = true) {
    const lines = at('file').querySelectorAll('.line');
    if (!lines.length) return;
    lineNow = Math.max(1, Math.min(lines.length, number));
    at('file').querySelector('.line.current')?.classList.remove('current');
    if (mark) lines[lineNow - 1].classList.add('current');
    lines[lineNow - 1].scrollIntoView({ block: mark ? 'center' : 'nearest' });
  }

  /** Put the place into the chosen fix. */
  function cite() {
    if (!fileNow) return;
    const fix = fixForWork(), place = `${fileNow}:${lineNow}`;
    if (!fix.files.split(/[,\s]+/).includes(place)) fix.files = [fix.files.trim(), place].filter(Boolean).join(', ');
    drawFixes();
    changed();
  }

  window.addEventListener('hashchange', () => void follow());
  at('to-paper').addEventListener('click', () => { history.pushState(null, '', base); show('paper'); at('paper').focus({ preventScroll: true }); });
  at('files').addEventListener('click', (event) => { if (event.target.dataset.file) go(event.target.dataset.file); });
  at('file').addEventListener('keydown', (event) => {
    const step = { ArrowDown: 1, ArrowUp: -1, PageDown: 20, PageUp: -20, Home: -1e9, End: 1e9 }[event.key];
    if (step) { event.preventDefault(); point(lineNow + step); }
    if (event.key === 'Enter') { event.preventDefault(); cite(); }
  });
  at('file').addEventListener('click', (event) => { const line = event.target.closest('.line'); if (line) point(Number(line.dataset.line)); });

  // Arrow keys move through the visible entries of the tree.
  at('files').addEventListener('keydown', (event) => {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (!step || event.target.tagName === 'INPUT') return;
    event.preventDefault();
    const entries = [...at('files').querySelectorAll('button, summary')].filter((each) => each.offsetParent);
    entries[entries.indexOf(event.target) + step]?.focus();
  });

  let searching = null;
  at('search').addEventListener('input', () => {
    clearTimeout(searching);
    searching = setTimeout(() => void search(), 200);
  });
  at('search').addEventListener('keydown', (event) => {
    if (event.key === 'Enter') void search().then(() => at('found').querySelector('a')?.focus());
  });

  async function search() {
    clearTimeout(searching);
    const wanted = at('search').value;
    if (!wanted.trim()) return;
    try {
      at('found').innerHTML = await fragment('search', { q: wanted });
      show('found');
    } catch (error) { complain(error); }
  }
  at('found').addEventListener('click', (event) => {
    if (event.target.closest('a')?.getAttribute('href') === location.hash) void follow(); // no hashchange then
  });

  // --- editing a copy

  function stopEditing() {
    at('editing').hidden = true;
    at('file').hidden = at('edit').hidden = false;
  }

  at('edit').addEventListener('click', async () => {
    try {
      const { text } = await post('edit', { name: fileNow, patch: fixForWork().patch });
      drawFixes();
      at('copy').value = text;
      at('file').hidden = at('edit').hidden = true;
      at('editing').hidden = false;
      at('copy').focus();
      at('copy').setSelectionRange(0, 0);
    } catch (error) { complain(error); }
  });
  at('drop').addEventListener('click', () => { stopEditing(); at('file').focus(); });
  at('keep').addEventListener('click', async () => {
    const fix = fixForWork();
    try {
      fix.patch = (await post('patch', { name: fileNow, patch: fix.patch, text: at('copy').value })).patch;
      at('problem').hidden = true;
      stopEditing();
      drawFixes();
      changed();
      at(`fix-${fixNow}-patch`).focus();
    } catch (error) { complain(error); }
  });

  keys();
  if (location.hash) void follow();

  // --- keys: single letters, outside of fields

  function keys() {
    const jumps = {
      '/': () => at('search'), v: () => slider, n: () => at('notes'), c: () => (at('reader')?.hidden === false ? at('file') : null),
      t: () => at('files')?.querySelector('[data-file].current') ?? at('to-paper'), p: () => { at('to-paper')?.click(); return at('paper'); },
      f: () => { if (!at('fixes')) return null; if (!answer.fixes.length) addFix(); return at(`fix-${fixNow}-title`); },
    };
    window.addEventListener('keydown', (event) => {
      const typing = event.target.matches('textarea, input:not([type=range])');
      if (typing && event.key === 'Escape') { (at('reader')?.hidden === false ? at('file') : at('view')).focus(); return; }
      if (typing || event.ctrlKey || event.metaKey || event.altKey || !jumps[event.key]) return;
      const target = jumps[event.key]();
      if (target) { event.preventDefault(); target.focus(); }
    });
  }
}
