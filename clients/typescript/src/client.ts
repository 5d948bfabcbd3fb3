// `ensureProfile` and `/sync`, and how a request is sent. Values are imported from nowhere, so that this file and
// `contract.ts` can be copied into any project.

import type { Ensured, Fields, Problem } from "./contract.js";

/** How long everything together may take, in ms, unless the caller says otherwise. */
export const DEFAULT_TIMEOUT_MS = 2000;

export interface EnsureOptions {
  /** Where Rollcall's API is, such as `https://api.example.com`; in a browser also a path, such as `/rollcall`. */
  api: string | URL;
  /** Clerk's `getToken`. Null means that nobody is signed in. */
  getToken: () => Promise<string | null>;
  /** How long it may take in ms, from asking for the token to the last byte of the answer. */
  timeoutMs?: number | undefined;
  /** Another `fetch` than the global one. */
  fetch?: typeof globalThis.fetch | undefined;
  /** Ends it early, with the reason `aborted`. */
  signal?: AbortSignal | undefined;
}

/**
 * Why there is no answer:
 * - `signed_out`: Clerk has no token, so nothing was sent;
 * - `timeout`: it took longer than `timeoutMs`;
 * - `network`: no token or no whole answer could be had, or the browser was not allowed to read it (CORS); see `cause`;
 * - `refused`: an error, from Rollcall if there is a `problem`, else from something before it;
 * - `unreadable`: a success, but not in Rollcall's words;
 * - `aborted`: the caller's `signal` ended it.
 */
export type EnsureReason = "signed_out" | "timeout" | "network" | "refused" | "unreadable" | "aborted";

export interface EnsureFailure {
  ok: false;
  reason: EnsureReason;
  /** The HTTP status, if `refused` or `unreadable`. */
  status?: number;
  /** What Rollcall says about it, if `refused` by Rollcall. */
  problem?: Problem;
  /** When it makes sense to try again, in seconds from now, if `refused` and told. */
  retry_after?: number;
  /**
   * What went wrong, for a log, if `timeout`, `network` or `unreadable`: the step, and the error's own words without
   * anything of a token. A browser does not tell a page why a request failed; its console does.
   */
  cause?: string;
}

export type EnsureResult<Own extends object = Fields, MembershipOwn extends object = Fields> =
  ({ ok: true } & Ensured<Own, MembershipOwn>) | EnsureFailure;

/**
 * Makes sure that the signed-in user, the active organization, the membership and the application's records of them are
 * there, and says what they hold. Never throws and never rejects, and takes no longer than `timeoutMs`: render the page
 * whatever comes. The type parameters name the application's own fields of the two records; they are not checked.
 */
export function ensureProfile<Own extends object = Fields, MembershipOwn extends object = Fields>(
  options: EnsureOptions,
): Promise<EnsureResult<Own, MembershipOwn>> {
  const sent = () => ({ method: "POST", path: "/profiles/ensure" });
  return inTime(options, (progress) =>
    ask<EnsureResult<Own, MembershipOwn>>(options, sent, progress, (response, text) => {
      if (!response.ok) return refused(response, text);
      const body = parse(text);
      return isEnsured<Own, MembershipOwn>(body) ? { ...body, ok: true } : unreadable(response, body);
    }),
  );
}

/** A call that has no answer. */
export interface Unanswered {
  ok: false;
  reason: Exclude<EnsureReason, "refused" | "unreadable">;
  cause?: string;
}

/** What a call is at, what ends it, and the token that its errors may quote. */
export interface Progress {
  step: "getToken" | "the request" | "the answer";
  token?: string;
  readonly signal: AbortSignal;
}

/** What `work` says, or that it took too long, or that the caller's signal has ended it: whatever comes first. */
export function inTime<Result>(
  { timeoutMs = DEFAULT_TIMEOUT_MS, signal }: Pick<EnsureOptions, "timeoutMs" | "signal">,
  work: (progress: Progress) => Promise<Result>,
): Promise<Result | Unanswered> {
  const request = new AbortController();
  const progress: Progress = { step: "getToken", signal: request.signal };
  // Not left to `fetch` and its signal: neither a token that never comes nor a `fetch` that ignores the signal may hold
  // up the page.
  return new Promise((resolve) => {
    const end = (result: Result | Unanswered) => {
      clearTimeout(timer);
      signal?.removeEventListener("abort", giveUp);
      resolve(result);
      request.abort();
    };
    const giveUp = () => end({ ok: false, reason: "aborted" });
    const late = () =>
      end({ ok: false, reason: "timeout", cause: `${progress.step} took longer than ${timeoutMs} ms` });
    const timer = setTimeout(late, timeoutMs);
    if (signal?.aborted) {
      giveUp();
    } else {
      signal?.addEventListener("abort", giveUp);
      void work(progress).then(end);
    }
  });
}

/** What a call sends, beside the token. */
export interface Sent {
  method: string;
  /** The route, with the query. */
  path: string;
  headers?: Record<string, string>;
  body?: string;
}

/** Who asks, and where. */
export interface Asker extends Pick<EnsureOptions, "api" | "fetch"> {
  /** Clerk's `getToken`. `template` is never sent; it is what the options have in common in browsers and on servers. */
  getToken: (options?: { skipCache?: boolean; template?: string }) => Promise<string | null>;
}

/**
 * One request: `sent` says of what, and `read` what the answer means. Never rejects; whether anybody still waits for it
 * is the caller's business. Only a `fresh` one has a token that Clerk makes anew.
 */
export async function ask<Result>(
  { api, getToken, fetch = globalThis.fetch }: Asker,
  sent: () => Sent,
  progress: Progress,
  read: (response: Response, text: string) => Result,
  fresh = false,
): Promise<Result | Unanswered> {
  try {
    progress.step = "getToken";
    const token = await (fresh ? getToken({ skipCache: true }) : getToken());
    if (!token) return { ok: false, reason: "signed_out" };
    progress.token = token;
    progress.step = "the request";
    const { method, path, headers, body } = sent();
    // If nobody waits any more, `signal` says so, and nothing is sent.
    const response = await uncached(fetch, route(api, path), {
      method,
      headers: { ...headers, authorization: `Bearer ${token}` },
      ...(body !== undefined && { body }),
      // The token says who calls. A cookie would only make the answer depend on the page's site.
      credentials: "omit",
      // The API never redirects, and the token is for nobody else.
      redirect: "manual",
      signal: progress.signal,
    });
    progress.step = "the answer";
    // The status of an error counts, even if its body breaks off.
    const text = await (response.ok ? response.text() : response.text().catch(() => ""));
    return read(response, text);
  } catch (error) {
    return { ok: false, reason: "network", cause: `${progress.step}: ${told(error, progress.token)}` };
  }
}

/**
 * A request that no cache answers. Cloudflare Workers throw at the option itself if their compatibility date is before
 * 2024-11-11, and cache nothing with a token anyway: there it goes without. Nothing has been sent when they throw.
 */
async function uncached(fetch: typeof globalThis.fetch, url: string, init: RequestInit): Promise<Response> {
  try {
    return await fetch(url, { ...init, cache: "no-store" });
  } catch (error) {
    if (!(error instanceof Error) || !/\bcache\b/i.test(error.message)) throw error;
    return fetch(url, init);
  }
}

/** How much of an error is passed on. */
const MAX_CAUSE = 300;

/**
 * An error and what caused it, in one line, without the token: the error of a header that cannot be sent quotes it, and
 * one of Clerk's could.
 */
function told(error: unknown, token = ""): string {
  const parts: string[] = [];
  for (let at = error, depth = 0; at !== undefined && at !== null && depth < 4; depth++) {
    if (at instanceof Error) {
      const code = (at as { code?: unknown }).code;
      parts.push(`${at.name}: ${at.message}${typeof code === "string" ? ` (${code})` : ""}`);
      at = at.cause;
    } else {
      // A thrown value may be anything, a token included.
      parts.push(`a ${typeof at} was thrown`);
      break;
    }
  }
  let text = parts.join(", caused by ").replace(/eyJ[\w-]+(?:\.[\w-]*)*/g, "…");
  // Piece by piece, as it may be quoted with a line break written in another way.
  for (const piece of token.split(/[^\w-]+/)) if (piece.length > 3) text = text.replaceAll(piece, "…");
  return text.replace(/\s+/g, " ").slice(0, MAX_CAUSE);
}

/** How long to wait before a second call, in ms; each later wait is twice as long, up to a minute. */
const FIRST_WAIT_MS = 1000;
const LONGEST_WAIT_MS = 60_000;

/**
 * In how many ms it makes sense to ask again, after `attempts` calls that failed one after another; null if another call
 * would fail in the same way. Clerk may have no token yet in the first moment of a session (`signed_out`): stop asking
 * when the session is over.
 */
export function retryIn(result: { ok: true } | EnsureFailure, attempts: number): number | null {
  if (result.ok) return null;
  const { reason, status = 0, problem, retry_after = 0 } = result;
  const later =
    reason === "signed_out" ||
    reason === "timeout" ||
    reason === "network" ||
    // An expired token, or one that names no site yet: Clerk makes the next one within a minute.
    (reason === "refused" &&
      (status >= 500 || status === 429 || problem?.code === "token_expired" || problem?.code === "token_origin"));
  if (!later) return null;
  const wait = Math.min(FIRST_WAIT_MS * 2 ** Math.max(attempts - 1, 0), LONGEST_WAIT_MS);
  return Math.max(wait, retry_after * 1000);
}

/** An error of HTTP, with the problem if Rollcall sent it. */
export function refused(response: Response, text: string): EnsureFailure {
  const body = parse(text);
  // A date, which the standard allows, too, is not a number of seconds and is left out.
  const seconds = Number(response.headers.get("retry-after") || NaN);
  return {
    ok: false,
    reason: "refused",
    status: response.status,
    ...(isProblem(body) && { problem: body }),
    ...(seconds >= 0 && { retry_after: seconds }),
  };
}

/** A success that is not Rollcall's. */
export function unreadable(response: Response, body: unknown): EnsureFailure {
  const cause = body === undefined ? "the answer is not JSON" : "the answer is JSON, but not Rollcall's";
  return { ok: false, reason: "unreadable", status: response.status, cause };
}

export function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** Checks what is always there. What is optional, and what is the application's own, is not looked at. */
function isEnsured<Own extends object, MembershipOwn extends object>(
  body: unknown,
): body is Ensured<Own, MembershipOwn> {
  if (!isObject(body)) return false;
  const { user, profile, organization, membership, membership_profile, created, needs_sync } = body;
  return (
    hasTexts(user, "id", "clerk_user_id", "name", "role") &&
    (profile === null || isObject(profile)) &&
    (organization === null || hasTexts(organization, "organization_id", "name")) &&
    (membership === null || hasTexts(membership, "organization_id", "clerk_user_id")) &&
    (membership_profile === null || isObject(membership_profile)) &&
    Array.isArray(created) &&
    created.every((part) => typeof part === "string") &&
    typeof needs_sync === "boolean"
  );
}

function isProblem(body: unknown): body is Problem {
  return (
    isObject(body) &&
    typeof body["status"] === "number" &&
    hasTexts(body, "type", "title", "detail", "code", "request_id")
  );
}

export function hasTexts<Name extends string>(value: unknown, ...names: Name[]): value is Record<Name, string> {
  return isObject(value) && names.every((name) => typeof value[name] === "string");
}

export function isObject(value: unknown): value is Partial<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** How long a browser is not sent to sync again, in ms. */
export const SYNC_PAUSE_MS = 10 * 60 * 1000;

/** What is needed of `localStorage` or `sessionStorage`. */
export interface SyncStorage {
  getItem(key: string): string | null;
  setItem(key: string, value: string): void;
}

export interface SyncOptions {
  /** Where the API answers under the page's own host, such as `/rollcall`: the session cookie goes nowhere else. */
  api: string | URL;
  /** What `ensureProfile` said. */
  result: EnsureResult<object, object>;
  /** Where to come back to: the page itself. */
  redirectUrl: string | URL;
  /**
   * What remembers that the browser has been there; by default `localStorage`. `sessionStorage` would remember it for
   * one tab: several that are opened at once would all go, and `/sync` refuses the fourth within a minute and a half.
   */
  storage?: SyncStorage | undefined;
  /** The time in Unix ms. */
  now?: (() => number) | undefined;
}

/** The address of `GET /sync`, which fetches the user from Clerk anew and sends the browser on to `redirectUrl`. */
export function syncUrl(api: string | URL, redirectUrl: string | URL): string {
  return `${route(api, "/sync")}?${new URLSearchParams({ redirect_url: String(redirectUrl) })}`;
}

/**
 * Where to send the browser now because the session's claims lag behind, or null: stay. Whoever is given an address
 * must go there, because the same user is given none for the next ten minutes. That is what keeps a page from going
 * round in circles while the claims stay as they are; where it cannot be remembered, as the browser keeps no data, nobody
 * is sent at all. For browsers only.
 */
export function dueSyncUrl({ api, result, redirectUrl, storage, now = Date.now }: SyncOptions): string | null {
  if (!result.ok || !result.needs_sync) return null;
  const key = `rollcall:sync:${result.user.id}`;
  try {
    // Even to look at it throws where the browser blocks it.
    storage ??= globalThis.localStorage;
    const last = storage.getItem(key);
    // Both ways: after the clock was set back, the future is no reason to wait.
    if (last && Math.abs(now() - Number(last)) < SYNC_PAUSE_MS) return null;
    const time = String(now());
    storage.setItem(key, time);
    if (storage.getItem(key) !== time) return null;
  } catch {
    return null;
  }
  return syncUrl(api, redirectUrl);
}

/** The address of a route. `api` may end with a slash, hold a path, or be nothing but a path of the page's own host. */
function route(api: string | URL, path: string): string {
  return String(api).replace(/\/+$/, "") + path;
}
