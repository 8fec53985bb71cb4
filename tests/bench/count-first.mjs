// This module is evaluated before the Rust Worker's main module. It counts the calls of the
// WebAssembly instance that the main module creates, and the timers that are not cleared.

const counts = (globalThis.__counts = { out: 0, back: 0, timers: 0, functions: {} });

// Timers that are still open. Such a timer would hold a request open.
const open = new Set();
const { setTimeout: set, clearTimeout: clear } = globalThis;

globalThis.setTimeout = (body, ...rest) => {
  counts.timers += 1;
  const timer = set((...given) => {
    open.delete(timer);
    body(...given);
  }, ...rest);
  open.add(timer);
  return timer;
};

globalThis.clearTimeout = (timer) => {
  if (open.delete(timer)) {
    counts.timers -= 1;
  }
  clear(timer);
};

function counted(functions, note) {
  const wrapped = {};
  for (const [name, value] of Object.entries(functions)) {
    wrapped[name] = value;
    if (typeof value === "function") {
      wrapped[name] = (...given) => {
        note(name);
        return value(...given);
      };
    }
  }
  return wrapped;
}

function out(name) {
  counts.out += 1;
  counts.functions[name] = (counts.functions[name] ?? 0) + 1;
}

function back() {
  counts.back += 1;
}

const { Instance } = WebAssembly;

WebAssembly.Instance = function (module, imports) {
  const given = Object.entries(imports).map(([name, functions]) => [name, counted(functions, out)]);
  const instance = new Instance(module, Object.fromEntries(given));
  return { exports: counted(instance.exports, back) };
};
