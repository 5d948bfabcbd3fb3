"use server";

import { currentRollcall } from "../../../lib/rollcall";
import type { Draft } from "../../../lib/draft";

// Anybody who is signed in can call these with anything. Rollcall checks what arrives, by the caller's own token: the
// caller's record is changed and no other, and only the fields of PROFILE_WRITABLE.

/** Changes the caller's record, if it still has this tag. Otherwise the answer is `precondition_failed`. */
export async function saveProfile(changes: Partial<Record<keyof Draft, string | null>>, etag: string | null) {
  const { profile } = await currentRollcall();
  // An answer has no tag if something between here and Rollcall takes it away. Then the last one to save wins.
  return profile.patch(changes, { ifMatch: etag ?? "*" });
}

export async function readProfile() {
  const { profile } = await currentRollcall();
  return profile.get();
}

/** A page of the members of an organization. */
export async function membersPage(organizationId: string, cursor: string | null) {
  const rollcall = await currentRollcall();
  return rollcall.members(organizationId).page(cursor);
}
