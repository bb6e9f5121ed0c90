/* The results of the page: a live map and the pictures of the hits. Loads nothing from any other machine. */
"use strict";

window.GeoAnchor = (() => {
  const MARKERS = 200;

  /* element: where to draw. props: {value, view}. trigger(event, data) and watch(names, f) talk to the server side. */
  function mount(element, props, trigger, watch) {
    const root = make("div", "ga");
    const note = make("p", "ga-note");
    const frame = make("div", "ga-map");
    const cards = make("ol", "ga-hits");
    root.append(frame, note, cards);
    element.append(root);
    const map = drawMap(frame, props.view);
    const state = { map, cards, note, trigger, markers: [], loaded: false };
    const update = () => {
      if (!element.contains(root)) element.append(root);
      if (state.loaded) show(state, props.value);
    };
    map.on("load", () => {
      state.loaded = true;
      addLayers(map, props.view, frame);
      map.on("click", (event) => clicked(state, event));
      update();
    });
    new ResizeObserver(() => map.resize()).observe(frame);
    watch("value", update);
  }

  function drawMap(frame, view) {
    const [west, south, east, north] = view.extent || [-180, -60, 180, 75];
    const map = new maplibregl.Map({
      container: frame,
      style: { version: 8, sources: {}, layers: [{ id: "paper", type: "background", paint: { "background-color": paper() } }] },
      bounds: [[west, south], [east < west ? east + 360 : east, north]],
      fitBoundsOptions: { padding: 24 },
      attributionControl: false,
      dragRotate: false,
      pitchWithRotate: false,
    });
    map.addControl(new maplibregl.NavigationControl({ showCompass: false }), "top-right");
    map.addControl(new maplibregl.ScaleControl(), "bottom-left");
    map.addControl(new maplibregl.AttributionControl({ compact: true, customAttribution: escapeHtml(view.attribution) }));
    return map;
  }

  function addLayers(map, view, frame) {
    const names = Object.keys(view.layers);
    for (const [name, [low, high]] of Object.entries(view.layers)) {
      const tiles = [new URL(`/api/tiles/${name}/`, window.location).href + "{z}/{x}/{y}"];
      map.addSource(name, { type: "raster", tiles, tileSize: 256, minzoom: low, maxzoom: high, bounds: view.extent });
      map.addLayer({ id: name, type: "raster", source: name, layout: { visibility: "none" }, paint: { "raster-fade-duration": 120 } });
    }
    map.addSource("hits", { type: "geojson", data: { type: "FeatureCollection", features: [] } });
    map.addLayer({ id: "hits", type: "fill", source: "hits", paint: { "fill-color": "#e4572e", "fill-opacity": 0.14 } });
    map.addLayer({ id: "hit-edges", type: "line", source: "hits", paint: { "line-color": "#c2410c", "line-width": 2 } });
    frame.append(baseSwitch(map, names));
  }

  /* Which of the index's own layers lies under the hits. */
  function baseSwitch(map, names) {
    const bar = make("div", "ga-bases");
    const choices = [...names, "none"];
    const choose = (chosen) => {
      for (const name of names) map.setLayoutProperty(name, "visibility", name === chosen ? "visible" : "none");
      for (const button of bar.children) button.setAttribute("aria-pressed", String(button.textContent === chosen));
    };
    for (const name of choices) {
      const button = make("button", "", name);
      button.type = "button";
      button.addEventListener("click", (event) => { event.stopPropagation(); choose(name); });
      bar.append(button);
    }
    choose(names.includes("map") ? "map" : choices[0]);
    return bar;
  }

  function show(state, value) {
    const features = (value && value.hits && value.hits.features) || [];
    state.note.textContent = (value && (value.error || value.note)) || "";
    state.note.classList.toggle("ga-error", Boolean(value && value.error));
    state.map.getSource("hits").setData({ type: "FeatureCollection", features: features.filter((hit) => hit.geometry) });
    state.markers.forEach((marker) => marker.remove());
    state.markers = features.slice(0, MARKERS).filter((hit) => hit.properties.lng !== null).map((hit) => pin(state, hit));
    state.cards.replaceChildren(...features.map((hit) => card(state, hit)));
    const box = extent(features);
    if (box) state.map.fitBounds(box, { padding: 56, maxZoom: 17, duration: 500 });
  }

  function pin(state, hit) {
    const { rank, lng, lat } = hit.properties;
    const badge = make("button", "ga-pin", String(rank));
    badge.type = "button";
    badge.setAttribute("aria-label", `hit ${rank}`);
    badge.addEventListener("click", (event) => { event.stopPropagation(); point(state, hit); });
    return new maplibregl.Marker({ element: badge }).setLngLat([lng, lat]).addTo(state.map);
  }

  function card(state, hit) {
    const { id, rank, score, layer, caption, tags, lng, lat, attribution } = hit.properties;
    const item = make("li", "");
    item.id = `ga-hit-${rank}`;
    const picture = make("img", "");
    picture.loading = "lazy";
    picture.alt = caption || id;
    picture.src = "/api/thumbnails/" + id.split("/").map(encodeURIComponent).join("/");
    picture.addEventListener("click", () => point(state, hit));
    picture.addEventListener("error", () => picture.replaceWith(make("div", "ga-blank", "no picture")));
    const head = make("p", "ga-score");
    head.append(make("strong", "", score.toFixed(3)), make("span", "", layer));
    const like = make("button", "ga-like", "More like this");
    like.type = "button";
    like.addEventListener("click", () => state.trigger("select", { like: id }));
    const facts = make("div", "ga-facts");
    facts.append(
      head,
      make("p", "ga-caption", caption || (tags || []).slice(0, 4).join(", ")),
      make("p", "ga-why", hit.properties.reason || ""),
      make("p", "ga-where", lat === null ? "no position" : `${lat.toFixed(5)}, ${lng.toFixed(5)}`),
    );
    if (attribution) facts.append(make("p", "ga-where", attribution));
    facts.append(like);
    item.append(picture, make("b", "ga-rank", String(rank)), facts);
    return item;
  }

  /* Bring a hit to notice on the map and among the pictures. */
  function point(state, hit) {
    const { rank, lng, lat } = hit.properties;
    if (lng !== null) state.map.easeTo({ center: [lng, lat], zoom: Math.max(state.map.getZoom(), 15) });
    for (const item of state.cards.children) item.classList.toggle("ga-chosen", item.id === `ga-hit-${rank}`);
    state.cards.querySelector(".ga-chosen")?.scrollIntoView({ block: "nearest", behavior: "smooth" });
  }

  function clicked(state, event) {
    const { lng, lat } = event.lngLat.wrap();
    state.trigger("select", { at: `${lat.toFixed(6)}, ${lng.toFixed(6)}` });
  }

  function extent(features) {
    const box = new maplibregl.LngLatBounds();
    for (const { geometry } of features) {
      if (!geometry) continue;
      const flat = JSON.stringify(geometry.coordinates).match(/-?[\d.]+(?:e-?\d+)?/g).map(Number);
      for (let i = 0; i < flat.length; i += 2) box.extend([flat[i], flat[i + 1]]);
    }
    return box.isEmpty() ? null : box;
  }

  /* Hand the hits over as a file, without a round trip. */
  function download(value) {
    const hits = (value && value.hits) || { type: "FeatureCollection", features: [] };
    const link = make("a", "");
    link.href = URL.createObjectURL(new Blob([JSON.stringify(hits, null, 1)], { type: "application/geo+json" }));
    link.download = "hits.geojson";
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
  }

  function paper() {
    return matchMedia("(prefers-color-scheme: dark)").matches ? "#182022" : "#eceeea";
  }

  function escapeHtml(text) {
    return make("span", "", text || "").innerHTML;
  }

  function make(name, className, text) {
    const node = document.createElement(name);
    if (className) node.className = className;
    if (text !== undefined) node.textContent = text;
    return node;
  }

  return { mount, download };
})();
