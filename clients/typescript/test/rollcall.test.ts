import assert from "node:assert/strict";
import type { ServerResponse } from "node:http";
import { mock, test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { createRollcall, retryIn, type Rollcall, type RollcallOptions } from "rollcall-client";
import { ENSURED, ME, PAGE, RECORD, USER, problem } from "./answers.js";
import { json, nowhere, serve, text } from "./servers.js";

const TOKEN = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJ1c2VyXzJuTkcifQ.c2lnbmF0dXJl-b2Y_it";
const ETAG = '"F_kkHb6qGtX12xt6"';

interface Own {
  bio: string;
  address: { city: string; street: string };
  tags: string[];
}

function client(api: string, options: Partial<RollcallOptions> = {}): Rollcall<Own, { seat: string }> {
  return createRollcall({ api, getToken: async () => TOKEN, timeoutMs: 5000, ...options });
}

const problemOf = (status: number, code: string, headers: Record<string, string> = {}) =>
  json(status, problem(status, code), { "content-type": "application/problem+json", ...headers });

/** Every call, with an answer that it takes for one. */
const CALLS: Record<string, [(rollcall: Rollcall) => Promise<{ ok: boolean }>, string, number, unknown]> = {
  "me": [(r) => r.me(), "GET /me", 200, ME],
  "profile.get": [(r) => r.profile.get(), "GET /me/profile", 200, RECORD],
  "profile.create": [(r) => r.profile.create({ bio: "x" }), "POST /me/profile", 201, RECORD],
  "profile.replace": [(r) => r.profile.replace({ bio: "x" }), "PUT /me/profile", 200, RECORD],
  "profile.patch": [(r) => r.profile.patch({ bio: null }), "PATCH /me/profile", 200, RECORD],
  "authorization": [
    (r) => r.authorization({ role: "admin" }),
    "GET /me/authorization?role=admin",
    200,
    { authorized: true, because: "allowed", claims_age: 1 },
  ],
  "members.page": [(r) => r.members("org_1").page(), "GET /organizations/org_1/members", 200, PAGE],
  "user": [(r) => r.user("user_1"), "GET /users/user_1", 200, { user: USER }],
  "users": [(r) => r.users(["user_1", "user_2"]), "GET /users?id=user_1&id=user_2", 200, { users: [USER, null] }],
  "deleteMe": [(r) => r.deleteMe(), "DELETE /me", 202, { outcome: "accepted" }],
};

for (const [name, [call, line, status, body]] of Object.entries(CALLS)) {
  test(`${name} asks by ${line}, and hands on what comes`, async (t) => {
    const api = await serve(t, json(status, body, { etag: ETAG }));
    const result = await call(client(api.url) as Rollcall);
    // Of several requests there is no one tag.
    assert.deepEqual(result, { ok: true, status, value: body, etag: name === "users" ? null : ETAG });
    const [arrival] = api.arrivals;
    assert.equal(`${arrival?.method} ${arrival?.path}`, line);
    assert.equal(arrival?.headers.authorization, `Bearer ${TOKEN}`);
    assert.equal(arrival?.headers.cookie, undefined);
    assert.equal(arrival?.headers["if-match"], undefined);
    assert.equal(arrival?.headers["if-none-match"], undefined);
    assert.equal(api.arrivals.length, 1);
  });

  test(`${name} says why there is no answer, and never rejects`, async (t) => {
    const refusing = await serve(t, problemOf(410, "user_deleted"));
    const proxy = await serve(t, text(502, "text/html", "<h1>Bad Gateway</h1>"));
    const limited = await serve(t, json(429, { message: "Too Many Requests" }, { "retry-after": "3" }));
    const page = await serve(t, text(200, "text/html", "<h1>Sign in</h1>"));
    const other = await serve(t, json(200, []));
    const silent = await serve(t, () => {});
    const ended = new AbortController();
    ended.abort();
    for (const [options, expected] of [
      [{ api: refusing.url }, { reason: "refused", status: 410, problem: problem(410, "user_deleted") }],
      [{ api: proxy.url }, { reason: "refused", status: 502 }],
      [{ api: limited.url }, { reason: "refused", status: 429, retry_after: 3 }],
      [{ api: page.url }, { reason: "unreadable", status: 200, cause: "the answer is not JSON" }],
      [{ api: other.url }, { reason: "unreadable", status: 200, cause: "the answer is JSON, but not Rollcall's" }],
      [{ api: silent.url, timeoutMs: 200 }, { reason: "timeout", cause: "the request took longer than 200 ms" }],
      [{ api: silent.url, getToken: async () => null }, { reason: "signed_out" }],
    ] as const) {
      assert.deepEqual(await call(client(options.api, options) as Rollcall), { ok: false, ...expected });
    }
    const getToken = () => Promise.reject(new Error(`offline: ${TOKEN}`));
    assert.deepEqual(await call(client(silent.url, { getToken }) as Rollcall), {
      ok: false,
      reason: "network",
      cause: "getToken: Error: offline: …",
    });
    const lost = (await call(client(await nowhere()) as Rollcall)) as { reason?: string; cause?: string };
    assert.equal(lost.reason, "network");
    assert.match(lost.cause ?? "", /^the request: TypeError: fetch failed, caused by .*ECONNREFUSED/);
  });
}

test("every call may be ended by its own signal, and has its own time", async (t) => {
  const api = await serve(t, () => {});
  const rollcall = client(api.url);
  for (const call of [
    (signal: AbortSignal) => rollcall.ensure({ signal }),
    (signal: AbortSignal) => rollcall.me({ signal }),
    (signal: AbortSignal) => rollcall.profile.get({ signal }),
    (signal: AbortSignal) => rollcall.profile.create({}, { signal }),
    (signal: AbortSignal) => rollcall.profile.replace({}, { signal }),
    (signal: AbortSignal) => rollcall.profile.patch({}, { signal }),
    (signal: AbortSignal) => rollcall.authorization({ role: "admin", signal }),
    (signal: AbortSignal) => rollcall.members("org_1", { signal }).page(),
    (signal: AbortSignal) => rollcall.user("user_1", { signal }),
    (signal: AbortSignal) => rollcall.users(["user_1"], { signal }),
    (signal: AbortSignal) => rollcall.deleteMe({ signal }),
  ]) {
    const caller = new AbortController();
    setTimeout(() => caller.abort(), 30);
    assert.deepEqual(await call(caller.signal), { ok: false, reason: "aborted" });
  }
  const started = performance.now();
  const cause = "the request took longer than 100 ms";
  assert.deepEqual(await rollcall.me({ timeoutMs: 100 }), { ok: false, reason: "timeout", cause });
  assert.ok(performance.now() - started < 1000);
});

test("ensure is ensureProfile", async (t) => {
  const api = await serve(t, json(200, ENSURED));
  assert.deepEqual(await client(api.url).ensure(), { ok: true, ...ENSURED });
  assert.equal(api.arrivals[0]?.path, "/profiles/ensure");
});

test("a client that has read it already gets 304", async (t) => {
  const answer = (response: ServerResponse) => {
    if (response.req.headers["if-none-match"] === ETAG) response.writeHead(304, { etag: ETAG }).end();
    else json(200, response.req.url === "/me" ? ME : RECORD, { etag: ETAG })(response);
  };
  const api = await serve(t, answer);
  const rollcall = client(api.url);
  for (const read of [rollcall.me, rollcall.profile.get, rollcall.membershipProfile("org_1").get]) {
    const first = await read();
    assert.ok(first.ok);
    assert.equal(first.etag, ETAG);
    assert.deepEqual(await read({ etag: first.etag }), { ok: true, status: 304, etag: ETAG });
    const other = await read({ etag: '"other"' });
    assert.equal(other.ok && other.status, 200);
    // Nothing read before is no condition.
    for (const etag of [null, undefined]) assert.ok((await read({ etag })).ok);
    assert.equal(api.arrivals.at(-1)?.headers["if-none-match"], undefined);
  }
  const paths = new Set(api.arrivals.map((arrival) => arrival.path));
  assert.deepEqual([...paths], ["/me", "/me/profile", "/me/profile?organization_id=org_1"]);
});

test("a change says of which record it is a change, and in what form", async (t) => {
  const api = await serve(t, json(200, RECORD, { etag: '"2"' }));
  const { profile, membershipProfile } = client(api.url);
  await profile.patch({ address: { city: "Kyiv" }, tags: ["a"], bio: null }, { ifMatch: ETAG });
  await profile.replace({ ...RECORD, bio: "x" }, { ifMatch: "*" });
  await membershipProfile("org 1").patch({ seat: "free" });
  await membershipProfile("org_1").create();
  await profile.replace({ bio: "x" }, { ifNoneMatch: "*" });
  const sent = api.arrivals.map(({ method, path, headers, body }) => [
    `${method} ${path}`,
    headers["content-type"],
    headers["if-match"],
    body,
    ...(headers["if-none-match"] === undefined ? [] : [headers["if-none-match"]]),
  ]);
  assert.deepEqual(sent, [
    [
      "PATCH /me/profile",
      "application/merge-patch+json",
      ETAG,
      '{"address":{"city":"Kyiv"},"tags":["a"],"bio":null}',
    ],
    ["PUT /me/profile", "application/json", "*", JSON.stringify({ ...RECORD, bio: "x" })],
    ["PATCH /me/profile?organization_id=org+1", "application/merge-patch+json", undefined, '{"seat":"free"}'],
    ["POST /me/profile?organization_id=org_1", "application/json", undefined, "{}"],
    ["PUT /me/profile", "application/json", undefined, '{"bio":"x"}', "*"],
  ]);
});

test("a record that is only created has the status 201, and an existing one is a failed precondition", async (t) => {
  const api = await serve(t, json(201, RECORD, { etag: ETAG }));
  const created = await client(api.url).profile.replace({ bio: "x" }, { ifNoneMatch: "*" });
  assert.deepEqual(created, { ok: true, status: 201, value: RECORD, etag: ETAG });
  // @ts-expect-error: it changes no record
  assert.equal(created.ok && created.status === 200, false);
  const existing = await serve(t, problemOf(412, "precondition_failed", { etag: ETAG }));
  const refused = await client(existing.url).membershipProfile("org_1").replace({}, { ifNoneMatch: "*" });
  assert.equal(!refused.ok && refused.problem?.code, "precondition_failed");
  // @ts-expect-error: a merge patch changes a record
  await client(existing.url).profile.patch({}, { ifNoneMatch: "*" });
});

test("a deletion has the time that Clerk may take, unless it is given another one", async (t) => {
  mock.timers.enable({ apis: ["setTimeout"] });
  t.after(() => mock.timers.reset());
  const arrived = mock.fn();
  const fetch = (async (_: unknown, init: RequestInit) => {
    arrived();
    return new Promise<Response>((_, reject) => init.signal?.addEventListener("abort", () => reject(new Error("aborted"))));
  }) as typeof globalThis.fetch;
  const rollcall = (options: Partial<RollcallOptions>) =>
    createRollcall({ api: "http://127.0.0.1:9", getToken: async () => TOKEN, fetch, ...options });
  for (const [call, ms] of [
    [() => rollcall({}).deleteMe(), 10_000],
    [() => rollcall({ timeoutMs: 3000 }).deleteMe(), 3000],
    [() => rollcall({ timeoutMs: 3000 }).deleteMe({ timeoutMs: 20_000 }), 20_000],
    [() => rollcall({}).me(), 2000],
  ] as const) {
    const before = arrived.mock.callCount();
    const answer = call();
    while (arrived.mock.callCount() === before) await new Promise((resolve) => setImmediate(resolve));
    mock.timers.tick(ms - 1);
    const early = await Promise.race([answer, new Promise((resolve) => setImmediate(() => resolve("waiting")))]);
    assert.equal(early, "waiting");
    mock.timers.tick(1);
    const cause = `the request took longer than ${ms} ms`;
    assert.deepEqual(await answer, { ok: false, reason: "timeout", cause });
  }
});

test("a change that came too late gets the tag of the stored record", async (t) => {
  for (const [status, code] of [
    [412, "precondition_failed"],
    [428, "precondition_required"],
  ] as const) {
    const api = await serve(t, problemOf(status, code, { etag: '"now"' }));
    const result = await client(api.url).profile.patch({ bio: "x" }, { ifMatch: ETAG });
    assert.deepEqual(result, { ok: false, reason: "refused", status, problem: problem(status, code), etag: '"now"' });
  }
});

test("a problem has the codes of its route, and says where the fault is", async (t) => {
  const body = { ...problem(422, "number_not_storable"), pointer: "/address/0" };
  const api = await serve(t, json(422, body));
  const result = await client(api.url).profile.patch({ bio: "x" });
  assert.ok(!result.ok && result.problem);
  assert.equal(result.problem.pointer, "/address/0");
  assert.equal(result.problem.code === "number_not_storable", true);
  // @ts-expect-error: no code of this route
  assert.equal(result.problem.code === "cursor_invalid", false);
  const me = await client(api.url).me();
  // @ts-expect-error: `GET /me` needs no precondition
  assert.equal(!me.ok && me.problem?.code === "precondition_failed", false);
});

test("the application's fields have its types", async (t) => {
  const api = await serve(t, json(200, RECORD));
  const { profile, membershipProfile } = client(api.url);
  // @ts-expect-error: a number is no text
  await profile.patch({ bio: 7 });
  // @ts-expect-error: no such field
  await profile.patch({ age: 7 });
  const [own, seat] = [await profile.get(), await membershipProfile("org_1").get()];
  assert.ok(own.ok && seat.ok);
  const texts: (string | undefined)[] = [own.value.bio, own.value.user_id, seat.value.organization_id];
  assert.deepEqual(texts, [RECORD.bio, RECORD.user_id, undefined]);
});

test("what cannot be sent is a failure, and nothing is sent", async (t) => {
  const api = await serve(t, json(200, RECORD));
  const circle: Record<string, unknown> = {};
  circle["self"] = circle;
  const rollcall = createRollcall({ api: api.url, getToken: async () => TOKEN });
  for (const call of [
    rollcall.profile.patch(circle),
    rollcall.profile.replace({ amount: 7n }),
    rollcall.user("\ud800"),
    rollcall.profile.patch({}, { ifMatch: "a\nb" }),
  ]) {
    const result = await call;
    assert.equal(!result.ok && result.reason, "network");
    assert.match((!result.ok && result.cause) || "", /^the request: (TypeError|URIError): /);
  }
  assert.deepEqual(api.arrivals, []);
});

test("an id from anywhere stays in its place of the path", async (t) => {
  const api = await serve(t, json(200, { user: USER }));
  await client(api.url).user("../me?x=1#y");
  await client(api.url).members("a/b c").page();
  const paths = api.arrivals.map((arrival) => arrival.path);
  assert.deepEqual(paths, ["/users/..%2Fme%3Fx%3D1%23y", "/organizations/a%2Fb%20c/members"]);
});

test("only a clear yes is a yes", async (t) => {
  for (const authorized of ["true", 1, undefined, null]) {
    const api = await serve(t, json(200, { authorized, because: "allowed", claims_age: 1 }));
    const result = await client(api.url).authorization({ role: "admin" });
    assert.equal(!result.ok && result.reason, "unreadable");
  }
});

test("a question is asked as it is put", async (t) => {
  const api = await serve(t, json(200, { authorized: false, because: "other_role", claims_age: null }));
  await client(api.url).authorization({ role: "a&b", permission: "org:teams:read", organizationId: "org_1" });
  assert.equal(
    api.arrivals[0]?.path,
    "/me/authorization?role=a%26b&permission=org%3Ateams%3Aread&organization_id=org_1",
  );
});

/** Pages of an organization by their cursors. */
function pages(all: Record<string, string | null>) {
  return (response: ServerResponse) => {
    const cursor = new URL(response.req.url ?? "", "http://x").searchParams.get("cursor") ?? "";
    const next_cursor = all[cursor];
    if (next_cursor === undefined) return problemOf(503, "unavailable", { "retry-after": "2" })(response);
    const members = ["a", "b"].map((name) => ({ user: { ...USER, name: cursor + name }, role: null, since: null }));
    json(200, { members, next_cursor })(response);
  };
}

test("members come one by one, over all pages", async (t) => {
  const api = await serve(t, pages({ "": "2", "2": "3", "3": null }));
  const names: string[] = [];
  for await (const one of client(api.url).members("org_1", { role: "org:admin", limit: 2 })) {
    assert.ok(one.ok);
    names.push(one.value.user.name);
  }
  assert.deepEqual(names, ["a", "b", "2a", "2b", "3a", "3b"]);
  const paths = api.arrivals.map((arrival) => arrival.path.replace("/organizations/org_1/members?role=org%3Aadmin", ""));
  assert.deepEqual(paths, ["&limit=2", "&limit=2&cursor=2", "&limit=2&cursor=3"]);
});

test("members can be read twice, from any page, and not further than wanted", async (t) => {
  const api = await serve(t, pages({ "": "2", "2": "3", "3": null }));
  const members = client(api.url).members("org_1", { cursor: "2" });
  for (let round = 0; round < 2; round++) {
    for await (const one of members) {
      assert.ok(one.ok);
      assert.equal(one.value.user.name, "2a");
      break;
    }
  }
  assert.equal(api.arrivals.length, 2);
  const sizes: number[] = [];
  for await (const page of members.pages()) sizes.push(page.ok ? page.value.members.length : NaN);
  assert.deepEqual(sizes, [2, 2]);
  const last = await members.page("3");
  assert.equal(last.ok && last.value.next_cursor, null);
});

test("a failure between two pages is not taken for the end", async (t) => {
  const api = await serve(t, pages({ "": "2" }));
  const seen: unknown[] = [];
  for await (const one of client(api.url).members("org_1")) seen.push(one.ok ? one.value.user.name : one.problem?.code);
  assert.deepEqual(seen, ["a", "b", "unavailable"]);
});

test("a list that turns in a circle is given up", async (t) => {
  const api = await serve(t, pages({ "": "2", "2": "2" }));
  const seen: unknown[] = [];
  for await (const one of client(api.url).members("org_1")) seen.push(one.ok ? one.value.user.name : one.reason);
  assert.deepEqual(seen, ["a", "b", "unreadable"]);
  assert.equal(api.arrivals.length, 2);
});

/** Answers with users named by their ids; who is called `none` is not there. */
function named(response: ServerResponse) {
  const ids = new URL(response.req.url ?? "", "http://x").searchParams.getAll("id");
  json(200, { users: ids.map((name) => (name === "none" ? null : { ...USER, name })) })(response);
}

test("any number of users is read, a hundred at a time, and the order stays", async (t) => {
  const api = await serve(t, named);
  for (const [size, requests] of [
    [0, 0],
    [1, 1],
    [100, 1],
    [101, 2],
    [250, 3],
  ] as const) {
    const before = api.arrivals.length;
    const ids = Array.from({ length: size }, (_, at) => (at === 7 ? "none" : `user_${at}`));
    const result = await client(api.url).users(ids);
    assert.ok(result.ok);
    const names = result.value.users.map((user) => user?.name ?? "none");
    assert.deepEqual(names, ids);
    assert.equal(api.arrivals.length - before, requests);
  }
});

test("users of whom one part cannot be read are not read", async (t) => {
  let calls = 0;
  const api = await serve(t, (response) => (++calls === 2 ? problemOf(503, "unavailable")(response) : named(response)));
  const result = await client(api.url).users(Array.from({ length: 250 }, () => "user_1"));
  assert.equal(!result.ok && result.problem?.code, "unavailable");
  assert.equal(calls, 2);
});

test("users that are fewer than asked for would be taken for others", async (t) => {
  const api = await serve(t, json(200, { users: [USER] }));
  const result = await client(api.url).users(["user_1", "user_2"]);
  assert.equal(!result.ok && result.reason, "unreadable");
});

test("the time of all parts counts together", async (t) => {
  const api = await serve(t, async (response) => {
    await pause(150);
    named(response);
  });
  const result = await client(api.url).users(Array.from({ length: 1000 }, () => "user_1"), { timeoutMs: 400 });
  assert.equal(!result.ok && result.reason, "timeout");
  const arrived = api.arrivals.length;
  await pause(300);
  assert.equal(api.arrivals.length, arrived, "nobody waits for the rest, and nobody asks for it");
});

test("a deletion that needs another verification says so in Clerk's words, and asks for a new token", async (t) => {
  const clerk_error = {
    type: "forbidden",
    reason: "reverification-error",
    metadata: { reverification: { level: "first_factor", afterMinutes: 10 } },
  };
  const body = { ...problem(403, "reverification_required"), clerk_error };
  let calls = 0;
  const api = await serve(t, (response) =>
    ++calls === 1 ? json(403, body)(response) : json(202, { outcome: "accepted" })(response),
  );
  const getToken = mock.fn(async (options?: { skipCache?: boolean }) => (options?.skipCache ? TOKEN : "cached"));
  const rollcall = client(api.url, { getToken });
  const first = await rollcall.deleteMe();
  assert.deepEqual(first, { ok: false, reason: "refused", status: 403, problem: body, clerk_error });
  assert.equal((await rollcall.deleteMe()).ok, true);
  assert.deepEqual(
    getToken.mock.calls.map((call) => call.arguments),
    [[{ skipCache: true }], [{ skipCache: true }]],
  );
  for (const arrival of api.arrivals) assert.equal(arrival.headers.authorization, `Bearer ${TOKEN}`);
  await rollcall.me();
  assert.deepEqual(getToken.mock.calls.at(-1)?.arguments, [], "no other call needs a new one");
});

test("every other refusal of a deletion has nothing of Clerk's", async (t) => {
  const api = await serve(t, problemOf(403, "impersonation_not_allowed"));
  const result = await client(api.url).deleteMe();
  assert.deepEqual(Object.keys(result), ["ok", "reason", "status", "problem"]);
});

test("retryIn says of every call when to ask again", async (t) => {
  const api = await serve(t, problemOf(503, "unavailable", { "retry-after": "5" }));
  const result = await client(api.url).me();
  assert.equal(retryIn(result, 1), 5000);
  const refusing = await serve(t, problemOf(412, "precondition_failed"));
  assert.equal(retryIn(await client(refusing.url).profile.patch({ bio: "x" }), 1), null);
  const good = await serve(t, json(200, ME));
  assert.equal(retryIn(await client(good.url).me(), 1), null);
});
