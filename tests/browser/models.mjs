// Checkpoints for the pages that are tested.
import { writeFileSync } from 'node:fs';

/** Writes F32 tensors, a name and a shape each, as safetensors; `weight(tensor, index)` is what they hold. */
export const write = (path, tensors, weight) => {
  const header = Object.create(null);
  let at = 0;
  for (const [name, shape] of tensors) {
    const bytes = 4 * shape.reduce((a, b) => a * b, 1);
    header[name] = { dtype: 'F32', shape, data_offsets: [at, at + bytes] };
    at += bytes;
  }
  // JSON.stringify leaves out what an object inherits, not a key named __proto__ of one that inherits nothing.
  let text = JSON.stringify(header);
  text += ' '.repeat((8 - (Buffer.byteLength(text) % 8)) % 8);
  const data = new Float32Array(at / 4);
  let first = 0;
  tensors.forEach(([, shape], tensor) => {
    const count = shape.reduce((a, b) => a * b, 1);
    for (let i = 0; i < count; i++) data[first + i] = weight(tensor, i);
    first += count;
  });
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(Buffer.byteLength(text)));
  writeFileSync(path, Buffer.concat([length, Buffer.from(text), Buffer.from(data.buffer)]));
};

/** Pseudo-random numbers that look normal, the same ones every time. */
export const normal = (seed) => {
  let state = seed >>> 0;
  const next = () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32 - 0.5;
  };
  return () => next() + next() + next() + next();
};

/** Some 20 million weights of a transformer, with a dead channel, an outlier and a layer that is unlike the others. */
export const transformer = (path) => {
  const tensors = [['model.embed_tokens.weight', [8000, 256]]];
  for (let layer = 0; layer < 24; layer++) {
    const at = `model.layers.${layer}`;
    tensors.push([`${at}.input_layernorm.weight`, [256]]);
    for (const [name, out, into] of [['self_attn.q_proj', 256, 256], ['self_attn.k_proj', 64, 256], ['self_attn.v_proj', 64, 256],
      ['self_attn.o_proj', 256, 256], ['mlp.gate_proj', 704, 256], ['mlp.up_proj', 704, 256], ['mlp.down_proj', 256, 704]]) {
      tensors.push([`${at}.${name}.weight`, [out, into]]);
    }
  }
  tensors.push(['lm_head.weight', [8000, 256]]);
  const random = normal(7);
  const odd = tensors.findIndex(([name]) => name === 'model.layers.12.self_attn.q_proj.weight');
  const out = tensors.findIndex(([name]) => name === 'model.layers.3.mlp.down_proj.weight');
  const dead = tensors.findIndex(([name]) => name === 'model.layers.7.mlp.up_proj.weight');
  write(path, tensors, (tensor, i) => {
    if (tensors[tensor][1].length === 1) return 1 + 0.1 * random();
    if (tensor === dead && i >= 100 * 256 && i < 140 * 256) return 0;
    if (tensor === out && i === 3000) return 9;
    return random() * (tensor === odd ? 0.2 : 0.035);
  });
};

/** Ten thousand small tensors: a mixture of experts. */
export const experts = (path) => {
  const tensors = [];
  for (let layer = 0; layer < 60; layer++) {
    for (let expert = 0; expert < 56; expert++) {
      for (const name of ['up', 'down', 'gate']) tensors.push([`model.layers.${layer}.mlp.experts.${expert}.${name}_proj.weight`, [16, 24]]);
    }
  }
  const random = normal(3);
  write(path, tensors, () => random() * 0.02);
};

/** Names that a page must not take for anything but text. */
export const HOSTILE = ['</script><script>alert(1)</script>', '<img src=x onerror=alert(2)>', '"onmouseover="alert(3)', '${alert(4)}',
  'javascript:alert(5)', '__proto__', 'constructor', '--><!--', 'a\u202eb\u0000c', '\u2028line', 'x'.repeat(3000), '層.1.重み'];
export const hostile = (path) => {
  const random = normal(5);
  write(path, HOSTILE.map((name) => [name, [5, 7]]), () => random());
};
