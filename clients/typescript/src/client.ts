// `ensureProfile`, the URLs of `/sync`, and the function that sends requests. This file imports only types, so that it
// and `contract.ts` can be copied into any project.

import type { Ensured, Fields, Problem } from "./contract.js";

/** The default time limit of a call, in ms. */
export const DEFAULT_TIMEOUT_MS = 2000;

export interface EnsureOptions {
  /** The URL of Rollcall's API, such as `https://api.example.com`; in a browser also a path, such as `/rollcall`. */
  api: string | URL;
  /** Clerk's `getToken`. It returns null if no user is signed in. */
  getToken: () => Promise<string | null>;
  /** The time limit in ms, from the request for the token to the last byte of the answer. */
  timeoutMs?: number | undefined;
  /** Replaces the global `fetch`. */
  fetch?: typeof globalThis.fetch | undefined;
  /** Aborts the call; the result has the reason `aborted`. */
  signal?: AbortSignal | undefined;
}

/**
 * Why the call has no answer:
 * - `signed_out`: Clerk has no token, so no request was sent;
 * - `timeout`: the call took longer than `timeoutMs`;
 * - `network`: the token or the whole answer could not be fetched, or CORS forbids to read the answer; see `cause`;
 * - `refused`: an error status. With a `problem` it comes from Rollcall, otherwise from a proxy or from API Gateway;
 * - `unreadable`: a successful answer that is not Rollcall's;
 * - `aborted`: the caller's `signal` aborted the call.
 */
export type EnsureReason = "signed_out" | "timeout" | "network" | "refused" | "unreadable" | "aborted";

export interface EnsureFailure {
  ok: false;
  reason: EnsureReason;
  /** The HTTP status, if `refused` or `unreadable`. */
  status?: number;
  /** Rollcall's description of the error, if `refused` by Rollcall. */
  problem?: Problem;
  /** After how many seconds to retry, if `refused` and the answer contains it. */
  retry_after?: number;
  /**
   * For a log, if `timeout`, `network` or `unreadable`: the failed step and the error's own message, without any part
   * of the token. A browser does not tell a page why a request failed; the browser's console has the reason.
   */
  cause?: string;
}

export type EnsureResult<Own extends object = Fields, MembershipOwn extends object = Fields> =
  ({ ok: true } & Ensured<Own, MembershipOwn>) | EnsureFailure;

/**
 * Creates what is missing of the signed-in user, the active organization, the membership and the application's records,
 * and returns all of them. Never throws, never rejects, and takes no longer than `timeoutMs`: render the page with any
 * result. The type parameters name the application's own fields of the two records; the client does not check them.
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

/** The result of a call without an answer. */
export interface Unanswered {
  ok: false;
  reason: Exclude<EnsureReason, "refused" | "unreadable">;
  cause?: string;
}

/** The current step of a call, the signal that aborts it, and the token that its errors may contain. */
export interface Progress {
  step: "getToken" | "the request" | "the answer";
  token?: string;
  readonly signal: AbortSignal;
}

/** The result of `work`, a timeout, or an abort by the caller's signal: the first of the three. */
export function inTime<Result>(
  { timeoutMs = DEFAULT_TIMEOUT_MS, signal }: Pick<EnsureOptions, "timeoutMs" | "signal">,
  work: (progress: Progress) => Promise<Result>,
): Promise<Result | Unanswered> {
  const request = new AbortController();
  const progress: Progress = { step: "getToken", signal: request.signal };
  // The signal of `fetch` does not suffice: `getToken` may never return, and a `fetch` may ignore the signal. Neither
  // may delay the page.
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

/** The content of a request, without the token. */
export interface Sent {
  method: string;
  /** The route, with the query. */
  path: string;
  headers?: Record<string, string>;
  body?: string;
}

/** The API, and the functions that fetch the token and send the request. */
export interface Asker extends Pick<EnsureOptions, "api" | "fetch"> {
  /** Clerk's `getToken`. `template` is never sent; it is what the options have in common in browsers and on servers. */
  getToken: (options?: { skipCache?: boolean; template?: string }) => Promise<string | null>;
}

/**
 * Sends one request. `sent` returns its content, and `read` turns the answer into a result. Never rejects. The time
 * limit is that of `inTime`. With `fresh`, Clerk issues a new token for the request.
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
    // If the call was aborted before, `signal` is aborted, and `fetch` sends no request.
    const response = await uncached(fetch, route(api, path), {
      method,
      headers: { ...headers, authorization: `Bearer ${token}` },
      ...(body !== undefined && { body }),
      // The token identifies the caller. A cookie would make the answer depend on the page's site.
      credentials: "omit",
      // The API never redirects, and no other server may get the token.
      redirect: "manual",
      signal: progress.signal,
    });
    progress.step = "the answer";
    // The status of an error counts, even if its body is incomplete.
    const text = await (response.ok ? response.text() : response.text().catch(() => ""));
    return read(response, text);
  } catch (error) {
    return { ok: false, reason: "network", cause: `${progress.step}: ${told(error, progress.token)}` };
  }
}

/**
 * Sends a request that no cache may answer. Cloudflare Workers with a compatibility date before 2024-11-11 throw
 * because of the option `cache`, before they send the request. They never cache a request with a token, so the request
 * is then sent without the option.
 */
async function uncached(fetch: typeof globalThis.fetch, url: string, init: RequestInit): Promise<Response> {
  try {
    return await fetch(url, { ...init, cache: "no-store" });
  } catch (error) {
    if (!(error instanceof Error) || !/\bcache\b/i.test(error.message)) throw error;
    return fetch(url, init);
  }
}

/** The maximum length of an error's text. */
const MAX_CAUSE = 300;

/**
 * An error and its causes, in one line, without the token. The error for an invalid header contains the token, and an
 * error of Clerk could contain it.
 */
function told(error: unknown, token = ""): string {
  const parts: string[] = [];
  for (let at = error, depth = 0; at !== undefined && at !== null && depth < 4; depth++) {
    if (at instanceof Error) {
      const code = (at as { code?: unknown }).code;
      parts.push(`${at.name}: ${at.message}${typeof code === "string" ? ` (${code})` : ""}`);
      at = at.cause;
    } else {
      // A thrown value that is not an error could contain the token.
      parts.push(`a ${typeof at} was thrown`);
      break;
    }
  }
  let text = parts.join(", caused by ").replace(/eyJ[\w-]+(?:\.[\w-]*)*/g, "…");
  // Each part of the token separately, because the error may contain line breaks in another form.
  for (const piece of token.split(/[^\w-]+/)) if (piece.length > 3) text = text.replaceAll(piece, "…");
  return text.replace(/\s+/g, " ").slice(0, MAX_CAUSE);
}

/** The wait before the second call, in ms. Each later wait is twice as long, up to a minute. */
const FIRST_WAIT_MS = 1000;
const LONGEST_WAIT_MS = 60_000;

/**
 * After how many ms to retry, after `attempts` calls that failed one after another; null if another call would fail in
 * the same way. In the first moment of a session Clerk may have no token (`signed_out`). Stop the retries when the
 * session ends.
 */
export function retryIn(result: { ok: true } | EnsureFailure, attempts: number): number | null {
  if (result.ok) return null;
  const { reason, status = 0, problem, retry_after = 0 } = result;
  const later =
    reason === "signed_out" ||
    reason === "timeout" ||
    reason === "network" ||
    // The token has expired, or has no site yet. Clerk issues the next token within a minute.
    (reason === "refused" &&
      (status >= 500 || status === 429 || problem?.code === "token_expired" || problem?.code === "token_origin"));
  if (!later) return null;
  const wait = Math.min(FIRST_WAIT_MS * 2 ** Math.max(attempts - 1, 0), LONGEST_WAIT_MS);
  return Math.max(wait, retry_after * 1000);
}

/** The result for an error status, with the problem if Rollcall sent one. */
export function refused(response: Response, text: string): EnsureFailure {
  const body = parse(text);
  // The standard also allows a date in this header. It is ignored.
  const seconds = Number(response.headers.get("retry-after") || NaN);
  return {
    ok: false,
    reason: "refused",
    status: response.status,
    ...(isProblem(body) && { problem: body }),
    ...(seconds >= 0 && { retry_after: seconds }),
  };
}

/** The result for a successful answer that is not Rollcall's. */
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

/** Checks the fields that every answer has, but no optional fields and no fields of the application. */
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

/** The minimum time between two redirects to `/sync`, in ms. */
export const SYNC_PAUSE_MS = 10 * 60 * 1000;

/** The methods of `localStorage` or `sessionStorage` that the client uses. */
export interface SyncStorage {
  getItem(key: string): string | null;
  setItem(key: string, value: string): void;
}

export interface SyncOptions {
  /** The API under the page's own host, such as `/rollcall`: browsers send the session cookie to no other host. */
  api: string | URL;
  /** The result of `ensureProfile`. */
  result: EnsureResult<object, object>;
  /** The URL to which `/sync` redirects back: the page itself. */
  redirectUrl: string | URL;
  /**
   * The storage for the time of the last redirect; by default `localStorage`. `sessionStorage` is separate for each
   * tab: several tabs opened at once would all redirect, and `/sync` refuses the fourth request within 90 seconds.
   */
  storage?: SyncStorage | undefined;
  /** The time in Unix ms. */
  now?: (() => number) | undefined;
}

/** The URL of `GET /sync`, which fetches the user from Clerk and redirects the browser to `redirectUrl`. */
export function syncUrl(api: string | URL, redirectUrl: string | URL): string {
  return `${route(api, "/sync")}?${new URLSearchParams({ redirect_url: String(redirectUrl) })}`;
}

/**
 * The URL to which the page must redirect the browser, because the session's claims are outdated; null if no redirect
 * is needed. The page must redirect if it gets a URL: for the same user, the next ten minutes return null. This
 * prevents a redirect loop while the claims do not change. If the browser stores no data, the result is always null.
 * For browsers only.
 */
export function dueSyncUrl({ api, result, redirectUrl, storage, now = Date.now }: SyncOptions): string | null {
  if (!result.ok || !result.needs_sync) return null;
  const key = `rollcall:sync:${result.user.id}`;
  try {
    // A browser that blocks the storage throws on every access.
    storage ??= globalThis.localStorage;
    const last = storage.getItem(key);
    // The absolute difference: if the clock was set back, a stored time in the future must not block the redirect.
    if (last && Math.abs(now() - Number(last)) < SYNC_PAUSE_MS) return null;
    const time = String(now());
    storage.setItem(key, time);
    if (storage.getItem(key) !== time) return null;
  } catch {
    return null;
  }
  return syncUrl(api, redirectUrl);
}

/** The URL of a route. `api` may end with a slash, contain a path, or be only a path on the page's own host. */
function route(api: string | URL, path: string): string {
  return String(api).replace(/\/+$/, "") + path;
}
