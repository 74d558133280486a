'use strict';
// Reading and writing numbers. All scripts of a page are one, in the order numbers, charts, detail, table.
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

// Mean, σ and count of the weights that are drawn: those that are not 0.
const normalOf = (of, i) => {
  const n = finite(of, i);
  const shown = n - of.zeros[i];
  if (!(of.variance[i] > 0 && shown > 0)) return null;
  const mean = of.mean[i] * (n / shown);
  const spread = shown === n ? of.variance[i] : (of.variance[i] + of.mean[i] ** 2) * (n / shown) - mean * mean;
  return spread > 0 ? { mean, sigma: Math.sqrt(spread), count: shown } : null;
};
