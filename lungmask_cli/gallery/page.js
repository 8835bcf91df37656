"use strict";
(() => {
const byId = (id) => document.getElementById(id);
const data = JSON.parse(byId("data").textContent);
const columns = data.columns;
const cards = data.cards.map((raw) => ({
  ...raw,
  values: raw.values.map((value) => (value === null ? null : Number(value))),
  text: [raw.name, raw.status, raw.note, raw.group].join("\n").toLowerCase(),
}));
const cardsByName = rankByName();
const [sort, order, group, status, filter] = ["sort", "order", "group", "status", "filter"].map(byId);
const [grid, viewer, help, stage] = ["cards", "viewer", "help", "stage"].map(byId);

const MIN_CARD = 208, GAP = 14, TEXT_REM = data.showNotes ? 10.2 : 6.7;
const HIDDEN_STATUSES = ["scored", "good", "written"];
const state = { shown: [], current: 0, width: 0, across: 1, card: 0, row: 1, mounted: new Map(), actual: false };

// ---- Elements ----

function make(tag, className = "", text = "") {
  const element = document.createElement(tag);
  element.className = className;
  element.textContent = text;
  return element;
}

function option(value, text) {
  const element = make("option", "", text);
  element.value = value;
  return element;
}

function layer(className, kind, base64) {
  const image = make("img", className);
  image.alt = "";
  image.decoding = "async";
  image.draggable = false;
  image.src = `data:image/${kind};base64,${base64}`;
  return image;
}

function layersOf(source) {
  const text = source.textContent;
  const comma = text.indexOf(",");
  const overlay = layer("overlay", "png", text.slice(comma + 1));
  return comma > 0 ? [layer("backdrop", "jpeg", text.slice(0, comma)), overlay] : [overlay];
}

function badge(card) {
  const element = make("span", `badge ellipsis${card.status === "failed" ? " failed" : ""}`, card.status);
  element.title = card.note;
  return element;
}

function placeholder(card) {
  const element = make("span", "placeholder");
  element.append(make("span", "", card.note || "No picture"));
  return element;
}

// ---- Values ----

function formatValue(card, index) {
  const value = card.values[index];
  if (value === null) return "–";
  if (Number.isNaN(value)) return "undefined";
  if (!Number.isFinite(value)) return value > 0 ? "∞" : "−∞";
  return value.toFixed(columns[index].decimals).replace("-", "−");
}

function isDefined(value) {
  return value !== null && !Number.isNaN(value);
}

// Larger is worse. Columns without a direction count the largest value as the worst.
function badness(value, better) {
  if (better === "higher") return -value;
  return better === "zero" ? Math.abs(value) : value;
}

function median(numbers) {
  const finite = numbers.filter(Number.isFinite).sort((a, b) => a - b);
  const middle = finite.length >> 1;
  if (!finite.length) return 0;
  return finite.length % 2 ? finite[middle] : (finite[middle - 1] + finite[middle]) / 2;
}

function sortColumn() {
  return Number(sort.value);  // -1: sorted by name
}

// ---- Order ----

function rankByName() {
  const collator = new Intl.Collator(undefined, { numeric: true });
  const ordered = [...cards].sort((a, b) => collator.compare(a.name, b.name));
  ordered.forEach((card, rank) => { card.rank = rank; });
  return ordered;
}

// Failed cards are worse than cards without a value, which are worse than any value, even an infinite one.
function failureRank(card, index) {
  if (card.status === "failed") return 2;
  return isDefined(card.values[index]) ? 0 : 1;
}

function sortCards(chosen) {
  const index = sortColumn();
  const sign = order.value === "worst" ? -1 : 1;
  if (index < 0) return order.value === "best" ? chosen.reverse() : chosen;
  const keyed = chosen.map((card) => [card, failureRank(card, index), badness(card.values[index], columns[index].better)]);
  if (order.value === "median") {
    const centre = median(keyed.filter((entry) => entry[1] === 0).map((entry) => entry[2]));
    for (const entry of keyed) entry[2] = Math.abs(entry[2] - centre);
  }
  keyed.sort((a, b) => sign * (a[1] - b[1]) || sign * (a[2] - b[2]) || a[0].rank - b[0].rank);
  return keyed.map((entry) => entry[0]);
}

// ---- Filter ----

const COMPARISON = /^([\p{L}_][^\s<>=]*)(<=|>=|<|>|=)(.*)$/u;
const OPERATORS = {
  "<": (a, b) => a < b, "<=": (a, b) => a <= b, ">": (a, b) => a > b, ">=": (a, b) => a >= b,
  "=": (a, b) => a === b || (Number.isNaN(a) && Number.isNaN(b)),
};

// `hd95` also selects `hd95_mm`.
function findColumns(name) {
  const exact = columns.findIndex((column) => column.name.toLowerCase() === name);
  if (exact >= 0) return [exact];
  return [...columns.keys()].filter((index) => columns[index].name.toLowerCase().startsWith(`${name}_`));
}

function parseNumber(text) {
  if (["inf", "infinity", "∞"].includes(text)) return Infinity;
  if (["nan", "undefined"].includes(text)) return NaN;
  return text === "" || Number.isNaN(Number(text)) ? null : Number(text);
}

function makeComparison(term, [, name, operator, right]) {
  const found = findColumns(name);
  const number = parseNumber(right);
  if (!found.length) return `“${term}” is ignored: there is no value ${name}. Available: ${columnNames()}`;
  if (found.length > 1) return `“${term}” is ignored: ${name} could be ${found.map((i) => columns[i].name).join(" or ")}`;
  if (number === null) return `“${term}” is ignored until a number follows ${operator}`;
  return (card) => card.values[found[0]] !== null && OPERATORS[operator](card.values[found[0]], number);
}

function parseFilter(text) {
  const terms = text.toLowerCase().replaceAll("≤", "<=").replaceAll("≥", ">=")
    .replace(/\s*(<=|>=|<|>|=)\s*/g, "$1").split(/\s+/).filter(Boolean);
  const tests = terms.map((term) => {
    const found = COMPARISON.exec(term);
    return found ? makeComparison(term, found) : (card) => card.text.includes(term);
  });
  return { tests: tests.filter((test) => typeof test !== "string"), problems: tests.filter((test) => typeof test === "string") };
}

function columnNames() {
  return columns.map((column) => column.name).join(", ");
}

function update() {
  const { tests, problems } = parseFilter(filter.value);
  const chosen = cardsByName.filter((card) => (!status.value || card.status === status.value)
    && (!group.value || card.group === group.value) && tests.every((test) => test(card)));
  state.shown = sortCards(chosen);
  state.current = 0;
  byId("count").textContent = `${state.shown.length} of ${cards.length} shown`;
  byId("problem").textContent = problems[0] || "";
  byId("problem").hidden = !problems.length;
  byId("no-match").hidden = state.shown.length > 0;
  clear();
  layout();
  if (gridTop() < 0) scrollBy({ top: gridTop() - coveredHeight(), behavior: "instant" });
  render();
}

// ---- Grid: only the cards near the window are in the document ----

function clear() {
  grid.textContent = "";
  state.mounted.clear();
}

function layout() {
  const width = state.width = grid.clientWidth;
  const rem = parseFloat(getComputedStyle(document.documentElement).fontSize);
  state.across = Math.max(1, Math.floor((width + GAP) / (MIN_CARD + GAP)));
  state.card = Math.floor((width - GAP * (state.across - 1)) / state.across);
  state.row = Math.round(state.card + TEXT_REM * rem) + GAP;
  grid.style.setProperty("--card", `${state.card}px`);
  grid.style.setProperty("--words", `${state.row - GAP - state.card}px`);
  grid.style.height = `${Math.max(0, Math.ceil(state.shown.length / state.across) * state.row - GAP)}px`;
  for (const [cardIndex, item] of state.mounted) position(item, cardIndex);
}

function position(item, cardIndex) {
  const column = cardIndex % state.across;
  const row = (cardIndex - column) / state.across;
  item.style.transform = `translate(${column * (state.card + GAP)}px, ${row * state.row}px)`;
}

function gridTop() {
  return grid.getBoundingClientRect().top;
}

// Height of the window that the controls cover, plus a margin.
function coveredHeight() {
  const controls = byId("controls");
  return getComputedStyle(controls).position === "sticky" ? controls.offsetHeight + GAP : GAP;
}

function render() {
  if (grid.clientWidth !== state.width) layout();
  const margin = innerHeight / 2;
  const top = -gridTop();
  const first = Math.max(0, Math.floor((top - margin) / state.row)) * state.across;
  const end = Math.min(state.shown.length, Math.ceil((top + innerHeight + margin) / state.row) * state.across);
  for (const [cardIndex, item] of state.mounted) {
    if ((cardIndex < first || cardIndex >= end) && cardIndex !== state.current) {
      item.remove();
      state.mounted.delete(cardIndex);
    }
  }
  for (let cardIndex = first; cardIndex < end; cardIndex += 1) mount(cardIndex);
  if (state.shown.length) mount(state.current);  // so that the Tab key reaches it
}

function mount(cardIndex) {
  if (state.mounted.has(cardIndex)) return;
  const item = byId("card").content.firstElementChild.cloneNode(true);
  fill(item, state.shown[cardIndex], cardIndex);
  position(item, cardIndex);
  state.mounted.set(cardIndex, item);
  grid.append(item);
}

function fill(item, card, cardIndex) {
  const lead = Math.max(0, sortColumn());
  const rest = [...columns.keys()].filter((index) => index !== lead).slice(0, 3);
  const button = item.firstElementChild;
  item.setAttribute("aria-setsize", state.shown.length);
  item.setAttribute("aria-posinset", cardIndex + 1);
  button.dataset.cardIndex = cardIndex;
  button.classList.toggle("doubtful", card.status === "doubtful");
  button.tabIndex = cardIndex === state.current ? 0 : -1;
  button.setAttribute("aria-label", ariaLabel(card, lead));
  const view = item.querySelector(".view");
  view.append(...(card.picture === null ? [placeholder(card)] : layersOf(byId(`p${card.picture}`))));
  if (card.group) view.append(make("span", "group ellipsis", card.group));
  const name = item.querySelector(".name");
  name.textContent = name.title = card.name;
  if (!HIDDEN_STATUSES.includes(card.status)) name.after(badge(card));
  else if (card.note && !data.showNotes) name.after(noteMark(card));
  if (data.showNotes && card.picture !== null) item.querySelector(".words").append(cardNote(card));
  if (card.status === "failed" && card.values.every((value) => value === null)) return;
  fillValues(item, card, lead, rest);
}

function fillValues(item, card, lead, rest) {
  if (!columns.length) return;
  item.querySelector(".lead b").textContent = formatValue(card, lead);
  item.querySelector(".lead span").textContent = columns[lead].title;
  for (const index of rest) {
    const pair = make("span");
    const short = columns[index].title.replace(/\s*\([^)]*\)$/, "");  // there is no room for units
    pair.append(make("span", "ellipsis", short), make("span", "ellipsis", formatValue(card, index)));
    pair.title = `${columns[index].title}: ${formatValue(card, index)}`;
    item.querySelector(".rest").append(pair);
  }
}

function cardNote(card) {
  const note = make("span", "card-note", card.note);
  note.title = card.note;
  return note;
}

function noteMark(card) {
  const mark = make("span", "badge", "note");
  mark.title = card.note;
  return mark;
}

function ariaLabel(card, lead) {
  const value = columns.length ? `, ${columns[lead].title} ${formatValue(card, lead)}` : "";
  return `${card.name}, ${card.status}${value}${data.showNotes && card.note ? `, ${card.note}` : ""}`;
}

function moveTo(cardIndex) {
  const target = Math.min(Math.max(cardIndex, 0), state.shown.length - 1);
  if (target < 0) return;
  const before = state.mounted.get(state.current);
  if (before) before.firstElementChild.tabIndex = -1;
  state.current = target;
  reveal(target);
  mount(target);
  const button = state.mounted.get(target).firstElementChild;
  button.tabIndex = 0;
  button.focus({ preventScroll: true });
}

function reveal(cardIndex) {
  const top = gridTop() + Math.floor(cardIndex / state.across) * state.row;
  const over = top - coveredHeight();
  const under = top + state.row - innerHeight;
  if (over < 0) scrollBy({ top: over, behavior: "instant" });
  else if (under > 0) scrollBy({ top: Math.min(under, over), behavior: "instant" });
}

// ---- Large view ----

function show(cardIndex) {
  state.current = Math.min(Math.max(cardIndex, 0), state.shown.length - 1);
  const card = state.shown[state.current];
  byId("position").textContent = `${state.current + 1} of ${state.shown.length}`;
  byId("previous").disabled = state.current === 0;
  byId("next").disabled = state.current === state.shown.length - 1;
  byId("viewer-name").textContent = card.name;
  byId("facts").replaceChildren(...facts(card));
  stage.setAttribute("aria-label", ariaLabel(card, Math.max(0, sortColumn())));
  stage.replaceChildren(card.picture === null ? placeholder(card) : largePicture(byId(`p${card.picture}`)));
  if (!viewer.open) viewer.showModal();
  fit();
}

function largePicture(source) {
  const picture = make("div", "layers");
  Object.assign(picture.dataset, { width: source.dataset.width, height: source.dataset.height });
  picture.append(...layersOf(source));
  return picture;
}

function facts(card) {
  const parts = [];
  if (!HIDDEN_STATUSES.includes(card.status)) parts.push(badge(card));
  if (card.group) parts.push(make("span", "", card.group));
  if (card.note) parts.push(make("p", `note${card.status === "failed" ? " failed" : ""}`, card.note));
  const table = make("table");
  columns.forEach((column, index) => {
    const row = table.insertRow();
    row.className = index === sortColumn() ? "sorted" : "";
    row.append(make("th", "", column.title), make("td", "", formatValue(card, index)));
    row.firstElementChild.scope = "row";
  });
  return [...parts, table];
}

function fit() {
  const picture = stage.querySelector(".layers");
  byId("zoom").disabled = !picture;
  byId("zoom").setAttribute("aria-pressed", state.actual);
  if (!picture) {
    stage.className = "";
    return;
  }
  const { width, height } = picture.dataset;
  const actual = 1 / devicePixelRatio;
  const room = stage.getBoundingClientRect();  // the size without scroll bars, which may remain from the previous layout
  const fitting = Math.min(room.width / width, room.height / height);
  const scale = state.actual ? actual : fitting;
  picture.style.width = `${width * scale}px`;
  picture.style.height = `${height * scale}px`;
  stage.classList.toggle("can-enlarge", (actual > fitting) !== state.actual);
  stage.classList.toggle("can-shrink", (actual > fitting) === state.actual);
}

function toggleActual() {
  state.actual = !state.actual;
  fit();
  stage.scrollTo((stage.scrollWidth - stage.clientWidth) / 2, (stage.scrollHeight - stage.clientHeight) / 2);
}

function toggleOverlay() {
  const hidden = document.body.classList.toggle("without-overlay");
  for (const button of document.querySelectorAll(".overlay-toggle")) button.setAttribute("aria-pressed", !hidden);
}

// ---- Keys ----

const focusFilter = () => { filter.focus(); filter.select(); };
const openHelp = () => { if (!help.open) help.showModal(); };
const PAGE_KEYS = { o: toggleOverlay, "/": focusFilter, "?": openHelp };
const CARD_KEYS = {
  ArrowLeft: () => moveTo(state.current - 1),
  ArrowRight: () => moveTo(state.current + 1),
  ArrowUp: () => { if (state.current >= state.across) moveTo(state.current - state.across); },
  ArrowDown: () => {
    const lastRow = Math.floor((state.shown.length - 1) / state.across);
    if (Math.floor(state.current / state.across) < lastRow) moveTo(state.current + state.across);
  },
  Home: () => moveTo(0),
  End: () => moveTo(state.shown.length - 1),
};
const VIEWER_KEYS = {
  ArrowLeft: () => show(state.current - 1),
  ArrowRight: () => show(state.current + 1),
  Home: () => show(0),
  End: () => show(state.shown.length - 1),
  o: toggleOverlay, z: toggleActual, "?": openHelp,
};
const FILTER_KEYS = { Enter: () => moveTo(state.current) };

function keysFor(target) {
  if (help.open) return {};
  if (viewer.open) return VIEWER_KEYS;
  if (target === filter) return FILTER_KEYS;
  if (target.tagName === "SELECT") return {};
  return target.closest(".card") ? { ...PAGE_KEYS, ...CARD_KEYS } : PAGE_KEYS;
}

function onKey(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
  const keys = keysFor(event.target);
  if (!Object.hasOwn(keys, event.key)) return;
  event.preventDefault();
  keys[event.key]();
}

// ---- Start ----

function fillOrders() {
  const previous = order.value || "worst";
  const better = sortColumn() < 0 ? null : columns[sortColumn()].better;
  const names = better === null ? { worst: "A to Z", best: "Z to A" }
    : better ? { worst: "worst first", median: "nearest the median first", best: "best first" }
      : { worst: "largest first", median: "nearest the median first", best: "smallest first" };
  order.replaceChildren(...Object.entries(names).map(([value, text]) => option(value, text)));
  order.value = previous in names ? previous : "worst";
}

function fillSelect(select, all, field) {
  const counts = new Map();
  for (const card of cardsByName) if (card[field]) counts.set(card[field], (counts.get(card[field]) || 0) + 1);
  const known = [...counts.keys()].sort();
  select.replaceChildren(option("", all), ...known.map((value) => option(value, `${value} (${counts.get(value)})`)));
  return known.length;
}

function fillControls() {
  grid.classList.toggle("with-notes", data.showNotes);
  byId("summary").textContent = data.summary;
  for (const [colour, text] of data.legend) {
    const item = make("li");
    item.append(make("i"), text);
    item.firstElementChild.style.background = `rgb(${colour.map(Number).join(" ")})`;
    byId("legend").append(item);
  }
  sort.replaceChildren(...columns.map((column, index) => option(index, column.title)), option(-1, "Name"));
  fillOrders();
  byId("group-label").hidden = !fillSelect(group, "all", "group");
  fillSelect(status, "all", "status");
  const example = columns.length ? `${columns[0].name}<0.95` : "";
  filter.placeholder = example ? `words, or ${example}` : "words";
  byId("example").textContent = example;
  byId("names").textContent = columnNames();
}

function listen() {
  let waiting = false;
  const scheduleRender = () => {
    if (waiting) return;
    waiting = true;
    requestAnimationFrame(() => { waiting = false; render(); if (viewer.open) fit(); });
  };
  addEventListener("scroll", scheduleRender, { passive: true });
  addEventListener("resize", scheduleRender);
  const sizes = new ResizeObserver(scheduleRender);
  sizes.observe(grid);
  sizes.observe(stage);
  sort.addEventListener("change", () => { fillOrders(); update(); });
  for (const select of [order, group, status]) select.addEventListener("change", update);
  filter.addEventListener("input", update);
  grid.addEventListener("click", (event) => {
    const card = event.target.closest(".card");
    if (card) show(Number(card.dataset.cardIndex));
  });
  for (const button of document.querySelectorAll(".overlay-toggle")) button.addEventListener("click", toggleOverlay);
  byId("open-help").addEventListener("click", openHelp);
  listenInViewer();
  document.addEventListener("keydown", onKey);
}

function listenInViewer() {
  byId("previous").addEventListener("click", VIEWER_KEYS.ArrowLeft);
  byId("next").addEventListener("click", VIEWER_KEYS.ArrowRight);
  byId("zoom").addEventListener("click", toggleActual);
  byId("close").addEventListener("click", () => viewer.close());
  stage.addEventListener("click", () => { if (stage.querySelector(".layers")) toggleActual(); });
  viewer.addEventListener("close", () => { stage.replaceChildren(); moveTo(state.current); });
}

fillControls();
listen();
update();
})();
