// The table of tensors.
const fill = (root) => {
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
    { title: 'dtype', value: (i) => tensors.dtype[i], text: (i) => (after && there(i) && after.dtype[i] !== tensors.dtype[i] ? `${tensors.dtype[i]} → ${after.dtype[i]}` : tensors.dtype[i]), words: true, first: 1 },
    { title: 'shape', value: (i) => tensors.count[i], words: true, first: -1,
      text: (i) => (after && there(i) && dimensions(after.shape[i]) !== dimensions(tensors.shape[i]) ? `${dimensions(tensors.shape[i])} → ${dimensions(after.shape[i])}` : dimensions(tensors.shape[i])) },
    ...(after ? compared : single),
    statistic('mean', real), ...(after ? [change('mean', real)] : []),
    statistic('variance', real), ...(after ? [change('variance', real)] : []),
    statistic('skewness', shape3), ...(after ? [change('skewness', shape3)] : []),
    statistic('kurtosis', shape3), ...(after ? [change('kurtosis', shape3)] : []),
    ...['min', 'max', 'l1', 'l2'].flatMap((name) => (after ? [statistic(name, real), change(name, real)] : [])),
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
};
const root = document.getElementById('tensor-table');
if (root) fill(root);
