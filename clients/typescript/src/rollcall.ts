// `createRollcall`: all calls of a signed-in user.

import { ensureProfile, hasTexts, inTime, isObject } from "./client.js";
import type { Asker, EnsureOptions, EnsureResult, Progress, Unanswered } from "./client.js";
import type { Fields, MembershipProfile, Profile } from "./contract.js";
import type { components } from "./openapi.js";
import { send, type Failure, type FailureOf, type NotModified, type Success } from "./send.js";

type Schemas = components["schemas"];

/** The caller and the caller's organizations. */
export type Me = Schemas["Me"];
/** Whether the caller has a role or a permission, and the reason. */
export type Authorization = Schemas["Authorization"];
/** One member of an organization. */
export type Member = Schemas["Member"];
/** A page of members; `next_cursor` is null after the last one. */
export type MemberPage = Schemas["MemberPage"];
/** The fields of a user that the caller may see. */
export type VisibleUser = Schemas["UserInBrief"] & Partial<Schemas["User"]>;

/** A merge patch (RFC 7396): null removes a field, objects are merged, everything else is replaced. */
export type MergePatch<Own> = {
  [Name in keyof Own]?: (Own[Name] extends readonly unknown[] ? Own[Name]
  : Own[Name] extends object ? MergePatch<Own[Name]>
  : Own[Name]) | null;
};

export interface RollcallOptions extends Asker {
  /**
   * The time limit of each call in ms, unless the call has its own. By default `DEFAULT_TIMEOUT_MS`, and for `deleteMe`
   * `DELETION_TIMEOUT_MS`.
   */
  timeoutMs?: number | undefined;
}

export interface CallOptions {
  /** The time limit of the call in ms, from the request for the token to the last byte of the answer. */
  timeoutMs?: number | undefined;
  /** Aborts the call; the result has the reason `aborted`. */
  signal?: AbortSignal | undefined;
}

export interface ReadOptions extends CallOptions {
  /** The `etag` of an earlier answer. The answer is 304 if the representation has not changed. */
  etag?: string | null | undefined;
}

/** Without `etag` there is no 304. */
type Unconditional = CallOptions & { etag?: undefined };

export interface WriteOptions extends CallOptions {
  /**
   * The `etag` of the record that the caller has read. If the stored record has another one, the answer is 412
   * `precondition_failed`. `*` matches every record. Without `ifMatch`, the change applies to the stored record.
   */
  ifMatch?: string | undefined;
}

/** Creates the record as `create` does, and changes none: if the record exists, the answer is 412 `precondition_failed`. */
export interface CreateOnly extends CallOptions {
  ifNoneMatch: "*";
}

export interface Question extends CallOptions {
  /** With `organizationId` a role in it, such as `org:admin` or `admin`; otherwise a role in the application. */
  role?: string | undefined;
  /** Such as `org:teams:read`. */
  permission?: string | undefined;
  /** By default, a permission is asked for in the session's active organization, and a role in the application. */
  organizationId?: string | undefined;
}

export interface MembersOptions extends CallOptions {
  /** Only members with this role, such as `org:admin` or `admin`. */
  role?: string | undefined;
  /** Members of a page, 1 to 48; by default 20. */
  limit?: number | undefined;
  /** The start of the page: `next_cursor` of the page before. */
  cursor?: string | null | undefined;
}

/** The calls for one record. */
export interface RecordCalls<Own extends object, Stored extends object> {
  get(options?: Unconditional): Promise<Success<Stored> | FailureOf<"getMeProfile">>;
  get(options: ReadOptions): Promise<Success<Stored> | NotModified | FailureOf<"getMeProfile">>;
  /** Creates the record. If it exists, the answer is 409 `profile_exists`. */
  create(fields?: Partial<Own>, options?: CallOptions): Promise<Success<Stored, 201> | FailureOf<"postMeProfile">>;
  /** Replaces all writable fields: sets the given fields, and removes the other writable fields. */
  replace(fields: Partial<Stored>, options: CreateOnly): Promise<Success<Stored, 201> | FailureOf<"putMeProfile">>;
  replace(fields: Partial<Stored>, options?: WriteOptions): Promise<Success<Stored> | FailureOf<"putMeProfile">>;
  /** Changes the given fields and leaves all others as they are. */
  patch(fields: MergePatch<Own>, options?: WriteOptions): Promise<Success<Stored> | FailureOf<"patchMeProfile">>;
}

type MembersFailure = FailureOf<"getOrganizationsIdMembers">;

/** The members of an organization: one by one, page by page, or a single page. The iteration ends after a failure. */
export interface Members extends AsyncIterable<{ ok: true; value: Member } | MembersFailure> {
  pages(): AsyncIterableIterator<Success<MemberPage> | MembersFailure>;
  /** The page at a cursor, by default the first one. */
  page(cursor?: string | null): Promise<Success<MemberPage> | MembersFailure>;
}

/** The user must verify the first factor, and `deleteMe` must be repeated. Clerk's `useReverification` does both. */
export interface ReverificationRequired extends Failure<"reverification_required"> {
  /** The error in Clerk's own form, from the body of the answer. */
  clerk_error: {
    type: "forbidden";
    reason: "reverification-error";
    metadata: { reverification: { level: "first_factor"; afterMinutes: number } };
  };
}

export interface Rollcall<Own extends object = Fields, MembershipOwn extends object = Fields> {
  /** `ensureProfile`, with the options of this object. */
  ensure(options?: CallOptions): Promise<EnsureResult<Own, MembershipOwn>>;
  /** The caller and the caller's organizations. */
  me(options?: Unconditional): Promise<Success<Me> | FailureOf<"getMe">>;
  me(options: ReadOptions): Promise<Success<Me> | NotModified | FailureOf<"getMe">>;
  /** The application's record of the caller. */
  profile: RecordCalls<Own, Profile<Own>>;
  /** The application's record of the caller's membership of an organization. */
  membershipProfile(organizationId: string): RecordCalls<MembershipOwn, MembershipProfile<MembershipOwn>>;
  /** Whether the caller has a role, a permission, or both. */
  authorization(question: Question): Promise<Success<Authorization> | FailureOf<"getMeAuthorization">>;
  members(organizationId: string, options?: MembersOptions): Members;
  /** One user, by Clerk's id or by the internal id. */
  user(id: string, options?: CallOptions): Promise<Success<{ user: VisibleUser }> | FailureOf<"getUsersId">>;
  /**
   * Any number of users, in the order of the ids; null for a user who does not exist or whom the caller may not see.
   */
  users(
    ids: readonly string[],
    options?: CallOptions,
  ): Promise<Success<{ users: (VisibleUser | null)[] }> | FailureOf<"getUsers">>;
  /**
   * Deletes the caller's account permanently. Always requests a new token, because an older token does not contain the
   * latest verification of the first factor. Pass the call to Clerk's `useReverification`. By default it takes up to
   * `DELETION_TIMEOUT_MS`, because Clerk deletes the user before the answer.
   */
  deleteMe(
    options?: CallOptions,
  ): Promise<Success<{ outcome: string }, 202> | FailureOf<"deleteMe"> | ReverificationRequired>;
}

/** By default, `deleteMe` takes no longer, in ms. The function itself answers within nine seconds. */
export const DELETION_TIMEOUT_MS = 10_000;
/** The maximum number of ids in one request. */
const MAX_IDS = 100;

/**
 * Creates an object with all calls of a signed-in user. No call throws or rejects, and each takes no longer than
 * `timeoutMs`. The type parameters name the application's own fields of the two records; the client does not check
 * them.
 */
export function createRollcall<Own extends object = Fields, MembershipOwn extends object = Fields>(
  options: RollcallOptions,
): Rollcall<Own, MembershipOwn> {
  /** The options of one call. The object's options replace missing ones. */
  const limits = ({ timeoutMs = options.timeoutMs, signal }: CallOptions) => ({ timeoutMs, signal });
  const within = <Result>(call: CallOptions, work: (progress: Progress) => Promise<Result>) =>
    inTime(limits(call), work) as Promise<Result | Unanswered>;

  return {
    ensure: (call = {}) => ensureProfile<Own, MembershipOwn>({ ...ensuring(options), ...limits(call) }),

    me: ((call: ReadOptions = {}) =>
      within(call, (progress) =>
        send(options, progress, "get", "/me", { headers: { "if-none-match": call.etag ?? undefined }, isValue: isMe }),
      )) as Rollcall["me"],

    profile: record<Own, Profile<Own>>(options, within, undefined),

    membershipProfile: (organizationId) =>
      record<MembershipOwn, MembershipProfile<MembershipOwn>>(options, within, organizationId),

    authorization: ({ role, permission, organizationId, ...call }) =>
      within(call, (progress) =>
        send(options, progress, "get", "/me/authorization", {
          query: { role, permission, organization_id: organizationId },
          isValue: (body) => isObject(body) && typeof body["authorized"] === "boolean" && hasTexts(body, "because"),
        }),
      ),

    members: (id, { role, limit, cursor: first, ...call } = {}) => {
      const page = (cursor: string | null | undefined = first) =>
        within(call, (progress) =>
          send(options, progress, "get", "/organizations/{id}/members", {
            path: { id },
            query: { role, limit, cursor: cursor ?? undefined },
            // A repeated cursor would cause an endless loop.
            isValue: (body) => isPage(body) && (body["next_cursor"] === null || body["next_cursor"] !== cursor),
          }),
        );
      return membersOf(page);
    },

    user: (id, call = {}) =>
      within(call, (progress) =>
        send(options, progress, "get", "/users/{id}", {
          path: { id },
          isValue: (body) => isObject(body) && isUser(body["user"]),
        }),
      ),

    users: (ids, call = {}) =>
      within(call, async (progress) => {
        const users: (VisibleUser | null)[] = [];
        for (let from = 0; from < ids.length; from += MAX_IDS) {
          const id = ids.slice(from, from + MAX_IDS);
          const part = await send(options, progress, "get", "/users", {
            query: { id },
            isValue: (body) => isObject(body) && isUsers(body["users"], id.length),
          });
          if (!part.ok) return part;
          users.push(...part.value.users);
        }
        return { ok: true, status: 200, value: { users }, etag: null };
      }),

    deleteMe: async (call = {}) => {
      const timeoutMs = call.timeoutMs ?? options.timeoutMs ?? DELETION_TIMEOUT_MS;
      const answer = await within({ ...call, timeoutMs }, (progress) =>
        send(options, progress, "delete", "/me", { fresh: true, isValue: (body) => hasTexts(body, "outcome") }),
      );
      return answer.ok ? answer : asked(answer);
    },
  };
}

/** `ensureProfile` takes a `getToken` without options. */
function ensuring({ api, getToken, fetch }: Asker): Pick<EnsureOptions, "api" | "getToken" | "fetch"> {
  return { api, getToken: () => getToken(), fetch };
}

/** The calls for the record of the user or of a membership. */
function record<Own extends object, Stored extends object>(
  options: Asker,
  within: <Result>(call: CallOptions, work: (progress: Progress) => Promise<Result>) => Promise<Result | Unanswered>,
  organizationId: string | undefined,
): RecordCalls<Own, Stored> {
  const query = { organization_id: organizationId };
  const isValue = isObject;
  const calls = {
    get: (call: ReadOptions = {}) =>
      within(call, (progress) => {
        const headers = { "if-none-match": call.etag ?? undefined };
        return send(options, progress, "get", "/me/profile", { query, headers, isValue });
      }),
    create: (fields: Fields = {}, call: CallOptions = {}) =>
      within(call, (progress) => {
        const body = { type: "application/json", value: fields } as const;
        return send(options, progress, "post", "/me/profile", { query, body, isValue });
      }),
    replace: (fields: Fields, call: WriteOptions & Partial<CreateOnly> = {}) =>
      within(call, (progress) => {
        const body = { type: "application/json", value: fields } as const;
        const headers = { "if-match": call.ifMatch, "if-none-match": call.ifNoneMatch };
        return send(options, progress, "put", "/me/profile", { query, headers, body, isValue });
      }),
    patch: (fields: Fields, call: WriteOptions = {}) =>
      within(call, (progress) => {
        const body = { type: "application/merge-patch+json", value: fields } as const;
        const headers = { "if-match": call.ifMatch };
        return send(options, progress, "patch", "/me/profile", { query, headers, body, isValue });
      }),
  };
  // docs/openapi.json names no fields of a record; the type parameters do, and the client does not check them.
  return calls as unknown as RecordCalls<Own, Stored>;
}

function membersOf(page: Members["page"]): Members {
  async function* pages() {
    for (let cursor: string | null | undefined; cursor !== null;) {
      const answer = await page(cursor);
      yield answer;
      if (!answer.ok) return;
      cursor = answer.value.next_cursor;
    }
  }
  async function* all() {
    for await (const answer of pages()) {
      if (answer.ok) for (const value of answer.value.members) yield { ok: true as const, value };
      else yield answer;
    }
  }
  return { page, pages, [Symbol.asyncIterator]: all };
}

/** Copies Clerk's error to the place where `useReverification` expects it. */
function asked<Answer extends Failure>(answer: Answer): Answer | ReverificationRequired {
  const { clerk_error } = (answer.problem ?? {}) as { clerk_error?: ReverificationRequired["clerk_error"] };
  return clerk_error === undefined ? answer : ({ ...answer, clerk_error } as unknown as ReverificationRequired);
}

/** Checks the fields that every answer has, but no optional fields and no fields of the application. */
function isMe(body: unknown): boolean {
  if (!isObject(body)) return false;
  const { user, organizations, needs_sync } = body;
  const isOrganization = (one: unknown) =>
    isObject(one) && hasTexts(one["organization"], "organization_id") && hasTexts(one["membership"], "organization_id");
  return (
    hasTexts(user, "id", "clerk_user_id", "name", "role") &&
    Array.isArray(organizations) &&
    organizations.every(isOrganization) &&
    typeof needs_sync === "boolean"
  );
}

function isPage(body: unknown): body is Fields {
  if (!isObject(body)) return false;
  const { members, next_cursor } = body;
  const isMember = (one: unknown) => isObject(one) && isUser(one["user"]);
  return (
    Array.isArray(members) && members.every(isMember) && (next_cursor === null || typeof next_cursor === "string")
  );
}

function isUser(body: unknown): boolean {
  return hasTexts(body, "id", "clerk_user_id", "name");
}

function isUsers(body: unknown, length: number): boolean {
  return Array.isArray(body) && body.length === length && body.every((one) => one === null || isUser(one));
}
