// The local stack as a child process: `rollcall dev`, in memory, on free ports.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";

/** How long a stack may take to start or to stop, in ms. */
const PATIENCE_MS = 20_000;

export interface Stack {
  api: string;
  clerk: string;
  clerk_secret_key: string;
  clerk_publishable_key: string;
  allowed_origins: string;
  /** Ends it as an operator would, and says with which status. */
  stop: () => Promise<number | null>;
}

/** With sample users, and with settings of the functions, such as `{ ACCOUNT_DELETION: "on" }`. */
export async function start(users: number, settings: Record<string, string> = {}): Promise<Stack> {
  const binary = process.env["ROLLCALL_BIN"];
  if (!binary) {
    throw new Error(
      "ROLLCALL_BIN must name the rollcall binary: cargo build -p rollcall-cli, then " +
        "ROLLCALL_BIN=$PWD/target/debug/rollcall npm --prefix clients/typescript run test:e2e",
    );
  }
  const options = "dev --json --memory --port 0 --clerk-port 0 --dynamodb-port 0 --users".split(" ");
  // Of the environment nothing that would change the stack's settings.
  const env: Partial<NodeJS.ProcessEnv> = { PATH: process.env["PATH"], ...settings };
  const child = spawn(binary, [...options, String(users)], {
    stdio: ["ignore", "pipe", "pipe"],
    env: env as NodeJS.ProcessEnv,
  });
  let log = "";
  child.stderr.setEncoding("utf8").on("data", (part: string) => (log = (log + part).slice(-4000)));
  const ended = new Promise<number | null>((resolve, reject) => child.on("close", resolve).on("error", reject));

  const stop = async () => {
    child.kill("SIGTERM");
    const force = setTimeout(() => child.kill("SIGKILL"), PATIENCE_MS);
    try {
      return await ended;
    } finally {
      clearTimeout(force);
    }
  };
  const first = once(createInterface(child.stdout), "line", { signal: AbortSignal.timeout(PATIENCE_MS) });
  const died = ended.then((status) => {
    throw new Error(`${binary} ended with status ${status}: ${log}`);
  });
  // Later its end is what was asked for.
  died.catch(() => {});
  try {
    const [line] = (await Promise.race([first, died])) as [string];
    return { ...JSON.parse(line), stop };
  } catch (error) {
    first.catch(() => {});
    if (child.exitCode === null && child.pid !== undefined) await stop();
    throw error;
  }
}

/** A session token of a user, with anything else that the emulator can put into one. */
export async function token(stack: Stack, user: string, more: Record<string, unknown> = {}): Promise<string> {
  const { jwt } = (await clerk(stack, "POST", "/_emulator/tokens", { user_id: user, ...more })) as { jwt: string };
  return jwt;
}

/** Asks the emulated Clerk, and expects a success. */
export async function clerk(stack: Stack, method: string, path: string, body?: unknown): Promise<unknown> {
  const response = await fetch(stack.clerk + path, {
    method,
    headers: { authorization: `Bearer ${stack.clerk_secret_key}`, "content-type": "application/json" },
    ...(body !== undefined && { body: JSON.stringify(body) }),
  });
  if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${await response.text()}`);
  return response.json();
}
