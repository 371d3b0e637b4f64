"use strict";
// Draws the time line with uPlot. The table below it has the same figures, for readers without scripts.
(() => {
  const holder = document.getElementById("lines");
  if (!holder) return;
  const data = JSON.parse(document.getElementById("time-line").textContent);
  const sentLine = document.getElementById("sent-line");
  const readout = document.getElementById("readout");
  const root = document.documentElement;
  const paperWidth = 660;
  let charts = [];
  let width = 0;

  const number = (value) => value.toLocaleString("en-US", { maximumFractionDigits: 1 });
  const two = (value) => String(value).padStart(2, "0");
  const clock = (seconds) => {
    const at = new Date(seconds * 1000);
    return `${at.getUTCFullYear()}-${two(at.getUTCMonth() + 1)}-${two(at.getUTCDate())} ${two(at.getUTCHours())}:${two(at.getUTCMinutes())}:${two(at.getUTCSeconds())}`;
  };
  const colour = (name) => getComputedStyle(root).getPropertyValue(name).trim();

  // A last step closes the time line, so that the bar of the last one has a width.
  const closed = (values, last) => values.concat([last]);
  const times = closed(data.at, data.at[data.at.length - 1] + data.step);
  const rates = data.sent.map((count) => count / data.step);
  const last = (values) => closed(values, values[values.length - 1]);

  function tell(index) {
    if (index === null || index === undefined || index >= data.at.length) {
      readout.textContent = readout.dataset.rest;
      return;
    }
    const limit = data.limit[index] === null ? "" : `, limit ${number(data.limit[index])} a second`;
    readout.textContent = `${clock(data.at[index])} UTC: ${number(data.sent[index])} sent (${number(rates[index])} a second${limit}), ${number(data.failed[index])} failed, ${number(data.throttled[index])} throttled`;
  }

  // Moments such as a pause are dashed lines with their number in the list below.
  function drawMoments(chart) {
    const { ctx, bbox } = chart;
    ctx.save();
    ctx.strokeStyle = ctx.fillStyle = colour("--soft");
    ctx.font = `600 ${11 * devicePixelRatio}px system-ui, sans-serif`;
    ctx.setLineDash([3 * devicePixelRatio, 3 * devicePixelRatio]);
    ctx.textAlign = "center";
    let free = -Infinity;
    data.moments.forEach((moment, index) => {
      // What happened before the first step, or after the last one, stands at the edge.
      const x = Math.min(bbox.left + bbox.width, Math.max(bbox.left, chart.valToPos(moment, "x", true)));
      ctx.beginPath();
      ctx.moveTo(x, bbox.top);
      ctx.lineTo(x, bbox.top + bbox.height);
      ctx.stroke();
      if (x < free) return; // numbers must not cover each other
      ctx.fillText(String(index + 1), x, bbox.top - 5 * devicePixelRatio);
      free = x + 16 * devicePixelRatio;
    });
    ctx.restore();
  }

  const axis = (more) => ({
    stroke: colour("--soft"),
    font: "12px system-ui, sans-serif",
    grid: { stroke: colour("--line"), width: 1 },
    ticks: { stroke: colour("--line"), width: 1 },
    ...more,
  });
  const base = (height, hooks) => ({
    width,
    height,
    padding: [20, 28, 0, 0],
    legend: { show: false },
    tzDate: (seconds) => uPlot.tzDate(new Date(seconds * 1000), "Etc/UTC"),
    cursor: { drag: { setScale: false }, sync: { key: "time-line" }, y: false },
    hooks: { setCursor: [(chart) => tell(chart.cursor.idx)], draw: hooks },
  });
  const seen = (value) => value || null; // no bar where there is nothing
  // Hours and minutes, with the day below where it begins.
  const dates = (_, splits, __, ___, increment) =>
    splits.map((value, index) => {
      const text = clock(value);
      const day = text.slice(0, 10);
      const time = increment < 60 ? text.slice(11) : text.slice(11, 16);
      return index === 0 || clock(splits[index - 1]).slice(0, 10) !== day ? `${time}\n${day}` : time;
    });
  const count = (_, splits) => splits.map((value) => (value === null ? "" : number(value)));
  // of the axis of time, in seconds: from one to 30 days
  const steps = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200, 86400, 172800, 432000, 864000, 2592000];
  const whole = { incrs: [1, 2, 5, 10, 20, 50, 100, 200, 500, 1e3, 2e3, 5e3, 1e4, 2e4, 5e4, 1e5, 1e6, 1e7] };
  // [least, greatest] of an axis: from nothing to a little above the greatest value
  const fromZero = (_, least, greatest) => [0, (greatest || 1) * 1.1];

  function draw() {
    charts.forEach((chart) => chart.destroy());
    width = root.classList.contains("paper") ? paperWidth : Math.max(240, sentLine.clientWidth);
    const stepped = uPlot.paths.stepped({ align: 1 });
    const left = 62;
    const sent = new uPlot(
      {
        ...base(240, [drawMoments]),
        scales: { y: { range: fromZero } },
        axes: [axis({ space: 76, values: dates, incrs: steps }), axis({ size: left, values: count })],
        series: [
          {},
          { stroke: colour("--fill"), fill: `${colour("--fill")}33`, width: 1.5, paths: stepped, points: { show: false } },
          { stroke: colour("--fill-warn"), width: 2, dash: [6, 4], paths: stepped, points: { show: false } },
        ],
      },
      [times, last(rates), last(data.limit)],
      sentLine,
    );
    const bars = uPlot.paths.bars({ align: 1, size: [0.9, 24] });
    const lostLine = document.getElementById("lost-line");
    const lost = lostLine.hidden ? null : new uPlot(
      {
        ...base(130, [drawMoments]),
        scales: { y: { range: fromZero } },
        axes: [axis({ space: 76, values: dates, incrs: steps }), axis({ size: left, values: count, space: 28, ...whole })],
        series: [
          {},
          { stroke: colour("--fill-mute"), fill: `${colour("--fill-mute")}99`, width: 1, paths: bars, points: { show: false } },
          { stroke: colour("--fill-bad"), fill: colour("--fill-bad"), width: 1, paths: bars, points: { show: false } },
        ],
      },
      [times, closed(data.throttled.map(seen), null), closed(data.failed.map(seen), null)],
      lostLine,
    );
    charts = lost ? [sent, lost] : [sent];
    tell(null);
  }

  const media = matchMedia("print");
  function setPaper(isPaper) {
    if (root.classList.contains("paper") === isPaper) return;
    root.classList.toggle("paper", isPaper);
    draw();
  }
  document.getElementById("undrawn").hidden = true;
  document.getElementById("chart").hidden = false;
  draw();
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
  media.addEventListener("change", (event) => setPaper(event.matches));
  addEventListener("beforeprint", () => setPaper(true));
  addEventListener("afterprint", () => setPaper(false));
  new ResizeObserver(() => {
    if (!root.classList.contains("paper") && Math.max(240, sentLine.clientWidth) !== width) draw();
  }).observe(holder);
})();
