// Capability kept against bad behaviour removed: one panel per organism.

const interventions = [...new Set(data.points.map((point) => point.intervention))];
const learningRates = [...new Set(data.points.map((point) => point.lr).filter((lr) => lr !== null))].sort((a, b) => a - b);
const colorOf = (intervention) => `var(--c${interventions.indexOf(intervention) % COLORS})`;
const shapeOf = (lr) => SHAPES[Math.max(0, learningRates.indexOf(lr)) % SHAPES.length];
const placed = data.points.filter((point) => point.kept && point.removed);
const pooled = new Set(data.points.filter((point) => point.seed === null).map((point) => point.family));

function drawFrontiers(host) {
  const hidden = new Set();
  const everywhere = domain(placed, false);
  const near = domain(placed, true);
  const state = { near: near.x[0] >= 0.35 };
  const redraws = [];
  const redraw = () => redraws.forEach((again) => again());

  const legend = el('div', { class: 'legend' });
  for (const name of interventions) {
    legend.append(toggle(keyMark(SHAPES[0], { fill: colorOf(name) }), name, (on) => {
      if (on) hidden.delete(name); else hidden.add(name);
      redraw();
    }));
  }
  for (const lr of learningRates) {
    legend.append(el('span', { class: 'entry' }, keyMark(shapeOf(lr), { class: 'plain' }), `lr ${rateText(lr)}`));
  }
  legend.append(el('span', { class: 'entry' }, keyMark(SHAPES[3], { class: 'start' }), 'before blue'));
  if (data.organisms.some((organism) => organism.baseline && organism.baseline.kept)) {
    legend.append(el('span', { class: 'entry' }, keyMark(STAR, { class: 'baseline' }), 'never misaligned'));
  }
  if (data.frontiers.some((frontier) => frontier.intervention === 'all')) {
    const line = svg('svg', { class: 'key line', viewBox: '0 0 22 14', 'aria-hidden': 'true' }, svg('path', { class: 'hull all', d: 'M1 7H21', stroke: 'var(--ink)' }));
    legend.append(el('span', { class: 'entry' }, line, 'hull of all together'));
  }
  const zoom = el('button', { type: 'button', class: 'quiet' });
  const note = el('p', { class: 'quiet axes' });
  const label = () => {
    zoom.textContent = state.near ? 'Show the axis from 0' : 'Zoom to the points';
    note.textContent = state.near ? `The horizontal axis starts at ${percent(near.x[0])}.` : '';
  };
  zoom.addEventListener('click', () => { state.near = !state.near; label(); redraw(); });
  label();
  legend.append(zoom);

  const grid = el('div', { class: 'panels wide' });
  const shown = data.organisms.filter((organism) => placed.some((point) => point.organism === organism.id));
  grid.classList.toggle('single', shown.length === 1);
  host.append(legend, grid, note);
  for (const organism of shown) {
    const area = el('div', { class: 'plot' });
    grid.append(el('figure', {}, shown.length > 1 ? el('figcaption', {}, ...printable(organism.title)) : null, area));
    redraws.push(responsive(area, (width) => frontierChart(organism, width, hidden, state.near ? near : everywhere)));
  }
}

function frontierChart(organism, width, hidden, range) {
  const box = { width, height: Math.round(Math.min(560, Math.max(300, width * 0.72))), left: 46, right: 14, top: 30, bottom: 44 };
  const points = placed.filter((point) => point.organism === organism.id && !hidden.has(point.intervention));
  const hulls = data.frontiers.filter((frontier) => frontier.organism === organism.id && !hidden.has(frontier.intervention));
  const x = linear(range.x[0], range.x[1], box.left, width - box.right);
  const y = linear(range.y[0], range.y[1], box.height - box.bottom, box.top);
  const chart = frame(box, x, y, {
    xTicks: ticks(...range.x, width < 420 ? 4 : 6), yTicks: ticks(...range.y, 5), xText: percent, yText: percent,
    xLabel: 'capability kept', yLabel: 'bad behaviour removed',
    label: `Capability kept and bad behaviour removed, ${organism.title}, ${points.length} checkpoints. Arrow keys walk through them.`,
  });
  const inside = svg('g', { 'clip-path': clip(chart, box) });
  const at = (vertex) => [x(vertex[0]), y(vertex[1])];

  inside.append(svg('path', { class: 'proportional', d: path([at([1, 0]), at([0, 1])]) }));
  if (range.x[0] < 0.2) {
    const [px, py] = at([0.3, 0.7]);
    const turn = (Math.atan2(y(0) - y(1), x(0) - x(1)) * 180) / Math.PI - 180;
    inside.append(svg('text', {
      class: 'note', x: round(px), y: round(py - 6), transform: `rotate(${round(-turn)} ${round(px)} ${round(py)})`, 'text-anchor': 'middle',
    }, 'removal costs capability in proportion'));
  }
  const whole = hulls.some((hull) => hull.intervention === 'all');
  for (const hull of hulls) {
    const color = hull.intervention === 'all' ? 'var(--ink)' : colorOf(hull.intervention);
    const line = path(hull.vertices.map(at));
    if (hull.intervention === 'all' || !whole) inside.append(svg('path', { class: 'area', d: `${line}${path([at([hull.vertices[hull.vertices.length - 1][0], 0]), at([hull.vertices[0][0], 0])]).replace('M', 'L')}Z`, fill: color }));
    inside.append(svg('path', { class: hull.intervention === 'all' ? 'hull all' : 'hull', d: line, stroke: color }));
  }
  const run = svg('g', { class: 'run' });
  inside.append(run);
  for (const point of points) {
    const faint = point.seed !== null && pooled.has(point.family);
    inside.append(svg('path', {
      class: faint ? 'mark faint' : 'mark', d: shapeOf(point.lr)(faint ? 3.2 : 5), fill: colorOf(point.intervention),
      transform: `translate(${round(x(point.kept[0]))} ${round(y(point.removed[0]))})`,
    }));
  }
  const baselines = landmarks(organism);
  for (const mark of baselines) {
    inside.append(svg('path', {
      class: mark.kind, d: mark.shape(6.5), transform: `translate(${round(x(mark.at[0]))} ${round(y(mark.at[1]))})`,
    }));
  }
  const over = svg('g');
  inside.append(over);
  chart.append(inside);

  const targets = [...points.map((point) => ({ at: [point.kept[0], point.removed[0]], point })), ...baselines];
  const leave = () => { over.replaceChildren(); run.replaceChildren(); lead = null; chart.classList.remove('leads'); hideTip(); };
  const show = (target, place) => {
    over.replaceChildren(...emphasis(target, x, y));
    run.replaceChildren(...(target.point ? [trajectory(target.point, points, x, y)] : []));
    lead = leadOf(target);
    chart.classList.toggle('leads', lead !== null);
    describePoint(target, lead, place);
  };
  pointing(chart, box, (px, py, place) => {
    const distance = (target) => Math.hypot(x(target.at[0]) - px, y(target.at[1]) - py);
    const nearest = targets.reduce((best, target) => (best && distance(best) <= distance(target) ? best : target), null);
    if (nearest && distance(nearest) < 28) show(nearest, place); else leave();
  }, leave);
  let lead = null; // where a click on the point that is shown leads
  let pressed = null; // `lead` when the button or the finger went down: a finger that is lifted leaves the chart
  let before = null;
  chart.addEventListener('pointerdown', () => { pressed = lead; });
  chart.addEventListener('click', (event) => { // a first tap only points
    if (event.pointerType === 'mouse' || before === pressed?.target) pressed?.go();
    before = pressed?.target;
  });
  chart.addEventListener('keydown', (event) => { if (event.key === 'Enter') lead?.go(); });
  walking(chart, () => targets.length, (index) => {
    const target = targets[index];
    show(target, onScreen(chart, box, x(target.at[0]), y(target.at[1])));
  }, leave);
  return chart;

  function emphasis(target, x, y) {
    const [cx, cy] = [x(target.at[0]), y(target.at[1])];
    const scores = target.point || target.scores;
    const color = target.point ? colorOf(target.point.intervention) : 'var(--ink)';
    const bars = [];
    if (scores.kept) bars.push([[x(scores.kept[1]), cy], [x(scores.kept[2]), cy]]);
    if (scores.removed) bars.push([[cx, y(scores.removed[1])], [cx, y(scores.removed[2])]]);
    const shape = target.point ? shapeOf(target.point.lr) : target.shape;
    return [
      ...bars.map((bar) => svg('path', { class: 'error', d: path(bar), stroke: color })),
      svg('path', { class: 'mark on', d: shape(7), fill: color, transform: `translate(${round(cx)} ${round(cy)})` }),
    ];
  }
}

function trajectory(point, points, x, y) {
  const run = points.filter((other) => other.run === point.run).sort((a, b) => a.step - b.step);
  const steps = run.map((other) => [x(other.kept[0]), y(other.removed[0])]);
  if (run.length && run[0].step > 0) steps.unshift([x(1), y(0)]);
  return svg('path', { class: 'trajectory', d: path(steps), stroke: colorOf(point.intervention) });
}

/** The two baselines: the untouched organism at (1, 0) by definition, and the model that was never misaligned. */
function landmarks(organism) {
  const marks = [{ kind: 'start', shape: SHAPES[3], at: [1, 0], title: 'before blue', scores: organism.start }];
  const honest = organism.baseline;
  if (honest && honest.kept && honest.removed) {
    marks.push({ kind: 'baseline', shape: STAR, at: [honest.kept[0], honest.removed[0]], title: 'never misaligned', scores: honest });
  }
  return marks;
}

/** One range for all panels, so that they compare; `near`: the horizontal axis starts a little before the first point. */
function domain(points, near) {
  const places = [...points.map((point) => [point.kept[0], point.removed[0]]), ...data.organisms.flatMap(landmarks).map((mark) => mark.at)];
  const xs = places.map((place) => place[0]);
  const ys = places.map((place) => place[1]);
  const first = Math.floor((Math.min(...xs) - 0.02) * 20) / 20;
  const right = near ? Math.max(1.02, Math.max(...xs) + 0.01) : Math.max(1.05, Math.max(...xs) + 0.03);
  return { x: [near ? Math.max(0, first) : Math.min(0, first), right], y: [Math.min(-0.03, Math.min(...ys) - 0.03), Math.max(1.05, Math.max(...ys) + 0.03)] };
}

let clips = 0;
function clip(chart, box) {
  const id = `clip${(clips += 1)}`;
  chart.append(svg('clipPath', { id }, svg('rect', {
    x: box.left - 3, y: box.top - 8, width: box.width - box.left - box.right + 15, height: box.height - box.top - box.bottom + 16,
  })));
  return `url(#${id})`;
}

/** Where a click on a point leads: to its recipe on this page, in `cavesson view` to its transcripts; null: nowhere. */
function leadOf(target) {
  const { fingerprint } = target.point || target.scores;
  const address = data.transcripts && addressOf(target);
  if (address) return { target, go: () => { location.href = address; }, to: target.point ? 'its transcripts' : 'the artifact' };
  return fingerprint && data.made.includes(fingerprint) ? { target, go: () => openRecipe(fingerprint), to: 'it' } : null;
}

/** The page of `cavesson view` behind a point: the transcripts of its checkpoint, of all its seeds if the point is of all. */
function addressOf({ point, scores }) {
  if (!point) return scores.fingerprint && `/artifact/${scores.fingerprint}`;
  const of = point.fingerprint ? [point] : data.points.filter((other) => other.step === point.step && other.family === point.family && other.fingerprint);
  return of.length ? `${data.transcripts}&artifact=${of.map((one) => one.fingerprint.slice(0, 12)).join('+')}&step=${point.step}` : null;
}

function describePoint(target, lead, place) {
  const { point } = target;
  const scores = point || target.scores;
  const rows = [];
  const methods = [];
  const add = (name, figure, dot) => {
    if (!figure) return;
    rows.push([name, figure[3], dot]);
    methods.push(figure[4]);
  };
  add('capability kept', scores.kept);
  add('bad behaviour removed', scores.removed);
  for (const [id, figure] of Object.entries(scores.rates)) add(measures.get(id).title, figure, measureColor(id));
  const title = point ? recipeTitle(point) : target.title;
  const seed = point ? (point.seed === null ? 'all seeds' : `seed ${point.seed}`) : '';
  const fingerprint = scores.fingerprint ? `recipe ${scores.fingerprint.slice(0, 12)}` : '';
  const about = [point ? `step ${point.step}` : '', seed, fingerprint].filter(Boolean).join(' \u00b7 ');
  showTip(title, lead ? `${about}${about ? ' ' : ''}(click to see ${lead.to})` : about, rows, methods, place);
}

function recipeTitle(point) {
  const extra = Object.entries(point.labels).map(([key, value]) => `${key} ${value}`);
  return [point.intervention, point.lr === null ? '' : `lr ${rateText(point.lr)}`, point.adapter, ...extra].filter(Boolean).join(' \u00b7 ');
}
