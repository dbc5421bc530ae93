// Tables that become cards on a narrow screen and stay tables for a screen reader.
import { el } from "./dom.js";
import { NONE, clock, fixed } from "./words.js";

/** columns: [{title, class, sort}] (one or two stay a table on a narrow screen too); rows: lists of cells (text or nodes); caption for a screen reader. */
export function table(
  caption,
  columns,
  rows,
  { empty = "none", onSort = null, sorted = null, rowAttributes = () => ({}) } = {},
) {
  const heads = columns.map((column, index) => head(column, index, onSort, sorted));
  const body = rows.map((cells, at) =>
    el(
      "tr",
      { role: "row", ...rowAttributes(at) },
      ...cells.map((cell, index) =>
        el("td", { role: "cell", class: columns[index].class, "data-label": columns[index].title }, cell),
      ),
    ),
  );
  if (rows.length === 0)
    body.push(el("tr", { role: "row" }, el("td", { role: "cell", colspan: columns.length, class: "empty" }, empty)));
  return el(
    "table",
    { role: "table", class: columns.length > 2 ? "list" : "list narrow" },
    el("caption", { class: "unseen" }, caption),
    el("thead", { role: "rowgroup" }, el("tr", { role: "row" }, ...heads)),
    el("tbody", { role: "rowgroup" }, ...body),
  );
}

function head({ title, class: kind }, index, onSort, sorted) {
  const attributes = { role: "columnheader", scope: "col", class: kind };
  if (onSort === null || !title) return el("th", attributes, title || el("span", { class: "unseen" }, "Action"));
  const direction = sorted?.index === index ? (sorted.down ? "descending" : "ascending") : "none";
  const arrow = { descending: " ↓", ascending: " ↑", none: "" }[direction];
  const button = el(
    "button",
    { type: "button", class: "sort", onclick: () => onSort(index), "data-column": index },
    title + arrow,
  );
  return el("th", { ...attributes, "aria-sort": direction }, button);
}

/** A list of names and values. */
export const facts = (pairs) =>
  el("dl", { class: "facts" }, ...pairs.flatMap(([name, value]) => [el("dt", {}, name), el("dd", {}, value)]));

/** A titled box. */
let number = 0;
export function panel(title, ...content) {
  number += 1;
  const id = `panel-${number}`;
  return el("section", { class: "panel", "aria-labelledby": id }, el("h2", { id }, title), ...content);
}

/** Times and values as a table, the newest first, at most `rows` of them; limits: in words, its caption. */
export function valuesTable(times, columns, digits, rows = 12, limits = "") {
  const head = el(
    "tr",
    {},
    el("th", { scope: "col" }, "Time"),
    ...columns.map(({ label }) => el("th", { scope: "col", class: "number" }, label)),
  );
  const body = [];
  const step = Math.max(1, Math.floor(times.length / rows));
  for (let index = times.length - 1; index >= 0 && body.length < rows; index -= step) {
    const cells = columns.map(({ values }) => el("td", { class: "number" }, fixed(values[index], digits)));
    body.push(el("tr", {}, el("th", { scope: "row" }, clock(times[index])), ...cells));
  }
  if (body.length === 0) body.push(el("tr", {}, el("td", { colspan: columns.length + 1 }, NONE)));
  const caption = limits ? [el("caption", {}, `Limits: ${limits}`)] : [];
  return el("table", {}, ...caption, el("thead", {}, head), el("tbody", {}, ...body));
}
