// Lets Node.js load the examples as they are: TypeScript with JSX, and the variables that Vite would put in.

import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import ts from "typescript";

const compilerOptions = {
  target: ts.ScriptTarget.ES2022,
  module: ts.ModuleKind.ESNext,
  jsx: ts.JsxEmit.ReactJSX,
};

/** Called by Node.js for each import. An example names its own files without their ending, as bundlers let it. */
export async function resolve(name, context, next) {
  if (!name.startsWith("./") || /\.\w+$/.test(name)) return next(name, context);
  return next(`${name}.tsx`, context).catch(() => next(`${name}.ts`, context));
}

/** Called by Node.js for each module. */
export async function load(url, context, next) {
  if (!/\.tsx?$/.test(url)) return next(url, context);
  const { outputText } = ts.transpileModule(await readFile(fileURLToPath(url), "utf8"), { compilerOptions });
  // On one line with the rest, so that line numbers stay.
  return { format: "module", shortCircuit: true, source: `import.meta.env = process.env; ${outputText}` };
}
