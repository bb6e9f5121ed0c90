/* The live map: the index's own tiles, hits, region, heat and coverage. Tells what is done on it by events. */

import { around, boxRing, placed, polygons, regionRings, wrapped } from "./geometry.js";
import { drawPins } from "./pins.js";

const NONE = { type: "FeatureCollection", features: [] };
const WARM = ["interpolate", ["linear"], ["get", "heat"], 0, "#fff3c4", 0.5, "#f59e0b", 1, "#b91c1c"];
const COOL = ["interpolate", ["linear"], ["get", "share"], 0, "#bfe3de", 1, "#0b6e66"];

const NUMBER = ["concat", "pin-", ["to-string", ["get", "rank"]]];
/* A tile on the screen is this many zooms below its own zoom when a pin with a number just fits on it. */
const ROOMY = 4.2, USUAL_ZOOM = 17;
/* Pins on top of each other tell nothing by their numbers, and outlines under them are noise, until there is room. */
const numbered = (zoom) => ["step", ["zoom"], ["case", ["<=", ["get", "rank"], 12], NUMBER, "pin-"], zoom, NUMBER];
const close = (zoom, full) => ["interpolate", ["linear"], ["zoom"], zoom, 0, zoom + 1, full];

/* Events: "point" {lng, lat}, "hover" {rank or null}, "choose" {rank}, "moved". */
export class Atlas extends EventTarget {
  #map;
  #hits = [];
  #lit = null;
  #there = new Map();

  /* frame: where to draw. facts: { layers: [{ name, tilejson }], back to front; extent }. view: { zoom, lat, lng } or null. */
  constructor(frame, { layers, extent }, view) {
    super();
    this.layers = layers;
    this.#map = new maplibregl.Map({
      container: frame,
      style: { version: 8, sources: {}, layers: [{ id: "paper", type: "background", paint: { "background-color": paper() } }] },
      ...(view ? { center: [view.lng, view.lat], zoom: view.zoom } : { bounds: extent ?? [[-180, -60], [180, 75]], fitBoundsOptions: { padding: clear(frame), maxZoom: 18 } }),
      attributionControl: false, dragRotate: false, pitchWithRotate: false, touchPitch: false, maxZoom: 21,
      fadeDuration: 0, renderWorldCopies: true,
    });
    this.#map.touchZoomRotate.disableRotation();
    this.#map.getCanvas().setAttribute("aria-label", "Map; click to search at a coordinate");
    this.#map.addControl(new maplibregl.NavigationControl({ showCompass: false }), "bottom-right");
    this.#map.addControl(new maplibregl.ScaleControl(), "bottom-left");
    this.#map.addControl(new maplibregl.AttributionControl({ compact: true }), "bottom-left");
    this.ready = new Promise((done) => this.#map.once("style.load", () => { this.#addLayers(); this.#listen(); done(this); }));
    new ResizeObserver(() => this.#map.resize()).observe(frame);
    addEventListener("theme", () => this.#map.setPaintProperty("paper", "background-color", paper()));
  }

  get view() {
    const { lng, lat } = this.#map.getCenter().wrap();
    return { zoom: Number(this.#map.getZoom().toFixed(2)), lat: Number(lat.toFixed(5)), lng: Number(lng.toFixed(5)) };
  }

  look(view) {
    if (view) this.#map.jumpTo({ center: [view.lng, view.lat], zoom: view.zoom });
  }

  /* What is seen, as bounds west, south, east, north; west > east across the antimeridian. */
  get seen() {
    const box = this.#map.getBounds();
    return wrapped([box.getWest(), box.getSouth(), box.getEast(), box.getNorth()]);
  }

  unproject([x, y]) {
    const { lng, lat } = this.#map.unproject([x, y]);
    return [lng, lat];
  }

  project(lng, lat) {
    return this.#map.project([lng, lat]);
  }

  setBase(chosen) {
    for (const { name } of this.layers) this.#map.setLayoutProperty(name, "visibility", name === chosen ? "visible" : "none");
  }

  setOpacity(name, opacity) {
    this.#map.setPaintProperty(name, "raster-opacity", opacity);
  }

  /* Hits with rank, lng, lat, bounds or outline. */
  showHits(hits) {
    this.#hits = hits.filter(placed);
    this.#makeRoom();
    this.#map.getSource("hits").setData({ type: "FeatureCollection", features: this.#hits.filter((hit) => hit.bounds || hit.outline).map(outlined) });
    this.#map.getSource("pins").setData({ type: "FeatureCollection", features: this.#hits.map(pinned) });
    this.light(null);
    this.#map.once("idle", () => performance.mark("pinned"));
  }

  light(rank) {
    if (rank === this.#lit) return;
    this.#lit = rank;
    for (const layer of ["hit-lit", "pin-lit"]) this.#map.setFilter(layer, ["==", ["get", "rank"], rank ?? -1]);
  }

  showRegion(region) {
    this.#put("region", polygons(regionRings(region)));
  }

  showPoint(point) {
    const features = point ? [{ type: "Feature", properties: {}, geometry: { type: "Point", coordinates: [point.lng, point.lat] } }] : [];
    this.#put("point", { type: "FeatureCollection", features });
  }

  /* GeoJSON cells with `heat` 0..1, or null. */
  showHeat(cells) {
    this.#map.getSource("heat").setData(cells ?? NONE);
  }

  /* GeoJSON cells with `rows`, or null. */
  showCoverage(cells) {
    const most = Math.max(1, ...(cells?.features ?? []).map((cell) => cell.properties.rows));
    const features = (cells?.features ?? []).map((cell) => ({ ...cell, properties: { ...cell.properties, share: cell.properties.rows / most } }));
    this.#map.getSource("coverage").setData({ type: "FeatureCollection", features });
  }

  fitHits() {
    this.fit(around(this.#hits.flatMap((hit) => (hit.bounds ? boxRing(hit.bounds) : [[hit.lng, hit.lat]]))));
  }

  fitRegion(region) {
    this.fit(around(regionRings(region).flat()));
  }

  fit(box) {
    if (box) this.#map.fitBounds(box, { padding: clear(this.#map.getContainer()), maxZoom: 17, duration: calm() ? 0 : 420 });
  }

  goTo({ lng, lat }, zoom = Math.max(this.#map.getZoom(), 15)) {
    this.#map.easeTo({ center: [lng, lat], zoom, duration: calm() ? 0 : 350 });
  }

  /* Numbers and outlines from the zoom on at which there is room for them. */
  #makeRoom() {
    const zooms = this.#hits.filter(({ bounds }) => bounds).map(({ bounds: [west, , east] }) => Math.log2(360 / ((east - west + 360) % 360))).sort((a, b) => a - b);
    const zoom = Math.min(20, Math.max(2, (zooms[zooms.length >> 1] ?? USUAL_ZOOM) - ROOMY));
    this.#map.setLayoutProperty("pins", "icon-image", numbered(zoom));
    this.#map.setPaintProperty("hit-fill", "fill-opacity", close(zoom, 0.07));
    this.#map.setPaintProperty("hit-edge", "line-opacity", close(zoom, 1));
  }

  /* What lies there already is not drawn once more: a frame of the map may take longer than a search. */
  #put(source, data) {
    const words = JSON.stringify(data);
    if (this.#there.get(source) === words) return;
    this.#there.set(source, words);
    this.#map.getSource(source).setData(data);
  }

  #addLayers() {
    const map = this.#map;
    for (const { name, tilejson: { tiles, minzoom, maxzoom, bounds, attribution } } of this.layers) {
      map.addSource(name, { type: "raster", tiles, tileSize: 256, minzoom, maxzoom, bounds, attribution });
      map.addLayer({ id: name, type: "raster", source: name, layout: { visibility: "none" }, paint: { "raster-fade-duration": 0 } });
    }
    for (const name of ["coverage", "heat", "region", "hits", "pins", "point"]) map.addSource(name, { type: "geojson", data: NONE });
    const lit = ["==", ["get", "rank"], -1];
    const pins = { "icon-allow-overlap": true, "icon-ignore-placement": true, "symbol-sort-key": ["-", 0, ["get", "rank"]] };
    drawPins(map);
    for (const layer of [
      { id: "coverage", type: "fill", source: "coverage", paint: { "fill-color": COOL, "fill-opacity": 0.45, "fill-outline-color": "#0b6e66" } },
      { id: "heat", type: "fill", source: "heat", paint: { "fill-color": WARM, "fill-opacity": ["+", 0.08, ["*", 0.42, ["get", "heat"]]], "fill-antialias": false } },
      { id: "region", type: "line", source: "region", paint: { "line-color": "#0b6e66", "line-width": 2.5, "line-dasharray": [3, 2] } },
      { id: "hit-fill", type: "fill", source: "hits", paint: { "fill-color": "#f97316", "fill-opacity": 0 } },
      { id: "hit-edge", type: "line", source: "hits", paint: { "line-color": "#c2410c", "line-width": 1.6, "line-opacity": 0 } },
      { id: "hit-lit", type: "line", source: "hits", filter: lit, paint: { "line-color": "#14b8a6", "line-width": 4 } },
      { id: "point", type: "circle", source: "point", paint: { "circle-radius": 7, "circle-color": "#fff", "circle-stroke-color": "#0b6e66", "circle-stroke-width": 4 } },
      { id: "pins", type: "symbol", source: "pins", layout: { ...pins, "icon-image": NUMBER } },
      { id: "pin-lit", type: "symbol", source: "pins", filter: lit, layout: { ...pins, "icon-image": ["concat", "pin-", ["to-string", ["get", "rank"]], "-lit"] } },
    ]) map.addLayer(layer);
  }

  #listen() {
    const map = this.#map, tell = (name, detail) => this.dispatchEvent(new CustomEvent(name, { detail }));
    const rankAt = (point, layers) => map.queryRenderedFeatures(point, { layers })[0]?.properties.rank ?? null;
    const pins = ["pin-lit", "pins"];
    map.on("mousemove", ({ point }) => {
      const rank = rankAt(point, [...pins, "hit-fill"]);
      map.getCanvas().style.cursor = rankAt(point, pins) === null ? "crosshair" : "pointer";
      if (rank !== this.#lit) tell("hover", { rank });
    });
    map.on("mouseout", () => tell("hover", { rank: null }));
    map.on("click", ({ point, lngLat }) => {
      const rank = rankAt(point, pins);
      if (rank !== null) tell("choose", { rank });
      else tell("point", { lng: lngLat.wrap().lng, lat: lngLat.lat });
    });
    map.on("moveend", () => tell("moved"));
  }
}

function outlined({ rank, bounds, outline }) {
  return { type: "Feature", properties: { rank }, geometry: outline ?? { type: "Polygon", coordinates: [boxRing(bounds)] } };
}

function pinned({ rank, lng, lat }) {
  return { type: "Feature", properties: { rank }, geometry: { type: "Point", coordinates: [lng, lat] } };
}

/* Room at the edges of a map for what stands on it. */
function clear({ clientWidth: width, clientHeight: height }) {
  return { top: Math.min(104, 0.18 * height), right: Math.min(64, 0.16 * width), bottom: Math.min(48, 0.12 * height), left: Math.min(40, 0.1 * width) };
}

const calm = () => matchMedia("(prefers-reduced-motion: reduce)").matches;

function paper() {
  const chosen = document.documentElement.dataset.theme;
  return (chosen ?? (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light")) === "dark" ? "#0c1112" : "#e6e9e6";
}
