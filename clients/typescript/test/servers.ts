// Real servers on loopback, and what a test wants to know of them.

import { once } from "node:events";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import type { TestContext } from "node:test";
import { setTimeout as pause } from "node:timers/promises";

/** One request as it arrived. */
export interface Arrival {
  method: string;
  path: string;
  headers: IncomingMessage["headers"];
  body: string;
}

export interface Api {
  /** Its address. */
  url: string;
  /** What has arrived so far. */
  arrivals: Arrival[];
  /** Settles as soon as a client has gone away before its answer was complete; rejects if none does within 2 s. */
  abandoned: () => Promise<void>;
}

/** A server that answers every request with `answer`, until the test ends. */
export async function serve(t: TestContext, answer: (response: ServerResponse) => void): Promise<Api> {
  const arrivals: Arrival[] = [];
  let abandon = () => {};
  const abandoned = new Promise<void>((resolve) => (abandon = resolve));
  const server = createServer(async (request, response) => {
    response.on("close", () => {
      if (!response.writableFinished) abandon();
    });
    const { method = "", url: path = "", headers } = request;
    let body = "";
    for await (const part of request.setEncoding("utf8")) body += part;
    arrivals.push({ method, path, headers, body });
    answer(response);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(async () => {
    server.close();
    server.closeAllConnections();
    await once(server, "close");
  });
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    arrivals,
    abandoned: async () => {
      const late = new AbortController();
      const waited = pause(2000, "late", { signal: late.signal }).catch(() => "in time");
      if ((await Promise.race([abandoned, waited])) === "late") throw new Error("no client has gone away");
      late.abort();
    },
  };
}

/** Answers with JSON. */
export function json(status: number, body: unknown, headers: Record<string, string> = {}) {
  return (response: ServerResponse) => {
    response.writeHead(status, { "content-type": "application/json", ...headers }).end(JSON.stringify(body));
  };
}

/** Answers with a text of any type. */
export function text(status: number, type: string, body: string) {
  return (response: ServerResponse) => void response.writeHead(status, { "content-type": type }).end(body);
}

/** An address at which nothing listens: that of a server which has just been closed. */
export async function nowhere(): Promise<string> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, "close");
  return `http://127.0.0.1:${port}`;
}
