// The hosts of the JavaScript Workers, the same in all of them. The Workers differ in how
// they wrap a host and how they capture an error.
//
// `POST /<host>/<op>?run=R&count=N&size=S` makes the host `fetch`, `alarm` or `run` do
// something N times. The Worker tells the receiver when it begins and when it is
// done, so the receiver takes the time.
//
// | op                       | what the host does                                  |
// | ------------------------ | --------------------------------------------------- |
// | `nothing`                | nothing between the two                             |
// | `captures`, `at-once`    | captures errors, in a row or at once                |
// | `same`                   | captures one error again and again                  |
// | `crumbs`                 | captures errors in a row, each after ten breadcrumbs |
// | `wrapped`                | is called by its wrapper, does not fail             |
// | `axum`, `axum-bare`      | the same with the wrapper and without; in Rust, that of axum |
// | `cron`                   | `scheduled` is called by its wrapper, as one run of a monitor |
// | `steps`                  | runs steps that do nothing; the host `run` only     |
// | `fail`                   | throws, and tells nobody                            |
// | `said`                   | uses a span and a log, so that they are in the bundle |
// | `floor`, `floor-at-once` | sends S bytes, in a row or at once; JavaScript only |

import { DurableObject, WorkflowEntrypoint } from "cloudflare:workers";

/// The error of the hosts.
export class BrokenLine extends Error {
  constructor(line) {
    super(`line ${line} of the list is broken: a bracket is not closed`);
    this.name = "BrokenLine";
  }
}

/// The breadcrumbs that `crumbs` adds before each error.
function crumbs() {
  return Array.from({ length: 10 }, (_, n) => ({
    category: "list",
    message: `line ${n} of the list is read`,
    level: "info",
  }));
}

/// Makes the Worker. The arguments say how it wraps each host and how it captures; the defaults are
/// those of a Worker without an error reporter.
export function hosts({
  wrapHandler = (handler) => handler,
  wrapObject = (object) => object,
  wrapFlow = (flow) => flow,
  enter = () => {},
  capture = async () => {},
  monitor = (env, context, body) => body(),
  said = async () => {},
}) {
  // Does what the host was asked to do, inside the wrapper.
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
      case "crumbs":
        return measured(env, order, async () => {
          for (let n = 0; n < order.count; n++) {
            await capture(env, place, new BrokenLine(n), crumbs());
          }
        });
      case "said":
        return said();
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

  // A request that is answered at once, so that only the work of the wrapper is measured.
  let idle = { request: null, response: null };

  const makeHandler = () => ({
    async fetch(request, env, context) {
      if (request === idle.request) {
        return idle.response;
      }
      await work(env, "main.fetch", orderOf(request));
      return new Response("done\n");
    },
    async scheduled(controller, env, context) {
      await monitor(env, context, async () => {});
    },
  });
  const handler = wrapHandler(makeHandler());
  const bare = makeHandler();

  const Inner = wrapObject(
    class Bench extends DurableObject {
      async alarm() {
        await work(this.env, "Bench.alarm", this.order);
      }
    },
  );

  const InnerFlow = wrapFlow(
    class BenchFlow extends WorkflowEntrypoint {
      async run(event, step) {
        const order = event.payload;
        if (order.op !== "steps") {
          return work(this.env, "BenchFlow.run", order);
        }
        await measured(this.env, order, async () => {
          for (let n = 0; n < order.count; n++) {
            await step.do(`step ${n}`, async () => {});
          }
        });
      }
    },
  );

  // The runtime calls these classes. Each passes the call on to the wrapped class, so that the
  // bench can repeat a call of the wrapper as the runtime would make it.
  const IDLE = { op: "idle", count: 0 };

  class Bench extends DurableObject {
    constructor(state, env) {
      super(state, env);
      this.inner = new Inner(state, env);
    }

    async fetch(request) {
      // The order is stored before the alarm is set, because the alarm reads it.
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
          const order = orderOf(request);
          if (op === "cron") {
            const controller = { cron: "*/15 * * * *", scheduledTime: Date.now(), noRetry() {} };
            await measured(env, order, async () => {
              for (let n = 0; n < order.count; n++) {
                await handler.scheduled(controller, env, context);
              }
            });
            return new Response("done\n");
          }
          if (!["wrapped", "axum", "axum-bare"].includes(op)) {
            return handler.fetch(request, env, context);
          }
          const called = op === "axum-bare" ? bare : handler;
          idle = { request: new Request(request.url), response: new Response(null) };
          await measured(env, order, async () => {
            for (let n = 0; n < order.count; n++) {
              await called.fetch(idle.request, env, context);
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
