"use client";

import { useState } from "react";
import type { MemberPage } from "rollcall-client";
import { explain } from "../../../lib/explain";
import { membersPage } from "./actions";

/** The members of an organization, page by page: the first one comes from the server. */
export function MemberList({ organizationId, first }: { organizationId: string; first: MemberPage }) {
  const [members, setMembers] = useState(first.members);
  /** Where the next page begins; null after the last one. */
  const [cursor, setCursor] = useState(first.next_cursor);
  const [message, setMessage] = useState("");
  const [busy, setBusy] = useState(false);

  async function more() {
    setBusy(true);
    const page = await membersPage(organizationId, cursor);
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
