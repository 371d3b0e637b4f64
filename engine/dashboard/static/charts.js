// Charts of series of numbers over time, with uPlot; colours are those of the page.
"use strict";
window.mailrunCharts = (() => {
  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const COLOURS = { fill: "--fill", good: "--fill-good", bad: "--fill-bad", warn: "--fill-warn", mute: "--fill-mute" };

  const stepped = uPlot.paths.stepped({ align: 1 });

  function describe(series, isStepped) {
    const stroke = colour(COLOURS[series.tone] || "--fill");
    return {
      label: series.label,
      stroke,
      width: 2,
      dash: series.dashed ? [6, 5] : undefined,
      fill: series.filled ? stroke + "2e" : undefined,
      paths: isStepped ? stepped : undefined,
      points: { show: false },
      spanGaps: Boolean(series.joined),
      value: (_, value) => (value == null ? "–" : value.toLocaleString("en", { maximumFractionDigits: 1 })),
    };
  }

  const clock = (at, step) => new Date(at * 1000).toLocaleTimeString("en-GB", step < 60 ? {} : { hour: "2-digit", minute: "2-digit" });

  // No step of the axis is shorter than a second, which the labels could not tell apart.
  const MINUTE = 60, HOUR = 3600, DAY = 86400;
  const WHOLE_SECONDS = [1, 2, 5, 10, 15, 30, ...[1, 2, 5, 10, 15, 30].map((n) => n * MINUTE), ...[1, 2, 3, 4, 6, 8, 12].map((n) => n * HOUR), ...[1, 2, 5, 10, 30].map((n) => n * DAY)];

  const since = (at) => `${at.toLocaleString("en")} s`;

  function draw(element, series, points) {
    const isElapsed = element.dataset.x === "seconds"; // since the start, not a time of day
    const write = isElapsed ? since : clock;
    const axis = { stroke: colour("--soft"), grid: { stroke: colour("--line"), width: 1 }, ticks: { show: false }, font: "12px system-ui" };
    const options = {
      width: element.clientWidth - 24,
      height: 180,
      padding: [10, 28, 0, 0],
      cursor: { drag: { x: false, y: false } },
      scales: { x: { time: !isElapsed }, y: { range: (_, low, high) => [0, Math.max(high || 0, 1) * 1.08] } },
      axes: [{ ...axis, size: 30, space: 76, incrs: isElapsed ? undefined : WHOLE_SECONDS, values: (_, ticks, __, ___, step) => ticks.map((at) => write(at, step)) }, { ...axis, size: 58, values: (_, ticks) => ticks.map((tick) => tick.toLocaleString("en") + (element.dataset.unit || "")) }],
      series: [{ label: isElapsed ? "Since the start" : "Time", value: (_, at) => (at == null ? "–" : write(at, 1)) }, ...series.map((one) => describe(one, "stepped" in element.dataset))],
    };
    const data = [points.map((point) => point.at), ...series.map((one) => points.map((point) => point[one.key] ?? null))];
    return new uPlot(options, data, element);
  }

  // A chart that is drawn again when its width or the colours of the computer change.
  function keep(element, series, points) {
    let plot = null;
    const paint = (next) => {
      if (next) points = next;
      if (points.length < 2) return;
      if (plot) plot.destroy();
      element.hidden = false;
      plot = draw(element, series, points);
    };
    new ResizeObserver(() => plot && plot.width !== element.clientWidth - 24 && paint()).observe(element);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => paint());
    paint();
    return {
      set(next) {
        points = next;
        if (!plot) return paint();
        plot.setData([points.map((point) => point.at), ...series.map((one) => points.map((point) => point[one.key] ?? null))]);
      },
    };
  }

  for (const element of document.querySelectorAll("[data-points]")) {
    keep(element, JSON.parse(element.dataset.series), JSON.parse(element.dataset.points));
  }
  return { keep };
})();
