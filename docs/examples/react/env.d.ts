// In a Vite project, `vite/client` declares the rest of these.

interface ImportMetaEnv {
  /** Where Rollcall answers: a path of the page's own host, such as `/rollcall`, or another host without `/sync`. */
  readonly VITE_ROLLCALL_API: string;
  readonly VITE_CLERK_PUBLISHABLE_KEY: string;
}

interface ImportMeta {
  readonly env: ImportMetaEnv;
}
