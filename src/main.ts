#!/usr/bin/env node
import { buildProgram } from './cli/program.ts';

// The service and its libraries are loaded only to serve: the other commands start in a third of the time.
await buildProgram({ serve: async (options) => (await import('./serve.ts')).serve(options) }).parseAsync();
