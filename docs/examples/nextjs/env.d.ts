declare namespace NodeJS {
  interface ProcessEnv {
    /** Where Rollcall's API is, such as `https://api.example.com`. `next.config.ts` makes sure that it is set. */
    readonly NEXT_PUBLIC_ROLLCALL_API: string;
  }
}
