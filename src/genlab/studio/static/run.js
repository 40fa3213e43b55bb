// One run: where it stands, what is wrong, its samples under one step slider that also moves the cursor of every curve.
import { Chart } from "./chart.js";
import { address, duration, failed, fill, get, h, news, post, said, savePicture, say, socket, table, whole } from "./dom.js";

const SMOOTH = [0, 0.6, 0.9, 0.97];

export async function view(stage, go) {
  const name = said().get("run");
  let told = { findings: [], healthy: "", unknown: [], ...await get("run", { run: name }) }, closed = false, wire = null, playing = null;
  const charts = new Map(), ranges = new Map(), top = h("div", {}), tools = h("div", { class: "row tools" }), bottom = h("div", {}), trouble = h("div", {});
  let had = { began: 0, rows: 0 };
  let shares = null, measuring = "";

  // The slider.
  const picture = h("img", { class: "pixels", alt: "Samples of this step" }), real = h("img", { class: "pixels", alt: "Real images" });
  const slider = h("input", { type: "range", min: "0", step: "1", "aria-label": "Step of the samples" }), shown = h("output", {});
  const play = h("button", { "aria-label": "Play the samples over training", onclick: () => (playing ? pause() : start()) }, "\u25b6");
  const caption = h("figcaption", {}), classes = h("div", {}), findings = h("div", {}), state = h("p", { class: "row" }), curves = h("div", { class: "charts" }), log = h("div", {});

  const steps = () => told.samples;
  const step = () => steps()[Number(slider.value)];

  function start() {
    if (Number(slider.value) >= steps().length - 1) slider.value = 0;
    play.textContent = "\u23f8";
    playing = setInterval(() => {
      if (Number(slider.value) >= steps().length - 1) return pause();
      slider.value = Number(slider.value) + 1;
      moved();
    }, 350);
  }

  function pause() {
    clearInterval(playing);
    playing = null;
    play.textContent = "\u25b6";
  }

  function moved(keep = true) {
    const at = step();
    frame.hidden = at === undefined;
    if (at === undefined) { caption.textContent = "No samples yet: they are drawn during training."; return; }
    if (keep) say({ step: Number(slider.value) === steps().length - 1 ? null : at });
    picture.src = address("/api/sample", { run: name, step: at });
    picture.alt = `Samples at step ${whole(at)}, the same z at every step`;
    shown.textContent = `step ${whole(at)}`;
    slider.setAttribute("aria-valuetext", `step ${at}`);
    caption.textContent = `Generated after step ${whole(at)}, the same z at every step: ${told.drawn}.`;
    for (const chart of charts.values()) chart.mark(at);
    evaluation(at);
  }

  // The evaluation nearest to a step, and said so.
  let asked = 0;
  async function evaluation(at) {
    if (!told.evaluations.length) { fill(classes, h("p", { class: "soft small" }, "Nothing was measured during this training.")); return; }
    const mine = ++asked;
    try {
      const found = await get("evaluation", { run: name, step: at });
      if (mine !== asked || closed) return;
      shares = found;
      const exact = `${found.step === at ? "at" : "nearest evaluation:"} step ${whole(found.step)}${found.full ? ", the full evaluation" : ""}`;
      const key = found.classes.some((row) => row.requested_class_accuracy !== null && row.requested_class_accuracy !== undefined) ? "requested_class_accuracy" : "share";
      const title = key === "share" ? "Shares of the classes" : "Drawn as the requested class, worst first";
      const most = key === "share" ? Math.max(...found.classes.flatMap((row) => [row.share || 0, row.share_in_data || 0]), 0.01) : 1;
      fill(classes, h("h3", {}, title), h("p", { class: "small soft" }, `${whole(found.samples)} samples, ${exact}.${key === "share" ? " The line is the share in the data." : ""}`),
        h("div", { class: "bars" }, found.classes.map((row) => [h("span", {}, row.class), bar(row[key], most, key === "share" ? row.share_in_data : null), h("span", { class: "num" }, row[key] === null || row[key] === undefined ? "-" : `${(100 * row[key]).toFixed(1)} %`)])),
        readable(found),
        h("dl", { class: "plain" }, Object.values(found.metrics).slice(0, 6).flatMap((metric) => [h("dt", {}, metric.title), h("dd", {}, metric.text)])));
    } catch (error) {
      if (mine === asked) fill(classes, failed(error));
    }
  }

  // Since when each class can be read, of those that are asked for.
  function readable(found) {
    const rows = found.classes.filter((row) => row.requested_class_accuracy !== null && row.requested_class_accuracy !== undefined);
    if (!rows.length || found.first === null) return null;
    const since = new Map();
    const said = (row) => (row.lost ? "no longer" : row.since === null ? "not yet" : row.since === found.first ? `since step ${whole(row.since)} (the first measured) or earlier` : `since step ${whole(row.since)}`);
    for (const row of rows.sort((a, b) => (a.since ?? 1e12) - (b.since ?? 1e12))) since.set(said(row), [...(since.get(said(row)) || []), row.class]);
    const words = [...since].map(([when, names]) => `${names.sort((a, b) => a.localeCompare(b, "en", { numeric: true })).join(", ")} ${when}`);
    return h("p", { class: "small" }, `Readable (90 % are read as the requested class): ${words.join("; ")}.`);
  }

  function bar(value, most, mark) {
    const x = mark ? 100 * mark / most : 0;
    return h("svg", { viewBox: "0 0 100 10", preserveAspectRatio: "none", "aria-hidden": "true" }, h("rect", { width: 100 * (value || 0) / most, height: 10 }), mark ? h("line", { x1: x, x2: x, y1: 0, y2: 10 }) : null);
  }

  // Findings and state.
  function status() {
    const now = told.status, left = now.state === "running" && now.total_steps && now.step ? (now.total_steps - now.step) * now.seconds / now.step : null;
    fill(state, h("span", { class: `state ${now.state}` }, now.state),
      h("span", {}, `step ${whole(now.step)}${now.total_steps ? ` of ${whole(now.total_steps)}` : ""}, ${duration(now.seconds)}${left ? `; about ${duration(left)} left` : ""}`),
      now.reason ? h("span", { class: "small soft" }, now.reason) : null,
      measuring ? h("span", { class: "small", role: "status" }, `Training has ended; 10,000 images are being measured: ${measuring}`) : null,
      now.state === "running" ? h("button", { onclick: () => change("stop", `${told.title}: saving, then stopping`) }, "Save and stop") : null,
      ["created", "killed", "failed", "interrupted"].includes(now.state) && told.can.train ? h("button", { onclick: () => change("resume", `${told.title}: resuming`) }, "Resume") : null);
  }

  async function change(what, words) {
    try {
      await post(what, { run: name });
      news(words);
    } catch (error) {
      news(error.message);
    }
  }

  function diagnosis() {
    const lasting = told.findings.filter((each) => each.until === null);
    const over = told.findings.filter((each) => each.until !== null);
    const one = (each) => h("div", { class: `finding ${each.level}` },
      each.lines.map(([label, words], k) => h("p", {}, k ? h("b", {}, `${label} `) : h("b", {}, `${label}  `), label === "Try" ? h("code", {}, words) : words)),
      Object.keys(each.changes).length && told.can.train ? h("p", {}, h("a", { href: address("/new", { from: name, ...Object.fromEntries(Object.entries(each.changes).map(([path, value]) => [`set.${path}`, value === null ? "null" : value])) }) }, "Try it")) : null);
    fill(findings, h("h2", {}, "Diagnosis"), ...(told.healthy ? [h("p", {}, told.healthy)] : []), ...lasting.map(one),
      over.length ? h("details", {}, h("summary", {}, `${over.length} resolved`), over.map(one)) : "",
      told.unknown.length ? h("details", {}, h("summary", {}, "What could not be diagnosed"), told.unknown.map((words) => h("p", { class: "small" }, words))) : "");
    for (const chart of charts.values()) {
      chart.about.marks = lasting.filter((each) => each.level === "fault" && each.since && each.since[0]).map((each) => [each.since[1], each.name]);
    }
  }

  // Curves.
  async function points() {
    const columns = told.plots.flatMap((plot) => plot.curves.map((curve) => curve.column));
    const found = {};
    for (let k = 0; k < columns.length; k += 20) {
      const some = await get("curves", { run: name, column: columns.slice(k, k + 20) });
      if (!k) had = { began: some.began, rows: some.rows };
      Object.assign(found, some.curves);
    }
    for (const plot of told.plots) {
      if (!charts.has(plot.name)) {
        const chart = new Chart({ ...plot }, { onStep: nearest, onZoom: (range) => closer(plot, range).catch((error) => news(error.message)) });
        charts.set(plot.name, chart);
        curves.append(chart.element);
      }
      // The first charts are seen while the others are drawn.
      await new Promise((done) => { requestAnimationFrame(done); setTimeout(done, 100); });
      if (closed) return;
      if (ranges.has(plot.name)) await closer(plot, ranges.get(plot.name));
      else charts.get(plot.name).set(linesOf(plot, found));
    }
    // A chart that is put anew where it stands loses the hand that drags over it.
    const order = told.plots.map((plot) => charts.get(plot.name).element);
    if (order.some((element, k) => element !== curves.children[k])) curves.append(...order);
    diagnosis();
    for (const chart of charts.values()) chart.mark(step() ?? null);
  }

  const linesOf = (plot, found) => plot.curves.map((curve) => ({ label: curve.label, column: curve.column, ...found[curve.column] }));

  // The points of one chart between two steps, and a little beyond; all of them where no range is given.
  async function closer(plot, range) {
    if (range) ranges.set(plot.name, range); else ranges.delete(plot.name);
    const beyond = range ? (range[1] - range[0]) / 10 : 0, edges = range ? { from: range[0] - beyond, to: range[1] + beyond } : {};
    const { curves: found } = await get("curves", { run: name, column: plot.curves.map((curve) => curve.column), ...edges });
    if (!closed && ranges.get(plot.name) === (range || undefined)) charts.get(plot.name).set(linesOf(plot, found));
  }

  function nearest(at) {
    if (!steps().length) return;
    let best = 0;
    steps().forEach((each, k) => { if (Math.abs(each - at) < Math.abs(steps()[best] - at)) best = k; });
    slider.value = best;
    moved();
  }

  function append(rows) {
    if (!rows.step || !rows.step.length) return;
    for (const [plot, chart] of charts) {
      if (ranges.has(plot)) continue;
      let grew = false;
      for (const line of chart.lines) {
        const values = rows[line.column];
        if (!values || line.block > 1) continue;
        const [mean, low, high] = ["_mean", "_p10", "_p90"].map((end) => rows[line.column + end] || []);
        rows.step.forEach((at, k) => {
          if (values[k] === null || values[k] === undefined || at <= line.x.at(-1)) return;
          line.x.push(at);
          line.y.push(mean[k] ?? values[k]);
          if (line.low.length) { line.low.push(low[k] ?? null); line.high.push(high[k] ?? null); }
          grew = true;
        });
      }
      if (grew) chart.draw();
    }
  }

  function listen() {
    wire = socket("/ws/run", { run: name, ...had });
    let waiting = Promise.resolve();
    // One after the other: what a message changes stands before the next is read.
    wire.onmessage = (message) => { waiting = waiting.then(() => heard(JSON.parse(message.data))).catch((error) => fill(trouble, failed(error))); };
    wire.onclose = async () => {
      if (closed) return;
      await get("log", { run: name }).then(() => fill(trouble), (error) => fill(trouble, failed(error)));
      setTimeout(() => { if (!closed) listen(); }, 2000);
    };
  }

  async function heard(fresh) {
    if (closed) return;
    if (fresh.error) { fill(trouble, failed(new Error(fresh.error))); return; }
    fill(trouble);
    const atEnd = !playing && Number(slider.value) >= steps().length - 1, before = steps().length;
    const was = `${told.status.state} ${told.measured} ${told.columns} ${told.snapshots.length > 0}`;
    Object.assign(told, fresh);
    const other = `${told.status.state} ${told.measured} ${told.columns} ${told.snapshots.length > 0}` !== was;
    const many = [...charts.values()].some((chart) => chart.lines.some((line) => line.x.length > 2500 || line.block > 1));
    if (other) {
      told = { ...told, ...await get("run", { run: name }) };
      facts();
    }
    if (other || fresh.anew || (many && fresh.rows.step)) await points();
    else append(fresh.rows);
    slider.max = Math.max(0, steps().length - 1);
    play.disabled = steps().length < 2;
    if (atEnd && (other || steps().length > before)) { slider.value = slider.max; moved(false); }
    status();
    diagnosis();
    lines();
  }

  let again = null;
  async function lines() {
    const found = await get("log", { run: name }).catch(() => null);
    if (!found || closed) return;
    const running = found.jobs.some((job) => job.run === name && job.state === "running");
    measuring = running && told.status.state === "finished" && !told.measured ? (found.lines.at(-1) || "") : "";
    status();
    if (measuring) { clearTimeout(again); again = setTimeout(lines, 2000); }
    fill(log, ...(found.lines.length ? [h("details", {}, h("summary", {}, "Training output"), h("pre", { tabindex: "0" }, found.lines.join("\n")))] : []));
  }

  const smoothing = h("select", { "aria-label": "Smoothing of the curves", onchange: () => { for (const chart of charts.values()) chart.smooth(Number(smoothing.value)); } },
    SMOOTH.map((strength) => h("option", { value: strength }, strength ? `smoothed ${Math.round(100 * strength)} %` : "not smoothed")));
  slider.addEventListener("input", () => moved());
  slider.max = Math.max(0, steps().length - 1);
  slider.value = slider.max;
  play.disabled = steps().length < 2;
  const wanted = Number(said().get("step"));
  if (wanted && steps().length) { let best = 0; steps().forEach((each, k) => { if (Math.abs(each - wanted) < Math.abs(steps()[best] - wanted)) best = k; }); slider.value = best; }

  const frame = told.row_names.length && told.row_names.length <= 30
    ? h("div", { class: "rows" }, h("div", { class: "names", "aria-hidden": "true" }, told.row_names.map((row) => h("span", {}, row))), picture) : h("div", {}, picture);

  // What is known of the run as a whole: said anew when it ends, and when it is measured.
  function facts() {
    fill(tools,
      told.can.draw || told.can.name ? h("a", { class: "button main", href: address("/explore", { run: name }) }, "Explore") : null,
      told.can.train ? h("a", { class: "button", href: address("/new", { from: name }) }, "Train it again with changes") : null,
      smoothing, h("button", { onclick: () => savePicture(picture.src, `${told.title}: ${caption.textContent}`, `${told.title}-step-${step()}`).catch((error) => news(error.message)) }, "Save the samples"));
    fill(top, told.verdict ? h("p", {}, told.verdict) : "",
      told.numbers.length ? h("dl", { class: "numbers" }, told.numbers.map((each) => h("div", {}, h("dt", {}, each.label), h("dd", { class: "value" }, each.value), each.note ? h("dd", { class: "note" }, each.note) : null))) : "");
    if (told.has_real && !real.src) real.src = address("/api/sample", { run: name, step: "real" });
    fill(bottom,
      told.has_real ? h("details", {}, h("summary", {}, "Real images in the same layout"), h("div", { class: "side" }, h("figure", {}, real, h("figcaption", {}, "Real images of the training set.")))) : "",
      told.quality ? h("details", {}, h("summary", {}, "Evaluation"), table(told.quality), h("p", { class: "small soft" }, told.protocol)) : "",
      h("details", {}, h("summary", {}, "Recipe"), h("pre", { class: "wrap" }, told.command), h("pre", { tabindex: "0" }, told.recipe)),
      h("details", {}, h("summary", {}, "Provenance"), h("dl", { class: "plain" }, told.provenance.flatMap(([label, value]) => [h("dt", {}, label), h("dd", {}, value)]))));
  }

  fill(stage,
    h("h1", {}, told.title), h("p", { class: "soft" }, `${told.lead}${told.changed ? `; changed: ${told.changed}` : ""}`), state, trouble, top,
    tools,
    h("div", { class: "split" },
      h("div", { class: "stay" }, steps().length || told.family !== "classifier" ? [h("div", { class: "scrub" }, play, slider, shown), h("figure", {}, frame, caption)] : "", classes),
      h("div", { class: "first" }, findings, h("h2", {}, "Curves"), h("p", { class: "small soft to-hand" }, "Drag across a chart to zoom in, double-click to zoom out, click to go to that step."), curves)),
    bottom, log);
  facts();
  status();
  if (told.damaged_rows) stage.prepend(h("p", { class: "error" }, `${told.damaged_rows} damaged rows are left out here.`));
  await points();
  moved(false);
  lines();
  listen();
  return () => { closed = true; pause(); clearTimeout(again); if (wire) wire.close(); for (const chart of charts.values()) chart.close(); };
}
