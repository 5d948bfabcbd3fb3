// Sends one request to any route of docs/openapi.json. `openapi.ts` is generated from the document and contains only
// types, so it adds no code at run time.

import { ask, parse, refused, unreadable, type Asker, type EnsureFailure, type Progress } from "./client.js";
import type { Problem } from "./contract.js";
import type { operations, paths } from "./openapi.js";

/** An answer with a body. */
export interface Success<Value, Status extends number = 200> {
  ok: true;
  status: Status;
  /** The body. */
  value: Value;
  /** The entity tag, for `etag` or `ifMatch` of a later call; null if the answer has none. */
  etag: string | null;
}

/** 304: the representation that the caller has is still current. */
export interface NotModified {
  ok: true;
  status: 304;
  etag: string | null;
}

/** The problems of a route. A later version of Rollcall may have further codes. */
export interface ProblemOf<Code extends string> extends Omit<Problem, "code"> {
  code: Code;
}

/** Why the call has no answer: as `EnsureFailure`, with the codes of the route. */
export interface Failure<Code extends string = string> extends Omit<EnsureFailure, "problem"> {
  /** Rollcall's description of the error, if `refused` by Rollcall. */
  problem?: ProblemOf<Code>;
  /** The entity tag of the stored record, with `precondition_failed` and `precondition_required`. */
  etag?: string;
}

type ResponsesOf<Operation> = Operation extends { responses: infer Responses } ? Responses : never;

/** The answers of an operation that have a body. */
export type SuccessOf<Operation, Responses = ResponsesOf<Operation>> = {
  [Status in keyof Responses]: Responses[Status] extends { content: { "application/json": infer Value } }
    ? Success<Value, Status & number>
    : never;
}[keyof Responses];

/** The codes of its problems. */
export type CodeOf<Operation, Responses = ResponsesOf<Operation>> = {
  [Status in keyof Responses]: Responses[Status] extends { content: { "application/problem+json": { code: infer Code } } }
    ? Code & string
    : never;
}[keyof Responses];

/** 304, if it has one. */
type NotModifiedOf<Operation> = ResponsesOf<Operation> extends { 304: unknown } ? NotModified : never;

export type FailureOf<Name extends keyof operations> = Failure<CodeOf<operations[Name]>>;

type Method<Path extends keyof paths> = {
  [Name in keyof paths[Path]]: paths[Path][Name] extends { responses: object } ? Name : never;
}[keyof paths[Path]] &
  string;

/** Every parameter may be undefined, which has the same effect as an absent one. */
type Loose<Parameters> = { [Name in keyof Parameters]: Parameters[Name] | undefined };

type BodyOf<Operation> = Operation extends { requestBody?: infer Body }
  ? Body extends { content: infer Content }
    ? { [Type in keyof Content]: { type: Type; value: Content[Type] } }[keyof Content]
    : never
  : never;

/** The parameters and the body of a request, as docs/openapi.json describes them. */
interface Parts<Operation> {
  path?: Operation extends { parameters: { path: infer Parameters } } ? Parameters : never;
  query?: Operation extends { parameters: { query?: infer Parameters } } ? Loose<Parameters> : never;
  headers?: Operation extends { parameters: { header?: infer Parameters } } ? Loose<Parameters> : never;
  body?: BodyOf<Operation>;
  /** Whether Clerk must issue a new token. */
  fresh?: boolean;
  /** Checks that a body is Rollcall's: that it has the fields that every answer has. */
  isValue: (body: unknown) => boolean;
}

/** Sends one request and returns its result. Never rejects. */
export async function send<Path extends keyof paths, Name extends Method<Path>, Operation = paths[Path][Name]>(
  asker: Asker,
  progress: Progress,
  method: Name,
  template: Path,
  { path, query, headers, body, fresh = false, isValue }: Parts<Operation>,
): Promise<SuccessOf<Operation> | NotModifiedOf<Operation> | Failure<CodeOf<Operation>>> {
  const sent = () => {
    const named = (path ?? {}) as Record<string, string>;
    const content = body as { type: string; value: unknown } | undefined;
    return {
      method: method.toUpperCase(),
      path: template.replace(/\{(\w+)\}/g, (_, name: string) => encodeURIComponent(named[name] ?? "")) + search(query),
      headers: { ...given(headers), ...(content && { "content-type": content.type }) },
      ...(content && { body: JSON.stringify(content.value) }),
    };
  };
  const read = (response: Response, text: string): Success<unknown, number> | NotModified | Failure => {
    const etag = response.headers.get("etag");
    if (response.status === 304) return { ok: true, status: 304, etag };
    if (!response.ok) return { ...refused(response, text), ...(etag !== null && { etag }) };
    const value = parse(text);
    return isValue(value) ? { ok: true, status: response.status, value, etag } : unreadable(response, value);
  };
  const answer = await ask(asker, sent, progress, read, fresh);
  // The type comes from docs/openapi.json. Only `isValue` checks the body at run time.
  return answer as SuccessOf<Operation> | NotModifiedOf<Operation> | Failure<CodeOf<Operation>>;
}

function given(parameters: object | undefined): Record<string, string> {
  return Object.fromEntries(Object.entries(parameters ?? {}).filter(([, value]) => value !== undefined));
}

/** A list becomes a repeated parameter. */
function search(parameters: object | undefined): string {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(parameters ?? {})) {
    for (const one of Array.isArray(value) ? value : [value]) if (one !== undefined) query.append(name, String(one));
  }
  const text = query.toString();
  return text && `?${text}`;
}
