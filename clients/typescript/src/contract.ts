// What `POST /profiles/ensure` answers, as types. Further fields may come at any time and are passed on. All times are
// in Unix ms.

/** The application's own fields of a record, if no type parameter names them. */
export type Fields = Record<string, unknown>;

/** Clerk's public metadata: an object or, in the rare case that DynamoDB cannot hold it as one, a string of JSON. */
export type Metadata = Record<string, unknown> | string;

/** The copy of a user. Where only the session token is known yet, there are just the first four fields. */
export interface User {
  /** The application's own id, a UUID: it never changes, not even after a deletion. */
  id: string;
  clerk_user_id: string;
  name: string;
  /** One of the setting `ROLES`, by default `admin` or `user`; a role of yours that is not listed there is `user`. */
  role: "admin" | "user" | (string & {});
  public_metadata?: Metadata;
  banned?: boolean;
  locked?: boolean;
  deprovisioned?: boolean;
  external_id?: string;
  first_name?: string;
  last_name?: string;
  username?: string;
  /** The primary address. */
  email?: string;
  /** Whether the user has verified `email`. Present whenever `email` is. */
  email_verified?: boolean;
  /** The primary phone number. */
  phone?: string;
  image_url?: string;
  created_at?: number;
  updated_at?: number;
}

/** The copy of the session's active organization. */
export interface Organization {
  organization_id: string;
  /** Its slug, or `Organization`, for as long as only the session token is known. */
  name: string;
  slug?: string;
  image_url?: string;
  public_metadata?: Metadata;
  created_at?: number;
  updated_at?: number;
}

/** The copy of the user's membership of that organization. Without `role` and `permissions` it grants nothing yet. */
export interface Membership {
  organization_id: string;
  clerk_user_id: string;
  membership_id?: string;
  /** Such as `org:admin`. */
  role?: string;
  /** Such as `org:teams:read`. */
  permissions?: string[];
  public_metadata?: Metadata;
  created_at?: number;
  updated_at?: number;
}

/** The application's own record of the user. One that the application has written itself may lack what Rollcall sets. */
export type Profile<Own extends object = Fields> = Own & {
  /** The user's `id`. */
  user_id?: string;
  created_at?: number;
};

/** The application's own record of the membership, likewise. */
export type MembershipProfile<Own extends object = Fields> = Profile<Own> & { organization_id?: string };

/** What a call may have created. */
export type Created = "user" | "organization" | "membership" | "profile" | "membership_profile";

/** A string of which some values are known, and more may come. */
type Open<Known extends string> = Known | (string & {});

/** All rows and records of the caller. A value that does not exist, or is deleted, is null. */
export interface Ensured<Own extends object = Fields, MembershipOwn extends object = Fields> {
  user: User;
  profile: Profile<Own> | null;
  organization: Organization | null;
  membership: Membership | null;
  membership_profile: MembershipProfile<MembershipOwn> | null;
  /** What this call created. */
  created: Open<Created>[];
  /**
   * Whether the session's claims lack the application's id or differ in the role, or something stands in for what Clerk
   * has yet to say.
   */
  needs_sync: boolean;
  /** Who acts in the user's name, if somebody else does (impersonation). */
  actor?: string | null;
}

/** The codes of problems that a page may want to know. */
export type ProblemCode =
  | "session_missing"
  | "session_pending"
  | "token_expired"
  | "token_origin"
  | "token_signature"
  | "origin_not_allowed"
  | "user_banned"
  | "user_deprovisioned"
  | "user_deleted"
  | "user_not_asked"
  | "user_not_found"
  | "user_not_synced"
  | "unavailable"
  | "session_keys_unavailable"
  | "internal_error";

/** Why Rollcall refused the request: problem details (RFC 9457). They contain no personal data. */
export interface Problem {
  type: string;
  title: string;
  status: number;
  /** What to do about it. */
  detail: string;
  code: Open<ProblemCode>;
  /** The id under which the function's log tells more. */
  request_id: string;
  /** The support contact, if only an operator can resolve the problem. */
  support?: string;
  /** The rejected part of the request's body: a JSON pointer, such as `/address/city`. */
  pointer?: string;
}
