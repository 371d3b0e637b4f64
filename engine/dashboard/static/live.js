// Keeps the page of a run current from server-sent events. Without it, the page shows the figures of when it was opened.
"use strict";
(() => {
  const root = document.querySelector("[data-live]");
  if (!root) return;
  const status = document.getElementById("live-status");
  const dot = document.getElementById("live-dot");
  const chart = document.getElementById("live-chart");
  const points = [];
  const shown = root.dataset.state;
  let plot = null;

  const write = (value) => (value == null ? "–" : value.toLocaleString("en", { maximumFractionDigits: 1 }));

  function say(text, isLive) {
    if (status.textContent !== text) status.textContent = text;
    dot.classList.toggle("on", isLive);
  }

  function addPoints(more) {
    points.push(...more);
    if (points.length > 300) points.splice(0, points.length - 300);
    if (plot) plot.set(points);
    else if (points.length > 1) plot = mailrunCharts.keep(chart, JSON.parse(chart.dataset.series), points);
  }

  function show(found) {
    for (const [name, value] of Object.entries(found.figures)) {
      for (const element of document.querySelectorAll(`[data-figure="${name}"]`)) {
        const text = write(value);
        if (element.textContent !== text) element.textContent = text;
      }
    }
    const share = found.accepted ? (100 * found.done) / found.accepted : 0;
    document.getElementById("whole").querySelector("rect").setAttribute("width", share);
    document.getElementById("whole-share").textContent = `${write(found.done)} of ${write(found.accepted)}`;
    addPoints([{ at: found.at, ...found.figures }]);
    if (found.state !== shown) location.reload();
  }

  const source = new EventSource(root.dataset.live);
  source.addEventListener("open", () => say("Live", true));
  source.addEventListener("history", (event) => addPoints(JSON.parse(event.data).filter((point) => !points.length || point.at > points[points.length - 1].at)));
  source.addEventListener("figures", (event) => {
    const found = JSON.parse(event.data);
    show(found);
    say("Live", true);
    if (found.over) source.close();
  });
  source.addEventListener("problem", (event) => say(JSON.parse(event.data).what, false));
  source.addEventListener("error", () => say("The connection is lost. Trying again…", false));
  addEventListener("pagehide", () => source.close());
})();
