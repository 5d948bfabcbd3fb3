"use client";

import { useAuth } from "@clerk/nextjs";
import { useEffect } from "react";
import { dueSyncUrl } from "rollcall-client";
import type { Caller } from "../../lib/rollcall";

/** What only a browser can do about an answer: sign out, and go to sync. It shows nothing. */
export function FollowUp({ caller }: { caller: Caller }) {
  const { signOut } = useAuth();

  useEffect(() => {
    if (!caller.ok && caller.problem?.code === "user_deleted") void signOut({ redirectUrl: "/" });
    // By the rewrite in next.config.ts.
    const url = dueSyncUrl({ api: "/rollcall", result: caller, redirectUrl: window.location.href });
    // Not a step in the history: "back" must not lead to it.
    if (url !== null) window.location.replace(url);
  }, [caller, signOut]);

  return null;
}
