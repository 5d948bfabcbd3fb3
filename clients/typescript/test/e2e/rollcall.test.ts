// All calls of a signed-in user against the local stack.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { createRollcall, type Rollcall } from "rollcall-client";
import { clerk, start, token, type Stack } from "./stack.js";

interface Own {
  bio: string;
  address: { city?: string; street?: string };
  level: number;
}

/** Longer than the default, as the binary may be a debug build on a busy machine. */
const timeoutMs = 15_000;
const MEMBERS = 7;

let started: Stack | undefined;
let organization = "";
/** Clerk's ids of the members, the administrator first. */
const members: string[] = [];

before(async () => {
  const stack = await start(0, {
    // Otherwise the write-back of dbId changes a user at a moment that no test can wait for.
    METADATA_WRITEBACK: "off",
    ACCOUNT_DELETION: "on",
    PROFILE_IF_MATCH: "required",
    PROFILE_WRITABLE: '["bio","address"]',
    PROFILE_DEFAULTS: '{"level":1}',
  });
  started = stack;
  for (let number = 0; number < MEMBERS; number++) members.push(await user(`Member${number}`));
  const made = { name: "Acme", created_by: members[0] };
  organization = ((await clerk(stack, "POST", "/v1/organizations", made)) as { id: string }).id;
  for (const user_id of members.slice(1)) {
    const membership = { user_id, role: "org:member" };
    await clerk(stack, "POST", `/v1/organizations/${organization}/memberships`, membership);
  }
  await settled();
});

after(async () => {
  await started?.stop();
});

function stack(): Stack {
  assert.ok(started);
  return started;
}

const settled = () => clerk(stack(), "POST", "/_emulator/settle");

async function user(name: string): Promise<string> {
  const given = { first_name: name, last_name: "Example", email_address: [`${name}@example.com`] };
  return ((await clerk(stack(), "POST", "/v1/users", given)) as { id: string }).id;
}

/** The calls of one user, with what the emulator shall put into the tokens. */
function as(user: string, more: Record<string, unknown> = {}): Rollcall<Own> {
  return createRollcall<Own>({ api: stack().api, getToken: () => token(stack(), user, more), timeoutMs });
}

const ada = () => as(members[0] ?? "");
const grace = () => as(members[1] ?? "");

test("the caller and the caller's organizations, once and again", async () => {
  const me = await ada().me();
  assert.ok(me.ok, JSON.stringify(me));
  assert.equal(me.value.user.clerk_user_id, members[0]);
  assert.deepEqual(
    me.value.organizations.map((one) => [one.organization.name, one.membership.role]),
    [["Acme", "org:admin"]],
  );
  assert.match(me.etag ?? "", /^"[^"]+"$/);
  assert.deepEqual(await ada().me({ etag: me.etag }), { ok: true, status: 304, etag: me.etag });
  await clerk(stack(), "PATCH", `/v1/users/${members[0]}`, { last_name: "Lovelace" });
  await settled();
  const renamed = await ada().me({ etag: me.etag });
  assert.ok(renamed.ok && renamed.status === 200);
  assert.equal(renamed.value.user.last_name, "Lovelace");
});

test("a record is created once, and changed by a client that has read it", async () => {
  const rollcall = grace();
  assert.ok((await rollcall.ensure()).ok);
  const again = await rollcall.profile.create({ bio: "Hello" });
  assert.equal(!again.ok && again.problem?.code, "profile_exists");

  const read = await rollcall.profile.get();
  assert.ok(read.ok && read.etag !== null, JSON.stringify(read));
  assert.deepEqual(await rollcall.profile.get({ etag: read.etag }), { ok: true, status: 304, etag: read.etag });

  const careless = await rollcall.profile.patch({ bio: "careless" });
  assert.ok(!careless.ok);
  assert.deepEqual(
    [careless.status, careless.problem?.code, careless.etag],
    [428, "precondition_required", read.etag],
  );

  const first = await rollcall.profile.patch({ bio: "first", address: { city: "Kyiv" } }, { ifMatch: read.etag });
  assert.ok(first.ok && first.etag !== null, JSON.stringify(first));
  assert.deepEqual([first.value.bio, first.value.level], ["first", 1]);

  const late = await rollcall.profile.patch({ bio: "late" }, { ifMatch: read.etag });
  assert.ok(!late.ok);
  assert.deepEqual([late.status, late.problem?.code, late.etag], [412, "precondition_failed", first.etag]);

  const merged = await rollcall.profile.patch({ address: { street: "Main St" } }, { ifMatch: first.etag });
  assert.ok(merged.ok && merged.etag !== null);
  assert.deepEqual(merged.value.address, { city: "Kyiv", street: "Main St" });

  const replaced = await rollcall.profile.replace({ ...merged.value, bio: "new" }, { ifMatch: merged.etag });
  assert.ok(replaced.ok, JSON.stringify(replaced));
  assert.deepEqual([replaced.value.bio, replaced.value.address], ["new", merged.value.address]);
  const less = await rollcall.profile.replace({ bio: "less" }, { ifMatch: "*" });
  assert.ok(less.ok);
  assert.deepEqual([less.value.bio, less.value.address, less.value.level], ["less", undefined, 1]);
});

test("a field that is not the user's, or no value at all, is refused by its place", async () => {
  const { profile } = grace();
  const foreign = await profile.patch({ level: 99 }, { ifMatch: "*" });
  assert.ok(!foreign.ok);
  assert.deepEqual([foreign.status, foreign.problem?.code], [422, "field_not_writable"]);
  assert.equal(foreign.problem?.pointer, "/level");
  const huge = await profile.patch({ bio: "x".repeat(20_000) }, { ifMatch: "*" });
  assert.equal(!huge.ok && huge.problem?.code, "profile_too_large");
  const malformed = await profile.patch({ bio: "x" }, { ifMatch: "no quotes" });
  assert.equal(!malformed.ok && malformed.problem?.code, "precondition_malformed");
});

test("the record of a membership is another one", async () => {
  const rollcall = as(members[2] ?? "", { organization_id: organization });
  assert.ok((await rollcall.ensure()).ok);
  const record = rollcall.membershipProfile(organization);
  const read = await record.get();
  assert.ok(read.ok && read.etag !== null, JSON.stringify(read));
  assert.equal(read.value.organization_id, organization);
  const changed = await record.patch({ bio: "in Acme" }, { ifMatch: read.etag });
  assert.ok(changed.ok, JSON.stringify(changed));
  const own = await rollcall.profile.get();
  assert.ok(own.ok);
  assert.deepEqual([changed.value["bio"], own.value.bio], ["in Acme", undefined]);
  const stranger = await rollcall.membershipProfile("org_of_others").get();
  assert.equal(!stranger.ok && stranger.problem?.code, "organization_not_found");
});

test("what a caller may do is said with what decided", async () => {
  const ask = async (rollcall: Rollcall<Own>, role: string) => {
    const answer = await rollcall.authorization({ role, organizationId: organization });
    assert.ok(answer.ok, JSON.stringify(answer));
    return [answer.value.authorized, answer.value.because];
  };
  assert.deepEqual(await ask(ada(), "org:admin"), [true, "allowed"]);
  assert.deepEqual(await ask(grace(), "org:admin"), [false, "other_role"]);
  const nothing = await ada().authorization({});
  assert.equal(!nothing.ok && nothing.problem?.code, "question_missing");
});

test("members come over several pages, each once", async () => {
  const list = ada().members(organization, { limit: 3 });
  const seen: string[] = [];
  for await (const one of list) {
    assert.ok(one.ok, JSON.stringify(one));
    seen.push(one.value.user.clerk_user_id);
  }
  assert.deepEqual(seen.toSorted(), members.toSorted());
  const sizes: number[] = [];
  for await (const page of list.pages()) sizes.push(page.ok ? page.value.members.length : NaN);
  assert.deepEqual(sizes, [3, 3, 1]);
  const admins = await ada().members(organization, { role: "org:admin" }).page();
  assert.ok(admins.ok);
  assert.deepEqual(
    admins.value.members.map((one) => [one.user.clerk_user_id, one.role]),
    [[members[0], "org:admin"]],
  );
});

test("a list that one may not read is a failure, and so is a cursor of another list", async () => {
  const outsider = await user("Outsider");
  await settled();
  const seen: unknown[] = [];
  for await (const one of as(outsider).members(organization)) seen.push(!one.ok && one.problem?.code);
  assert.deepEqual(seen, ["organization_not_found"]);
  const foreign = await ada().members(organization).page("bm90IGEgY3Vyc29y");
  assert.equal(!foreign.ok && foreign.problem?.code, "cursor_invalid");
  const many = await ada().members(organization, { limit: 49 }).page();
  assert.equal(!many.ok && many.problem?.code, "limit_invalid");
});

test("users are found by either id, however many they are", async () => {
  const rollcall = as(members[0] ?? "", { organization_id: organization });
  const me = await rollcall.me();
  assert.ok(me.ok);
  const { id, clerk_user_id } = me.value.user;
  const mate = await rollcall.user(members[1] ?? "");
  assert.ok(mate.ok, JSON.stringify(mate));
  assert.equal(mate.value.user.email, "Member1@example.com");
  const nobody = await rollcall.user("user_nobody");
  assert.equal(!nobody.ok && nobody.problem?.code, "no_such_user");
  // Four requests.
  const ids = Array.from({ length: 301 }, (_, at) => [id, "user_nobody", clerk_user_id][at % 3] ?? "");
  const users = await rollcall.users(ids);
  assert.ok(users.ok, JSON.stringify(users));
  assert.deepEqual(
    users.value.users.map((one) => one?.id ?? null),
    ids.map((one) => (one === "user_nobody" ? null : id)),
  );
  const odd = await rollcall.users([id, "a,b"]);
  assert.equal(!odd.ok && odd.problem?.code, "user_id_invalid");
});

test("an account is deleted by a user who has just verified the first factor", async () => {
  const leaver = await user("Leaver");
  await settled();
  const stale = await as(leaver, { claims: { fva: [10, -1] } }).deleteMe();
  assert.ok(!stale.ok && "clerk_error" in stale, JSON.stringify(stale));
  assert.deepEqual(stale.clerk_error, {
    type: "forbidden",
    reason: "reverification-error",
    metadata: { reverification: { level: "first_factor", afterMinutes: 10 } },
  });
  for (const [claims, code] of [
    [{ fva: [-1, -1] }, "reverification_required"],
    [{ fva: null }, "reverification_required"],
    [{ fva: [0, -1], act: { sub: "user_support" } }, "impersonation_not_allowed"],
  ] as const) {
    const refused = await as(leaver, { claims }).deleteMe();
    assert.equal(!refused.ok && refused.problem?.code, code);
  }
  assert.ok((await as(leaver).me()).ok, "nothing is deleted yet");

  const jwt = await token(stack(), leaver, { claims: { fva: [9, -1] }, expires_in: 600 });
  const rollcall = createRollcall({ api: stack().api, getToken: async () => jwt, timeoutMs });
  assert.deepEqual(await rollcall.deleteMe(), { ok: true, status: 202, value: { outcome: "accepted" }, etag: null });
  await settled();
  const gone = await rollcall.me();
  assert.equal(!gone.ok && gone.problem?.code, "user_deleted");
});

test("a session that is none opens nothing", async () => {
  const expired = as(members[0] ?? "", { issued_ago: 3600 });
  for (const answer of [expired.me(), expired.profile.get(), expired.users(["user_1"]), expired.deleteMe()]) {
    const result = await answer;
    assert.ok(!result.ok);
    assert.deepEqual([result.status, result.problem?.code], [401, "token_expired"]);
  }
});
