// A Clerk for the real provider of @clerk/react, as an application without a browser hands it one: somebody is signed in,
// and the test says what tokens there are.

import type { ClerkProvider } from "@clerk/react";
import type { ComponentProps } from "react";

type Given = NonNullable<ComponentProps<typeof ClerkProvider>["Clerk"]>;

/** What a session's `getToken` answers, call by call; the last answer stays. Or what makes a token. */
export type Tokens = (string | null)[] | ((options?: TokenOptions) => Promise<string | null>);

interface TokenOptions {
  skipCache?: boolean;
}

/** What Clerk's dialog is opened with. */
interface Reverification {
  level?: string;
  afterVerification: () => void;
  afterVerificationCancelled: () => void;
}

interface Session {
  id: string;
  status: "active";
  user: object;
  lastActiveToken: { jwt: { claims: object } };
  getToken: (options?: TokenOptions) => Promise<string | null>;
}

export class SignedIn {
  readonly loaded = true;
  readonly version = "test";
  readonly user: { id: string; organizationMemberships: object[] } = { id: "user_1", organizationMemberships: [] };
  readonly organization: { id: string } | null;
  readonly client = { sessions: [] };
  session: Session | null = null;
  /** How often a token was asked for. */
  asked = 0;
  /** How often somebody was signed out. */
  signedOut = 0;
  /** The same object until something changes. */
  __internal_lastEmittedResources: object = {};
  #listeners = new Set<(resources: object) => void>();

  /** With an active organization, if one is given. */
  constructor(tokens: Tokens, organization?: string) {
    this.organization = organization === undefined ? null : { id: organization };
    const membership = { organization: this.organization, role: "org:member", permissions: [] };
    if (organization !== undefined) this.user.organizationMemberships.push(membership);
    this.begin("sess_1", tokens);
  }

  /** Another session begins in the place of the one before. */
  begin(id: string, tokens: Tokens): void {
    const left = typeof tokens === "function" ? [] : [...tokens];
    const getToken = async (options?: TokenOptions) => {
      this.asked += 1;
      if (typeof tokens === "function") return tokens(options);
      return (left.length > 1 ? left.shift() : left[0]) ?? null;
    };
    const lastActiveToken = { jwt: { claims: { sid: id } } };
    this.session = { id, status: "active", user: this.user, lastActiveToken, getToken };
    this.#tell();
  }

  addListener(listener: (resources: object) => void): () => void {
    this.#listeners.add(listener);
    listener(this.__internal_lastEmittedResources);
    return () => this.#listeners.delete(listener);
  }

  async signOut(): Promise<void> {
    this.signedOut += 1;
    this.session = null;
    this.#tell();
  }

  /** Clerk's dialog, as the user answers it: verified, or closed. */
  verifies: (asked: Reverification) => boolean = () => true;

  readonly __internal_openReverification = (asked: Reverification): void => {
    if (this.verifies(asked)) asked.afterVerification();
    else asked.afterVerificationCancelled();
  };

  /** As the provider takes it. */
  given(): Given {
    return this as unknown as Given;
  }

  #tell(): void {
    const { client, session, organization } = this;
    this.__internal_lastEmittedResources = { client, session, user: session && this.user, organization };
    for (const listener of this.#listeners) listener(this.__internal_lastEmittedResources);
  }
}
