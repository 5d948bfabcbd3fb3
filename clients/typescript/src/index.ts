// The exports of the package: `contract` has the types of the answers of `POST /profiles/ensure`, `client` has
// `ensureProfile` and the URLs of `/sync`, and `rollcall` has all other calls.

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
export { DELETION_TIMEOUT_MS, createRollcall } from "./rollcall.js";
export type * from "./rollcall.js";
export type { CodeOf, Failure, FailureOf, NotModified, ProblemOf, Success } from "./send.js";
export type * as openapi from "./openapi.js";
