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
  const normal = normalOf(now, i);
  const of = (column) => ({ packed: now[column][i], before: past ? past[column][i] : null });
  // The threshold; where other weights changed, too, what is left begins somewhere.
  const threshold = changes ? changes.high[i] ?? changes.left[i] : null;
  const named = changes && changes.high[i] === null ? 'smallest |w| left' : 'largest |w| cut';
  const beside = threshold ? [{ at: threshold }, { at: -threshold }] : [];
  const [marks, marked] = threshold ? [[{ at: Math.log2(threshold) }], [['mark', `${named}: ${real(threshold)}`]]] : [[], []];
  if (!after && data.rates.length && tensors.uniform[i].length) {
    const half = data.rates.indexOf(0.5);
    const at = tensors.uniform[i][half];
    if (at) { marks.push({ at: Math.log2(at) }); marked.push(['mark', `half of them lie below ${real(at)}`]); }
  }
  const was = past ? [['bar was', 'before'], ['bar', 'after']] : [['bar', 'weights']];
  const like = now.zeros[i] ? ' of weights that are not 0' : '';
  const bell = normal ? [['normal', `normal distribution of the same mean and variance${like}${past ? ', after' : ''}`]] : [];
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
