(function () {
"use strict";

/* Sorting by the heading that is clicked. Sums stay at the end. */
function value(row, column) {
  var cell = row.cells[column], data = cell.dataset;
  if (data.v !== undefined) return +data.v;
  if (data.s !== undefined) return +data.s;
  return column ? -Infinity : cell.textContent;
}

function sort(table, heading, column) {
  var body = table.tBodies[0], rows = [].slice.call(body.rows);
  var isLast = function (row) { return /tot|more/.test(row.className); };
  var rising = column ? heading.getAttribute("aria-sort") == "descending" : heading.getAttribute("aria-sort") != "ascending";
  var members = rows.filter(function (row) { return !isLast(row); }), last = rows.filter(isLast);
  members.sort(function (one, other) {
    var a = value(one, column), b = value(other, column);
    var order = typeof a == "string" ? a.localeCompare(b, "en", { numeric: true }) : a < b ? -1 : a > b ? 1 : 0;
    return rising ? order : -order;
  });
  members.concat(last).forEach(function (row) { body.appendChild(row); });
  [].forEach.call(table.tHead.rows[0].cells, function (cell) { cell.removeAttribute("aria-sort"); });
  heading.setAttribute("aria-sort", rising ? "ascending" : "descending");
}

document.querySelectorAll("table.sortable").forEach(function (table) {
  [].forEach.call(table.tHead.rows[0].cells, function (heading, column) {
    if (heading.classList.contains("ns")) return;
    heading.tabIndex = 0;
    heading.addEventListener("click", function () { sort(table, heading, column); });
    heading.addEventListener("keydown", function (event) {
      if (event.key == "Enter" || event.key == " ") { event.preventDefault(); heading.click(); }
    });
  });
});

/* The read-out under the pointer, from the paths that are there. */
var plot = document.querySelector("svg.near");
if (!plot) return;
var pane = plot.parentNode, width = plot.viewBox.baseVal.width, height = plot.viewBox.baseVal.height;
var columns = Math.ceil(width), unit = +plot.dataset.unit, names = JSON.parse(plot.dataset.names);
var sums, missing, tip, cursor;

function heights(path) {
  var found = new Float64Array(columns), x = 0, y = height, step = /([MVhv])(-?\d+)(?: (-?\d+))?/g, part;
  while ((part = step.exec(path))) {
    var number = +part[2];
    if (part[1] == "M") { x = number; y = +part[3]; }
    else if (part[1] == "V") y = number;
    else if (part[1] == "v") y += number;
    else { found.fill(height - y, x, x + number); x += number; }
  }
  return found;
}

function holes(runs) {
  var found = new Uint8Array(columns);
  (runs ? runs.split(" ") : []).forEach(function (run) {
    var part = run.split("+");
    found.fill(1, +part[0], +part[0] + +part[1]);
  });
  return found;
}

function power(units) {
  var watts = units * unit;
  if (!units && unit > 1) return "<" + unit + " W";
  return watts >= 1e6 ? (watts / 1e6).toFixed(2) + " MW" : watts >= 1e3 ? (watts / 1e3).toFixed(1) + " kW" : watts + " W";
}

function time(column) {
  var options = { weekday: "short", day: "numeric", month: "short", hour: "2-digit", minute: "2-digit" };
  var at = new Date((+plot.dataset.from + column * plot.dataset.step) * 1e3);
  try { options.timeZone = plot.dataset.zone; return new Intl.DateTimeFormat("en-GB", options).format(at); }
  catch (error) { options.timeZone = "UTC"; return new Intl.DateTimeFormat("en-GB", options).format(at) + " UTC"; }
}

function add(parent, tag, text) {
  var element = document.createElement(tag);
  if (text !== undefined) element.textContent = text;
  return parent.appendChild(element);
}

function show(column) {
  tip.textContent = "";
  add(tip, "b", time(column));
  var table = add(tip, "table"), last = sums.length - 1;
  var line = function (name, text) { var row = add(table, "tr"); add(row, "td", name); add(row, "td", text); };
  var isHole = function (member) { return missing[member][column]; };
  if (missing.every(function (holes) { return holes[column]; })) return line("all", "not measured");
  line("all", power(sums[last][column]));
  for (var member = last; member >= 0; member--) {
    var own = sums[member][column] - (member ? sums[member - 1][column] : 0);
    line(names[member], isHole(member) ? "not measured" : power(Math.max(0, own)));
  }
}

pane.addEventListener("pointermove", function (event) {
  if (!sums) {
    var paths = [].slice.call(plot.querySelectorAll("path")).reverse();
    sums = paths.map(function (path) { return heights(path.getAttribute("d")); });
    missing = paths.map(function (path) { return holes(path.dataset.none); });
  }
  if (!tip) {
    cursor = add(pane, "div"); cursor.id = "cursor";
    tip = add(pane, "div"); tip.id = "tip";
  }
  var box = pane.getBoundingClientRect(), x = event.clientX - box.left;
  var column = Math.max(0, Math.min(columns - 1, Math.floor(x / box.width * width)));
  cursor.style.left = Math.min(100, (column + .5) / width * 100) + "%";
  show(column);
  tip.style.top = "8px";
  tip.style.left = x + 14 + "px";
  if (event.clientX + tip.offsetWidth + 30 > innerWidth) tip.style.left = Math.max(0, x - tip.offsetWidth - 14) + "px";
});
pane.addEventListener("pointerleave", function () {
  if (tip) { tip.remove(); cursor.remove(); tip = cursor = null; }
});
})();
