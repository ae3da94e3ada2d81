// Lines with interval bands: rates over blue steps, reversal probes, and a study's own curves.

const dashes = ['', '6 3', '2 3', '8 3 2 3'];
const badMeasures = data.measures.filter((measure) => measure.kind === 'bad');
const goodMeasures = data.measures.filter((measure) => measure.kind === 'capability');
const otherMeasures = data.measures.filter((measure) => measure.kind === 'other');

function measureColor(id) {
  const { kind } = measures.get(id);
  const rank = { bad: badMeasures, capability: goodMeasures, other: otherMeasures }[kind].findIndex((measure) => measure.id === id);
  const order = { bad: [4, 1, 6, 5], capability: [0, 2, 3, 7], other: [7, 5, 3, 6] }[kind];
  return `var(--c${order[rank % order.length]})`;
}

/** Capabilities are dashed, so that bad behaviour stands out without colour too. */
function measureDash(id) {
  return measures.get(id).kind === 'bad' ? '' : dashes[1];
}

/**
 * A chart of lines. `series`: [{name, color, dash, faint, x: [], rates: [figure]}];
 * `options`: {title, label, xLabel, yLabel, steps: x counts steps from 0, log, references: [[y, text]], apart: points are not joined}.
 */
function lineChart(width, series, options) {
  const unit = unitOf(series);
  const box = { width, height: Math.round(Math.max(190, Math.min(320, width * 0.62))), left: 44, right: 12, top: options.yLabel || options.references ? 26 : 10, bottom: 40 };
  const xs = [...new Set(series.flatMap((line) => line.x))].sort((a, b) => a - b);
  const [x, xTicks] = xScale(xs, box, options);
  const [low, high] = yDomain(series, unit);
  const y = linear(low, high, box.height - box.bottom, box.top);
  const chart = frame(box, x, y, {
    xTicks, yTicks: ticks(low, high, 4), xText: number, yText: unit.text,
    xLabel: x.log ? `${options.xLabel} (logarithmic)` : options.xLabel, yLabel: options.yLabel, label: `${options.label}. Arrow keys read the values.`,
  });
  for (const [value, text] of options.references || []) {
    const at = round(y(value));
    chart.append(svg('line', { class: 'reference', x1: box.left, x2: width - box.right, y1: at, y2: at }));
    chart.append(svg('text', { class: 'note', x: width - box.right - 2, y: at - 6, 'text-anchor': 'end' }, shortened(text, 46)));
  }
  for (const line of series.filter((each) => !each.faint && !options.apart)) {
    const upper = line.x.map((value, i) => [x(value), y(Math.min(high, line.rates[i][2]))]);
    const lower = line.x.map((value, i) => [x(value), y(Math.max(low, line.rates[i][1]))]);
    chart.append(svg('path', { class: 'band', d: `${path([...upper, ...lower.reverse()])}Z`, fill: line.color }));
  }
  for (const line of series) {
    const places = line.x.map((value, i) => [x(value), y(line.rates[i][0])]);
    if (options.apart) {
      line.x.forEach((value, i) => chart.append(svg('path', {
        class: 'line faint', stroke: line.color,
        d: path([1, 2].map((end) => [x(value), y(Math.max(low, Math.min(high, line.rates[i][end])))])),
      })));
    } else {
      chart.append(svg('path', { class: line.faint ? 'line faint' : 'line', d: path(places), stroke: line.color, 'stroke-dasharray': line.dash || null }));
    }
    if (line.faint) continue;
    for (const [px, py] of places) chart.append(svg('circle', { cx: round(px), cy: round(py), r: 2.4, fill: line.color }));
    line.x.forEach((value, i) => (line.rates[i][5] || []).forEach((one) => {
      chart.append(svg('circle', { class: 'seed', cx: round(x(value)), cy: round(y(Math.max(low, Math.min(high, one)))), r: 1.8, stroke: line.color }));
    }));
  }
  const guide = svg('line', { class: 'guide', y1: box.top, y2: box.height - box.bottom, visibility: 'hidden' });
  chart.append(guide);

  const leave = () => { guide.setAttribute('visibility', 'hidden'); hideTip(); };
  const show = (value, place) => {
    guide.setAttribute('x1', round(x(value)));
    guide.setAttribute('x2', round(x(value)));
    guide.setAttribute('visibility', 'visible');
    const here = series.filter((line) => !line.faint).flatMap((line) => line.x.map((at, i) => [line, at === value, i]))
      .filter(([, here]) => here).map(([line, , i]) => [line, line.rates[i], (line.names || [])[i]]);
    const rows = here.map(([line, rate, name]) => [name ? `${name} (${line.name})` : line.name, rate[3], line.color]);
    showTip(options.title, `${options.xLabel} ${number(value)}`, rows, here.map(([, rate]) => rate[4]), place);
  };
  pointing(chart, box, (px, py, place) => {
    show(xs.reduce((best, value) => (Math.abs(x(value) - px) < Math.abs(x(best) - px) ? value : best), xs[0]), place);
  }, leave);
  walking(chart, () => xs.length, (index) => show(xs[index], onScreen(chart, box, x(xs[index]), box.top + 20)), leave);
  return chart;
}

function xScale(xs, box, options) {
  const [low, high] = [xs[0], xs[xs.length - 1]];
  const [from, to] = [box.left + 4, box.width - box.right - 4];
  const positive = xs.filter((value) => value > 0);
  const wide = options.steps && positive.length > 1 && high / positive[0] >= 25;
  const x = options.log ? logarithmic(low, high, from, to, 0) : wide ? logarithmic(low, high, from, to, 1) : linear(low, high, from, to);
  const few = xs.length < 7 && xs.every((value) => number(value).length < 6);
  return [x, options.steps || options.log || few ? spaced(xs, x, 34) : ticks(low, high, box.width < 400 ? 4 : 7)];
}

/** Shares have an axis from 0 to 100 %, differences are written in points, anything else as it is. */
function unitOf(series) {
  const texts = series.flatMap((line) => line.rates.map((rate) => rate[3]));
  if (texts.every((text) => text.includes('%'))) return { share: true, text: percent };
  return { share: false, text: texts.every((text) => text.includes('points')) ? (value) => number(value * 100) : number };
}

function yDomain(series, unit) {
  if (unit.share) return [0, 1];
  const values = series.flatMap((line) => line.rates.flatMap((rate) => [rate[1], rate[2], ...(rate[5] || [])]));
  const pad = (Math.max(...values) - Math.min(...values)) * 0.06 || 0.1;
  return [Math.min(...values) - pad, Math.max(...values) + pad];
}

/** Lines of one run's measures over steps; step 0 is the untouched organism where the run does not say. */
function measureLines(steps, hidden, faint) {
  const ids = data.measures.map((measure) => measure.id).filter((id) => !hidden.has(id) && steps.some((step) => step.rates[id]));
  return ids.map((id) => {
    const known = steps.filter((step) => step.rates[id]);
    return {
      name: measures.get(id).title, color: measureColor(id), dash: measureDash(id), faint,
      x: known.map((step) => step.step), rates: known.map((step) => step.rates[id]),
    };
  });
}

function measureLegend(ids, hidden, redraw) {
  return el('div', { class: 'legend' }, ...ids.map((id) => {
    const mark = svg('svg', { class: 'key line', viewBox: '0 0 22 14', 'aria-hidden': 'true' },
      svg('path', { d: 'M1 7H21', stroke: measureColor(id), 'stroke-dasharray': measureDash(id) || null, class: 'line' }));
    return toggle(mark, measures.get(id).title, (on) => {
      if (on) hidden.delete(id); else hidden.add(id);
      redraw();
    });
  }));
}
