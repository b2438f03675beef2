/** The part of create-torrent 6 that tests use; the package ships no types. */
declare module 'create-torrent' {
  interface Options {
    readonly name?: string
    readonly pieceLength?: number
    /** `[]` keeps the package's default public trackers out. */
    readonly announceList?: readonly (readonly string[])[]
  }

  /** Buffers need a `name` with `/` between path elements; their order is kept. */
  export default function createTorrent(
    input: string | readonly string[] | readonly (Buffer & { name: string })[],
    options: Options,
    callback: (error: Error | null, torrent: Uint8Array) => void,
  ): void
}
