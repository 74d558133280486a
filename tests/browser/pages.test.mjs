// Pages of `secateur report` in a real browser. Needs SECATEUR (the binary) and a Chromium; SHOTS names a folder for screenshots.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join, resolve } from 'node:path';
import { after, before, test } from 'node:test';
import { chromium } from 'playwright-core';
import { HOSTILE, experts, hostile, transformer } from './models.mjs';

const root = resolve(import.meta.dirname, '../..');
// Relative to where npm was called.
const binary = resolve(process.env.INIT_CWD ?? '.', process.env.SECATEUR ?? join(root, 'target/debug/secateur'));
const shots = process.env.SHOTS && resolve(process.env.INIT_CWD ?? '.', process.env.SHOTS);
const folder = mkdtempSync(join(tmpdir(), 'secateur-pages-'));
const at = (name) => join(folder, name);
const secateur = (...args) => execFileSync(binary, args, { stdio: ['ignore', 'pipe', 'inherit'] });
const report = (name, ...args) => {
  secateur('report', ...args, '-o', at(name), '--engine', 'cpu', '-q');
  return at(name);
};

let browser;
before(async () => {
  if (shots) mkdirSync(shots, { recursive: true });
  const args = ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
    '--disable-component-update', '--disable-sync'];
  browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium', args });
});
after(async () => {
  await browser?.close();
  rmSync(folder, { recursive: true, force: true });
});

/** Opens a page in which nothing may go wrong: no error, no message, no dialog of a script, no request but for itself. */
const open = async (path, options = {}) => {
  const page = await browser.newPage({ viewport: { width: 1280, height: 900 }, ...options });
  const wrong = [];
  page.on('console', (message) => wrong.push(`console: ${message.text()}`));
  page.on('pageerror', (error) => wrong.push(`error: ${error.message}`));
  page.on('dialog', (dialog) => { wrong.push(`dialog: ${dialog.message()}`); dialog.dismiss(); });
  page.on('request', (request) => { if (!request.url().startsWith(`file://${encodeURI(path)}`)) wrong.push(`request: ${request.url()}`); });
  await page.goto(`file://${encodeURI(path)}`);
  page.wrong = wrong;
  return page;
};
const close = async (page) => {
  assert.deepEqual(page.wrong, []);
  await page.close();
};
const shoot = async (page, name) => {
  if (shots) await page.screenshot({ path: join(shots, `${name}.png`), fullPage: true });
};
const rows = (page) => page.locator('#tensor-rows tbody tr');
const cells = async (page, title) => {
  const titles = await page.locator('#tensor-rows thead th').allTextContents();
  const index = titles.findIndex((text) => text.startsWith(title));
  assert.ok(index >= 0, `${title}: ${titles}`);
  return page.locator(`#tensor-rows tbody tr > :nth-child(${index + 1})`).allTextContents();
};
const sort = (page, title) => page.getByRole('button', { name: title, exact: true }).click();

test('the page of every example model loads and fits a small screen', async () => {
  const examples = ['cnn.safetensors', 'cnn-bf16.safetensors', 'cnn-f16.safetensors', 'sharded'].map((name) => join(root, 'examples/data', name));
  examples.push(join(root, 'examples/lenet/lenet5.onnx'));
  const real = resolve(root, '../shared/data/models');
  if (existsSync(real)) examples.push(...readdirSync(real).map((name) => join(real, name)));
  for (const model of examples.filter(existsSync)) {
    const path = report(`${basename(model)}.html`, model);
    const page = await open(path);
    assert.ok((await rows(page).count()) > 0, model);
    await shoot(page, `${basename(model)}-1280`);
    await page.setViewportSize({ width: 400, height: 800 });
    assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= 400), `${model} is wider than 400 pixels`);
    await shoot(page, `${basename(model)}-400`);
    await close(page);
  }
});

test('sorting, filtering and details of a transformer, by mouse and keyboard', async () => {
  transformer(at('transformer.safetensors'));
  const page = await open(report('transformer.html', at('transformer.safetensors')));
  await shoot(page, 'transformer-1280');
  await sort(page, 'variance');
  const falling = (await cells(page, 'variance')).map(Number);
  assert.deepEqual(falling, [...falling].sort((a, b) => b - a));
  assert.equal(await page.locator('#tensor-rows th[aria-sort=descending]').count(), 1);
  await sort(page, 'variance');
  const rising = (await cells(page, 'variance')).map(Number);
  assert.deepEqual(rising, [...rising].sort((a, b) => a - b));
  assert.equal(await page.locator('#tensor-rows th[aria-sort=ascending] button').textContent(), 'variance');
  await sort(page, '|w| max / σ');
  assert.equal((await cells(page, 'name'))[0], 'model.layers.3.mlp.down_proj.weight', 'the outlier comes first');

  // Headings stay where they can be read.
  await rows(page).nth(90).scrollIntoViewIfNeeded();
  const heading = await page.locator('#tensor-rows thead th').nth(1).boundingBox();
  assert.ok(heading.y > -5 && heading.y < 900, `the headings are at ${heading.y}`);
  await page.getByLabel('Name contains').fill('LAYERS.1*.q_proj');
  const found = await cells(page, 'name');
  assert.equal(found.length, 11);
  assert.ok(found.every((name) => /layers\.1.*q_proj/.test(name)));
  assert.equal(await page.locator('#shown').textContent(), '11 of 194 tensors');
  await page.getByLabel('Name contains').fill('');
  await page.getByLabel('Kind').selectOption({ label: 'model.layers.*.mlp.up_proj.weight' });
  assert.equal(await rows(page).count(), 24);
  await page.getByLabel('Kind').selectOption('');
  await page.getByLabel('Only').selectOption({ label: 'with dead channels' });
  assert.deepEqual(await cells(page, 'name'), ['model.layers.7.mlp.up_proj.weight']);
  assert.deepEqual(await cells(page, 'dead'), ['40']);
  await page.getByLabel('Only').selectOption({ label: 'all' });

  // What is odd is said in words, and leads to its tensor.
  const odd = page.locator('figcaption button', { hasText: 'layers.12.self_attn.q_proj' });
  assert.ok((await odd.count()) > 0);
  await odd.first().focus();
  await page.keyboard.press('Enter');
  const dialog = page.locator('#detail');
  assert.ok(await dialog.isVisible());
  assert.equal(await page.locator('#detail-name').textContent(), 'model.layers.12.self_attn.q_proj.weight');
  assert.equal(await dialog.locator('svg[role=img][aria-label]').count(), 4, 'three histograms and the channels');
  assert.ok(await dialog.getByText('What pruning would cut').isVisible());
  if (shots) await page.screenshot({ path: join(shots, 'transformer-detail.png') });
  await page.keyboard.press('Escape');
  assert.ok(!(await dialog.isVisible()));
  assert.ok(await odd.first().evaluate((button) => button === document.activeElement), 'the focus comes back');
  await page.locator('svg .spot').first().click();
  assert.ok(await dialog.isVisible());
  await close(page);
});

test('before and after', async () => {
  const [model, cut] = [at('transformer.safetensors'), at('half.safetensors')];
  if (!existsSync(model)) transformer(model);
  secateur('prune', model, '-o', cut, '--sparsity', '0.5', '--allocation', 'global', '--engine', 'cpu', '-q');
  const page = await open(report('pair.html', model, cut));
  await shoot(page, 'pair-1280');
  await sort(page, 'cut');
  const shares = (await cells(page, 'cut')).map(parseFloat);
  assert.deepEqual(shares, [...shares].sort((a, b) => b - a));
  await rows(page).first().getByRole('button').click();
  const dialog = page.locator('#detail');
  assert.ok((await dialog.locator('line.mark').count()) >= 3, 'the threshold is drawn, on either side of 0 and by magnitude');
  assert.ok(await dialog.getByText(/largest \|w\| cut/).first().isVisible());
  assert.equal(await dialog.locator('path.was').count(), 3);
  if (shots) await page.screenshot({ path: join(shots, 'pair-detail.png') });
  await page.keyboard.press('Escape');
  await page.setViewportSize({ width: 400, height: 800 });
  assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= 400));
  await shoot(page, 'pair-400');
  // On a phone, too, the details can be read: what does not fit scrolls.
  await rows(page).first().getByRole('button').click();
  assert.ok((await dialog.locator('svg').first().boundingBox()).width >= 600);
  assert.ok((await dialog.boundingBox()).width <= 400);
  await page.keyboard.press('Escape');
  await close(page);
});

test('a search', async () => {
  const eval_ = 'echo 0.9 {model}; echo 0.9';
  secateur('search', join(root, 'examples/data/cnn.safetensors'), '-o', at('best.safetensors'), '--eval', eval_, '--floor', '0.5',
    '--strategy', 'fixed', '--step', '20%', '--evaluations', '4', '--journal', at('journal'), '-q');
  const page = await open(report('search.html', '--journal', at('journal')));
  assert.ok(await page.getByText('chosen').first().isVisible());
  assert.ok((await page.locator('figure svg').count()) >= 2);
  await shoot(page, 'search-1280');
  await close(page);
});

test('hostile names are text', async () => {
  hostile(at('hostile.safetensors'));
  const page = await open(report('hostile.html', at('hostile.safetensors')));
  assert.equal(await rows(page).count(), HOSTILE.length);
  const names = await cells(page, 'name');
  for (const name of ['</script><script>alert(1)</script>', '<img src=x onerror=alert(2)>', '__proto__', 'a\\u{202e}b\\u{0}c']) {
    assert.ok(names.includes(name), `${name}: ${names}`);
  }
  for (let i = 0; i < HOSTILE.length; i++) {
    await rows(page).nth(i).getByRole('button').hover();
    await rows(page).nth(i).getByRole('button').click();
    await page.keyboard.press('Escape');
  }
  assert.equal(await page.locator('img').count(), 0);
  await page.setViewportSize({ width: 400, height: 800 });
  assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= 400));
  await close(page);
});

test('dark pages, and paper', async () => {
  const path = report('cnn.html', join(root, 'examples/data/cnn.safetensors'));
  const luminance = (colour) => {
    const parts = colour.match(/[\d.]+/g).slice(0, 3).map((part) => Number(part) / 255);
    return 0.2126 * parts[0] ** 2.2 + 0.7152 * parts[1] ** 2.2 + 0.0722 * parts[2] ** 2.2;
  };
  const contrast = (a, b) => (Math.max(luminance(a), luminance(b)) + 0.05) / (Math.min(luminance(a), luminance(b)) + 0.05);
  for (const [scheme, media] of [['light', 'screen'], ['dark', 'screen'], ['light', 'print']]) {
    const page = await open(path, { colorScheme: scheme });
    await page.emulateMedia({ media, colorScheme: scheme });
    const colours = await page.evaluate(() => {
      const of = (selector, property) => getComputedStyle(document.querySelector(selector))[property];
      // Colours that stand for numbers are the same on every page.
      const cell = [...document.querySelectorAll('svg rect')].find((rect) => rect.getAttribute('fill') === '#440154');
      return { cell: cell && getComputedStyle(cell).fill, ground: of('body', 'backgroundColor'), ink: of('body', 'color'), paper: of('figure svg rect', 'fill'), text: of('figure svg text', 'fill') };
    });
    assert.ok(contrast(colours.ground, colours.ink) > 7, `${scheme} ${media}: ${JSON.stringify(colours)}`);
    assert.ok(contrast(colours.paper, colours.text) > 7, `${scheme} ${media}: ${JSON.stringify(colours)}`);
    assert.equal(colours.cell, 'rgb(68, 1, 84)');
    assert.equal(luminance(colours.ground) < 0.1, scheme === 'dark');
    assert.equal(luminance(colours.paper) < 0.1, scheme === 'dark');
    if (media === 'print') assert.ok(!(await page.getByLabel('Name contains').isVisible()));
    await shoot(page, `cnn-${scheme}-${media}`);
    await close(page);
  }
});

test('ten thousand tensors', async () => {
  experts(at('experts.safetensors'));
  const path = report('experts.html', at('experts.safetensors'));
  assert.ok(statSync(path).size < 6e6, `${statSync(path).size} bytes`);
  const page = await open(path);
  assert.equal(await page.locator('#shown').textContent(), '10,080 of 10,080 tensors');
  assert.equal(await rows(page).count(), 100);
  const started = Date.now();
  await sort(page, 'kurtosis');
  await page.getByLabel('Name contains').fill('layers.59.*experts.55.');
  assert.equal(await page.locator('#shown').textContent(), '3 of 10,080 tensors');
  assert.ok(Date.now() - started < 5000, 'sorting and filtering take seconds');
  await page.getByLabel('Name contains').fill('');
  await page.getByRole('button', { name: 'Next' }).click();
  assert.equal(await page.locator('#page').textContent(), 'page 2 of 101');
  await shoot(page, 'experts-1280');
  await close(page);
});
