import assert from "node:assert/strict";
import { getEventListeners } from "node:events";
import { after, mock, test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { ensureProfile, retryIn, type EnsureOptions, type EnsureResult } from "rollcall-client";
import { ENSURED, PLACEHOLDERS, USER, problem } from "./answers.js";
import { json, nowhere, serve, text } from "./servers.js";

/** As Clerk's are: a JWT. */
const TOKEN = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJ1c2VyXzJuTkcifQ.c2lnbmF0dXJl-b2Y_it";
/** Enough for every answer that comes at all, in ms. */
const PATIENT_MS = 5000;
/** For answers that never come. */
const SHORT_MS = 500;
/** What a busy machine may add to either. */
const SLACK_MS = 700;

const logs = (["debug", "error", "info", "log", "warn"] as const).map((name) => mock.method(console, name));

after(() => {
  for (const log of logs) assert.equal(log.mock.callCount(), 0, "nothing is ever logged");
});

/** Calls the client, and checks what holds whatever comes back. */
async function ensure(options: Partial<EnsureOptions> & Pick<EnsureOptions, "api">) {
  const started = performance.now();
  const result = await ensureProfile({ getToken: async () => TOKEN, timeoutMs: PATIENT_MS, ...options });
  const took = performance.now() - started;
  const limit = options.timeoutMs ?? PATIENT_MS;
  assert.ok(took < limit + SLACK_MS, `took ${took} ms of ${limit}`);
  if (!result.ok && result.reason === "timeout") assert.ok(took > limit - 5, `gave up after ${took} ms of ${limit}`);
  for (const part of TOKEN.split(".")) assert.ok(!JSON.stringify(result).includes(part), "the token is in the result");
  if (!result.ok) {
    const told = ["timeout", "network", "unreadable"].includes(result.reason);
    assert.equal(typeof result.cause, told ? "string" : "undefined", `cause of ${result.reason}`);
  }
  return result;
}

/** The same, and what holds of every failure's cause apart from it. */
async function failed(options: Partial<EnsureOptions> & Pick<EnsureOptions, "api">) {
  const result = await ensure(options);
  assert.ok(!result.ok);
  const { cause = "", ...rest } = result;
  return { rest, cause };
}

const never = () => new Promise<never>(() => {});

test("an answer is passed on whole, and the request says who calls and nothing else", async (t) => {
  const api = await serve(t, json(200, ENSURED));
  assert.deepEqual(await ensure({ api: api.url }), { ok: true, ...ENSURED });
  const [arrival] = api.arrivals;
  assert.ok(arrival);
  assert.equal(`${arrival.method} ${arrival.path}`, "POST /profiles/ensure");
  assert.equal(arrival.headers.authorization, `Bearer ${TOKEN}`);
  assert.equal(arrival.headers.cookie, undefined);
  assert.equal(arrival.headers["cache-control"], "no-cache", "how `no-store` asks caches on the way");
  assert.equal(arrival.headers["content-length"], "0");
  assert.equal(arrival.body, "");
  assert.equal(api.arrivals.length, 1);
});

test("201 is an answer, too", async (t) => {
  const body = { ...ENSURED, created: ["user", "profile"], needs_sync: true };
  const api = await serve(t, json(201, body));
  assert.deepEqual(await ensure({ api: api.url }), { ok: true, ...body });
});

test("the API may be below a path, and be given as a URL or with a slash", async (t) => {
  const api = await serve(t, json(200, ENSURED));
  for (const address of [`${api.url}/v1/`, new URL(`${api.url}/v1`), new URL(api.url), `${api.url}//`]) {
    assert.ok((await ensure({ api: address })).ok);
  }
  const paths = api.arrivals.map((arrival) => arrival.path);
  assert.deepEqual(paths, ["/v1/profiles/ensure", "/v1/profiles/ensure", "/profiles/ensure", "/profiles/ensure"]);
});

test("the application's own fields have the types that it gives them", async (t) => {
  const api = await serve(t, json(200, ENSURED));
  const result = await ensureProfile<{ level: number }, { seat: string }>({
    api: api.url,
    getToken: async () => TOKEN,
  });
  assert.ok(result.ok);
  const level: number | undefined = result.profile?.level;
  const seat: string | undefined = result.membership_profile?.seat;
  // @ts-expect-error: no such field
  const other: unknown = result.profile?.other;
  assert.deepEqual([level, seat, other], [1, "free", undefined]);
});

for (const [name, body] of Object.entries({
  "placeholders": PLACEHOLDERS,
  "no organization": { ...ENSURED, organization: null, membership: null, membership_profile: null },
  "metadata as a string": { ...ENSURED, user: { ...USER, public_metadata: "{}" } },
  "a created thing that is not known yet": { ...ENSURED, created: ["settings"] },
  "further fields": {
    ...ENSURED,
    user: { ...USER, phone: "+44" },
    organization: { ...ENSURED.organization, seats: 5 },
    plan: { name: "pro" },
  },
})) {
  test(`an answer with ${name} is an answer`, async (t) => {
    const api = await serve(t, json(200, body));
    assert.deepEqual(await ensure({ api: api.url }), { ok: true, ...body });
  });
}

test("a further field cannot make a success of a failure, or the reverse", async (t) => {
  const api = await serve(t, json(200, { ...ENSURED, ok: false }));
  assert.deepEqual(await ensure({ api: api.url }), { ...ENSURED, ok: true });
});

for (const [status, code] of [
  [401, "session_missing"],
  [401, "session_pending"],
  [401, "token_expired"],
  [401, "token_signature"],
  [403, "user_banned"],
  [403, "origin_not_allowed"],
  [404, "user_not_found"],
  [404, "user_not_synced"],
  [410, "user_deleted"],
  [500, "internal_error"],
  [503, "unavailable"],
  [503, "session_keys_unavailable"],
] as const) {
  test(`${status} ${code} is refused, with the problem`, async (t) => {
    const body = { ...problem(status, code), support: "help@example.com" };
    const headers = { "content-type": "application/problem+json", ...(status === 503 && { "retry-after": "2" }) };
    const api = await serve(t, json(status, body, headers));
    assert.deepEqual(await ensure({ api: api.url }), {
      ok: false,
      reason: "refused",
      status,
      problem: body,
      ...(status === 503 && { retry_after: 2 }),
    });
  });
}

for (const [name, status, answer] of [
  ["API Gateway's limit", 429, json(429, { message: "Too Many Requests" })],
  ["API Gateway's own failure", 503, json(503, { message: "Service Unavailable" })],
  ["a proxy's page", 502, text(502, "text/html", "<h1>Bad Gateway</h1>")],
  ["an error without a body", 500, text(500, "text/plain", "")],
  ["half of a problem", 410, json(410, { code: "user_deleted", status: 410 })],
  ["a problem without its status", 410, json(410, { ...problem(410, "user_deleted"), status: undefined })],
] as const) {
  test(`${name} is refused, without a problem`, async (t) => {
    const api = await serve(t, answer);
    assert.deepEqual(await ensure({ api: api.url }), { ok: false, reason: "refused", status });
  });
}

test("only a number of seconds says when to try again", async (t) => {
  const date = "Wed, 25 Nov 2026 16:00:00 GMT";
  for (const [value, seconds] of [
    ["0", 0],
    ["120", 120],
    [date, undefined],
    ["-1", undefined],
  ]) {
    const api = await serve(t, json(503, {}, { "retry-after": String(value) }));
    const result = await ensure({ api: api.url });
    assert.deepEqual(result, {
      ok: false,
      reason: "refused",
      status: 503,
      ...(seconds !== undefined && { retry_after: seconds }),
    });
  }
});

test("an error whose body breaks off is refused all the same", async (t) => {
  const api = await serve(t, (response) => {
    response.writeHead(410, { "content-length": "500" }).write("{");
    setTimeout(() => response.destroy(), 20);
  });
  assert.deepEqual(await ensure({ api: api.url }), { ok: false, reason: "refused", status: 410 });
});

test("a redirect is refused, and the token goes nowhere else", async (t) => {
  const elsewhere = await serve(t, json(200, ENSURED));
  for (const status of [301, 303, 307]) {
    const api = await serve(t, json(status, {}, { location: `${elsewhere.url}/profiles/ensure` }));
    assert.deepEqual(await ensure({ api: api.url }), { ok: false, reason: "refused", status });
  }
  assert.deepEqual(elsewhere.arrivals, []);
});

const whole = JSON.stringify(ENSURED);
for (const [name, body] of Object.entries({
  "HTML": "<!doctype html><title>Sign in to the Wi-Fi</title>",
  "nothing": "",
  "JSON that ends too soon": whole.slice(0, -20),
  "null": "null",
  "a list": "[]",
  "a string": '"ok"',
  "no field at all": "{}",
  "no user": JSON.stringify({ ...ENSURED, user: null }),
  "a user without an id": JSON.stringify({ ...ENSURED, user: { ...USER, id: undefined } }),
  "a user with a number for an id": JSON.stringify({ ...ENSURED, user: { ...USER, id: 7 } }),
  "a user without a role": JSON.stringify({ ...ENSURED, user: { ...USER, role: undefined } }),
  "no profile, not even null": JSON.stringify({ ...ENSURED, profile: undefined }),
  "a string for a profile": JSON.stringify({ ...ENSURED, profile: "{}" }),
  "a list for a profile": JSON.stringify({ ...ENSURED, profile: [] }),
  "an organization without an id": JSON.stringify({ ...ENSURED, organization: { name: "Acme" } }),
  "a membership of nobody": JSON.stringify({ ...ENSURED, membership: { organization_id: "org_1" } }),
  "a membership's record that is none": JSON.stringify({ ...ENSURED, membership_profile: "seat" }),
  "nothing said of what was created": JSON.stringify({ ...ENSURED, created: undefined }),
  "numbers created": JSON.stringify({ ...ENSURED, created: [1] }),
  "words for needs_sync": JSON.stringify({ ...ENSURED, needs_sync: "no" }),
})) {
  test(`a success with ${name} is unreadable`, async (t) => {
    const api = await serve(t, text(200, "application/json", body));
    assert.deepEqual((await failed({ api: api.url })).rest, { ok: false, reason: "unreadable", status: 200 });
  });
}

test("a profile that the application wrote itself is whatever it wrote", async (t) => {
  const api = await serve(t, json(200, { ...ENSURED, profile: { level: 2 }, membership_profile: {} }));
  const result = await ensure({ api: api.url });
  assert.deepEqual(result.ok && [result.profile, result.membership_profile], [{ level: 2 }, {}]);
});

test("a refused connection is a matter of the network", async () => {
  assert.deepEqual((await failed({ api: await nowhere() })).rest, { ok: false, reason: "network" });
});

test("so is an address that is none", async () => {
  for (const api of ["", "/rollcall", "http://", "http://127.0.0.1:99999", "ftp://127.0.0.1"]) {
    assert.deepEqual((await failed({ api })).rest, { ok: false, reason: "network" }, api);
  }
});

test("so is an answer that breaks off", async (t) => {
  const api = await serve(t, (response) => {
    response.writeHead(200, { "content-length": String(whole.length) }).write(whole.slice(0, 100));
    setTimeout(() => response.destroy(), 20);
  });
  assert.deepEqual((await failed({ api: api.url })).rest, { ok: false, reason: "network" });
});

test("so is a connection that is closed without an answer", async (t) => {
  const api = await serve(t, (response) => void response.destroy());
  assert.deepEqual((await failed({ api: api.url })).rest, { ok: false, reason: "network" });
});

test("so is a token that cannot be sent, and no error quotes it", async (t) => {
  const api = await serve(t, json(200, ENSURED));
  const getToken = async () => `${TOKEN}\nx: y`;
  assert.deepEqual((await failed({ api: api.url, getToken })).rest, { ok: false, reason: "network" });
  assert.deepEqual(api.arrivals, []);
});

test("so is a getToken that fails, in either way", async (t) => {
  const api = await serve(t, json(200, ENSURED));
  const rejects = () => Promise.reject(new Error(`offline: ${TOKEN}`));
  const throws = () => {
    throw new Error(`not loaded: ${TOKEN}`);
  };
  for (const getToken of [rejects, throws]) {
    assert.deepEqual((await failed({ api: api.url, getToken })).rest, { ok: false, reason: "network" });
  }
  assert.deepEqual(api.arrivals, []);
});

test("without a token nobody is signed in, and nothing is sent", async (t) => {
  const api = await serve(t, json(200, ENSURED));
  for (const token of [null, ""]) {
    assert.deepEqual(await ensure({ api: api.url, getToken: async () => token }), { ok: false, reason: "signed_out" });
  }
  assert.deepEqual(api.arrivals, []);
});

test("a server that never answers is given up, and notices", async (t) => {
  const api = await serve(t, () => {});
  assert.deepEqual((await failed({ api: api.url, timeoutMs: SHORT_MS })).rest, { ok: false, reason: "timeout" });
  await api.abandoned();
});

test("a server that falls silent after the headers is given up, and notices", async (t) => {
  for (const status of [200, 503]) {
    const api = await serve(
      t,
      (response) => void response.writeHead(status, { "content-length": "500" }).flushHeaders(),
    );
    assert.deepEqual((await failed({ api: api.url, timeoutMs: SHORT_MS })).rest, { ok: false, reason: "timeout" });
    await api.abandoned();
  }
});

test("a server that sends byte after byte is given up, and notices", async (t) => {
  const api = await serve(t, (response) => {
    const drip = setInterval(() => response.write(" "), 20);
    response.writeHead(200).on("close", () => clearInterval(drip));
  });
  assert.deepEqual((await failed({ api: api.url, timeoutMs: SHORT_MS })).rest, { ok: false, reason: "timeout" });
  await api.abandoned();
});

test("a getToken that hangs is given up", async (t) => {
  const api = await serve(t, json(200, ENSURED));
  assert.deepEqual((await failed({ api: api.url, timeoutMs: SHORT_MS, getToken: never })).rest, {
    ok: false,
    reason: "timeout",
  });
  assert.deepEqual(api.arrivals, []);
});

test("the time for the token counts", async (t) => {
  const api = await serve(t, (response) => void setTimeout(() => json(200, ENSURED)(response), 400));
  const getToken = () => pause(300, TOKEN);
  assert.deepEqual((await failed({ api: api.url, timeoutMs: SHORT_MS, getToken })).rest, { ok: false, reason: "timeout" });
});

test("a token that comes too late is not sent", async (t) => {
  const api = await serve(t, json(200, ENSURED));
  const getToken = () => pause(SHORT_MS + 100, TOKEN);
  assert.deepEqual((await failed({ api: api.url, timeoutMs: SHORT_MS, getToken })).rest, { ok: false, reason: "timeout" });
  await pause(300);
  assert.deepEqual(api.arrivals, []);
});

test("a getToken that fails too late is nobody's concern", async (t) => {
  const api = await serve(t, json(200, ENSURED));
  const getToken = async () => pause(SHORT_MS + 50).then(() => Promise.reject(new Error("late")));
  assert.deepEqual((await failed({ api: api.url, timeoutMs: SHORT_MS, getToken })).rest, { ok: false, reason: "timeout" });
  await pause(150);
});

test("a fetch that ignores its signal holds nobody up", async () => {
  assert.deepEqual((await failed({ api: "http://127.0.0.1", fetch: never, timeoutMs: SHORT_MS })).rest, {
    ok: false,
    reason: "timeout",
  });
});

test("two seconds is the limit unless another is given", async (t) => {
  const api = await serve(t, () => {});
  const started = performance.now();
  const result = await ensureProfile({ api: api.url, getToken: async () => TOKEN });
  const took = performance.now() - started;
  assert.deepEqual(result, { ok: false, reason: "timeout", cause: "the request took longer than 2000 ms" });
  assert.ok(took > 1995 && took < 2000 + SLACK_MS, `took ${took} ms`);
});

test("the caller may end it at any moment, and the server notices", async (t) => {
  const silent = await serve(t, () => {});
  const stuck = await serve(t, (response) => void response.writeHead(200).write("{"));
  for (const api of [silent, stuck]) {
    const caller = new AbortController();
    setTimeout(() => caller.abort(), 100);
    const result = await ensure({ api: api.url, signal: caller.signal });
    assert.deepEqual(result, { ok: false, reason: "aborted" });
    await api.abandoned();
  }
});

test("the caller may end it while the token is awaited", async () => {
  const caller = new AbortController();
  setTimeout(() => caller.abort(), 50);
  const result = await ensure({ api: await nowhere(), getToken: never, signal: caller.signal });
  assert.deepEqual(result, { ok: false, reason: "aborted" });
});

test("after the caller has ended it, not even a token is asked for", async () => {
  const getToken = mock.fn(async () => TOKEN);
  const result = await ensure({ api: await nowhere(), getToken, signal: AbortSignal.abort() });
  assert.deepEqual(result, { ok: false, reason: "aborted" });
  assert.equal(getToken.mock.callCount(), 0);
});

test("nothing stays: neither with the caller's signal nor for the process to wait for", async (t) => {
  const api = await serve(t, json(200, ENSURED));
  const { signal } = new AbortController();
  const timers = () => process.getActiveResourcesInfo().filter((name) => name === "Timeout").length;
  const before = timers();
  for (const address of [api.url, await nowhere()]) await ensure({ api: address, signal });
  assert.deepEqual(getEventListeners(signal, "abort"), []);
  assert.equal(timers(), before);
});

for (const [name, api, getToken, expected] of [
  ["a refused connection", nowhere, async () => TOKEN, /^the request: TypeError: fetch failed, caused by .*ECONNREFUSED/],
  ["an address that is none", async () => "/rollcall", async () => TOKEN, /^the request: TypeError: .*URL/],
  ["a token that cannot be sent", nowhere, async () => `${TOKEN}\nx: y`, /^the request: TypeError: .*header/],
  ["a getToken that fails", nowhere, () => Promise.reject(new Error(`offline: ${TOKEN}`)), /^getToken: Error: offline: …$/],
  ["a getToken that throws a text", nowhere, () => Promise.reject(TOKEN), /^getToken: a string was thrown$/],
] as const) {
  test(`fault_b12 the cause of ${name} is told, without the token`, async () => {
    const { rest, cause } = await failed({ api: await api(), getToken });
    assert.deepEqual(rest, { ok: false, reason: "network" });
    assert.match(cause, expected);
    assert.ok(cause.length <= 300 && !cause.includes("\n"));
  });
}

test("fault_b12 a failure says how far the call has come", async (t) => {
  const silent = await serve(t, () => {});
  const stuck = await serve(t, (response) => void response.writeHead(200).write("{"));
  const page = await serve(t, text(200, "text/html", "<h1>Sign in</h1>"));
  const other = await serve(t, json(200, {}));
  for (const [options, expected] of [
    [{ api: silent.url, getToken: never }, "getToken took longer than 500 ms"],
    [{ api: silent.url }, "the request took longer than 500 ms"],
    [{ api: stuck.url }, "the answer took longer than 500 ms"],
    [{ api: page.url }, "the answer is not JSON"],
    [{ api: other.url }, "the answer is JSON, but not Rollcall's"],
  ] as const) {
    assert.equal((await failed({ timeoutMs: SHORT_MS, ...options })).cause, expected);
  }
});

// The words are workerd's own, of a worker with the compatibility date 2024-09-23. Source:
// https://developers.cloudflare.com/workers/configuration/compatibility-flags/#enable-cache-no-store-http-standard-api
test("fault_b19 a fetch that refuses the option cache is asked without it", async (t) => {
  const api = await serve(t, json(200, ENSURED));
  const asked: (string | undefined)[] = [];
  const worker: typeof fetch = (url, init: RequestInit & { cache?: string } = {}) => {
    asked.push(init.cache);
    if (init.cache !== undefined) {
      throw new Error("The 'cache' field on 'RequestInitializerDict' is not implemented.");
    }
    return fetch(url, init);
  };
  assert.deepEqual(await ensure({ api: api.url, fetch: worker }), { ok: true, ...ENSURED });
  assert.deepEqual(asked, ["no-store", undefined]);
  assert.equal(api.arrivals.length, 1);
  assert.equal(api.arrivals[0]?.headers.authorization, `Bearer ${TOKEN}`);
});

test("fault_b19 a fetch that refuses anything else is asked once, and its words are passed on", async () => {
  const worker = mock.fn(() => Promise.reject(new Error("The 'mode' field on 'RequestInitializerDict' is not implemented.")));
  const { rest, cause } = await failed({ api: "https://api.example.com", fetch: worker });
  assert.deepEqual(rest, { ok: false, reason: "network" });
  assert.equal(cause, "the request: Error: The 'mode' field on 'RequestInitializerDict' is not implemented.");
  assert.equal(worker.mock.callCount(), 1);
});

test("fault_b4 what may pass by is asked again, ever more seldom, and nothing else is", () => {
  const waits = (result: EnsureResult) => [1, 2, 3, 6, 7, 50].map((attempts) => retryIn(result, attempts));
  const growing = [1000, 2000, 4000, 32_000, 60_000, 60_000];
  for (const reason of ["signed_out", "timeout", "network"] as const) {
    assert.deepEqual(waits({ ok: false, reason }), growing, reason);
  }
  for (const status of [429, 500, 503]) assert.deepEqual(waits({ ok: false, reason: "refused", status }), growing);
  for (const code of ["token_expired", "token_origin"]) {
    assert.deepEqual(waits({ ok: false, reason: "refused", status: 401, problem: problem(401, code) }), growing);
  }
  const told = { ok: false, reason: "refused", status: 503, retry_after: 5 } as const;
  assert.deepEqual(waits(told), [5000, 5000, 5000, 32_000, 60_000, 60_000]);
  for (const result of [
    { ok: true, ...ENSURED, user: { ...USER, role: "user" } },
    { ok: false, reason: "aborted" },
    { ok: false, reason: "unreadable", status: 200 },
    { ok: false, reason: "refused", status: 410, problem: problem(410, "user_deleted") },
    { ok: false, reason: "refused", status: 403, problem: problem(403, "user_banned") },
    { ok: false, reason: "refused", status: 404 },
  ] satisfies EnsureResult[]) {
    assert.equal(retryIn(result, 1), null, JSON.stringify(result));
  }
});
