import { describe, expect, it } from 'vitest'
import {
  createMinisignKey,
  encodeMinisignKey,
  parseMinisignKey,
  signMinisign,
} from '../../coordinator/publish/minisign.ts'
import { verifyEd25519 } from '../../node/net/signature.ts'
import {
  base64Decode,
  base64Encode,
  encodeMinisignPublicKey,
  parseMinisignPublicKey,
  verifyMinisign,
} from '../../protocol/codec/minisign.ts'

const key = createMinisignKey()
const file = Buffer.from('manifest')
const signature = Buffer.from(signMinisign(file, key, { trustedComment: 'sequence:1' })).toString()
const verdictOf = (text: string, bytes: Uint8Array = file) =>
  verifyMinisign(bytes, Buffer.from(text), key, verifyEd25519)

describe('minisign', () => {
  it('accepts its own signature', () => {
    expect(verdictOf(signature)).toEqual({ ok: true, trustedComment: 'sequence:1' })
  })

  it.each([
    ['other bytes', signature, Buffer.from('manifesT'), 'bad-signature'],
    ['a changed trusted comment', signature.replace('sequence:1', 'sequence:2'), file, 'bad-comment'],
    [
      'another key id',
      Buffer.from(
        signMinisign(file, { ...key, keyId: new Uint8Array(8) }, { trustedComment: '' }),
      ).toString(),
      file,
      'other-key',
    ],
    ['no global signature', signature.split('\n').slice(0, 3).join('\n'), file, 'not-a-signature'],
    ['nothing', '', file, 'not-a-signature'],
    ['too much', 'x'.repeat(20_000), file, 'not-a-signature'],
  ] as const)('refuses %s', (_, text, bytes, code) => {
    expect(verdictOf(text, bytes)).toEqual({ ok: false, code })
  })

  it('refuses the comment of one signature on another', () => {
    const other = Buffer.from(signMinisign(file, key, { trustedComment: 'sequence:9' }))
      .toString()
      .split('\n')
    const lines = signature.split('\n')
    expect(verdictOf([lines[0], lines[1], other[2], lines[3], ''].join('\n'))).toEqual({
      ok: false,
      code: 'bad-comment',
    })
  })

  it('refuses a trusted comment of more than one line', () => {
    expect(() => signMinisign(file, key, { trustedComment: 'a\nb' })).toThrow(TypeError)
  })

  it('reads back its keys and notices a damaged one', () => {
    expect(parseMinisignKey(encodeMinisignKey(key))).toEqual(key)
    expect(parseMinisignPublicKey(encodeMinisignPublicKey(key))).toEqual({
      keyId: key.keyId,
      publicKey: key.publicKey,
    })
    expect(() =>
      parseMinisignKey(encodeMinisignKey({ ...key, keyId: new Uint8Array(8) }).slice(0, -10)),
    ).toThrow(/not a minisign/)
    const blob = base64Decode(encodeMinisignKey(key).split('\n')[1] ?? '', 158)
    if (blob === null) throw new Error('no key')
    blob[70] = (blob[70] ?? 0) ^ 1
    expect(() => parseMinisignKey(`untrusted comment: x\n${base64Encode(blob)}\n`)).toThrow(/checksum/)
  })

  it('writes and reads base64 as node does', () => {
    for (let length = 0; length < 80; length++) {
      const bytes = Buffer.from(Array.from({ length }, (_, i) => (i * 37) & 255))
      expect(base64Encode(bytes)).toBe(bytes.toString('base64'))
      expect(base64Decode(bytes.toString('base64'), length)).toEqual(new Uint8Array(bytes))
    }
    expect(base64Decode('AB==', 1)).toBeNull()
    expect(base64Decode('A*==', 1)).toBeNull()
  })
})
