/** Types of build.mjs, which stays plain JavaScript because it runs before anything is installed. */

export type Compiler = readonly [command: string, ...flags: string[]];

export interface Compilation {
  readonly compiler: Compiler;
  readonly flags: readonly string[];
  readonly sources: readonly string[];
  readonly output: string;
  /** Searched for headers, which count as sources. */
  readonly folders?: readonly string[];
}

export const sourceFolder: string;
export const buildFolder: string;
export const guestBinary: string;
export const warningFlags: readonly string[];
export function findStaticCompiler(): Compiler | undefined;
export function guestSources(options: { readonly withMain: boolean }): string[];
export function compile(compilation: Compilation): boolean;
export function compileArchive(compilation: Compilation): boolean;
export function buildGuest(): { readonly path: string; readonly compiled: boolean };
