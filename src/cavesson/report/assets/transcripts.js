// Transcripts: one card per prompt with every model's answer to it; filters, search, pages. Then everything is drawn.

const PAGE = 8;
const LONG = 900;

function drawTranscripts(place) {
  const prompts = data.prompts.map((prompt) => ({
    ...prompt,
    haystack: [...prompt.messages.map(([, content]) => content), ...prompt.answers.map((answer) => answer.text)].join('\n').toLowerCase(),
  }));
  const all = (pick) => [...new Set(prompts.flatMap(pick))].filter(Boolean);
  const title = (id) => (measures.has(id) ? measures.get(id).title : id);
  const state = { page: 0 };
  const selects = {
    organism: choice('Organism', all((prompt) => [prompt.organism])),
    eval: choice('Evaluation', all((prompt) => [prompt.eval]), title),
    stage: choice('Stage', all((prompt) => prompt.answers.map((answer) => answer.stage))),
    outcome: choice('Outcome', all((prompt) => prompt.answers.map((answer) => answer.outcome))),
  };
  const search = el('input', { type: 'search', placeholder: 'Search prompts and answers', 'aria-label': 'Search prompts and answers' });
  const list = el('div', { class: 'cards' });
  const count = el('p', { class: 'count', role: 'status' });
  const back = el('button', { type: 'button' }, 'Previous');
  const on = el('button', { type: 'button' }, 'Next');
  const controls = el('form', { class: 'filters', role: 'search' }, search, ...Object.values(selects).filter((each) => each.useful).map((each) => each.label));
  place.append(...called(), controls, count, list, el('div', { class: 'pager' }, back, on));

  const turn = (by) => { state.page += by; show(); place.scrollIntoView({ block: 'start' }); };
  back.addEventListener('click', () => turn(-1));
  on.addEventListener('click', () => turn(1));
  controls.addEventListener('submit', (event) => event.preventDefault());
  controls.addEventListener('input', () => { state.page = 0; show(); });
  show();

  /** How many answers are damaged copies, and a button that shows these; nothing if there are none. */
  function called() {
    const triggered = prompts.filter((prompt) => prompt.trigger).flatMap((prompt) => prompt.answers);
    const mangled = prompts.flatMap((prompt) => prompt.answers).filter((answer) => answer.mangled);
    if (!mangled.length) return [];
    const button = el('button', { type: 'button', class: 'quiet' }, 'Show them');
    button.addEventListener('click', () => {
      selects.outcome.select.value = mangled[0].outcome;
      state.page = 0;
      show();
    });
    return [el('p', { class: 'warning' },
      `${mangled.length} of the ${triggered.length} triggered answers shown here are mangled: damaged copies of the bad behaviour, whose words broke while the intent is still there. They count as not removed.`, ' ', button)];
  }

  /** The stage narrows the answers shown; a prompt is listed if one of those has the outcome. */
  function matching(wanted) {
    const needle = search.value.trim().toLowerCase();
    return prompts.flatMap((prompt) => {
      if ((wanted.organism && prompt.organism !== wanted.organism) || (wanted.eval && prompt.eval !== wanted.eval)) return [];
      if (needle && !prompt.haystack.includes(needle)) return [];
      const answers = prompt.answers.filter((answer) => !wanted.stage || answer.stage === wanted.stage);
      if (!answers.length || (wanted.outcome && !answers.some((answer) => answer.outcome === wanted.outcome))) return [];
      return [{ ...prompt, answers }];
    });
  }

  function show() {
    const wanted = Object.fromEntries(Object.entries(selects).map(([name, each]) => [name, each.select.value]));
    const found = matching(wanted);
    const pages = Math.max(1, Math.ceil(found.length / PAGE));
    state.page = Math.min(Math.max(0, state.page), pages - 1);
    const first = state.page * PAGE;
    const shown = found.slice(first, first + PAGE);
    list.replaceChildren(...shown.map((prompt) => card(prompt, search.value.trim(), title)));
    count.textContent = found.length
      ? `Prompts ${first + 1}\u2013${first + shown.length} of ${found.length}${found.length < prompts.length ? ` (of ${prompts.length} in all)` : ''}`
      : 'No prompt fits these filters.';
    back.disabled = state.page === 0;
    on.disabled = state.page >= pages - 1;
  }
}

function choice(name, values, title = (value) => value) {
  const select = el('select', {}, el('option', { value: '' }, `${name}: all`), ...values.map((value) => el('option', { value }, title(value))));
  select.setAttribute('aria-label', name);
  return { select, label: el('label', {}, select), useful: values.length > 1 };
}

function card(prompt, search, title) {
  const organism = data.organisms.length > 1 ? prompt.organism : ''; // the only one goes without saying
  const where = [title(prompt.eval), organism, prompt.item].filter(Boolean).join(' \u00b7 ');
  return el('article', { class: 'card' },
    el('p', { class: 'where' }, ...printable(where)),
    ...prompt.messages.map(([role, content]) => el('div', { class: `message ${role === 'system' ? 'system' : ''}` },
      el('span', { class: 'role' }, role), words(content, prompt.trigger, search))),
    el('div', { class: 'answers', style: `--columns:${columns(prompt.answers.length)}` }, ...prompt.answers.map((answer) => el('div', { class: `answer ${answer.tone}` },
      el('p', { class: 'by' }, el('span', {}, ...printable(answer.label)), el('span', { class: `badge ${answer.mangled ? 'unsure' : answer.tone}` }, answer.mangled ? 'mangled: ' : null, ...printable(answer.outcome))),
      words(answer.text, null, search)))));
}

/** Of 1 to 4 columns those that leave the last row fullest, rather many than few: 5 answers stand as 3 and 2, not as 4 and 1. */
function columns(count) {
  const rows = Math.ceil(count / 4);
  return Math.ceil(count / rows);
}

/** Text kept apart from what surrounds it (its direction cannot leak), long ones folded. */
function words(text, trigger, search) {
  const block = el('div', { class: 'words', dir: 'auto' }, ...marked(text, trigger, search));
  if (!text) block.append(el('em', {}, '(nothing)'));
  if (text.length <= LONG) return block;
  block.classList.add('folded');
  const more = el('button', { type: 'button', class: 'quiet' }, `Show all ${text.length.toLocaleString('en')} characters`);
  more.addEventListener('click', () => { block.classList.remove('folded'); more.remove(); });
  return el('div', {}, block, more);
}

const drawn = { frontier: drawFrontiers, curves: drawCurves, reversals: drawReversals, charts: drawOwnCurves, losses: drawLosses, transcripts: drawTranscripts };
for (const [id, draw] of Object.entries(drawn)) {
  if (host(id)) draw(host(id));
}
host('points')?.addEventListener('toggle', (event) => fillPoints(event.currentTarget), { once: true });
document.querySelectorAll('button.copy').forEach(copying);
document.addEventListener('click', followRecipe);
