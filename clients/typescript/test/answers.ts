// Bodies as Rollcall answers them.

export const USER = {
  id: "2d649aef-b94e-5d5a-889a-5ec91f4a5faa",
  clerk_user_id: "user_2nNG9rEYQoliquKw5eHQ9eFeurU",
  name: "Ada Example",
  role: "user",
  email: "ada@example.com",
  public_metadata: { dbId: "2d649aef-b94e-5d5a-889a-5ec91f4a5faa" },
  banned: false,
  locked: false,
  created_at: 1795253229742,
  updated_at: 1795253229742,
};

export const ENSURED = {
  user: USER,
  profile: { user_id: USER.id, created_at: 1795253229798, level: 1 },
  organization: { organization_id: "org_1", name: "Acme", slug: "acme" },
  membership: {
    organization_id: "org_1",
    clerk_user_id: USER.clerk_user_id,
    membership_id: "orgmem_1",
    role: "org:admin",
    permissions: ["org:teams:read"],
  },
  membership_profile: { user_id: USER.id, organization_id: "org_1", created_at: 1795253229798, seat: "free" },
  created: [] as string[],
  needs_sync: false,
};

/** What is known while Clerk cannot be asked: little more than what the token says. */
export const PLACEHOLDERS = {
  user: { id: USER.id, clerk_user_id: USER.clerk_user_id, name: "User", role: "user" },
  profile: null,
  organization: { organization_id: "org_1", name: "Organization" },
  membership: { organization_id: "org_1", clerk_user_id: USER.clerk_user_id },
  membership_profile: null,
  created: ["user", "organization", "membership"],
  needs_sync: true,
};

export function problem(status: number, code: string) {
  return {
    type: `urn:rollcall:problem:${code}`,
    title: "A title",
    status,
    detail: "What to do about it.",
    code,
    request_id: "1b0a74d1e659ff26",
  };
}

export const ME = {
  user: USER,
  organizations: [{ organization: ENSURED.organization, membership: ENSURED.membership }],
  active_organization_id: "org_1",
  needs_sync: false,
  actor: null,
};

export const RECORD = { user_id: USER.id, created_at: 1795253229798, profile_version: 1, bio: "Hello" };

export const PAGE = {
  members: [{ user: { id: USER.id, clerk_user_id: USER.clerk_user_id, name: USER.name }, role: "org:admin", since: 1 }],
  next_cursor: null,
};
