import { ClerkProvider, OrganizationSwitcher, Show, SignInButton, UserButton } from "@clerk/react";
import { StrictMode } from "react";
import { createRoot } from "react-dom/client";
import { DeleteAccount } from "./delete-account";
import { MemberList } from "./member-list";
import { ProfileForm } from "./profile-form";
import { RollcallProvider, useCaller } from "./rollcall";

function Welcome() {
  const caller = useCaller();
  if (caller === null) return <p>Welcome!</p>;
  if (caller.ok) {
    return (
      <p>
        Welcome, {caller.user.name}! You are at level {caller.profile?.level ?? 1}
        {caller.organization && <> of {caller.organization.name}</>}.
      </p>
    );
  }
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

function Account() {
  const caller = useCaller();
  // The calls of these parts are about a stored user. Of a new one that is so once Rollcall has answered.
  if (!caller?.ok) return null;
  const id = caller.membership?.organization_id;
  return (
    <>
      <ProfileForm />
      {/* The list of another organization begins anew. */}
      {id && <MemberList key={id} organizationId={id} />}
      <DeleteAccount />
    </>
  );
}

function App() {
  return (
    <>
      <header>
        <Show when="signed-out">
          <SignInButton />
        </Show>
        <Show when="signed-in">
          <OrganizationSwitcher />
          <UserButton />
        </Show>
      </header>
      <main>
        <Show when="signed-in" fallback={<p>Sign in to begin.</p>}>
          <Welcome />
          <Account />
        </Show>
      </main>
    </>
  );
}

const root = document.getElementById("root");
if (root === null) throw new Error("index.html has no element with the id root");

createRoot(root).render(
  <StrictMode>
    <ClerkProvider publishableKey={import.meta.env.VITE_CLERK_PUBLISHABLE_KEY} afterSignOutUrl="/">
      <RollcallProvider>
        <App />
      </RollcallProvider>
    </ClerkProvider>
  </StrictMode>,
);
