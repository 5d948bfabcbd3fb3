"use client";

import { useAuth, useReverification } from "@clerk/nextjs";
import { isReverificationCancelledError } from "@clerk/nextjs/errors";
import { useState } from "react";
import { createRollcall } from "rollcall-client";
import { explain } from "../../../lib/explain";

/**
 * Deletes the account, for good. Whoever signed in longer than ten minutes ago is asked by Clerk to verify again.
 *
 * Not a server action: on the server `getToken` hands out the token of the cookie, and only in the browser one that Clerk
 * makes anew, which knows of the verification of a moment ago.
 */
export function DeleteAccount() {
  const { getToken, signOut } = useAuth();
  const [message, setMessage] = useState("");
  const rollcall = createRollcall({ api: process.env.NEXT_PUBLIC_ROLLCALL_API, getToken });
  // Clerk finds its words in the answer, shows its dialog, and then calls again. More time than usual: Clerk deletes.
  const deleteMe = useReverification(() => rollcall.deleteMe({ timeoutMs: 10_000 }));

  async function remove() {
    if (!window.confirm("Delete your account? This cannot be undone.")) return;
    try {
      const answer = await deleteMe();
      // Whoever tries again after an answer that got lost may be deleted already.
      if (answer.ok || answer.problem?.code === "user_deleted") await signOut({ redirectUrl: "/" });
      else setMessage(explain(answer));
    } catch (error) {
      if (!isReverificationCancelledError(error)) throw error;
      setMessage("Your account was not deleted.");
    }
  }

  return (
    <section>
      <button onClick={() => void remove()}>Delete my account</button>
      <p role="alert">{message}</p>
    </section>
  );
}
