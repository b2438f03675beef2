import type { Wire } from './wire.ts'

/** A seed wants to know whether a peer is complete; the package looks at all pieces at each that a peer got. */
export function hearOfLastPiece(wire: Wire, pieceCount: number): void {
  let firstMissing = 0
  wire._onHave = (piece) => {
    if (piece < 0 || piece >= pieceCount) return
    wire.peerPieces.set(piece)
    while (firstMissing < pieceCount && wire.peerPieces.get(firstMissing)) firstMissing++
    if (firstMissing === pieceCount) wire.emit('have', piece)
  }
}
