// Elements.
const SVG = 'http://www.w3.org/2000/svg';
const svg = (name, attributes = {}, ...children) => {
  const element = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.append(...children);
  return element;
};
const html = (name, attributes = {}, ...children) => {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.append(...children);
  return element;
};

const outline = (heights, width, height, left = 0, top = 0) => {
  const n = heights.length;
  let path = `M${left} ${top + height}`;
  heights.forEach((share, bin) => {
    const y = (top + height * (1 - share)).toFixed(1);
    path += `V${y}H${(left + (width * (bin + 1)) / n).toFixed(1)}`;
  });
  return path + `V${top + height}Z`;
};

// A small histogram.
const spark = (packed, before) => {
  const found = counts(packed);
  if (!found.counts.length) return NONE;
  const said = `histogram from ${real(found.from)} to ${real(found.to)}`;
  const picture = svg('svg', { width: 96, height: 24, viewBox: '0 0 96 24', role: 'img', 'aria-label': said });
  const past = before && counts(before);
  const most = Math.max(found.most, past ? past.most : 0) || 1;
  if (past && past.counts.length) picture.append(svg('path', { class: 'bar was', d: outline(past.counts.map((n) => n / most), 96, 24) }));
  picture.append(svg('path', { class: 'bar', d: outline(found.counts.map((n) => n / most), 96, 24) }));
  return picture;
};

// Round numbers along an axis.
const ticks = (from, to, about) => {
  const rough = (to - from) / about;
  if (!(rough > 0)) return [from];
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((by) => by * power).find((step) => step >= rough);
  const found = [];
  for (let i = Math.ceil(from / step - 1e-9); i * step <= to + step * 1e-9; i++) found.push(i * step);
  return found;
};
const tickText = (value, all) => {
  const step = all.length > 1 ? Math.abs(all[1] - all[0]) : Math.abs(value) || 1;
  const size = Math.max(...all.map(Math.abs));
  if (size !== 0 && (size < 1e-3 || size >= 1e6)) return real(value).replace(/\.?0+(?=e|$)/, '');
  return value.toFixed(Math.max(0, Math.ceil(-Math.log10(step) - 1e-9)));
};
const short = (n) => {
  const units = ['', 'k', 'M', 'G', 'T'];
  let unit = 0;
  while (n >= 1000 && unit < 4) { n /= 1000; unit++; }
  return (n < 10 ? +n.toFixed(1) : Math.round(n)) + units[unit];
};

// A histogram with axes.
const histogram = ({ packed, before, normal, log, what, marks = [] }) => {
  const found = counts(packed);
  if (!(found.counts.length && found.to > found.from)) return null;
  const past = before ? counts(before) : null;
  const [width, height, left, top, right, bottom] = [860, 240, 84, 10, 12, 44];
  const [inner, tall] = [width - left - right, height - top - bottom];
  const { from, to } = found;
  const n = found.counts.length;
  const step = (to - from) / n;
  const curve = normal
    ? found.counts.map((_, bin) => {
        const z = (from + (bin + 0.5) * step - normal.mean) / normal.sigma;
        return ((normal.count * step) / normal.sigma) * Math.exp((-z * z) / 2) / Math.sqrt(2 * Math.PI);
      })
    : [];
  const most = Math.max(1, found.most, past ? past.most : 0, ...curve) * 1.05;
  const share = (count) => (log ? Math.max(0, Math.log(Math.max(count, 0.5) / 0.5) / Math.log(most / 0.5)) : Math.min(1, count / most));
  const shown = (count) => (count > 0 ? Math.max(share(count), 1 / tall) : 0);
  const across = (value) => left + ((value - from) / (to - from)) * inner;
  const up = (count) => top + tall * (1 - share(count));
  const said = `${what}: ${n} bins from ${real(from)} to ${real(to)}, the fullest of ${whole(found.most)} weights`;
  const picture = svg('svg', { viewBox: `0 0 ${width} ${height}`, role: 'img', 'aria-label': said });
  const levels = log ? ticks(0, Math.log10(most), 5).filter(Number.isInteger).map((power) => 10 ** power) : ticks(0, most, 4);
  for (const level of levels) {
    picture.append(svg('line', { class: 'grid', x1: left, x2: width - right, y1: up(level), y2: up(level) }));
    picture.append(svg('text', { class: 'tick', x: left - 6, y: up(level) + 4, 'text-anchor': 'end' }, short(level)));
  }
  if (past && past.counts.length) picture.append(svg('path', { class: 'bar was', d: outline(past.counts.map(shown), inner, tall, left, top) }));
  picture.append(svg('path', { class: 'bar', d: outline(found.counts.map(shown), inner, tall, left, top) }));
  if (curve.length) {
    const points = curve.map((count, bin) => `${across(from + (bin + 0.5) * step).toFixed(1)},${up(count).toFixed(1)}`);
    picture.append(svg('polyline', { class: 'normal', points: points.join(' ') }));
  }
  picture.append(svg('line', { class: 'axis', x1: left, x2: width - right, y1: height - bottom, y2: height - bottom }));
  const along = ticks(from, to, 7);
  for (const value of along) {
    picture.append(svg('text', { class: 'tick', x: across(value), y: height - bottom + 16, 'text-anchor': 'middle' }, tickText(value, along)));
  }
  for (const { at } of marks.filter(({ at }) => at >= from && at <= to)) {
    picture.append(svg('line', { class: 'mark', x1: across(at), x2: across(at), y1: top, y2: height - bottom }));
  }
  picture.append(svg('text', { class: 'tick', x: left + inner / 2, y: height - 6, 'text-anchor': 'middle' }, what + (log ? '; counts logarithmic' : '')));
  const y = top + tall / 2;
  picture.append(svg('text', { class: 'tick', x: 16, y, 'text-anchor': 'middle', transform: `rotate(-90 16 ${y})` }, 'weights a bin'));
  return html('div', { class: 'scroll', tabindex: 0, role: 'group', 'aria-label': what }, picture);
};

const legend = (entries) => html('ul', { class: 'legend' }, ...entries.map(([kind, text]) => html('li', {}, html('i', { class: kind }), text)));

// Perceptually even and safe for the colour-blind: the anchors of viridis.
const ANCHORS = [[68, 1, 84], [70, 50, 127], [54, 92, 141], [39, 127, 143], [31, 162, 136], [74, 194, 110], [160, 219, 57], [254, 232, 37]];
const colour = (share) => {
  const place = Math.min(Math.max(share, 0), 1) * (ANCHORS.length - 1);
  const i = Math.min(Math.floor(place), ANCHORS.length - 2);
  const mixed = ANCHORS[i].map((value, k) => Math.round(value + (ANCHORS[i + 1][k] - value) * (place - i)));
  return `rgb(${mixed.join(' ')})`;
};

// The channels of a tensor: a row of cells for the variance and one for the norm.
const strip = ([axis, count, dead, least, most, variance, norm, deadShares]) => {
  const rows = [['variance', variance], ['norm', norm]];
  const cells = variance[0].length;
  const [width, left, inner] = [860, 62, 786];
  const first = (cell) => Math.ceil((count * cell) / cells);
  const said = `variance and norm of ${whole(count)} output channels, ${whole(dead)} of them dead`;
  const picture = svg('svg', { viewBox: `0 0 ${width} 76`, role: 'img', 'aria-label': said });
  const deadOf = deadShares ? shares(deadShares) : [];
  rows.forEach(([name, [text, largest]], row) => {
    picture.append(svg('text', { class: 'tick', x: left - 6, y: 16 + 26 * row, 'text-anchor': 'end' }, name));
    shares(text).forEach((share, cell) => {
      const from = left + (inner * cell) / cells;
      const last = first(cell + 1) - 1;
      const channels = first(cell) === last ? `channel ${last}` : `channels ${first(cell)} to ${last}`;
      const note = deadOf[cell] ? `, ${Math.max(1, Math.round(deadOf[cell] * (last - first(cell) + 1)))} dead` : '';
      const rect = svg('rect', { x: from, y: 1 + 26 * row, width: inner / cells + 0.3, height: 24, fill: colour(share) });
      rect.append(svg('title', {}, `${channels}: ${name} about ${real(share * largest)}${note}`));
      picture.append(rect);
    });
  });
  deadOf.forEach((share, cell) => {
    if (!share) return;
    const middle = left + (inner * (cell + 0.5)) / cells;
    picture.append(svg('path', { class: 'dead', d: `M${middle} 55l4 8h-8z` }));
  });
  const ends = [[0, 'start'], [Math.max(0, count - 1), 'end']];
  ends.forEach(([channel, anchor]) => picture.append(svg('text', { class: 'tick', x: anchor === 'end' ? left + inner : left, y: 74, 'text-anchor': anchor }, String(channel))));
  const box = html('div', {}, html('div', { class: 'scroll', tabindex: 0, role: 'group', 'aria-label': 'channels' }, picture));
  const named = (what, found) => (found ? ` ${what} variance: ${real(found[1])} in channel ${whole(found[0])}.` : '');
  const marked = dead ? ` ${whole(dead)} dead ones (triangles).` : '';
  box.append(html('p', {}, `${whole(count)} output channels along axis ${axis}; dark is 0.${marked}${named('Least', least)}${named('Largest', most)}`));
  return box;
};
