// The hosts of the JavaScript Workers, the same in all of them. What differs is how
// a host is wrapped and how an error is captured.
//
// `POST /<host>/<op>?run=R&count=N&size=S` makes the host `fetch`, `alarm` or `run` do
// something N times. The Worker tells the receiver when it begins and when it is
// done, so the time is taken outside.
//
// | op                       | what the host does                                  |
// | ------------------------ | --------------------------------------------------- |
// | `nothing`                | nothing between the two                             |
// | `captures`, `at-once`    | captures errors, in a row or at once                |
// | `same`                   | captures one error again and again                  |
// | `wrapped`                | is called by its wrapper, does not fail             |
// | `fail`                   | throws, and tells nobody                            |
// | `floor`, `floor-at-once` | sends S bytes, in a row or at once; JavaScript only |

import { DurableObject, WorkflowEntrypoint } from "cloudflare:workers";

/// What the hosts fail with.
export class BrokenLine extends Error {
  constructor(line) {
    super(`line ${line} of the list is broken: a bracket is not closed`);
    this.name = "BrokenLine";
  }
}

/// Makes the Worker: how it wraps each host, and how it captures. What is not
/// given is what a Worker without any of it does.
export function hosts({
  wrapHandler = (handler) => handler,
  wrapObject = (object) => object,
  wrapFlow = (flow) => flow,
  enter = () => {},
  capture = async () => {},
}) {
  // Does what is asked of a host, from inside the wrapper.
  async function work(env, place, order) {
    enter(place);
    switch (order.op) {
      case "idle":
        return;
      case "fail":
        throw new BrokenLine(order.count);
      case "captures":
        return measured(env, order, async () => {
          for (let n = 0; n < order.count; n++) {
            await capture(env, place, new BrokenLine(n));
          }
        });
      case "at-once":
        return measured(env, order, () => {
          const one = (_, n) => capture(env, place, new BrokenLine(n));
          return Promise.all(Array.from({ length: order.count }, one));
        });
      case "same": {
        const error = new BrokenLine(0);
        return measured(env, order, async () => {
          for (let n = 0; n < order.count; n++) {
            await capture(env, place, error);
          }
        });
      }
      case "floor":
        return measured(env, order, async () => {
          const body = new Uint8Array(order.size).fill(120);
          for (let n = 0; n < order.count; n++) {
            await post(env, body);
          }
        });
      case "floor-at-once":
        return measured(env, order, () => {
          const body = new Uint8Array(order.size).fill(120);
          return Promise.all(Array.from({ length: order.count }, () => post(env, body)));
        });
      case "nothing":
        return measured(env, order, async () => {});
      default:
        throw new Error(`no operation ${order.op}`);
    }
  }

  // A request that is answered at once, so that its wrapper's work is all there is.
  let idle = { request: null, response: null };

  const handler = wrapHandler({
    async fetch(request, env, context) {
      if (request === idle.request) {
        return idle.response;
      }
      await work(env, "main.fetch", orderOf(request));
      return new Response("done\n");
    },
  });

  const Inner = wrapObject(
    class Bench extends DurableObject {
      async alarm() {
        await work(this.env, "Bench.alarm", this.order);
      }
    },
  );

  const InnerFlow = wrapFlow(
    class BenchFlow extends WorkflowEntrypoint {
      async run(event) {
        await work(this.env, "BenchFlow.run", event.payload);
      }
    },
  );

  // The runtime calls these. Each passes on to the wrapped one, so that a call of
  // a wrapper can also be repeated, as the runtime would make it.
  const IDLE = { op: "idle", count: 0 };

  class Bench extends DurableObject {
    constructor(state, env) {
      super(state, env);
      this.inner = new Inner(state, env);
    }

    async fetch(request) {
      // First of all: the runtime runs a failed alarm again.
      await this.ctx.storage.put("order", orderOf(request));
      await this.ctx.storage.setAlarm(Date.now());
      return new Response("the alarm is set\n", { status: 202 });
    }

    async alarm() {
      const order = await this.ctx.storage.get("order");
      await this.ctx.storage.delete("order");
      const { inner } = this;
      if (order?.op !== "wrapped") {
        inner.order = order ?? IDLE;
        return inner.alarm();
      }
      inner.order = IDLE;
      await measured(this.env, order, async () => {
        for (let n = 0; n < order.count; n++) {
          await inner.alarm();
        }
      });
    }
  }

  class BenchFlow extends WorkflowEntrypoint {
    async run(event, step) {
      const flow = new InnerFlow(this.ctx, this.env);
      if (event.payload.op !== "wrapped") {
        return flow.run(event, step);
      }
      const idle = { ...event, payload: IDLE };
      await measured(this.env, event.payload, async () => {
        for (let n = 0; n < event.payload.count; n++) {
          await flow.run(idle, step);
        }
      });
    }
  }

  const main = {
    async fetch(request, env, context) {
      const [, host, op] = new URL(request.url).pathname.split("/");
      switch (host) {
        case "fetch": {
          if (op !== "wrapped") {
            return handler.fetch(request, env, context);
          }
          const order = orderOf(request);
          idle = { request: new Request(request.url), response: new Response(null) };
          await measured(env, order, async () => {
            for (let n = 0; n < order.count; n++) {
              await handler.fetch(idle.request, env, context);
            }
          });
          return new Response("done\n");
        }
        case "alarm":
          return env.BENCH.get(env.BENCH.idFromName("bench")).fetch(request);
        case "run":
          await env.FLOW.create({ params: orderOf(request) });
          return new Response("the instance is created\n", { status: 202 });
        case "memory":
          return Response.json(0);
        default:
          return new Response("bench\n");
      }
    },
  };

  return { main, Bench, BenchFlow };
}

function orderOf(request) {
  const url = new URL(request.url);
  const number = (name) => Number(url.searchParams.get(name) ?? 0);
  return {
    op: url.pathname.split("/")[2],
    run: url.searchParams.get("run"),
    count: number("count"),
    size: number("size"),
  };
}

async function measured(env, order, body) {
  await mark(env, "begin", order);
  await body();
  await mark(env, "end", order);
}

async function mark(env, what, order) {
  const response = await fetch(`${env.MARKS}/mark/${what}/${order.run}`, { method: "POST" });
  await response.text();
}

async function post(env, body) {
  const response = await fetch(`${env.MARKS}/floor`, { method: "POST", body });
  await response.text();
}
