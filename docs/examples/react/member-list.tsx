import { useEffect, useState } from "react";
import type { Member } from "rollcall-client";
import { explain, useRollcall } from "./rollcall";

/** The members of an organization, page by page. Only members see it. */
export function MemberList({ organizationId }: { organizationId: string }) {
  const rollcall = useRollcall();
  const [members, setMembers] = useState<Member[]>([]);
  /** Where the next page begins; null if there is none, or none is known yet. */
  const [cursor, setCursor] = useState<string | null>(null);
  const [message, setMessage] = useState("");
  const [busy, setBusy] = useState(false);

  useEffect(() => {
    const left = new AbortController();
    void (async () => {
      const page = await rollcall.members(organizationId, { signal: left.signal }).page();
      if (left.signal.aborted) return;
      if (!page.ok) return setMessage(explain(page));
      setMembers(page.value.members);
      setCursor(page.value.next_cursor);
    })();
    return () => left.abort();
  }, [rollcall, organizationId]);

  async function more() {
    setBusy(true);
    const page = await rollcall.members(organizationId).page(cursor);
    setBusy(false);
    setMessage(page.ok ? "" : explain(page));
    // After a failure the button stays, and continues where it stopped.
    if (!page.ok) return;
    setMembers((shown) => [...shown, ...page.value.members]);
    setCursor(page.value.next_cursor);
  }

  return (
    <section>
      <ul>
        {members.map(({ user, role }) => (
          <li key={user.id}>
            {user.name} {user.email} {role}
          </li>
        ))}
      </ul>
      {cursor !== null && (
        <button disabled={busy} onClick={() => void more()}>
          Load more
        </button>
      )}
      <p role="alert">{message}</p>
    </section>
  );
}
