#!/usr/bin/env node
import { buildProgram } from './cli/program.ts';
import { serve } from './serve.ts';

await buildProgram({ serve }).parseAsync();
