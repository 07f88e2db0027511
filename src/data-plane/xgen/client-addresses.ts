import type { IncomingMessage } from 'node:http';
import { BlockList, isIPv4, isIPv6 } from 'node:net';

/**
 * Where a request comes from, without the port. `X-Forwarded-For` says so only where a proxy of ours has written it;
 * from anybody else it is what a client would like us to believe.
 */
export class ClientAddresses {
  readonly #proxies = new BlockList();

  /** Addresses and subnets (`10.0.0.0/8`), checked by the configuration. */
  constructor(proxies: readonly string[]) {
    for (const proxy of proxies) {
      const [address = '', bits] = proxy.split('/');
      const family = isIPv6(address) ? 'ipv6' : 'ipv4';
      if (bits === undefined) this.#proxies.addAddress(address, family);
      else this.#proxies.addSubnet(address, Number(bits), family);
    }
  }

  of(request: Pick<IncomingMessage, 'socket' | 'headers'>): string {
    const peer = plain(request.socket.remoteAddress ?? '');
    if (!this.isProxy(peer)) return peer;
    let client = peer;
    // A proxy adds at the end whom it saw; what stands before an address that is no proxy's is that client's own word.
    for (const item of String(request.headers['x-forwarded-for'] ?? '')
      .split(',')
      .reverse()) {
      const address = plain(item.trim());
      if (!isIPv4(address) && !isIPv6(address)) return client;
      client = address;
      if (!this.isProxy(client)) return client;
    }
    return client;
  }

  isProxy(address: string): boolean {
    if (isIPv4(address)) return this.#proxies.check(address, 'ipv4');
    return isIPv6(address) && this.#proxies.check(address, 'ipv6');
  }
}

/** A socket that takes both families shows IPv4 as a part of IPv6. */
function plain(address: string): string {
  return address.startsWith('::ffff:') && isIPv4(address.slice(7)) ? address.slice(7) : address;
}
