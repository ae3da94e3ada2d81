// What the page of a run draws with the report's own charts.

const drawn = { frontier: drawFrontiers, curves: drawCurves, charts: drawOwnCurves };
for (const [id, draw] of Object.entries(drawn)) {
  if (host(id)) draw(host(id));
}
host('points')?.addEventListener('toggle', (event) => fillPoints(event.currentTarget), { once: true });
