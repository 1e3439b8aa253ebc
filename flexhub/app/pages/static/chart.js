// The chart: what would have been, what was planned, what was metered, and what the grid operator asked for.

const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();

const faded = (hex, share) => hex + Math.round(share * 255).toString(16).padStart(2, "0");

export function draw(element, { series, limits, local, day }) {
  const kw = (s) => s.values_kwh.map((v) => (v === null ? null : (v * 3600) / (s.resolution_s ?? 900)));
  const times = (s) => s.values_kwh.map((_, i) => local(Date.parse(s.start) + i * (s.resolution_s ?? 900) * 1000));
  const trace = (name, s, line, more = {}) => ({
    name, x: times(s), y: kw(s), type: "scatter", mode: "lines", line: { shape: "hv", ...line },
    hovertemplate: "%{y:.1f} kW", ...more,
  });
  const traces = [
    // Where nobody offers, nothing would have been drawn: a gap would let the filled area slant.
    trace("Baseline", { ...series.baseline, values_kwh: series.baseline.values_kwh.map((v) => v ?? 0) },
      { color: colour("baseline"), width: 1.5 }, { fill: "tozeroy", fillcolor: faded(colour("baseline"), 0.18) }),
    trace("Measurement", series.measurement, { color: colour("measured"), width: 3 }),
    trace("Schedule", series.schedule, { color: colour("schedule"), width: 1.5 }),
  ];
  const bound = (name, points, line) => traces.push({
    name, x: points.map((p) => local(p.at)), y: points.map((p) => p.kw), type: "scatter", mode: "lines",
    line: { shape: "hv", color: colour("limit"), ...line }, connectgaps: false, hovertemplate: "%{y:.1f} kW",
  });
  if (limits.some((p) => p.asked)) bound("Limit asked for", limits.map((p) => ({ at: p.at, kw: p.asked ? p.kw : null })), { width: 2, dash: "dash" });
  if (limits.some((p) => !p.asked)) bound("Room offered", limits.map((p) => ({ at: p.at, kw: p.asked ? null : p.kw })), { width: 1, dash: "dot" });
  const narrow = element.clientWidth < 520;
  const axis = { gridcolor: colour("line"), zerolinecolor: colour("line"), linecolor: colour("line"), tickcolor: colour("line") };
  const layout = {
    paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", hovermode: "x unified",
    font: { family: "system-ui, sans-serif", size: narrow ? 11 : 12.5, color: colour("quiet") },
    margin: { l: narrow ? 34 : 58, r: 8, t: 8, b: narrow ? 78 : 56 },
    hoverlabel: { bgcolor: colour("card"), bordercolor: colour("line"), font: { color: colour("ink") } },
    legend: { orientation: "h", x: 0, y: narrow ? -0.16 : -0.12, yanchor: "top", font: { color: colour("ink") } },
    xaxis: { ...axis, type: "date", range: day, tickformat: "%H:%M", hoverformat: "%a %H:%M", fixedrange: narrow, nticks: narrow ? 6 : 13 },
    yaxis: { ...axis, rangemode: "tozero", fixedrange: true, ticksuffix: narrow ? "" : " kW", tickfont: { size: 11 } },
  };
  return window.Plotly.react(element, traces, layout, { displayModeBar: false, responsive: true });
}
