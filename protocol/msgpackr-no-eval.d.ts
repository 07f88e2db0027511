/** The build of msgpackr without `new Function`, which a strict content security policy needs, comes without types. */
declare module 'msgpackr/index-no-eval' {
  export { Packr } from 'msgpackr';
}
