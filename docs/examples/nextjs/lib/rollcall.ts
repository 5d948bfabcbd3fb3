import "server-only";
import { auth } from "@clerk/nextjs/server";
import { cache } from "react";
import { createRollcall, ensureProfile, type EnsureResult, type Rollcall } from "rollcall-client";

/**
 * The fields that your application keeps in the two records: those of PROFILE_DEFAULTS and MEMBERSHIP_PROFILE_DEFAULTS,
 * and those that users may write, by PROFILE_WRITABLE.
 */
type Own = { level: number; bio?: string; city?: string };
type MembershipOwn = { seat: string };

export type Caller = EnsureResult<Own, MembershipOwn>;

/**
 * What Rollcall says of the signed-in user in the active organization. However many components ask, it is one call for
 * each request that is rendered.
 */
export const currentCaller = cache(async (): Promise<Caller> => {
  // Apart from the call: `auth()` throws to tell Next.js that the page depends on the request, and the client lets
  // nothing through.
  const { getToken } = await auth();
  // Less time than in a browser: until it is over, the answer is not complete, although the page shows already.
  return ensureProfile({ api: process.env.NEXT_PUBLIC_ROLLCALL_API, getToken, timeoutMs: 1000 });
});

/** All calls of the signed-in user, for server components and server actions. */
export async function currentRollcall(): Promise<Rollcall<Own, MembershipOwn>> {
  const { getToken } = await auth();
  return createRollcall<Own, MembershipOwn>({ api: process.env.NEXT_PUBLIC_ROLLCALL_API, getToken });
}
