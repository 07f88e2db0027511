// Original file: proto/warmpool/v1/pool_service.proto


export interface ScalePoolRequest {
  'name'?: (string);
  'minReady'?: (number);
  'maxReady'?: (number);
  'maxTotal'?: (number);
  '_minReady'?: "minReady";
  '_maxReady'?: "maxReady";
  '_maxTotal'?: "maxTotal";
}

export interface ScalePoolRequest__Output {
  'name': (string);
  'minReady'?: (number);
  'maxReady'?: (number);
  'maxTotal'?: (number);
  '_minReady'?: "minReady";
  '_maxReady'?: "maxReady";
  '_maxTotal'?: "maxTotal";
}
