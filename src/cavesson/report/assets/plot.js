// What every chart shares: scales, axes, the tooltip, redrawing at the width there is.

const data = JSON.parse(document.getElementById('data').textContent);
const measures = new Map(data.measures.map((measure) => [measure.id, measure]));
const COLORS = 8;

/** Maps [low, high] onto [from, to]. */
function linear(low, high, from, to) {
  const scale = (value) => from + ((value - low) / (high - low || 1)) * (to - from);
  return Object.assign(scale, { low, high });
}

/** The same on log(offset + value): offset 1 for steps, which start at 0. */
function logarithmic(low, high, from, to, offset) {
  const inner = linear(Math.log(offset + low), Math.log(offset + high), from, to);
  return Object.assign((value) => inner(Math.log(offset + value)), { low, high, log: true });
}

/** Round values between low and high, about `count` of them. */
function ticks(low, high, count) {
  const rough = (high - low) / Math.max(1, count);
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 2.5, 5, 10].map((nice) => nice * power).find((size) => size >= rough * 0.999);
  const found = [];
  for (let value = Math.ceil(low / step - 1e-9) * step; value <= high + step * 1e-6; value += step) {
    found.push(Math.abs(value) < step * 1e-9 ? 0 : value);
  }
  return found;
}

/** Of these places, first to last, those that stand at least `gap` apart on the scale; the last one always stays. */
function spaced(places, scale, gap) {
  const kept = [];
  for (const place of places) {
    if (!kept.length || scale(place) - scale(kept[kept.length - 1]) >= gap) kept.push(place);
  }
  const last = places[places.length - 1];
  if (kept[kept.length - 1] !== last) {
    if (kept.length > 1) kept.pop();
    kept.push(last);
  }
  return kept;
}

const percent = (share) => `${number(Math.round(share * 100))}\u00a0%`;

const round = (value) => Math.round(value * 10) / 10;
const path = (points) => points.map(([x, y], index) => `${index ? 'L' : 'M'}${round(x)} ${round(y)}`).join('');

/** Frame of a chart: grid, ticks and axis names. `box` is {width, height, left, right, top, bottom}. */
function frame(box, x, y, { xTicks, yTicks, xText, yText, xLabel, yLabel, label }) {
  const chart = svg('svg', {
    class: 'chart', viewBox: `0 0 ${box.width} ${box.height}`, role: 'img', 'aria-label': label,
  });
  const grid = svg('g', { class: 'grid' });
  const axis = svg('g', { class: 'axis' });
  const [left, right, top, bottom] = [box.left, box.width - box.right, box.top, box.height - box.bottom];
  for (const value of yTicks) {
    grid.append(svg('line', { x1: left, x2: right, y1: round(y(value)), y2: round(y(value)), class: value === 0 ? 'zero' : null }));
    axis.append(svg('text', { x: left - 7, y: round(y(value) + 4), 'text-anchor': 'end' }, yText(value)));
  }
  for (const value of xTicks) {
    grid.append(svg('line', { x1: round(x(value)), x2: round(x(value)), y1: bottom, y2: bottom + 4, class: 'tick' }));
    axis.append(svg('text', { x: round(x(value)), y: bottom + 18, 'text-anchor': 'middle' }, xText(value)));
  }
  if (xLabel) axis.append(svg('text', { class: 'name', x: (left + right) / 2, y: box.height - 4, 'text-anchor': 'middle' }, xLabel));
  if (yLabel) axis.append(svg('text', { class: 'name', x: 2, y: top - 10 }, yLabel));
  chart.append(grid, axis);
  return chart;
}

/** Draw into `host` now, again whenever its width changes, and at the width of a sheet of paper for printing. */
function responsive(host, draw) {
  let width = 0;
  const redraw = () => {
    const now = Math.floor(host.clientWidth);
    if (now < 40 || now === width) return;
    width = now;
    host.replaceChildren(draw(now));
  };
  new ResizeObserver(redraw).observe(host);
  window.addEventListener('beforeprint', () => host.replaceChildren(draw(host.closest('.panels:not(.single), .probe') ? 350 : 680)));
  window.addEventListener('afterprint', () => { width = 0; redraw(); });
  redraw();
  return () => { width = 0; redraw(); };
}

// The marker of a learning rate: shapes that differ at 9 px.
const SHAPES = [
  (r) => `M${-r} 0A${r} ${r} 0 1 1 ${r} 0A${r} ${r} 0 1 1 ${-r} 0Z`,
  (r) => `M${-r * 0.88} ${-r * 0.88}H${r * 0.88}V${r * 0.88}H${-r * 0.88}Z`,
  (r) => `M0 ${-r * 1.2}L${r * 1.1} ${r * 0.8}H${-r * 1.1}Z`,
  (r) => `M0 ${-r * 1.3}L${r * 1.15} 0L0 ${r * 1.3}L${-r * 1.15} 0Z`,
  (r) => `M0 ${r * 1.2}L${r * 1.1} ${-r * 0.8}H${-r * 1.1}Z`,
  (r) => `M${-r * 0.4} ${-r * 1.1}H${r * 0.4}V${-r * 0.4}H${r * 1.1}V${r * 0.4}H${r * 0.4}V${r * 1.1}H${-r * 0.4}V${r * 0.4}H${-r * 1.1}V${-r * 0.4}H${-r * 0.4}Z`,
];
const STAR = (r) => {
  const corners = Array.from({ length: 10 }, (_, i) => {
    const [size, angle] = [i % 2 ? r * 0.6 : r * 1.4, (Math.PI * i) / 5 - Math.PI / 2];
    return [size * Math.cos(angle), size * Math.sin(angle)];
  });
  return `${path(corners)}Z`;
};

/** A key of a legend: a marker drawn small. */
function keyMark(shape, attributes) {
  return svg('svg', { class: 'key', viewBox: '-7 -7 14 14', 'aria-hidden': 'true' }, svg('path', { d: shape(4.5), ...attributes }));
}

/** A legend entry that shows and hides what it names. */
function toggle(mark, text, onChange) {
  const button = el('button', { type: 'button', class: 'toggle', 'aria-pressed': 'true' }, mark, text);
  button.addEventListener('click', () => {
    const on = button.getAttribute('aria-pressed') !== 'true';
    button.setAttribute('aria-pressed', String(on));
    onChange(on);
  });
  return button;
}

// One tooltip for all charts.
const tip = el('div', { class: 'tip', role: 'status', hidden: true });
document.body.append(tip);

/** Show rows `[name, text, color?]` under a title near a place of the window; methods are listed once below. */
function showTip(title, lead, rows, methods, place) {
  const table = el('table', {}, ...rows.map(([name, text, color]) => el('tr', {},
    el('th', { scope: 'row' }, color ? el('i', { class: 'dot', style: `background:${color}` }) : null, ...printable(name)),
    el('td', {}, ...printable(text)))));
  const used = [...new Set(methods)].map((index) => data.methods[index]).filter(Boolean); // a loss has no interval
  tip.replaceChildren(
    el('strong', {}, ...printable(title)),
    ...(lead ? [el('p', {}, ...printable(lead))] : []),
    table,
    ...(used.length ? [el('p', { class: 'method' }, ...printable(`95 % intervals: ${used.join('; ')}`))] : []),
  );
  tip.hidden = false;
  tip.style.left = '0'; // measured where nothing squeezes it
  const [width, height] = [tip.offsetWidth, tip.offsetHeight];
  const room = document.documentElement.clientWidth;
  const beside = place.x + 16 + width < room ? place.x + 16 : place.x - 16 - width;
  tip.style.left = `${Math.max(8, Math.min(beside, room - width - 8))}px`;
  const low = place.y + 14 + height > window.innerHeight;
  tip.style.top = `${Math.max(8, low ? place.y - 14 - height : place.y + 14)}px`;
}

function hideTip() {
  tip.hidden = true;
}
window.addEventListener('scroll', hideTip, { passive: true });
window.addEventListener('keydown', (event) => { if (event.key === 'Escape') hideTip(); });

/** Call `hover(x, y, client)` with chart coordinates while the pointer is over it, `leave()` after. */
function pointing(chart, box, hover, leave) {
  const move = (event) => {
    const area = chart.getBoundingClientRect();
    const scale = box.width / area.width;
    hover((event.clientX - area.left) * scale, (event.clientY - area.top) * scale, { x: event.clientX, y: event.clientY });
  };
  chart.addEventListener('pointermove', move);
  chart.addEventListener('pointerdown', move);
  chart.addEventListener('pointerleave', leave);
  chart.addEventListener('pointercancel', leave);
}

/** Let arrow keys walk through `count` things: `show(index)` each, `leave()` when the chart loses focus. */
function walking(chart, count, show, leave) {
  let at = -1;
  chart.setAttribute('tabindex', '0');
  chart.addEventListener('keydown', (event) => {
    const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
    if (!step || !count()) return;
    event.preventDefault();
    at = (at + step + count()) % count();
    show(at);
  });
  chart.addEventListener('blur', leave);
}

/** Where a place of the chart is in the window. */
function onScreen(chart, box, x, y) {
  const area = chart.getBoundingClientRect();
  return { x: area.left + (x * area.width) / box.width, y: area.top + (y * area.height) / box.height };
}
