// Original file: proto/warmpool/v1/exec_service.proto

import type { Duration as _google_protobuf_Duration, Duration__Output as _google_protobuf_Duration__Output } from '../../google/protobuf/Duration.ts';
import type { TerminalSize as _warmpool_v1_TerminalSize, TerminalSize__Output as _warmpool_v1_TerminalSize__Output } from '../../warmpool/v1/TerminalSize.ts';

export interface ExecStart {
  'sandboxId'?: (string);
  'argv'?: (string)[];
  'env'?: ({[key: string]: string});
  'cwd'?: (string);
  'user'?: (string);
  'timeout'?: (_google_protobuf_Duration | null);
  'noStdin'?: (boolean);
  'tty'?: (_warmpool_v1_TerminalSize | null);
  'detach'?: (boolean);
  'replayBytes'?: (number);
  '_replayBytes'?: "replayBytes";
}

export interface ExecStart__Output {
  'sandboxId': (string);
  'argv': (string)[];
  'env': ({[key: string]: string});
  'cwd': (string);
  'user': (string);
  'timeout': (_google_protobuf_Duration__Output | null);
  'noStdin': (boolean);
  'tty': (_warmpool_v1_TerminalSize__Output | null);
  'detach': (boolean);
  'replayBytes'?: (number);
  '_replayBytes'?: "replayBytes";
}
