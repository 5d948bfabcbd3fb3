import { useAuth } from "@clerk/react";
import { createContext, useContext, useEffect, useMemo, useState, type ReactNode } from "react";
import { createRollcall, dueSyncUrl, ensureProfile, retryIn } from "rollcall-client";
import type { EnsureResult, Failure, Rollcall } from "rollcall-client";

/**
 * The fields that your application keeps in the two records: those of PROFILE_DEFAULTS and MEMBERSHIP_PROFILE_DEFAULTS,
 * and those that users may write, by PROFILE_WRITABLE.
 */
type Own = { level: number; bio?: string; city?: string };
type MembershipOwn = { seat: string };

export type Caller = EnsureResult<Own, MembershipOwn>;

const api = import.meta.env.VITE_ROLLCALL_API;

const CallerContext = createContext<Caller | null>(null);

/** What Rollcall says of the signed-in user in the active organization; null before it has said anything. */
export function useCaller(): Caller | null {
  return useContext(CallerContext);
}

/** All calls of the signed-in user. */
export function useRollcall(): Rollcall<Own, MembershipOwn> {
  const { getToken } = useAuth();
  return useMemo(() => createRollcall<Own, MembershipOwn>({ api, getToken }), [getToken]);
}

/** What to tell the user about a call that failed. */
export function explain({ problem }: Failure): string {
  return problem ? `${problem.detail} ${problem.support ?? ""}` : "That did not work. Try again in a moment.";
}

/**
 * Asks Rollcall once for each session and active organization, and again where that may help: in the first moment of a
 * session Clerk may have no token yet, and an answer may come too late. Its children never wait for the answer.
 */
export function RollcallProvider({ children }: { children: ReactNode }) {
  const { getToken, orgId, sessionId, signOut } = useAuth();
  const [answer, setAnswer] = useState<{ session: string; caller: Caller } | null>(null);
  const session = sessionId ? `${sessionId} ${orgId ?? ""}` : null;

  useEffect(() => {
    if (session === null) return;
    const outdated = new AbortController();
    let again: ReturnType<typeof setTimeout> | undefined;
    const ask = async (attempts: number) => {
      const caller = await ensureProfile<Own, MembershipOwn>({ api, getToken, signal: outdated.signal });
      if (outdated.signal.aborted) return;
      setAnswer({ session, caller });
      const wait = retryIn(caller, attempts);
      if (wait !== null) again = setTimeout(() => void ask(attempts + 1), wait);
      if (!caller.ok && caller.problem?.code === "user_deleted") void signOut();
      const url = dueSyncUrl({ api, result: caller, redirectUrl: window.location.href });
      // Not a step in the history: "back" must not lead to it.
      if (url !== null) window.location.replace(url);
    };
    void ask(1);
    return () => {
      outdated.abort();
      clearTimeout(again);
    };
  }, [session, getToken, signOut]);

  // The answer of another session or organization is about somebody else.
  const caller = answer?.session === session ? answer.caller : null;
  return <CallerContext value={caller}>{children}</CallerContext>;
}
