'use strict';
(() => {
  const data = JSON.parse(document.getElementById('data').textContent);
  const { tensors, after, changes, detail } = data;
  const total = tensors.name.length;
  const DIGITS = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz-_';
  const VALUE = new Map([...DIGITS].map((digit, value) => [digit, value]));
  const PAGE = 100;
  const NONE = '–';

  // Numbers, as the rest of the page writes them.
  const real = (x) => {
    if (x === null || x === undefined) return NONE;
    if (x === 0) return '0';
    const exponent = Math.floor(Math.log10(Math.abs(x)) + 1e-12);
    if (exponent >= -2 && exponent <= 3) return x.toFixed(3 - exponent);
    return x.toExponential(3).replace('e+', 'e');
  };
  const shape3 = (x) => (x === null || x === undefined ? NONE : Math.abs(x) < 1000 ? x.toFixed(3) : real(x));
  const whole = (n) => (n === null || n === undefined ? NONE : n.toLocaleString('en-US'));
  const percent = (part, of) => {
    if (!of) return NONE;
    const share = (100 * part) / of;
    if (part === 0) return '0%';
    if (share < 0.01) return '<0.01%';
    return share < 10 ? share.toFixed(2) + '%' : share.toFixed(1) + '%';
  };
  const dimensions = (shape) => (shape.length ? shape.join('×') : 'scalar');

  // What is packed.
  const counts = ([from, to, most, text]) => {
    const found = [];
    const levels = 64 ** detail.digits - 1;
    for (let i = 0; i < text.length; i += detail.digits) {
      let number = 0;
      for (let j = 0; j < detail.digits; j++) number = number * 64 + VALUE.get(text[i + j]);
      found.push(Math.expm1((number / levels) * Math.log1p(most)));
    }
    return { from, to, most, counts: found };
  };
  const shares = (text) => [...text].map((digit) => VALUE.get(digit) / 63);

  // Of a very long name its beginning and its end.
  const brief = (name) => (name.length > 160 ? `${name.slice(0, 100)}…${name.slice(-40)}` : name);

  const sigma = (of, i) => (of.variance[i] > 0 ? Math.sqrt(of.variance[i]) : null);
  const largest = (of, i) => (of.max[i] === null ? null : Math.max(Math.abs(of.min[i]), Math.abs(of.max[i])));
  const outlier = (of, i) => (sigma(of, i) === null ? null : largest(of, i) / sigma(of, i));
  const finite = (of, i) => of.count[i] - of.nan[i] - of.inf[i];

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
    if (!found.counts.length) return null;
    const past = before ? counts(before) : null;
    const [width, height, left, top, right, bottom] = [860, 240, 62, 10, 12, 44];
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
    return picture;
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
    const box = html('div', {}, picture);
    const named = (what, found) => (found ? ` ${what} variance: ${real(found[1])} in channel ${whole(found[0])}.` : '');
    const marked = dead ? ` ${whole(dead)} dead ones (triangles).` : '';
    box.append(html('p', {}, `${whole(count)} output channels along axis ${axis}; dark is 0.${marked}${named('Least', least)}${named('Largest', most)}`));
    return box;
  };

  // Everything about one tensor.
  const dialog = document.getElementById('detail');
  const numbers = (pairs) => html('dl', { class: 'numbers' }, ...pairs.map(([name, value]) => html('div', {}, html('dt', {}, name), html('dd', {}, value))));
  const open = (i) => {
    const there = after && after.count[i] !== null;
    const [now, past] = there ? [after, tensors] : [tensors, null];
    const body = document.getElementById('detail-body');
    body.replaceChildren();
    document.getElementById('detail-name').textContent = tensors.name[i];
    const both = (value) => (past && value(past) !== value(now) ? `${value(past)} → ${value(now)}` : value(now));
    const pairs = [
      ['dtype', both((of) => of.dtype[i])],
      ['shape', both((of) => dimensions(of.shape[i]))],
      ['weights', both((of) => whole(of.count[i]))],
      ['zeros', both((of) => percent(of.zeros[i], of.count[i]))],
      ['mean', both((of) => real(of.mean[i]))],
      ['variance', both((of) => real(of.variance[i]))],
      ['σ', both((of) => real(sigma(of, i)))],
      ['skewness', both((of) => shape3(of.skewness[i]))],
      ['kurtosis', both((of) => shape3(of.kurtosis[i]))],
      ['least', both((of) => real(of.min[i]))],
      ['most', both((of) => real(of.max[i]))],
      ['largest |w|', both((of) => (outlier(of, i) === null ? NONE : outlier(of, i).toFixed(1) + ' σ'))],
      ['L1', both((of) => real(of.l1[i]))],
      ['L2', both((of) => real(of.l2[i]))],
      ['NaN, inf', both((of) => `${whole(of.nan[i])}, ${whole(of.inf[i])}`)],
    ];
    if (changes) {
      pairs.push(['weights cut', there ? `${whole(changes.cut[i])} (${percent(changes.cut[i], tensors.count[i])})` : 'all: it is gone']);
      if (changes.high[i] !== null) pairs.push(['|w| cut', `${real(changes.low[i])} to ${real(changes.high[i])}`]);
    }
    body.append(numbers(pairs));
    const s = sigma(now, i);
    const normal = s === null ? null : { mean: now.mean[i], sigma: s, count: finite(now, i) };
    const of = (column) => ({ packed: now[column][i], before: past ? past[column][i] : null });
    const threshold = changes ? changes.high[i] : null;
    const beside = threshold ? [{ at: threshold }, { at: -threshold }] : [];
    const [marks, marked] = threshold ? [[{ at: Math.log2(threshold) }], [['mark', `largest |w| cut: ${real(threshold)}`]]] : [[], []];
    if (!after && data.rates.length && tensors.uniform[i].length) {
      const half = data.rates.indexOf(0.5);
      const at = tensors.uniform[i][half];
      if (at) { marks.push({ at: Math.log2(at) }); marked.push(['mark', `half of them lie below ${real(at)}`]); }
    }
    const was = past ? [['bar was', 'before'], ['bar', 'after']] : [['bar', 'weights']];
    const bell = normal ? [['normal', 'normal distribution of the same mean and variance']] : [];
    const add = (title, picture, entries) => picture && body.append(html('h3', {}, title), legend(entries), picture);
    const weight = now.zeros[i] ? 'weight, zeros left out' : 'weight';
    add('Weights', histogram({ ...of('near'), normal, what: `${weight}; to 6 σ about the mean`, marks: beside }), [...was, ...bell, ...marked.filter(() => threshold)]);
    add('All weights', histogram({ ...of('whole'), normal, log: true, what: weight, marks: beside }), [...was, ...bell, ...marked.filter(() => threshold)]);
    add('Magnitudes', histogram({ ...of('octaves'), what: 'log2 |w|, zeros left out', marks }), [...was, ...marked]);
    for (const [title, columns] of past ? [['Channels before', past], ['Channels after', now]] : [['Channels', now]]) {
      if (columns.channels[i]) body.append(html('h3', {}, title), strip(columns.channels[i]));
    }
    if (!after && data.rates.length) {
      body.append(html('h3', {}, 'What pruning would cut'));
      if (tensors.left_out[i]) {
        body.append(html('p', {}, `Pruning leaves it out: ${tensors.left_out[i]}.`));
      } else {
        body.append(numbers(data.rates.map((rate, k) => [`global ${Math.round(100 * rate)} %`, percent(tensors.global[i][k], tensors.count[i])])));
        body.append(numbers(data.rates.map((rate, k) => [`uniform ${Math.round(100 * rate)} %`, `|w| to ${real(tensors.uniform[i][k])}`])));
      }
    }
    dialog.showModal();
    dialog.scrollTop = 0;
  };
  document.addEventListener('click', (event) => {
    const target = event.target.closest('[data-tensor]');
    if (target) open(Number(target.dataset.tensor));
    if (event.target === dialog) dialog.close();
  });

  // The table.
  const root = document.getElementById('tensor-table');
  if (!root) return;
  const there = (i) => !after || after.count[i] !== null;
  const now = (i) => (after && there(i) ? after : tensors);
  const number = (title, value, text, first = -1) => ({ title, value, text, first });
  const single = [
    number('count', (i) => tensors.count[i], (i) => short(tensors.count[i])),
    number('zeros', (i) => (tensors.count[i] ? tensors.zeros[i] / tensors.count[i] : null), (i) => percent(tensors.zeros[i], tensors.count[i])),
  ];
  const compared = [
    number('weights before', (i) => tensors.count[i], (i) => short(tensors.count[i])),
    number('cut', (i) => (there(i) ? changes.cut[i] / (tensors.count[i] || 1) : 1), (i) => (there(i) ? percent(changes.cut[i], tensors.count[i]) : 'gone')),
    number('largest |w| cut', (i) => changes.high[i], (i) => real(changes.high[i])),
    number('zeros', (i) => (there(i) ? now(i).zeros[i] / (now(i).count[i] || 1) : null), (i) => (there(i) ? percent(now(i).zeros[i], now(i).count[i]) : NONE)),
  ];
  const statistic = (name, text) => number(name, (i) => now(i)[name][i], (i) => text(now(i)[name][i]));
  // How a statistic has changed.
  const change = (name, text) => number(`Δ ${name}`, (i) => (there(i) && now(i)[name][i] !== null && tensors[name][i] !== null ? now(i)[name][i] - tensors[name][i] : null),
    (i) => { const was = tensors[name][i]; const is = there(i) ? now(i)[name][i] : null; return was === null || is === null ? NONE : (is > was ? '+' : '') + text(is - was); });
  const columns = [
    { title: 'name', value: (i) => i, words: true, first: 1 },
    { title: 'histogram', picture: (i) => spark(now(i).near[i], after && there(i) ? tensors.near[i] : null) },
    { title: 'dtype', value: (i) => tensors.dtype[i], text: (i) => tensors.dtype[i], words: true, first: 1 },
    { title: 'shape', value: (i) => tensors.count[i], words: true, first: -1,
      text: (i) => (after && there(i) && dimensions(after.shape[i]) !== dimensions(tensors.shape[i]) ? `${dimensions(tensors.shape[i])} → ${dimensions(after.shape[i])}` : dimensions(tensors.shape[i])) },
    ...(after ? compared : single),
    statistic('mean', real), ...(after ? [change('mean', real)] : []),
    statistic('variance', real), ...(after ? [change('variance', real)] : []),
    statistic('skewness', shape3), ...(after ? [change('skewness', shape3)] : []),
    statistic('kurtosis', shape3), ...(after ? [change('kurtosis', shape3)] : []),
    number('|w| max / σ', (i) => outlier(now(i), i), (i) => (outlier(now(i), i) === null ? NONE : outlier(now(i), i).toFixed(1))),
    ...(after || !data.rates.length ? [] : data.rates.map((rate, k) =>
      number(`global ${Math.round(100 * rate)} %`, (i) => (tensors.left_out[i] ? null : tensors.global[i][k] / (tensors.count[i] || 1)),
        (i) => (tensors.left_out[i] ? NONE : percent(tensors.global[i][k], tensors.count[i]))))),
    number('dead', (i) => (now(i).channels[i] ? now(i).channels[i][2] : null), (i) => (now(i).channels[i] ? whole(now(i).channels[i][2]) : NONE)),
  ];

  const head = html('tr');
  const [, body] = [root.querySelector('thead').append(head), root.querySelector('tbody')];
  let sorted = { column: 0, direction: 1 };
  columns.forEach((column, index) => {
    const cell = html('th', { scope: 'col' });
    if (column.words) cell.className = 'words';
    if (column.value) {
      const button = html('button', { type: 'button' }, column.title);
      button.addEventListener('click', () => {
        const again = sorted.column === index;
        sorted = { column: index, direction: again ? -sorted.direction : column.first };
        refresh();
      });
      cell.append(button);
    } else {
      cell.append(column.title);
    }
    head.append(cell);
  });

  const filter = document.getElementById('filter');
  const kind = document.getElementById('kind');
  const only = document.getElementById('only');
  data.kinds.forEach((name, index) => kind.append(html('option', { value: index }, brief(name))));
  const sets = [
    ['all', () => true],
    ['two axes and more', (i) => tensors.shape[i].length > 1],
    ...(after
      ? [['changed', (i) => !there(i) || changes.cut[i] > 0 || !changes.only_cut[i]], ['gone', (i) => !there(i)]]
      : [['eligible for pruning', (i) => data.rates.length > 0 && !tensors.left_out[i]]]),
    ['with dead channels', (i) => now(i).channels[i] && now(i).channels[i][2] > 0],
    ['with NaN or inf', (i) => now(i).nan[i] + now(i).inf[i] > 0],
  ];
  sets.forEach(([name], index) => only.append(html('option', { value: index }, name)));
  root.querySelectorAll('.controls').forEach((controls) => { controls.hidden = false; });
  root.querySelector('form').addEventListener('submit', (event) => event.preventDefault());

  // Parts between `*` in their order, whatever lies between them.
  const matches = (name, pattern) => {
    let at = 0;
    for (const part of pattern.split('*')) {
      const found = name.indexOf(part, at);
      if (found < 0) return false;
      at = found + part.length;
    }
    return true;
  };

  let order = [];
  let page = 0;
  const lower = tensors.name.map((name) => name.toLowerCase());
  const refresh = () => {
    const pattern = filter.value.trim().toLowerCase();
    const wanted = kind.value;
    const chosen = sets[Number(only.value) || 0][1];
    order = [];
    for (let i = 0; i < total; i++) {
      if ((wanted === '' || tensors.kind[i] === Number(wanted)) && matches(lower[i], pattern) && chosen(i)) order.push(i);
    }
    const { value } = columns[sorted.column];
    const keys = new Map(order.map((i) => [i, value(i)]));
    order.sort((a, b) => {
      const [x, y] = [keys.get(a), keys.get(b)];
      const [none, other] = [x === null || x === undefined, y === null || y === undefined];
      // What is undefined comes last in either direction.
      if (none || other) return none - other || a - b;
      return (x < y ? -1 : x > y ? 1 : 0) * sorted.direction || a - b;
    });
    [...head.children].forEach((cell, index) => {
      if (index === sorted.column) cell.setAttribute('aria-sort', sorted.direction > 0 ? 'ascending' : 'descending');
      else cell.removeAttribute('aria-sort');
    });
    page = 0;
    show();
  };
  const row = (i) => {
    const line = html('tr');
    columns.forEach((column, index) => {
      if (index === 0) {
        line.append(html('th', { scope: 'row' }, html('button', { type: 'button', class: 'link', 'data-tensor': i, title: tensors.name[i] }, brief(tensors.name[i]))));
      } else {
        line.append(html('td', column.words ? { class: 'words' } : {}, column.picture ? column.picture(i) : column.text(i)));
      }
    });
    return line;
  };
  const show = (from = page * PAGE, to = from + PAGE) => {
    body.replaceChildren(...order.slice(from, to).map(row));
    const pages = Math.max(1, Math.ceil(order.length / PAGE));
    document.getElementById('shown').textContent = `${whole(order.length)} of ${whole(total)} tensors`;
    document.getElementById('page').textContent = `page ${page + 1} of ${pages}`;
    document.getElementById('previous').disabled = page === 0;
    document.getElementById('next').disabled = page + 1 >= pages;
    root.querySelector('.pager').hidden = pages === 1;
  };
  const turn = (by) => { page += by; show(); };
  document.getElementById('previous').addEventListener('click', () => turn(-1));
  document.getElementById('next').addEventListener('click', () => turn(1));
  filter.addEventListener('input', refresh);
  kind.addEventListener('change', refresh);
  only.addEventListener('change', refresh);
  // On paper there are no pages to turn.
  window.addEventListener('beforeprint', () => { if (order.length <= 2000) show(0, order.length); });
  window.addEventListener('afterprint', () => show());
  refresh();
})();
