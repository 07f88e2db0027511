import type { XgenVersion } from '../../data-plane/xgen/xgen-failure.ts';
import { parseWorkspacePath } from '../../data-plane/xgen/xgen-paths.ts';
import type { KeptOutput, XgenRun } from '../../data-plane/xgen/xgen-run.ts';
import { type BodyReader, invalid } from './body-reader.ts';

export interface XgenExecRequest {
  readonly run: XgenRun;
  /** Bytes; undefined: as much as is kept. */
  readonly stdoutMax: number | undefined;
  readonly stderrMax: number | undefined;
  readonly artifactPath: string;
}

/** Throws XgenFailure INVALID_PARAMETER for the first member that is wrong. */
export function readExec(body: BodyReader, version: XgenVersion, execId: string): XgenExecRequest {
  const command = body.text('command', undefined);
  if (command === '') throw invalid('command', '', { reason: 'must not be empty' });
  const artifactPath = body.text('artifact_path', `.xgen/artifacts/exec-${execId}.json`);
  const artifact = parseWorkspacePath(artifactPath);
  if ('error' in artifact) throw invalid('artifact_path', artifactPath, { reason: artifact.error });
  const both = body.integer('max_output_bytes', 1, Number.MAX_SAFE_INTEGER);
  const timeoutMs =
    version === 'v2'
      ? body.integer('timeout_ms', 1, timeoutSecondsMax * 1_000)
      : secondsToMs(body.integer('timeout_seconds', 1, timeoutSecondsMax));
  return {
    run: {
      command,
      args: body.texts('args'),
      env: body.textMap('env'),
      cwd: body.text('cwd', ''),
      timeoutMs: timeoutMs ?? timeoutMsDefault,
    },
    stdoutMax: body.integer('max_stdout_bytes', 1, Number.MAX_SAFE_INTEGER) ?? both,
    stderrMax: body.integer('max_stderr_bytes', 1, Number.MAX_SAFE_INTEGER) ?? both,
    artifactPath,
  };
}

export interface CutText {
  readonly text: string;
  readonly isCut: boolean;
}

/** As it is answered: cut where it was asked for, with the mark that says so; what is no UTF-8 becomes U+FFFD. */
export function cutOutput(output: KeptOutput, bytesMax: number | undefined): CutText {
  const bytes = output.bytes;
  const isCut = output.overflowed || (bytesMax !== undefined && bytes.length > bytesMax);
  if (!isCut) return { text: textOf(bytes), isCut };
  // A character that the cut goes through is left out.
  const text = new TextDecoder('utf-8', { ignoreBOM: true }).decode(bytes.subarray(0, bytesMax), {
    stream: true,
  });
  return { text: `${text}${truncationMarker}`, isCut };
}

export function textOf(bytes: Uint8Array): string {
  return new TextDecoder('utf-8', { ignoreBOM: true }).decode(bytes);
}

function secondsToMs(seconds: number | undefined): number | undefined {
  return seconds === undefined ? undefined : seconds * 1_000;
}

export const truncationMarker = '\n...[truncated]\n';
const timeoutMsDefault = 30_000;
const timeoutSecondsMax = 86_400;
