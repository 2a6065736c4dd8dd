// A square with a point that is dragged, or moved with the arrow keys. The kernel gets `position`.

const SIZE = 150; // pixels on the page
const KEYS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
const clamp = (value) => Math.min(1, Math.max(0, value));
// To the step of the sliders: the page would round theirs, and send it back while the point moves.
const round = (value) => Math.round(value * 100) / 100;

function render({ model, el }) {
  const canvas = document.createElement("canvas");
  const ratio = window.devicePixelRatio || 1;
  canvas.width = canvas.height = SIZE * ratio;
  canvas.tabIndex = 0;
  canvas.className = "course-pad";
  canvas.style.cssText = `width:${SIZE}px;height:${SIZE}px;touch-action:none;cursor:move`;
  canvas.setAttribute("role", "application");
  canvas.setAttribute("aria-label",
    "Place between four corners. Drag the point, or move it with the arrow keys, with Shift further.");
  el.appendChild(canvas);

  function paint() {
    const [x, y] = model.get("position");
    const draw = canvas.getContext("2d");
    draw.setTransform(SIZE * ratio, 0, 0, SIZE * ratio, 0, 0);
    draw.fillStyle = "#fff";
    draw.fillRect(0, 0, 1, 1);
    draw.lineWidth = 0.01;
    draw.strokeStyle = document.activeElement === canvas ? "#d55e00" : "#999";
    draw.strokeRect(0, 0, 1, 1);
    draw.beginPath();
    draw.arc(x, y, 0.05, 0, 2 * Math.PI);
    draw.fillStyle = "#0072b2";
    draw.fill();
  }

  function move(x, y) {
    model.set("position", [round(clamp(x)), round(clamp(y))]);
    model.save_changes();
  }

  function follow(event) {
    const box = canvas.getBoundingClientRect();
    move((event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height);
  }

  canvas.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return;
    canvas.setPointerCapture(event.pointerId);
    follow(event);
  });
  canvas.addEventListener("pointermove", (event) => {
    if (canvas.hasPointerCapture(event.pointerId)) follow(event);
  });
  canvas.addEventListener("keydown", (event) => {
    if (!KEYS[event.key]) return;
    const [x, y] = model.get("position");
    const far = event.shiftKey ? 0.2 : 0.04;
    move(x + far * KEYS[event.key][0], y + far * KEYS[event.key][1]);
    event.preventDefault(); // the page would scroll, and JupyterLab go to another cell
  });
  for (const name of ["focus", "blur"]) canvas.addEventListener(name, paint);
  model.on("change:position", paint);
  paint();
  return () => model.off("change:position", paint);
}

export default { render };
