// A browser's document, and a page in it: what an example shows inside Clerk's own provider and that of ../react.

import assert from "node:assert/strict";
import type { TestContext } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import type { ClerkProvider as Provider } from "@clerk/react";
import { Window } from "happy-dom";
import { StrictMode, type ComponentProps, type ReactNode } from "react";
import type { SignedIn } from "./clerk.ts";

/** How long a page may take, in ms. */
const PATIENCE_MS = 8000;

/** Makes this process a browser at an application's address, whose Rollcall is at `api`. Before any example is loaded. */
export function browser(api: string): void {
  // The example reads it when it is loaded.
  process.env["VITE_ROLLCALL_API"] = api;
  const window = new Window({ url: "http://localhost:5173/" });
  // `fetch` stays that of Node.js.
  Object.assign(globalThis, { window, document: window.document });
  for (const name of ["localStorage", "navigator"] as const) {
    Object.defineProperty(globalThis, name, { value: window[name], configurable: true });
  }
}

export interface Page {
  clerk: SignedIn;
  root: HTMLElement;
  /** What the page shows. */
  text: () => string;
  leave: () => void;
}

/** Shows something to somebody who is signed in. */
export async function show(t: TestContext, clerk: SignedIn, shown: ReactNode): Promise<Page> {
  // Not before there is a document: React looks once what a browser can do.
  const { createRoot } = await import("react-dom/client");
  const { ClerkProvider } = await import("@clerk/react");
  const { RollcallProvider } = await import("../react/rollcall.tsx");
  const root = document.body.appendChild(document.createElement("div"));
  const page = createRoot(root);
  // Without a script from Clerk's servers.
  const options = {
    publishableKey: `pk_test_${Buffer.from("clerk.example.com$").toString("base64")}`,
    Clerk: clerk.given(),
    experimental: { runtimeEnvironment: "headless" },
  } as ComponentProps<typeof Provider>;
  page.render(
    <StrictMode>
      <ClerkProvider {...options}>
        <RollcallProvider>{shown}</RollcallProvider>
      </ClerkProvider>
    </StrictMode>,
  );
  let left = false;
  const leave = () => {
    if (!left) page.unmount();
    left = true;
  };
  t.after(leave);
  return { clerk, root, text: () => root.textContent ?? "", leave };
}

/** Waits until something is so. */
export async function until(isSo: () => boolean, otherwise: () => string): Promise<void> {
  for (let waited = 0; !isSo(); waited += 20) {
    assert.ok(waited < PATIENCE_MS, otherwise());
    await pause(20);
  }
}
