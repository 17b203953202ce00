"use strict";
// Saving the figures of the page, and looking at one closely: zoom and read-off.
document.documentElement.classList.add("scripted");
const closer = document.getElementById("closer");
const sheet = closer.querySelector(".sheet");
const read = closer.querySelector(".read");
const SVG = "http://www.w3.org/2000/svg";
// Dots per inch of a PNG file, and points.
const DPI = 600, POINT = 72;

const bytes = (text) => Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
const svgOf = (figure) => new TextDecoder().decode(bytes(figure.querySelector("img").src.split(",")[1]));

async function csvOf(figure) {
  const packed = new Blob([bytes(figure.dataset.csv)]).stream();
  return new Response(packed.pipeThrough(new DecompressionStream("gzip"))).text();
}

function save(blob, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}

async function pngOf(figure) {
  const svg = figure.querySelector("img");
  const image = new Image();
  image.src = svg.src;
  await image.decode();
  const canvas = document.createElement("canvas");
  // The width and the height of the element are hundredths of an inch.
  canvas.width = svg.getAttribute("width") / 100 * DPI;
  canvas.height = svg.getAttribute("height") / 100 * DPI;
  const paper = canvas.getContext("2d");
  paper.fillStyle = "white";
  paper.fillRect(0, 0, canvas.width, canvas.height);
  paper.drawImage(image, 0, 0, canvas.width, canvas.height);
  return new Promise((done) => canvas.toBlob(done, "image/png"));
}

// The numbers of a CSV file by source: names of columns, and rows.
function tablesOf(text) {
  const cells = text.trim().split("\n").map((line) =>
    [...line.matchAll(/("(?:[^"]|"")*"|[^,]*)(?:,|$)/g)].map((m) => m[1].replace(/^"|"$/g, "").replaceAll('""', '"')));
  const names = cells.shift() || [];
  const rows = new Map();
  for (const [source, ...values] of cells) {
    if (!rows.has(source)) rows.set(source, []);
    rows.get(source).push(values);
  }
  return { names: names.slice(1), rows };
}

const shown = (x) => Math.abs(x) >= 1e5 || (x && Math.abs(x) < 1e-3) ? x.toExponential(2) : String(Number(x.toPrecision(4)));

// One axis of a panel: from its ends in points to numbers and back, zoomed or not.
class Scale {
  constructor(from, to, ends, log, circle) {
    Object.assign(this, { from, to, log, circle });
    this.all = ends.map((x) => (log ? Math.log10(x) : x));
    this.ends = [...this.all];
  }
  at(point) {
    const x = this.ends[0] + (point - this.from) / (this.to - this.from) * (this.ends[1] - this.ends[0]);
    return this.log ? 10 ** x : x;
  }
  // The number as users know it, where the axis runs round a circle.
  known(x) {
    if (!this.circle) return x;
    const [low, high] = this.circle, length = high - low;
    return low + ((x - low) % length + length) % length;
  }
  // Where a point of the whole figure lies in the zoomed one: factor and shift.
  affine() {
    const factor = (this.all[1] - this.all[0]) / (this.ends[1] - this.ends[0]);
    const begin = (this.ends[0] - this.all[0]) / (this.all[1] - this.all[0]) * (this.to - this.from);
    return [factor, this.from - factor * (this.from + begin)];
  }
  zoom(a, b) {
    const ends = [this.at(a), this.at(b)].map((x) => (this.log ? Math.log10(x) : x));
    const up = this.all[1] > this.all[0];
    ends.sort((x, y) => (up ? x - y : y - x));
    if (Math.abs(ends[1] - ends[0]) > 1e-9 * Math.abs(this.all[1] - this.all[0])) this.ends = ends;
  }
  ticks() {
    const [low, high] = [...this.ends].sort((x, y) => x - y);
    const wide = high - low;
    const place = (x) => this.from + (x - this.ends[0]) / (this.ends[1] - this.ends[0]) * (this.to - this.from);
    if (this.log && wide < 0.7) {
      return nice(10 ** low, 10 ** high).map((x) => [place(Math.log10(x)), x]);
    }
    if (this.log) {
      const step = Math.max(1, Math.ceil(wide / 6));
      const found = [];
      for (let e = Math.floor(low); e <= high; e += step)
        for (const m of wide < 2 ? [1, 2, 5] : [1]) {
          const x = e + Math.log10(m);
          if (x >= low - 1e-9 && x <= high + 1e-9) found.push([place(x), 10 ** x]);
        }
      return found;
    }
    if (!this.circle) return nice(low, high).map((x) => [place(x), x]);
    const [begin, end] = this.circle, step = nice(low, high, true), found = [];
    for (let turn = Math.floor((low - begin) / (end - begin)); begin + turn * (end - begin) < high; turn++)
      for (let first = Math.ceil(begin / step), k = first; (k - first + 0.49) * step < end - begin && k * step <= end; k++) {
        const x = k * step + turn * (end - begin);
        if (x >= low && x <= high) found.push([place(x), k * step]);
      }
    return found;
  }
}

// Round numbers between two, or their distance.
function nice(low, high, distance) {
  const raw = (high - low) / 5, power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].map((m) => m * power).find((s) => s >= raw);
  if (distance) return step;
  const found = [];
  for (let k = Math.ceil(low / step); k * step <= high * (1 + 1e-12); k++) found.push(k * step);
  return found;
}

function element(name, attributes, parent) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  parent.append(made);
  return made;
}

// A panel of the figure whose curves can be moved under its axes.
class Panel {
  constructor(svg, scale) {
    const [x0, y0, x1, y1] = scale.box;
    this.box = { x0, y0, x1, y1 };
    this.x = new Scale(x0, x1, scale.x, scale.log[0]);
    this.y = new Scale(y1, y0, scale.y, scale.log[1], scale.circle);
    this.group = svg.querySelector(`[id="${scale.id}"]`);
    this.marks = element("g", { "font-size": 7.5, "font-family": "sans-serif" }, svg);
    this.moving = [...this.group.querySelectorAll("[clip-path]")].map((clipped) => {
      const clip = document.createElementNS(SVG, "g");
      clip.setAttribute("clip-path", clipped.getAttribute("clip-path"));
      clipped.removeAttribute("clip-path");
      const inner = document.createElementNS(SVG, "g");
      clipped.replaceWith(clip);
      clip.append(inner);
      inner.append(clipped);
      for (const path of inner.querySelectorAll("path")) path.setAttribute("vector-effect", "non-scaling-stroke");
      const uses = [...inner.querySelectorAll("use")].map((use) => [use, +use.getAttribute("x"), +use.getAttribute("y")]);
      return { inner, uses };
    });
    this.labels = [...this.group.querySelectorAll("[id^=xtick_],[id^=ytick_]")];
  }
  holds(point) {
    const { x0, y0, x1, y1 } = this.box;
    return point.x >= x0 && point.x <= x1 && point.y >= y0 && point.y <= y1;
  }
  draw() {
    const [fx, tx] = this.x.affine(), [fy, ty] = this.y.affine();
    for (const { inner, uses } of this.moving) {
      // Marks keep their size: they move alone.
      if (uses.length) for (const [use, x, y] of uses) {
        use.setAttribute("x", fx * x + tx);
        use.setAttribute("y", fy * y + ty);
      } else inner.setAttribute("transform", `matrix(${fx} 0 0 ${fy} ${tx} ${ty})`);
    }
    const whole = fx === 1 && fy === 1;
    for (const label of this.labels) label.style.display = whole ? "" : "none";
    this.marks.replaceChildren();
    if (whole) return;
    const { x0, y0, x1, y1 } = this.box;
    for (const [place, x] of this.x.ticks()) {
      element("path", { d: `M${place} ${y1}v3.5`, stroke: "black", "stroke-width": 0.7 }, this.marks);
      element("text", { x: place, y: y1 + 11, "text-anchor": "middle" }, this.marks).textContent = shown(x);
    }
    for (const [place, y] of this.y.ticks()) {
      element("path", { d: `M${x0} ${place}h-3.5`, stroke: "black", "stroke-width": 0.7 }, this.marks);
      element("text", { x: x0 - 5, y: place + 2.5, "text-anchor": "end" }, this.marks).textContent = shown(y);
    }
  }
}

// What each source has at the place of the pointer.
function readOff(tables, panel, point) {
  const x = panel.x.at(point.x);
  const words = [`x ${shown(x)}, y ${shown(panel.y.known(panel.y.at(point.y)))}`];
  const numbers = (rows) => rows.length > 1 && rows.every((row) => row[0] !== "" && isFinite(row[0]));
  for (const [source, rows] of tables.rows) {
    if (!numbers(rows) || tables.names.length < 2) return words.join(" ");
    const away = (row) => Math.abs(panel.x.log ? Math.log(row[0] / x) : row[0] - x);
    const near = rows.reduce((best, row) => (away(row) < away(best) ? row : best));
    const low = tables.names.indexOf("low"), high = tables.names.indexOf("high");
    const between = source === "data" && low > 0 ? ` [${shown(+near[low])}, ${shown(+near[high])}]` : "";
    words.push(`${source} ${isFinite(near[1]) ? shown(+near[1]) : near[1]}${between}`);
  }
  return words.join(" · ");
}

async function look(figure) {
  const parsed = new DOMParser().parseFromString(svgOf(figure), "image/svg+xml").documentElement;
  const svg = document.adoptNode(parsed);
  sheet.replaceChildren(svg);
  const scales = JSON.parse(figure.dataset.scales);
  const panels = scales.map((scale) => new Panel(svg, scale));
  // Panels of one time or one plane go together.
  const alike = (a, b, k) => scales[a][k].every((end, i) => end === scales[b][k][i]);
  const tables = tablesOf(await csvOf(figure));
  const rectangle = element("rect", { fill: "#0a5c9622", stroke: "#0a5c96", "stroke-width": 0.5 }, svg);
  let start = null;
  const at = (event) => new DOMPoint(event.clientX, event.clientY).matrixTransform(svg.getScreenCTM().inverse());
  const under = (point) => panels.findIndex((panel) => panel.holds(point));
  const place = (a, b) => {
    rectangle.setAttribute("x", Math.min(a.x, b.x));
    rectangle.setAttribute("y", Math.min(a.y, b.y));
    rectangle.setAttribute("width", Math.abs(a.x - b.x));
    rectangle.setAttribute("height", Math.abs(a.y - b.y));
  };
  svg.addEventListener("pointerdown", (event) => {
    const point = at(event), k = under(point);
    if (k >= 0) { start = { point, k }; svg.setPointerCapture(event.pointerId); }
  });
  svg.addEventListener("pointermove", (event) => {
    const point = at(event), k = start ? start.k : under(point);
    if (start) place(start.point, point);
    if (k >= 0) read.textContent = readOff(tables, panels[k], point);
  });
  svg.addEventListener("pointerup", (event) => {
    if (!start) return;
    const { point, k } = start, end = at(event);
    start = null;
    place(end, end);
    const wide = Math.abs(end.x - point.x) > 4, high = Math.abs(end.y - point.y) > 4;
    panels.forEach((panel, other) => {
      if (wide && alike(k, other, "x")) {
        const shift = panel.box.x0 - panels[k].box.x0;
        panel.x.zoom(point.x + shift, end.x + shift);
      }
      if (high && alike(k, other, "y")) {
        const shift = panel.box.y0 - panels[k].box.y0;
        panel.y.zoom(point.y + shift, end.y + shift);
      }
      panel.draw();
    });
  });
  closer.querySelector("[data-do=all]").onclick = () => panels.forEach((panel) => {
    panel.x.ends = [...panel.x.all];
    panel.y.ends = [...panel.y.all];
    panel.draw();
  });
  read.textContent = panels.length ? "Drag over a stretch to enlarge it; move over a curve to read it off." : "";
  closer.showModal();
}

document.addEventListener("click", async (event) => {
  const wanted = event.target.closest("[data-do]");
  if (!wanted) return;
  if (wanted.dataset.do === "close") return closer.close();
  const figure = wanted.closest("figure");
  if (!figure) return;
  event.preventDefault();
  const name = figure.dataset.name;
  if (wanted.dataset.do === "zoom") look(figure);
  if (wanted.dataset.do === "svg") save(new Blob([svgOf(figure)], { type: "image/svg+xml" }), `${name}.svg`);
  if (wanted.dataset.do === "csv") save(new Blob([await csvOf(figure)], { type: "text/csv" }), `${name}.csv`);
  if (wanted.dataset.do === "png") save(await pngOf(figure), `${name}.png`);
});
