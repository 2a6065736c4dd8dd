// A square to draw in, with mouse, pen, finger or keys. The kernel gets `strokes` when one ends.

const SIZE = 320; // pixels on the page
const STEP = 0.02; // distance between the points of a stroke; the square is 2 wide
const VEIL = 0.55; // of the paint over a picture
const KEYS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] };
const clamp = (value) => Math.min(1, Math.max(-1, value));
const round = (value) => Math.round(value * 1000) / 1000;

// The points of a stroke, with more in between where two are far apart.
function dense(stroke) {
  const points = stroke.slice(0, 1);
  for (const [x, y] of stroke.slice(1)) {
    const [fromX, fromY] = points[points.length - 1];
    const parts = Math.ceil(Math.hypot(x - fromX, y - fromY) / STEP - 0.1);
    for (let part = 1; part <= parts; part++) {
      const share = part / parts;
      points.push([round(fromX + (x - fromX) * share), round(fromY + (y - fromY) * share)]);
    }
  }
  return points;
}

// The strokes without what lies under the eraser; one that is cut becomes two.
function erased(strokes, [x, y], radius) {
  const left = [];
  for (const stroke of strokes) {
    const points = dense(stroke);
    const kept = points.map(([px, py]) => Math.hypot(px - x, py - y) > radius);
    if (kept.every(Boolean)) {
      left.push(stroke);
      continue;
    }
    let piece = [];
    points.forEach((point, index) => {
      if (kept[index]) piece.push(point);
      if (piece.length && (!kept[index] || index === points.length - 1)) {
        left.push(piece);
        piece = [];
      }
    });
  }
  return left;
}

function render({ model, el }) {
  const canvas = document.createElement("canvas");
  const ratio = window.devicePixelRatio || 1;
  canvas.width = canvas.height = SIZE * ratio;
  canvas.tabIndex = 0;
  canvas.className = "course-canvas";
  canvas.style.cssText = `width:${SIZE}px;height:${SIZE}px;touch-action:none;cursor:crosshair`;
  canvas.setAttribute("role", "application");
  canvas.setAttribute("aria-label",
    "Drawing area. Arrow keys move the pen, with Shift further; Space puts it down and lifts it.");
  el.appendChild(canvas);

  let strokes = model.get("strokes"); // as the reader sees them, sent when a stroke ends
  let drawing = null; // the stroke under way
  let pen = [0, 0]; // where mouse or keys have it
  let below = null; // the picture that is drawn on

  async function load() {
    const bytes = model.get("background");
    below = bytes && bytes.byteLength ? await createImageBitmap(new Blob([bytes])) : null;
    paint();
  }

  function paint() {
    const draw = canvas.getContext("2d");
    draw.setTransform(1, 0, 0, 1, 0, 0);
    draw.fillStyle = "#fff";
    draw.fillRect(0, 0, canvas.width, canvas.height);
    if (below) draw.drawImage(below, 0, 0, canvas.width, canvas.height);
    // From here on in the units of the data: x to the right, y upwards, -1 to 1.
    draw.setTransform(canvas.width / 2, 0, 0, -canvas.height / 2,
      canvas.width / 2, canvas.height / 2);
    draw.lineWidth = 0.005;
    draw.strokeStyle = "#bbb";
    draw.strokeRect(-1, -1, 2, 2);
    draw.lineCap = draw.lineJoin = "round";
    draw.lineWidth = 2 * model.get("brush");
    draw.strokeStyle = "#0072b2";
    draw.globalAlpha = below ? VEIL : 1;
    for (const stroke of drawing && !model.get("eraser") ? [...strokes, drawing] : strokes) {
      draw.beginPath();
      draw.moveTo(...stroke[0]);
      stroke.forEach((point) => draw.lineTo(...point));
      draw.stroke();
    }
    draw.globalAlpha = 1;
    if (document.activeElement === canvas) {
      draw.beginPath();
      draw.arc(...pen, model.get("brush"), 0, 2 * Math.PI);
      draw.lineWidth = drawing ? 0.02 : 0.008;
      draw.strokeStyle = "#d55e00";
      draw.stroke();
    }
  }

  function moveTo(point) {
    pen = point;
    if (drawing) {
      const [x, y] = drawing[drawing.length - 1];
      if (Math.hypot(pen[0] - x, pen[1] - y) >= STEP) {
        drawing.push(...dense([[x, y], pen]).slice(1));
        if (model.get("eraser")) wipe();
      }
    }
    paint();
  }

  function wipe() {
    const path = dense(drawing);
    for (const point of path) strokes = erased(strokes, point, model.get("brush"));
    drawing = path.slice(-1);
  }

  function begin() {
    drawing = [pen];
    if (model.get("eraser")) wipe();
    paint();
  }

  function end() {
    if (!drawing) return;
    if (!model.get("eraser")) strokes = [...strokes, drawing];
    drawing = null;
    model.set("strokes", strokes);
    model.save_changes();
    paint();
  }

  function place(event) {
    const box = canvas.getBoundingClientRect();
    const x = (2 * (event.clientX - box.left)) / box.width - 1;
    const y = 1 - (2 * (event.clientY - box.top)) / box.height;
    return [round(clamp(x)), round(clamp(y))];
  }

  canvas.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return;
    canvas.setPointerCapture(event.pointerId);
    pen = place(event);
    begin();
  });
  canvas.addEventListener("pointermove", (event) => {
    const events = event.getCoalescedEvents ? event.getCoalescedEvents() : [];
    for (const each of events.length ? events : [event]) moveTo(place(each));
  });
  for (const name of ["pointerup", "pointercancel", "blur"]) canvas.addEventListener(name, end);
  canvas.addEventListener("focus", paint);

  canvas.addEventListener("keydown", (event) => {
    if (event.key === " ") drawing ? end() : begin();
    else if (KEYS[event.key]) {
      const far = event.shiftKey ? 0.2 : 0.05;
      const [x, y] = KEYS[event.key];
      moveTo([round(clamp(pen[0] + far * x)), round(clamp(pen[1] + far * y))]);
    } else return;
    event.preventDefault(); // the page would scroll, and JupyterLab go to another cell
  });

  const changed = () => {
    strokes = model.get("strokes");
    paint();
  };
  model.on("change:strokes", changed);
  model.on("change:brush", paint);
  model.on("change:eraser", paint);
  model.on("change:background", load);
  load();
  return () => {
    model.off("change:strokes", changed);
    model.off("change:brush", paint);
    model.off("change:eraser", paint);
    model.off("change:background", load);
  };
}

export default { render };
