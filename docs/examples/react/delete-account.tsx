import { useAuth, useReverification } from "@clerk/react";
import { isReverificationCancelledError } from "@clerk/react/errors";
import { useState } from "react";
import { explain, useRollcall } from "./rollcall";

/** Deletes the account, for good. Whoever signed in longer than ten minutes ago is asked by Clerk to verify again. */
export function DeleteAccount() {
  const { signOut } = useAuth();
  const rollcall = useRollcall();
  const [message, setMessage] = useState("");
  // Clerk finds its words in the answer, shows its dialog, and then calls again. More time than usual: Clerk deletes.
  const deleteMe = useReverification(() => rollcall.deleteMe({ timeoutMs: 10_000 }));

  async function remove() {
    if (!window.confirm("Delete your account? This cannot be undone.")) return;
    try {
      const answer = await deleteMe();
      // Whoever tries again after an answer that got lost may be deleted already.
      if (answer.ok || answer.problem?.code === "user_deleted") await signOut();
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
