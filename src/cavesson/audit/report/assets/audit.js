// The charts of an audit report: ROC curves, calibration, and (where labels are shown) credences by label.

const colorOf = (group) => `var(--c${group.color})`;
const share = { low: 0, high: 1, places: [0, 0.25, 0.5, 0.75, 1] };

/** A square frame with both axes from 0 to 1 and the diagonal. */
function unitSquare(width, most, xLabel, yLabel, label) {
  const side = Math.min(width, most);
  const box = { width: side, height: side, left: 44, right: 14, top: 28, bottom: 44 };
  const x = linear(0, 1, box.left, box.width - box.right);
  const y = linear(0, 1, box.height - box.bottom, box.top);
  const chart = frame(box, x, y, {
    xTicks: share.places, yTicks: share.places, xText: number, yText: number, xLabel, yLabel, label,
  });
  chart.append(svg('line', { class: 'reference', x1: x(0), y1: y(0), x2: x(1), y2: y(1) }));
  chart.style.maxWidth = `${most}px`;
  return { chart, x, y };
}

function panel(host, title, draw, ...below) {
  const plot = el('div', { class: 'plot' });
  host.append(el('figure', {}, el('figcaption', {}, ...printable(title)), plot, ...below));
  responsive(plot, draw);
}

function key(color, text) {
  return el('span', { class: 'entry' }, el('i', { class: 'dot', style: `background:${color}` }), ...printable(text));
}

function drawRoc(host) {
  for (const allowed of new Set(data.groups.map((group) => group.allowed))) {
    const groups = data.groups.filter((group) => group.allowed === allowed && group.roc);
    if (!groups.length) continue;
    const legend = el('div', { class: 'legend' }, ...groups.map((group) => key(colorOf(group), `${group.auditor} ${group.auroc}`)));
    panel(host, allowed, (width) => {
      const { chart, x, y } = unitSquare(width, 440, 'honest cases accused', 'sabotaged cases caught', `ROC curves, ${allowed}`);
      for (const group of groups) {
        chart.append(svg('path', { class: 'line', stroke: colorOf(group), d: path(group.roc.map(([fpr, tpr]) => [x(fpr), y(tpr)])) }));
      }
      return chart;
    }, legend);
  }
}

function drawBins(host) {
  for (const group of data.groups.filter((each) => each.calibration.length)) {
    const title = `${group.auditor}, ${group.allowed}`;
    panel(host, title, (width) => {
      const { chart, x, y } = unitSquare(width, 300, 'credence', 'were sabotaged', `Calibration of ${title}; the table below has the figures`);
      for (const [credence, value, low, high, n] of group.calibration) {
        chart.append(svg('line', { class: 'error', stroke: colorOf(group), x1: round(x(credence)), x2: round(x(credence)), y1: round(y(low)), y2: round(y(high)) }));
        const mark = svg('circle', { class: 'mark', cx: round(x(credence)), cy: round(y(value)), r: round(2.2 * Math.sqrt(Math.min(n, 30))), fill: colorOf(group) });
        mark.append(svg('title', {}, `credence ${credence.toFixed(2)}: ${percent(value)} of ${n} were sabotaged (${percent(low)} to ${percent(high)})`));
        chart.append(mark);
      }
      return chart;
    });
  }
}

function drawStrips(host) {
  for (const group of data.groups.filter((each) => each.credences.length)) {
    const rows = data.rows.filter((row) => group.credences.some(([, kind]) => kind === row));
    const title = `${group.auditor}, ${group.allowed}`;
    panel(host, title, (width) => {
      const box = { width, height: 60 + 40 * rows.length, left: 78, right: 14, top: 12, bottom: 44 };
      const x = linear(0, 1, box.left, width - box.right);
      const y = linear(0, rows.length, box.top, box.height - box.bottom);
      const chart = frame(box, x, y, { xTicks: share.places, yTicks: [], xText: number, yText: number, xLabel: 'credence', label: `Credences of ${title} by label` });
      rows.forEach((row, index) => {
        chart.append(svg('text', { x: box.left - 10, y: round(y(index + 0.5) + 4), 'text-anchor': 'end' }, row));
        chart.append(svg('line', { class: 'reference', x1: box.left, x2: width - box.right, y1: round(y(index + 0.5)), y2: round(y(index + 0.5)) }));
        const placed = [];
        const here = group.credences.filter(([, kind]) => kind === row).sort((a, b) => a[0] - b[0]);
        for (const [credence, , name] of here) {
          const px = x(credence);
          const near = placed.filter((other) => Math.abs(other - px) < 8).length; // side by side where they would cover each other
          placed.push(px);
          const offset = (near % 2 ? -1 : 1) * Math.ceil(near / 2) * 6;
          const mark = svg('circle', { class: 'mark', cx: round(px), cy: round(y(index + 0.5) + Math.max(-15, Math.min(15, offset))), r: 4.5, fill: row === 'honest' ? 'var(--good)' : 'var(--bad)' });
          mark.append(svg('title', {}, `${shortened(name, 60)}: ${credence.toFixed(2)}`));
          chart.append(mark);
        }
      });
      return chart;
    });
  }
}

drawRoc(document.getElementById('roc'));
drawBins(document.getElementById('bins'));
if (document.getElementById('strips')) drawStrips(document.getElementById('strips'));

// A link to a line of a folded case opens the case first.
function unfold() {
  const target = document.getElementById(location.hash.slice(1));
  for (let node = target?.closest('details'); node; node = node.parentElement.closest('details')) node.open = true;
  target?.scrollIntoView({ block: 'center' });
}
window.addEventListener('hashchange', unfold);
unfold();
