// Original file: proto/warmpool/v1/error.proto


export interface Error {
  'code'?: (number);
  'reason'?: (string);
  'message'?: (string);
  'metadata'?: ({[key: string]: string});
}

export interface Error__Output {
  'code': (number);
  'reason': (string);
  'message': (string);
  'metadata': ({[key: string]: string});
}
