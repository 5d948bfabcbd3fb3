import assert from "node:assert/strict";
import { test } from "node:test";
import { SYNC_PAUSE_MS, dueSyncUrl, syncUrl, type EnsureResult, type SyncStorage } from "rollcall-client";
import { PLACEHOLDERS, USER } from "./answers.js";

const PAGE = "https://app.example.com/courses?q=a b&page=2#top";
const ENCODED = "/rollcall/sync?redirect_url=https%3A%2F%2Fapp.example.com%2Fcourses%3Fq%3Da+b%26page%3D2%23top";

const lagging = { ok: true, ...PLACEHOLDERS, user: { ...USER, role: "user" } } as const satisfies EnsureResult;

/** As a browser keeps it. */
function remembering(): SyncStorage {
  const items = new Map<string, string>();
  return { getItem: (key) => items.get(key) ?? null, setItem: (key, value) => void items.set(key, value) };
}

function due(storage: SyncStorage | undefined, now = 0, result: EnsureResult = lagging) {
  return dueSyncUrl({ api: "/rollcall", result, redirectUrl: PAGE, storage, now: () => 1_795_253_229_742 + now });
}

test("the page to come back to survives the way there", () => {
  for (const page of [PAGE, "https://app.example.com/?b=%26", "https://app.example.com/%F0%9F%8C%8D?ü=+", "/a", ""]) {
    const url = new URL(syncUrl("https://api.example.com/v1/", page));
    assert.equal(url.origin + url.pathname, "https://api.example.com/v1/sync");
    assert.deepEqual([...url.searchParams], [["redirect_url", page]]);
  }
  const page = new URL(PAGE);
  assert.equal(new URL(syncUrl(new URL("https://api.example.com"), page)).searchParams.get("redirect_url"), page.href);
  assert.equal(syncUrl("/rollcall", PAGE), ENCODED);
});

test("a browser is sent there when the claims lag, and only then", () => {
  assert.equal(due(remembering()), ENCODED);
  assert.equal(due(remembering(), 0, { ...lagging, needs_sync: false }), null);
  for (const reason of ["signed_out", "timeout", "network", "refused", "unreadable", "aborted"] as const) {
    assert.equal(due(remembering(), 0, { ok: false, reason }), null, reason);
  }
});

test("and once in ten minutes", () => {
  const storage = remembering();
  const went = (now: number) => due(storage, now) !== null;
  assert.equal(SYNC_PAUSE_MS, 600_000);
  assert.deepEqual([0, 1, 599_999].map(went), [true, false, false]);
  assert.deepEqual([600_000, 600_001, 1_199_999].map(went), [true, false, false]);
  assert.deepEqual([1_200_000].map(went), [true]);
});

test("another user is another matter", () => {
  const storage = remembering();
  const other = { ...lagging, user: { ...lagging.user, id: "b6ff6a5a-3c39-5a0c-b44c-8bd1a8f0a4b4" } };
  assert.ok(due(storage));
  assert.ok(due(storage, 1, other));
  assert.equal(due(storage, 2), null);
  assert.equal(due(storage, 2, other), null);
});

test("a clock that was set back does not keep a browser away for longer", () => {
  const storage = remembering();
  assert.ok(due(storage, 86_400_000));
  assert.ok(due(storage, 0));
  assert.equal(due(storage, 1), null);
});

test("what is not a time is no memory", () => {
  const storage = remembering();
  storage.setItem(`rollcall:sync:${USER.id}`, "soon");
  assert.ok(due(storage));
  assert.equal(due(storage, 1), null);
});

test("where nothing can be remembered, nobody is sent", () => {
  const blocked = () => {
    throw new DOMException("The operation is insecure.", "SecurityError");
  };
  const full = () => {
    throw new DOMException("The quota has been exceeded.", "QuotaExceededError");
  };
  assert.equal(due({ getItem: blocked, setItem: blocked }), null);
  assert.equal(due({ getItem: () => null, setItem: full }), null);
  assert.equal(due({ getItem: () => null, setItem: () => {} }), null, "a storage that forgets");
});

test("by default the browser remembers, if it can", (t) => {
  const define = (property: PropertyDescriptor) =>
    Object.defineProperty(globalThis, "localStorage", { configurable: true, ...property });
  const original = Object.getOwnPropertyDescriptor(globalThis, "localStorage");
  t.after(() => {
    Reflect.deleteProperty(globalThis, "localStorage");
    if (original) Object.defineProperty(globalThis, "localStorage", original);
  });
  define({ value: undefined });
  assert.equal(due(undefined), null, "there is none");
  define({ value: remembering() });
  assert.equal(due(undefined), ENCODED);
  assert.equal(due(undefined, 1), null);
  define({
    get() {
      throw new DOMException("Access is denied for this document.", "SecurityError");
    },
  });
  assert.equal(due(undefined), null, "not even to be looked at");
});
