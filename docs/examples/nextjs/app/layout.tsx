import { ClerkProvider } from "@clerk/nextjs";
import type { ReactNode } from "react";

// Nothing here asks who is signed in: Next.js also renders this layout around "not found" for addresses that proxy.ts
// leaves out, and there `auth()` fails.
export default function RootLayout({ children }: { children: ReactNode }) {
  return (
    <html lang="en">
      <body>
        <ClerkProvider>{children}</ClerkProvider>
      </body>
    </html>
  );
}
