import { execFileSync } from 'node:child_process'
export function decompressBzip2(bytes: Uint8Array, outputBytesMax: number): Uint8Array {
  return execFileSync('bzip2', ['-dc'], { input: bytes, maxBuffer: outputBytesMax })
}
