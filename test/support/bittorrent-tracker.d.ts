/** The part of bittorrent-tracker 11 that tests use; it has no types. */
declare module 'bittorrent-tracker' {
  import type { EventEmitter } from 'node:events'
  import type { AddressInfo } from 'node:net'

  export class Server extends EventEmitter {
    constructor(options: { http?: boolean; udp?: boolean; ws?: boolean; stats?: boolean; interval?: number })
    readonly http: { address(): AddressInfo } | null
    readonly udp: { address(): AddressInfo } | null
    listen(port: number, host: { http: string; udp?: string; udp6?: string }, onListening?: () => void): void
    close(onClose?: () => void): void
  }
}
