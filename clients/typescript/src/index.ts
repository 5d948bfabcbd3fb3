// What a frontend calls of Rollcall: `contract` is what the API answers, `client` makes sure that the caller is there, and
// `rollcall` has all other calls.

export { DEFAULT_TIMEOUT_MS, SYNC_PAUSE_MS, dueSyncUrl, ensureProfile, retryIn, syncUrl } from "./client.js";
export type {
  Asker,
  EnsureFailure,
  EnsureOptions,
  EnsureReason,
  EnsureResult,
  SyncOptions,
  SyncStorage,
} from "./client.js";
export type * from "./contract.js";
export { createRollcall } from "./rollcall.js";
export type * from "./rollcall.js";
export type { CodeOf, Failure, FailureOf, NotModified, ProblemOf, Success } from "./send.js";
export type * as openapi from "./openapi.js";
