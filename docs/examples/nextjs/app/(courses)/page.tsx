import { Suspense } from "react";
import { currentCaller } from "../../lib/rollcall";

export default function Page() {
  return (
    <main>
      <h1>Courses</h1>
      <Suspense fallback={<p>Welcome!</p>}>
        <Welcome />
      </Suspense>
    </main>
  );
}

async function Welcome() {
  const caller = await currentCaller();
  if (caller.ok) {
    return (
      <p>
        Welcome, {caller.user.name}! You are at level {caller.profile?.level ?? 1}
        {caller.organization && <> of {caller.organization.name}</>}.
      </p>
    );
  }
  if (caller.reason === "signed_out") return <p>Sign in to begin.</p>;
  const { code, detail, support } = caller.problem ?? {};
  if (code === "user_banned" || code === "user_not_synced") {
    return (
      <p role="alert">
        {detail} {support}
      </p>
    );
  }
  // Whatever else it is, it is no reason to keep the page from anybody: a later call will mend it.
  return <p>Welcome!</p>;
}
