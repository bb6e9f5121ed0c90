/* Pins as map icons, drawn when they are first needed: hundreds of them cost the map nothing. "pin-" has no number. */

const SIDE = 26, DOT = 13, RATIO = 2;

export function drawPins(map) {
  map.on("styleimagemissing", ({ id }) => {
    const [kind, label, lit] = id.split("-");
    if (kind === "pin" && !map.hasImage(id)) map.addImage(id, pin(label, lit === "lit"), { pixelRatio: RATIO });
  });
}

function pin(label, lit) {
  const canvas = document.createElement("canvas"), side = (lit ? SIDE + 8 : label ? SIDE : DOT) * RATIO;
  canvas.width = canvas.height = side;
  const pen = canvas.getContext("2d"), middle = side / 2;
  pen.beginPath();
  pen.arc(middle, middle, middle - 3, 0, 2 * Math.PI);
  pen.fillStyle = lit ? "#0b6e66" : "#b23c0b";
  pen.fill();
  pen.lineWidth = label ? 4 : 3;
  pen.strokeStyle = "#fff";
  pen.stroke();
  pen.fillStyle = "#fff";
  pen.font = `600 ${(label.length > 2 ? 10 : 12.5) * RATIO * (lit ? 1.15 : 1)}px system-ui, sans-serif`;
  pen.textAlign = "center";
  pen.textBaseline = "middle";
  pen.fillText(label, middle, middle + RATIO / 2);
  return pen.getImageData(0, 0, side, side);
}
