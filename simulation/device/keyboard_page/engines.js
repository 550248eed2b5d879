// How the page runs a model file: with LiteRT.js in the page itself, or by asking the process that serves it.
// Both give open(place, file) -> {run(signature, inputs) -> outputs, forget()}, where inputs and outputs are
// {name: {shape, dtype: "int32" | "float32", data: typed array}}.

const ARRAYS = { int32: Int32Array, float32: Float32Array };

/** A tensor for `run`. */
export function tensor(dtype, shape, data) {
  const size = shape.reduce((product, length) => product * length, 1);
  return { dtype, shape, data: data ? ARRAYS[dtype].from(data) : new ARRAYS[dtype](size) };
}

/** The file runs in this page; what it is given never leaves it. */
class LiteRtFile {
  constructor(litert, bytes) {
    this.litert = litert;
    this.bytes = bytes;
  }

  async load() {
    this.model?.delete();
    this.model = await this.litert.loadAndCompile(this.bytes, { accelerator: "wasm", cpuOptions: { numThreads: 1 } });
    return this;
  }

  async run(signature, inputs) {
    const given = {};
    for (const [name, { shape, data }] of Object.entries(inputs)) {
      given[name] = new this.litert.Tensor(data, shape);
    }
    let found = {};
    try {
      found = await this.model.run(signature, given);
      const outputs = {};
      for (const [name, value] of Object.entries(found)) {
        // A copy: the memory is the runtime's and goes with the tensor.
        outputs[name] = { shape: Array.from(value.type.layout.dimensions), data: (await value.data()).slice() };
      }
      return outputs;
    } finally {
      for (const one of [...Object.values(given), ...Object.values(found)]) {
        if (!one.deleted) one.delete();
      }
    }
  }

  async forget() {
    await this.load();
  }
}

/** The file runs in the process that serves this page. */
class LocalFile {
  constructor(place, file) {
    this.path = `${place}/${file}`;
  }

  async post(path, body) {
    const answer = await fetch(path, { method: "POST", body: JSON.stringify(body) });
    const found = await answer.json();
    if (!answer.ok) throw new Error(found.error);
    return found;
  }

  async run(signature, inputs) {
    const given = {};
    for (const [name, { shape, dtype, data }] of Object.entries(inputs)) {
      given[name] = { shape, dtype, data: Array.from(data) };
    }
    const found = await this.post(`/run/${this.path}/${signature}`, given);
    for (const one of Object.values(found)) one.data = ARRAYS[one.dtype].from(one.data);
    return found;
  }

  async forget() {
    await this.post(`/reset/${this.path}`, {});
  }
}

/** open(place, file) of the engine that the server names. */
export async function openEngine(kind) {
  if (kind === "local") return async (place, file) => new LocalFile(place, file);
  const litert = await import("@litertjs/core");
  await litert.loadLiteRt("/litert/wasm/");
  return async (place, file) => {
    const answer = await fetch(`/models/${place}/${file}`);
    if (!answer.ok) throw new Error(`${file}: ${answer.status}`);
    return new LiteRtFile(litert, new Uint8Array(await answer.arrayBuffer())).load();
  };
}
