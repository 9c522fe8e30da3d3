// What a reader may do with the page. Without this script everything but the panel is there to read.
"use strict";

(() => {
  const all = (selector, within = document) => [...within.querySelectorAll(selector)];
  const byId = (id) => document.getElementById(id);
  const root = document.documentElement;
  root.classList.add("js");

  function element(tag, text = "", attributes = {}) {
    const made = document.createElement(tag);
    made.textContent = text;
    for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
    return made;
  }

  // --- Theme: the system's, until the reader chooses. A page opened from a file may have no storage.
  const THEMES = ["system", "light", "dark"];
  function remembered() {
    try { return localStorage.getItem("theme"); } catch { return null; }
  }
  function setTheme(theme) {
    if (theme === "system") root.removeAttribute("data-theme");
    else root.dataset.theme = theme;
    byId("theme").textContent = `Theme: ${theme}`;
    try { localStorage.setItem("theme", theme); } catch { /* it holds for this visit */ }
  }
  let theme = THEMES.includes(remembered()) ? remembered() : "system";
  setTheme(theme);
  byId("theme").addEventListener("click", () => {
    theme = THEMES[(THEMES.indexOf(theme) + 1) % THEMES.length];
    setTheme(theme);
  });
  for (const hidden of all("#filters, .hint")) hidden.hidden = false;

  // --- Copy buttons behind every command.
  function copyButton(text) {
    const button = element("button", "Copy", { type: "button", class: "copy" });
    button.addEventListener("click", async () => {
      button.textContent = (await copied(text)) ? "Copied" : "Select and copy by hand";
      setTimeout(() => { button.textContent = "Copy"; }, 1500);
    });
    return button;
  }
  async function copied(text) {
    try {
      await navigator.clipboard.writeText(text);
      return true;
    } catch { // no clipboard for pages from a file in some browsers
      const area = element("textarea", text);
      (byId("panel")?.open ? byId("panel") : document.body).append(area);
      area.select();
      const done = document.execCommand("copy");
      area.remove();
      return done;
    }
  }
  function commandLine(text) {
    const line = element("p", "", { class: "command" });
    line.append(element("code", text), copyButton(text));
    return line;
  }
  for (const line of all(".command")) line.append(copyButton(line.querySelector("code").textContent));

  // --- Sorting: ascending, descending, as it was. Cells without a value stay last.
  const collator = new Intl.Collator("en", { numeric: true });
  function sortValue(row, index, kind) {
    const cell = row.cells[index];
    if (kind === "text") return cell.textContent.trim() || null;
    const value = parseFloat(cell.dataset.value ?? cell.textContent);
    return Number.isNaN(value) ? null : value;
  }
  function compare(a, b) {
    return typeof a === "number" ? a - b : collator.compare(a, b);
  }
  function sortTable(table, header) {
    const next = { none: "ascending", ascending: "descending", descending: "none" };
    const order = next[header.getAttribute("aria-sort") ?? "none"];
    for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
    if (order !== "none") header.setAttribute("aria-sort", order);
    table.classList.toggle("sorted", order !== "none");
    const body = table.tBodies[0];
    body.original ??= [...body.rows];
    const sign = order === "descending" ? -1 : 1;
    const keyed = body.original.map((row) => [sortValue(row, header.cellIndex, header.dataset.sort), row]);
    const rows = order === "none" ? keyed : keyed.sort(([a], [b]) => {
      if (a === null || b === null) return (a === null) - (b === null);
      return sign * compare(a, b);
    });
    body.append(...rows.map(([, row]) => row));
  }
  for (const table of all("table")) {
    if (!table.tBodies.length || table.tBodies[0].className === "closing") continue;
    for (const header of all("th[data-sort]", table.tHead)) {
      const button = element("button", header.textContent, { type: "button" });
      header.replaceChildren(button);
      button.addEventListener("click", () => sortTable(table, header));
    }
  }

  if (!byId("data")) return; // an empty store: nothing to filter and no panel

  // --- Filters. What they leave out is hidden on the screen only; paper shows all.
  const boxes = all("#methods input");
  const sections = all("section[data-task]");
  function filterMethods(table, chosen) {
    let left = 0;
    for (const header of all("th[data-method]", table.tHead)) {
      const out = !chosen.has(header.dataset.method);
      left += !out;
      for (const row of table.rows) row.cells[header.cellIndex].classList.toggle("out", out);
    }
    for (const row of all("tr[data-method]", table)) {
      const out = !chosen.has(row.dataset.method);
      left += !out;
      row.classList.toggle("out", out);
    }
    return left;
  }
  function filter() {
    const task = byId("task").value;
    const chosen = new Set(boxes.filter((box) => box.checked).map((box) => box.value));
    const every = chosen.size === boxes.length;
    let shown = 0;
    for (const section of sections) {
      const table = section.querySelector("table");
      const columns = table ? filterMethods(table, chosen) : 1;
      const out = (task && section.dataset.task !== task) || (!every && !columns);
      section.classList.toggle("out", Boolean(out));
      document.querySelector(`nav a[href="#${section.id}"]`).parentElement.classList.toggle("out", Boolean(out));
      shown += !out;
    }
    for (const row of all("#runs tbody tr")) {
      const [ofTask, ofMethod] = [...row.cells].map((cell) => cell.textContent);
      const known = boxes.some((box) => box.value === ofMethod);
      row.classList.toggle("out", Boolean((task && ofTask !== task) || (known && !chosen.has(ofMethod))));
    }
    byId("chosen").textContent = every ? "all" : `${chosen.size} of ${boxes.length}`;
    byId("shown").textContent = task || !every ? `${shown} of ${sections.length} tables` : "";
  }
  byId("filters").addEventListener("submit", (event) => event.preventDefault());
  byId("filters").addEventListener("change", filter);
  for (const [id, checked] of [["every", true], ["none", false]]) {
    byId(id).addEventListener("click", () => {
      for (const box of boxes) box.checked = checked;
      filter();
    });
  }
  const menu = byId("methods");
  document.addEventListener("click", (event) => { if (!menu.contains(event.target)) menu.open = false; });
  menu.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    menu.open = false;
    menu.querySelector("summary").focus();
  });

  // --- The panel: where a number comes from.
  let data = null; // parsed when it is first asked for
  const panel = byId("panel");
  function flat(value, prefix = "") {
    if (value === null || typeof value !== "object" || Array.isArray(value)) {
      return [[prefix, typeof value === "string" ? value : JSON.stringify(value)]];
    }
    return Object.entries(value).flatMap(([key, one]) => flat(one, prefix ? `${prefix}.${key}` : key));
  }
  function list(pairs) {
    const made = element("dl");
    for (const [name, value] of pairs) made.append(element("dt", name), element("dd", value));
    return made;
  }
  function part(title, pairs) {
    const made = element("details", "", { class: "part" });
    made.append(element("summary", title), list(pairs));
    return made;
  }
  function seconds(run) {
    return Object.values(run.timings).reduce((sum, taken) => sum + (taken ?? 0), 0);
  }
  function gitOf({ commit, changed } = {}) {
    return commit ? `${commit}${changed ? ", with changes that were not committed" : ""}` : "no checkout";
  }
  function runDetails(run, value, open) {
    const made = element("details", "", { class: "run" });
    made.open = open;
    const config = Object.fromEntries(Object.entries(run.config).map(([name, at]) => [name, data.pool[at]]));
    const shared = Object.fromEntries(Object.entries(run.shared).map(([name, at]) => [name, data.pool[at]]));
    const { versions = {}, git, ...where } = shared;
    const name = `${run.task}, ${run.method}, seed ${config.seed ?? "?"}`;
    made.append(element("summary", value === undefined ? name : `${name}: ${value}`));
    if (run.command) made.append(element("p", "Made again by", { class: "about" }), commandLine(run.command));
    made.append(element("p", "Record", { class: "about" }), commandLine(run.file));
    made.append(list([
      ["started", run.started?.replace("T", " ").replace("+00:00", " UTC")],
      ["took", `${seconds(run).toFixed(1)} s`],
      ["device", run.device],
      ["threads", run.threads],
      ["git", gitOf(git)],
      ...flat(where),
    ].filter(([, value]) => value !== undefined)));
    made.append(part("Configuration", flat(config)));
    made.append(part("Timings in seconds", flat(run.timings)));
    made.append(part("Versions", flat(versions)));
    return made;
  }
  function nameOf(button) {
    const row = button.closest("tr");
    const names = all("th", row).map((cell) => cell.textContent);
    const column = button.closest("table").tHead.rows[0].cells[button.closest("td").cellIndex].textContent;
    return names.length ? `${names.join(" × ")}, ${column}: ${button.textContent}` : `Record ${button.textContent}`;
  }
  function openPanel(button) {
    data ??= JSON.parse(byId("data").textContent);
    const runs = button.dataset.runs.split(" ").map((number) => data.runs[number]);
    byId("panel-title").textContent = nameOf(button);
    const paper = button.parentElement.querySelector(".paper");
    const why = paper?.querySelector("[title]")?.title;
    const values = button.dataset.values?.split(" ") ?? [];
    const body = [element("p", runs.length === 1 ? "One run." : `The mean of ${runs.length} runs.`)];
    if (paper) body.push(element("p", `Beside it: ${paper.textContent.trim()}${why ? `; ${why}` : ""}.`));
    byId("panel-body").replaceChildren(...body, ...runs.map((run, at) => runDetails(run, values[at], at === 0)));
    panel.showModal();
    panel.scrollTop = 0;
    byId("panel-title").focus();
  }
  for (const button of all(".number")) button.setAttribute("aria-haspopup", "dialog");
  document.addEventListener("click", (event) => {
    const button = event.target.closest?.(".number");
    if (button) openPanel(button);
    if (event.target === panel) panel.close(); // beside it
  });
  byId("close").addEventListener("click", () => panel.close());

  // --- A short window has the contents folded; a printed page has everything open.
  if (matchMedia("(max-width: 62rem)").matches) document.querySelector("nav details").open = false;
  let closed = [];
  addEventListener("beforeprint", () => {
    closed = all("main details:not([open])");
    for (const one of closed) one.open = true;
  });
  addEventListener("afterprint", () => { for (const one of closed) one.open = false; });
})();
