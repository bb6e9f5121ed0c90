/* Places on the ground and on a picture. */

const EARTH_M = 6_371_008.8;

export const latLng = ({ lat, lng }) => `${lat.toFixed(5)}, ${lng.toFixed(5)}`;
export const osmAddress = ({ lat, lng }, zoom = 17) => `https://www.openstreetmap.org/?mlat=${lat.toFixed(6)}&mlon=${lng.toFixed(6)}#map=${zoom}/${lat.toFixed(5)}/${lng.toFixed(5)}`;
export const placed = (hit) => hit.lng !== null && hit.lng !== undefined;

export function metresBetween(a, b) {
  const rad = Math.PI / 180, phi = a.lat * rad, psi = b.lat * rad;
  const half = Math.sin((psi - phi) / 2) ** 2 + Math.cos(phi) * Math.cos(psi) * Math.sin((b.lng - a.lng) * rad / 2) ** 2;
  return 2 * EARTH_M * Math.asin(Math.sqrt(Math.min(1, half)));
}

/* Rings (lng, lat) as SVG paths over a picture of `bounds`, in a box of 100 x 100; north is up, the grid is mercator. */
export function pathsOver(rings, [west, south, east, north]) {
  const top = mercator(north), bottom = mercator(south);
  const point = ([lng, lat]) => `${(100 * (lng - west) / (east - west)).toFixed(2)} ${(100 * (top - mercator(lat)) / (top - bottom)).toFixed(2)}`;
  return rings.map((ring) => "M" + ring.map(point).join("L") + "Z");
}

/* All rings of a GeoJSON Polygon or MultiPolygon. */
export function ringsOf({ type, coordinates }) {
  return type === "Polygon" ? coordinates : coordinates.flat();
}

/* A closed ring of a box; east of the antimeridian it goes on beyond 180. */
export function boxRing([west, south, east, north]) {
  const right = east < west ? east + 360 : east;
  return [[west, south], [right, south], [right, north], [west, north], [west, south]];
}

/* Bounds with longitudes of -180 to 180; the whole world where they go around it. */
export function wrapped([west, south, east, north]) {
  const low = Math.max(-90, Math.min(south, north)), high = Math.min(90, Math.max(south, north));
  if (Math.abs(east - west) >= 360) return [-180, low, 180, high];
  const right = wrap(Math.max(west, east));
  return [wrap(Math.min(west, east)), low, right === -180 ? 180 : right, high];
}

/* A ring of a map that may show the world several times over, with longitudes of -180 to 180. */
export function wrappedRing(ring) {
  return ring.map(([lng, lat]) => [wrap(lng), Math.max(-90, Math.min(lat, 90))]);
}

/* The same ring as it is drawn: beyond the antimeridian it goes on beyond 180. A whole turn at once is the edge of the world. */
function unwrappedRing(ring) {
  let turn = 0;
  return ring.map(([lng, lat], n) => {
    const step = n ? lng - ring[n - 1][0] : 0;
    if (Math.abs(step) > 180 && Math.abs(step) < 360) turn -= Math.sign(step) * 360;
    return [lng + turn, lat];
  });
}

function wrap(lng) {
  return ((lng + 180) % 360 + 360) % 360 - 180;
}

/* A region as rings to be drawn; cells are not drawn. */
export function regionRings(region) {
  if (region?.kind === "bounds") return [boxRing(region.bounds)];
  if (region?.kind === "polygon") return ringsOf(region.geometry).map(unwrappedRing);
  if (region?.kind === "radius") return [circleRing(region)];
  return [];
}

function circleRing({ lng, lat, radius_m: radius }) {
  const north = radius / EARTH_M * 180 / Math.PI, east = north / Math.max(0.01, Math.cos(lat * Math.PI / 180));
  return Array.from({ length: 65 }, (_, n) => [lng + east * Math.cos(n * Math.PI / 32), lat + north * Math.sin(n * Math.PI / 32)]);
}

export const polygons = (rings) => ({
  type: "FeatureCollection",
  features: rings.length ? [{ type: "Feature", properties: {}, geometry: { type: "Polygon", coordinates: rings } }] : [],
});

/* The smallest box [[west, south], [east, north]] around points, or null. */
export function around(points) {
  if (!points.length) return null;
  const lngs = points.map(([lng]) => lng), lats = points.map(([, lat]) => lat);
  return [[Math.min(...lngs), Math.min(...lats)], [Math.max(...lngs), Math.max(...lats)]];
}

function mercator(lat) {
  return Math.log(Math.tan(Math.PI / 4 + lat * Math.PI / 360));
}
