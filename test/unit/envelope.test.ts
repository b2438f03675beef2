import { generateKeyPairFromSeed, privateKeyFromRaw } from '@libp2p/crypto/keys'
import { peerIdFromPrivateKey } from '@libp2p/peer-id'
import { PeerRecord, RecordEnvelope } from '@libp2p/peer-record'
import { multiaddr } from '@multiformats/multiaddr'
import { ed25519 } from '@noble/curves/ed25519.js'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { identityFromSeed } from '../../node/net/identity.ts'
import { verifyEd25519 } from '../../node/net/signature.ts'
import { BASE58_BYTES_MAX, base58FromBytes, bytesFromBase58 } from '../../protocol/codec/base58.ts'
import { bytesToHex, concatBytes, hexToBytes, utf8ToBytes } from '../../protocol/codec/bytes.ts'
import { isNodeId, type NodeId } from '../../protocol/ids.ts'
import { encodeEnvelope, openEnvelope, signedBytes } from '../../protocol/manifest/envelope.ts'
import {
  decodePublicKey,
  encodePublicKey,
  isPublicKey,
  nodeIdFromPublicKey,
  publicKeyFromNodeId,
} from '../../protocol/manifest/node-key.ts'

const DOMAIN = 'wikiseed/node-manifest/1'
const TYPE = '/wikiseed/node-manifest'
const identity = identityFromSeed(new Uint8Array(32).fill(7))
const options = { domain: DOMAIN, payloadType: TYPE, verify: verifyEd25519, bytesMax: 100_000 }
const sealed = identity.seal(DOMAIN, TYPE, utf8ToBytes('hello'))

describe('base58', () => {
  it('agrees with the vectors of draft-msporny-base58', () => {
    expect(base58FromBytes(utf8ToBytes('Hello World!'))).toBe('2NEpo7TZRRrLZSi2U')
    expect(base58FromBytes(hexToBytes('0000287fb4cd'))).toBe('11233QC4')
    expect(bytesFromBase58('11233QC4')).toEqual(hexToBytes('0000287fb4cd'))
  })

  it('gives back any bytes up to its bound', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: BASE58_BYTES_MAX }), (bytes) => {
        expect(bytesFromBase58(base58FromBytes(bytes))).toEqual(bytes)
      }),
    )
  })

  it('refuses other characters and anything above its bound', () => {
    for (const text of ['0', 'O', 'I', 'l', 'a b', 'é', 'z'.repeat(177), '1'.repeat(129)]) {
      expect(bytesFromBase58(text)).toBeNull()
    }
    expect(() => base58FromBytes(new Uint8Array(BASE58_BYTES_MAX + 1))).toThrow(RangeError)
  })
})

describe('node ids', () => {
  it('reads the public key of the libp2p peer-ids spec', () => {
    const protobuf = hexToBytes('080112201ed1e8fae2c4a144b8be8fd4b47bf3d3b34b871c3cacf6010f0e42d474fce27e')
    const publicKey = decodePublicKey(protobuf)
    expect(publicKey).toEqual(protobuf.subarray(4))
    expect(encodePublicKey(protobuf.subarray(4))).toEqual(protobuf)
  })

  it('equal libp2p’s own for a hundred keys, and give the key back', async () => {
    for (let i = 0; i < 100; i++) {
      const seed = new Uint8Array(32).fill(i)
      const mine = identityFromSeed(seed)
      const theirs = await generateKeyPairFromSeed('Ed25519', seed)
      expect(mine.nodeId).toBe(peerIdFromPrivateKey(theirs).toString())
      expect(mine.privateKeyRaw()).toEqual(theirs.raw)
      expect(isNodeId(mine.nodeId)).toBe(true)
      expect(publicKeyFromNodeId(mine.nodeId)).toEqual(mine.publicKey)
    }
  })

  it('of another key type, or cut short, hold no key', () => {
    const secp256k1 = base58FromBytes(concatBytes(hexToBytes('002408021220'), new Uint8Array(32).fill(9)))
    expect(publicKeyFromNodeId(secp256k1 as NodeId)).toBeNull()
    expect(publicKeyFromNodeId(identity.nodeId.slice(0, -1) as NodeId)).toBeNull()
    expect(publicKeyFromNodeId(`1${identity.nodeId}` as NodeId)).toBeNull()
  })

  it('are refused to every point of small order, in every encoding', () => {
    const torsion = ed25519.Point.fromHex('c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a')
    let point = torsion
    for (let i = 0; i < 8; i++) {
      expect(point.isSmallOrder()).toBe(true)
      expect(isPublicKey(point.toBytes())).toBe(false)
      expect(() => nodeIdFromPublicKey(point.toBytes())).toThrow(TypeError)
      point = point.add(torsion)
    }
    // p and p + 1: not reduced, read as 0 and 1 by a permissive verifier.
    for (const first of ['ed', 'ee']) {
      expect(isPublicKey(hexToBytes(`${first}${'ff'.repeat(30)}7f`))).toBe(false)
      expect(isPublicKey(hexToBytes(`${first}${'ff'.repeat(31)}`))).toBe(false)
    }
  })
})

describe('a signed envelope', () => {
  it('opens to the payload and the node that sealed it', () => {
    const opened = openEnvelope(sealed, options)
    expect(opened).toMatchObject({ ok: true, nodeId: identity.nodeId })
    if (opened.ok) expect(opened.payload).toEqual(utf8ToBytes('hello'))
  })

  it('signs length-prefixed domain, type and payload', () => {
    expect(bytesToHex(signedBytes('ab', Uint8Array.of(3, 1), new Uint8Array(200)))).toBe(
      `02616202${'0301'}c801${'00'.repeat(200)}`,
    )
  })

  it('is refused under another domain, type or size', () => {
    const code = (changed: Partial<typeof options>) => {
      const opened = openEnvelope(sealed, { ...options, ...changed })
      return opened.ok ? 'ok' : opened.code
    }
    expect(code({})).toBe('ok')
    expect(code({ domain: 'wikiseed/node-manifest/2' })).toBe('bad-signature')
    expect(code({ payloadType: '/wikiseed/catalog' })).toBe('wrong-type')
    expect(code({ bytesMax: sealed.length - 1 })).toBe('too-large')
    expect(code({ bytesMax: sealed.length })).toBe('ok')
  })

  it('never opens after any single byte was changed, cut off or added', () => {
    for (let i = 0; i < sealed.length; i++) {
      const changed = sealed.slice()
      changed[i] = (changed[i] ?? 0) ^ 0x01
      expect(openEnvelope(changed, options).ok, `byte ${i}`).toBe(false)
      expect(openEnvelope(sealed.subarray(0, i), options)).toEqual({ ok: false, code: 'malformed' })
    }
    expect(openEnvelope(concatBytes(sealed, Uint8Array.of(0)), options)).toEqual({
      ok: false,
      code: 'malformed',
    })
  })

  it('has one encoding: what libp2p reads leniently is malformed', () => {
    const key = field(0x0a, encodePublicKey(identity.publicKey))
    const type = field(0x12, utf8ToBytes(TYPE))
    const payload = field(0x1a, utf8ToBytes('hello'))
    const signature = field(0x2a, sealed.slice(-64))
    expect(concatBytes(key, type, payload, signature)).toEqual(sealed)
    const paddedLength = concatBytes(hexToBytes('1a8500'), utf8ToBytes('hello'))
    const variants = {
      'another order': [type, key, payload, signature],
      'a field twice': [key, type, payload, payload, signature],
      'an unknown field': [key, type, payload, field(0x22, Uint8Array.of(1)), signature],
      'an unknown field at the end': [key, type, payload, signature, field(0x32, Uint8Array.of(1))],
      'a length in two bytes instead of one': [key, type, paddedLength, signature],
      'an empty payload': [key, type, field(0x1a, new Uint8Array(0)), signature],
      'no payload': [key, type, signature],
      'a signature of 63 bytes': [key, type, payload, field(0x2a, sealed.slice(-63))],
      'a key with its fields swapped': [field(0x0a, swappedKey()), type, payload, signature],
    }
    for (const [name, parts] of Object.entries(variants)) {
      expect(openEnvelope(concatBytes(...parts), options), name).toEqual({ ok: false, code: 'malformed' })
    }
    const lenient = concatBytes(...variants['a length in two bytes instead of one'])
    return expect(RecordEnvelope.openAndCertify(lenient, DOMAIN)).resolves.toBeDefined()
  })

  it('is refused with the signature made malleable (S + L)', () => {
    const order = ed25519.Point.Fn.ORDER
    const changed = sealed.slice()
    let carried = littleEndian(sealed.slice(-32)) + order
    for (let i = 0; i < 32; i++) {
      changed[changed.length - 32 + i] = Number(carried & 0xffn)
      carried >>= 8n
    }
    expect(openEnvelope(changed, options)).toEqual({ ok: false, code: 'bad-signature' })
  })

  it('opens or fails with a code on any bytes, and never throws', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
        expect(openEnvelope(bytes, options).ok).toBe(false)
      }),
      { numRuns: 500 },
    )
    const header = sealed.slice(0, 38)
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        expect(openEnvelope(concatBytes(header, bytes), options).ok).toBe(false)
      }),
      { numRuns: 500 },
    )
  })

  it('cannot be built with a part of the wrong form', () => {
    const good = {
      publicKey: identity.publicKey,
      payloadType: TYPE,
      payload: Uint8Array.of(1),
      signature: new Uint8Array(64),
    }
    expect(() => encodeEnvelope(good)).not.toThrow()
    expect(() => encodeEnvelope({ ...good, publicKey: new Uint8Array(31) })).toThrow(TypeError)
    expect(() => encodeEnvelope({ ...good, payloadType: '' })).toThrow(RangeError)
    expect(() => encodeEnvelope({ ...good, payload: new Uint8Array(0) })).toThrow(RangeError)
    expect(() => encodeEnvelope({ ...good, signature: new Uint8Array(63) })).toThrow(RangeError)
  })
})

describe('libp2p', () => {
  const codec = Uint8Array.of(3, 1)
  const peerRecordDomain = 'libp2p-peer-record'

  it('opens what we sealed', async () => {
    const payload = crypto.getRandomValues(new Uint8Array(20_000))
    const bytes = identity.seal(DOMAIN, TYPE, payload)
    const opened = await RecordEnvelope.openAndCertify(bytes, DOMAIN)
    expect(opened.payload.subarray()).toEqual(payload)
    expect(opened.payloadType).toEqual(utf8ToBytes(TYPE))
    await expect(RecordEnvelope.openAndCertify(bytes, 'other')).rejects.toThrow()
  })

  it('seals what we open, byte for byte as we would seal it', async () => {
    const key = privateKeyFromRaw(identity.privateKeyRaw())
    const record = new PeerRecord({
      peerId: peerIdFromPrivateKey(key),
      multiaddrs: [multiaddr('/ip4/127.0.0.1/tcp/4001')],
      seqNumber: 5n,
    })
    const theirs = (await RecordEnvelope.seal(record, key)).marshal()
    const opened = openEnvelope(theirs, {
      domain: peerRecordDomain,
      payloadType: codec,
      verify: verifyEd25519,
      bytesMax: 1_000,
    })
    expect(opened).toMatchObject({ ok: true, nodeId: identity.nodeId })
    if (!opened.ok) return
    expect(opened.payload).toEqual(record.marshal())
    const signature = identity.sign(signedBytes(peerRecordDomain, codec, opened.payload))
    expect(
      encodeEnvelope({
        publicKey: identity.publicKey,
        payloadType: codec,
        payload: opened.payload,
        signature,
      }),
    ).toEqual(new Uint8Array(theirs))
  })
})

function field(tag: number, value: Uint8Array): Uint8Array {
  return concatBytes(Uint8Array.of(tag, value.length), value)
}

function swappedKey(): Uint8Array {
  return concatBytes(Uint8Array.of(0x12, 0x20), identity.publicKey, Uint8Array.of(0x08, 0x01))
}

function littleEndian(bytes: Uint8Array): bigint {
  return bytes.reduceRight((value, byte) => (value << 8n) | BigInt(byte), 0n)
}
