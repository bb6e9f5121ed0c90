/* Line icons, 24 x 24; those that stand in a page's HTML as <svg data-icon> are drawn when this is loaded. */

const SVG = "http://www.w3.org/2000/svg";
const SHAPES = {
  search: '<circle cx="10.5" cy="10.5" r="6.5"/><path d="m15.5 15.5 5 5"/>',
  picture: '<rect x="3.5" y="5" width="17" height="14" rx="2"/><circle cx="9" cy="10" r="1.6"/><path d="m4 17 5-4.5 3.5 3 3.5-4 4.5 5"/>',
  close: '<path d="M6 6l12 12M18 6 6 18"/>',
  back: '<path d="m14.5 5.500-6.500 6.500 6.500 6.500"/>',
  next: '<path d="m9.500 5.500 6.500 6.500-6.500 6.500"/>',
  undo: '<path d="M8.500 5.500 4.500 9.500l4 4M4.500 9.500h9a5 5 0 0 1 0 10h-3"/>',
  more: '<path d="M12 5v14M5 12h14"/>',
  less: '<path d="M5 12h14"/>',
  compare: '<rect x="3.5" y="5" width="7" height="14" rx="1.5"/><rect x="13.5" y="5" width="7" height="14" rx="1.5"/>',
  open: '<path d="M9 4H4v5M15 4h5v5M9 20H4v-5M15 20h5v-5"/>',
  box: '<rect x="4.5" y="6" width="15" height="12" stroke-dasharray="3 2.4"/>',
  polygon: '<path d="m5 9 8-4 6 6-3 8-9-2z"/><circle cx="5" cy="9" r="1.2"/><circle cx="13" cy="5" r="1.2"/><circle cx="19" cy="11" r="1.2"/><circle cx="16" cy="19" r="1.2"/><circle cx="7" cy="17" r="1.2"/>',
  view: '<path d="M4 8V4h4M16 4h4v4M20 16v4h-4M8 20H4v-4"/><circle cx="12" cy="12" r="2.6"/>',
  sun: '<circle cx="12" cy="12" r="3.8"/><path d="M12 3v2M12 19v2M3 12h2M19 12h2M5.6 5.6 7 7M17 17l1.4 1.4M5.6 18.4 7 17M17 7l1.4-1.4"/>',
  share: '<path d="M10 14a4 4 0 0 0 5.7 0l3-3A4 4 0 0 0 13 5.300l-1 1M14 10a4 4 0 0 0-5.700 0l-3 3A4 4 0 0 0 11 18.700l1-1"/>',
  save: '<path d="M12 4v11M7.500 11 12 15.500 16.500 11M5 20h14"/>',
  pin: '<path d="M12 21s-6.500-5.600-6.500-11a6.500 6.500 0 0 1 13 0c0 5.400-6.500 11-6.500 11z"/><circle cx="12" cy="10" r="2.400"/>',
  nothing: '<circle cx="10.500" cy="10.500" r="6.500"/><path d="m15.500 15.500 5 5M8 10.500h5"/>',
  broken: '<path d="M12 4 2.800 19.500h18.400zM12 10v4.500M12 17v.2"/>',
  key: '<circle cx="8" cy="14" r="4"/><path d="m11 11 8-8M16 6l3 3"/>',
  data: '<ellipse cx="12" cy="6" rx="7.500" ry="2.800"/><path d="M4.500 6v12c0 1.500 3.400 2.800 7.500 2.800s7.500-1.300 7.500-2.800V6M4.500 12c0 1.500 3.400 2.800 7.500 2.800s7.500-1.300 7.500-2.800"/>',
  filter: '<path d="M4 6h16M7 12h10M10 18h4"/>',
  words: '<path d="M5 6h14M5 11h14M5 16h8"/>',
  accept: '<path d="m5 12.500 4.500 4.500L19 7.500"/>',
};

const drawn = new Map();

export function icon(name) {
  if (!drawn.has(name)) drawn.set(name, draw(document.createElementNS(SVG, "svg"), name));
  return drawn.get(name).cloneNode(true);
}

function draw(node, name) {
  const shapes = new DOMParser().parseFromString(`<svg xmlns="${SVG}">${SHAPES[name]}</svg>`, "image/svg+xml");
  node.setAttribute("class", "icon");
  node.setAttribute("viewBox", "0 0 24 24");
  node.setAttribute("aria-hidden", "true");
  node.append(...[...shapes.documentElement.children].map((shape) => document.importNode(shape)));
  return node;
}

for (const node of document.querySelectorAll("svg[data-icon]")) draw(node, node.dataset.icon);
