// The sections that are drawn from data: frontier, curves, reversal probes, extra charts; recipes and copying.

const host = (id) => document.getElementById(id);

/** Blue runs of one organism: pooled ones, with their seeds faint; single seeds where nothing is pooled. */
function runsOf(organism) {
  const families = new Map();
  for (const point of data.points.filter((each) => each.organism === organism.id)) {
    if (!families.has(point.family)) families.set(point.family, []);
    families.get(point.family).push(point);
  }
  return [...families.values()].flatMap((points) => {
    const seeds = [...new Set(points.map((point) => point.seed))];
    const main = seeds.includes(null) ? [null] : seeds;
    return main.map((seed) => ({
      first: points[0], seed, steps: steps(points, seed, organism),
      others: seed === null ? seeds.filter((other) => other !== null).map((other) => steps(points, other, organism)) : [],
    }));
  });
}

function steps(points, seed, organism) {
  const own = points.filter((point) => point.seed === seed).sort((a, b) => a.step - b.step);
  return own.length && own[0].step > 0 ? [{ step: 0, rates: organism.start.rates }, ...own] : own;
}

function drawCurves(place) {
  const hidden = new Set();
  const redraws = [];
  const ids = data.measures.map((measure) => measure.id).filter((id) => data.points.some((point) => point.rates[id]));
  place.append(measureLegend(ids, hidden, () => redraws.forEach((again) => again())));
  const organisms = data.organisms.filter((organism) => data.points.some((point) => point.organism === organism.id));
  organisms.forEach((organism, index) => {
    const details = organisms.length > 1
      ? el('details', { class: 'group', open: index === 0 }, el('summary', {}, ...printable(organism.title))) : el('div');
    place.append(details);
    const runs = interventions.flatMap((intervention) => runsOf(organism)
      .filter((run) => run.first.intervention === intervention).sort((one, other) => (one.first.lr || 0) - (other.first.lr || 0)));
    const panels = el('div', { class: 'panels', style: `max-width:${Math.max(2, runs.length) * 440}px` });
    details.append(panels);
    for (const run of runs) {
      const area = el('div', { class: 'plot' });
      const title = [recipeTitle(run.first), run.seed === null ? '' : `seed ${run.seed}`].filter(Boolean).join(' \u00b7 ');
      panels.append(el('figure', {}, el('figcaption', {}, el('i', { class: 'dot', style: `background:${colorOf(run.first.intervention)}` }), ...printable(title)), area));
      redraws.push(responsive(area, (width) => {
        const lines = [...run.others.flatMap((other) => measureLines(other, hidden, true)), ...measureLines(run.steps, hidden, false)];
        if (!lines.length) return el('p', { class: 'quiet' }, 'Every measure is switched off.');
        return lineChart(width, lines, {
          title: recipeTitle(run.first), label: `Rates over steps, ${organism.title}, ${recipeTitle(run.first)}`, xLabel: 'step', steps: true,
        });
      }));
    }
  });
}

function drawReversals(place) {
  const hidden = new Set();
  const redraws = [];
  const areas = [...place.querySelectorAll('[data-reversal]')].map((area) => [area, data.reversals[Number(area.dataset.reversal)]]);
  const shown = areas.filter(([, reversal]) => reversal.curve.length);
  if (!shown.length) return;
  const ids = data.measures.map((measure) => measure.id).filter((id) => shown.some(([, reversal]) => reversal.curve.some((step) => step.rates[id])));
  place.prepend(measureLegend(ids, hidden, () => redraws.forEach((again) => again())));
  for (const [area, reversal] of shown) {
    const plot = el('div', { class: 'plot' });
    area.append(plot);
    redraws.push(responsive(plot, (width) => {
      const lines = measureLines(reversal.curve, hidden, false);
      if (!lines.length) return el('p', { class: 'quiet' }, 'Every measure is switched off.');
      return lineChart(width, lines, {
        title: 'Reversal probe', label: 'Rates over steps of the probe', xLabel: 'step of the probe', steps: true,
        references: [[reversal.before[0], `before blue: ${measures.get(reversal.measure)?.title || reversal.measure}`]],
      });
    }));
  }
}

function drawOwnCurves(place) {
  for (const area of place.querySelectorAll('[data-curve]')) {
    const curve = data.curves[Number(area.dataset.curve)];
    const lines = curve.series.map((series, index) => ({
      ...series, color: `var(--c${index % COLORS})`, dash: dashes[Math.floor(index / COLORS) % dashes.length], faint: false,
    }));
    const plot = el('div', { class: 'plot' });
    area.append(el('div', { class: 'legend' }, ...lines.map((line) => el('span', { class: 'entry' },
      el('i', { class: 'dot', style: `background:${line.color}` }), ...printable(line.name)))), plot);
    responsive(plot, (width) => lineChart(width, lines, {
      title: curve.y_label, label: `${curve.y_label} by ${curve.x_label}`, xLabel: curve.x_label, yLabel: curve.y_label, log: curve.log_x, apart: !curve.joined,
    }));
  }
}

/** Losses of the trainings under their stages, a chart for each training and its seeds, built when a stage is first opened. */
function drawLosses(place) {
  for (const stage of new Set(data.losses.map((each) => each.stage))) {
    const charts = data.losses.filter((each) => each.stage === stage);
    const panels = el('div', { class: 'panels', style: `max-width:${Math.max(2, charts.length) * 440}px` });
    const details = el('details', { class: 'group' },
      el('summary', {}, ...printable(stage || 'all stages'), ' ', el('span', { class: 'quiet' }, `(${charts.length})`)), panels);
    details.addEventListener('toggle', () => charts.forEach((chart) => panels.append(lossFigure(chart))), { once: true });
    place.append(details);
  }
}

function lossFigure(chart) {
  const area = el('div', { class: 'plot' });
  responsive(area, (width) => lineChart(width, lossLines(chart.steps, chart.runs), {
    title: chart.title, label: `Training loss, ${chart.title}`, xLabel: 'step', yLabel: 'loss',
  }));
  return el('figure', {}, el('figcaption', {}, ...printable(chart.title)), area);
}

/** A faint line for each seed, and their mean. A loss is no estimate: it has no interval. */
function lossLines(steps, runs) {
  const line = (name, values, faint) => ({
    name, color: 'var(--c0)', dash: '', faint, x: steps, rates: values.map((value) => [value, value, value, number(Math.round(value * 1000) / 1000), null]),
  });
  const mean = steps.map((_, at) => runs.reduce((sum, run) => sum + run[at], 0) / runs.length);
  const seeds = runs.length > 1 ? runs.map((run) => line('', run, true)) : [];
  return [...seeds, line(runs.length > 1 ? `mean of ${runs.length} seeds` : 'loss', mean, false)];
}

/** The table behind the frontier, built when it is first opened. */
function fillPoints(details) {
  const ids = data.measures.map((measure) => measure.id).filter((id) => data.points.some((point) => point.rates[id]));
  const names = ['organism', 'recipe', 'seed', 'step', 'capability kept', 'bad behaviour removed', ...ids.map((id) => measures.get(id).title)];
  const titles = new Map(data.organisms.map((organism) => [organism.id, organism.title]));
  const cell = (figure) => (figure ? el('td', { title: data.methods[figure[4]] }, figure[3]) : el('td', {}, '\u2013'));
  const rows = data.points.map((point) => el('tr', {},
    el('td', {}, ...printable(titles.get(point.organism))), el('td', {}, ...printable(recipeTitle(point))),
    el('td', {}, point.seed === null ? 'all' : String(point.seed)), el('td', {}, stepCell(point)),
    cell(point.kept), cell(point.removed), ...ids.map((id) => cell(point.rates[id]))));
  details.querySelector('.scroll').replaceChildren(el('table', { class: 'dense' },
    el('thead', {}, el('tr', {}, ...names.map((name) => el('th', { scope: 'col' }, name)))), el('tbody', {}, ...rows)));
}

/** The step of a point, in `cavesson view` with a link to the transcripts of its checkpoint. */
function stepCell(point) {
  const address = data.transcripts && addressOf({ point });
  return address ? el('a', { href: address }, String(point.step)) : String(point.step);
}

function openRecipe(fingerprint) {
  const place = host(`recipe-${fingerprint}`);
  if (!place) return;
  place.closest('details.group')?.setAttribute('open', '');
  place.setAttribute('open', '');
  hideTip();
  place.scrollIntoView({ block: 'center' });
  place.querySelector('summary').focus();
}

/** A link to a recipe opens it, and the group that it stands in. */
function followRecipe(event) {
  const link = event.target.closest('a.recipe');
  if (!link) return;
  event.preventDefault();
  openRecipe(link.hash.slice('#recipe-'.length));
}

/** Copy buttons take the text of the element before them. */
function copying(button) {
  button.addEventListener('click', async () => {
    const text = button.previousElementSibling.textContent;
    let done = true;
    try {
      await navigator.clipboard.writeText(text);
    } catch {
      done = false; // no permission: select it, so that the reader's own copy key works
      getSelection().selectAllChildren(button.previousElementSibling);
    }
    button.textContent = done ? 'Copied' : 'Selected';
    setTimeout(() => { button.textContent = 'Copy'; }, 1500);
  });
}
