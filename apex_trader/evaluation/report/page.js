"use strict";
// Draws each chart where it is seen, in the colours of the page; on paper in those of paper.
(() => {
  const dark = window.matchMedia("(prefers-color-scheme: dark)");
  const inks = {
    light: { ink: "#1f2328", grid: "#d1d9e0", zero: "#8b949e", ground: "#ffffff", middle: "#f6f8fa" },
    dark: { ink: "#e6edf3", grid: "#30363d", zero: "#6e7681", ground: "#0d1117", middle: "#161b22" },
  };
  const config = {
    displaylogo: false, responsive: true, showTips: false, plotlyServerURL: "",
    modeBarButtonsToRemove: ["select2d", "lasso2d", "autoScale2d", "sendChartToCloud"],
  };

  function themed(layout, ink) {
    const out = { ...layout, paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)",
      font: { ...layout.font, color: ink.ink },
      modebar: { bgcolor: "rgba(0,0,0,0)", color: ink.zero, activecolor: ink.ink },
      hoverlabel: { ...layout.hoverlabel, bgcolor: ink.ground, font: { color: ink.ink } } };
    for (const name of Object.keys(layout)) {
      if (/^[xy]axis\d*$/.test(name)) {
        out[name] = { ...layout[name], gridcolor: ink.grid, zerolinecolor: ink.zero,
          linecolor: ink.zero, automargin: true };
      }
    }
    return out;
  }

  // the middle of a scale with two ends is the ground that it lies on
  const grounded = (trace, ink) => trace.type !== "heatmap" ? trace : { ...trace, colorscale:
    trace.colorscale.map(([at, colour]) => [at, at === 0.5 ? ink.middle : colour]) };

  function draw(place, ink) {
    const spec = JSON.parse(document.getElementById(place.dataset.spec).textContent);
    return Plotly.react(place, spec.data.map((trace) => grounded(trace, ink)),
      themed(spec.layout, ink), config);
  }

  const places = [...document.querySelectorAll(".chart")];
  const seen = (place) => !place.closest("details:not([open])");
  const ink = () => (dark.matches ? inks.dark : inks.light);
  const all = (colours) => places.filter(seen).forEach((place) => draw(place, colours));

  for (const folded of document.querySelectorAll("details")) {
    folded.addEventListener("toggle", () => {
      if (folded.open) folded.querySelectorAll(".chart").forEach((place) => draw(place, ink()));
    });
  }
  dark.addEventListener("change", () => all(ink()));
  window.addEventListener("beforeprint", () => all(inks.light));
  window.addEventListener("afterprint", () => all(ink()));
  all(ink());
})();
